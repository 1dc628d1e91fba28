//! [pure] Whether a member is there: asked directly, by way of others, and answered.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use super::{NAME_BYTES_MAX, code};
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Address, Error, Name};

/// "Are you there?", answered by [`Ack`] with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The asker's number for it.
    pub seq: u32,
    /// Who is meant; empty means whoever gets it. A member of another name does not answer.
    pub node: Name,
    /// Who asks. Without it the answer goes where the packet came from.
    pub source: Option<Source>,
}

/// Where an answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As the asker announces it.
    pub address: Address,
    /// As the asker announces it; not 0.
    pub port: u16,
    /// The asker's name, empty from older members.
    pub node: Name,
}

/// "Ask this member for me."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndirectPing {
    /// The asker's number for it, not that of the ping which it causes.
    pub seq: u32,
    /// The address to be asked.
    pub target: Address,
    /// The port to be asked; 0 means the port of whoever is told to ask.
    pub port: u16,
    /// Who is meant.
    pub node: Name,
    /// Whether a [`Nack`] is wanted when no answer comes.
    pub wants_nack: bool,
    /// Who asks. Without it the answer goes where the packet came from.
    pub source: Option<Source>,
}

/// The answer to a [`Ping`], or to an [`IndirectPing`] that reached its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The number of what is answered.
    pub seq: u32,
    /// The answerer's [`crate::wire::serf::Coordinate`]; none in streams and when passed on.
    pub payload: Bytes,
}

/// The answer to an [`IndirectPing`] whose target is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nack {
    /// The number of what is answered.
    pub seq: u32,
}

// === impl Ping ===

impl Ping {
    pub(in crate::wire) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let fields = ["SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode"];
        let (mut seq, mut node, mut asker) = (0, Name::default(), Asker::default());
        decoder.fields("ping", &fields, |decoder, field| {
            match field {
                "SeqNo" => seq = decoder.uint()?,
                "Node" => node = decoder.name(NAME_BYTES_MAX)?,
                field => asker.read(decoder, field)?,
            }
            Ok(())
        })?;
        let source = asker.source();
        Ok(Self { seq, node, source })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::PING);
        let mut encoder = Encoder::gossip(out);
        encoder.map(Source::fields(self.source.as_ref()).saturating_add(2));
        encoder.key("Node").text(self.node.as_bytes());
        encoder.key("SeqNo").uint(self.seq);
        Source::encode(self.source.as_ref(), &mut encoder);
    }
}

// === impl IndirectPing ===

impl IndirectPing {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let fields = [
            "SeqNo",
            "Target",
            "Port",
            "Node",
            "Nack",
            "SourceAddr",
            "SourcePort",
            "SourceNode",
        ];
        let (mut seq, mut target, mut port) = (0, None, 0);
        let (mut node, mut wants_nack) = (Name::default(), false);
        let mut asker = Asker::default();
        decoder.fields("indirect ping", &fields, |decoder, field| {
            match field {
                "SeqNo" => seq = decoder.uint()?,
                "Target" => target = Some(Address::from_bytes(decoder.slice()?)?),
                "Port" => port = decoder.uint()?,
                "Node" => node = decoder.name(NAME_BYTES_MAX)?,
                "Nack" => wants_nack = decoder.bool()?,
                field => asker.read(decoder, field)?,
            }
            Ok(())
        })?;
        let Some(target) = target else {
            return Err(Error::Address { bytes: 0 }.of("indirect ping", "Target"));
        };
        Ok(Self {
            seq,
            target,
            port,
            node,
            wants_nack,
            source: asker.source(),
        })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::INDIRECT_PING);
        let mut encoder = Encoder::gossip(out);
        encoder.map(Source::fields(self.source.as_ref()).saturating_add(5));
        encoder.key("Nack").bool(self.wants_nack);
        encoder.key("Node").text(self.node.as_bytes());
        encoder.key("Port").uint(self.port);
        encoder.key("SeqNo").uint(self.seq);
        Source::encode(self.source.as_ref(), &mut encoder);
        encoder.key("Target").bytes(self.target.as_bytes());
    }
}

// === impl Source ===

/// The three fields of a [`Source`] as they come in.
#[derive(Default)]
struct Asker {
    address: Option<Address>,
    port: u16,
    node: Name,
}

impl Asker {
    fn read(&mut self, decoder: &mut Decoder<'_>, field: &str) -> Result<(), Error> {
        match field {
            "SourceAddr" => {
                let bytes = decoder.slice()?;
                if !bytes.is_empty() {
                    self.address = Some(Address::from_bytes(bytes)?);
                }
            }
            "SourcePort" => self.port = decoder.uint()?,
            _ => self.node = decoder.name(NAME_BYTES_MAX)?,
        }
        Ok(())
    }

    /// Without an address or a port there is nowhere to answer to.
    fn source(self) -> Option<Source> {
        let address = self.address.filter(|_| self.port != 0)?;
        Some(Source {
            address,
            port: self.port,
            node: self.node,
        })
    }
}

impl Source {
    /// How many fields it takes in a message.
    fn fields(source: Option<&Self>) -> usize {
        match source {
            Some(source) if source.node.is_empty() => 2,
            Some(_) => 3,
            None => 0,
        }
    }

    /// The three fields are the only ones that Serf leaves out when they are empty.
    fn encode(source: Option<&Self>, encoder: &mut Encoder<'_>) {
        let Some(source) = source else {
            return;
        };
        encoder.key("SourceAddr").bytes(source.address.as_bytes());
        if !source.node.is_empty() {
            encoder.key("SourceNode").text(source.node.as_bytes());
        }
        encoder.key("SourcePort").uint(source.port);
    }
}

// === impl Ack, Nack ===

impl Ack {
    pub(in crate::wire) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let (mut seq, mut payload) = (0, Bytes::new());
        decoder.fields("ack", &["SeqNo", "Payload"], |decoder, field| {
            match field {
                "SeqNo" => seq = decoder.uint()?,
                _ => payload = decoder.bytes()?,
            }
            Ok(())
        })?;
        Ok(Self { seq, payload })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::ACK);
        let mut encoder = Encoder::gossip(out);
        encoder.map(2);
        encoder.key("Payload").bytes_or_nil(&self.payload);
        encoder.key("SeqNo").uint(self.seq);
    }
}

impl Nack {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut seq = 0;
        decoder.fields("nack", &["SeqNo"], |decoder, _| {
            seq = decoder.uint()?;
            Ok(())
        })?;
        Ok(Self { seq })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::NACK);
        let mut encoder = Encoder::gossip(out);
        encoder.map(1);
        encoder.key("SeqNo").uint(self.seq);
    }
}
