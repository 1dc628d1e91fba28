//! [pure] Memberlist's messages: who is asked, suspected, alive, dead.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod state;

use bytes::{BufMut, Bytes, BytesMut};

use super::msgpack::{Decoder, Encoder};
use super::{Address, Error, Name};

pub(in crate::wire) use state::{Header, size};
pub use state::{NodeState, PushPull, STATES_MAX, State};

/// The longest name of a member, in bytes. Serf has no limit but the packet that carries it.
pub const NAME_BYTES_MAX: usize = 1_024;
/// The longest metadata of a member, in bytes: memberlist's own limit.
pub const META_BYTES_MAX: usize = 512;

/// The first byte of a message in a packet or a stream.
pub mod code {
    /// [`super::Ping`].
    pub const PING: u8 = 0;
    /// [`super::IndirectPing`].
    pub const INDIRECT_PING: u8 = 1;
    /// [`super::Ack`].
    pub const ACK: u8 = 2;
    /// [`super::Suspect`].
    pub const SUSPECT: u8 = 3;
    /// [`super::Alive`].
    pub const ALIVE: u8 = 4;
    /// [`super::Dead`].
    pub const DEAD: u8 = 5;
    /// [`super::PushPull`], in streams.
    pub const PUSH_PULL: u8 = 6;
    /// Several messages in one packet.
    pub const COMPOUND: u8 = 7;
    /// What the layer above says; [`crate::wire::serf::Message`] here.
    pub const USER: u8 = 8;
    /// A compressed packet or stream.
    pub const COMPRESSED: u8 = 9;
    /// An encrypted stream. (A packet has the version of its encryption there.)
    pub const ENCRYPTED: u8 = 10;
    /// [`super::Nack`].
    pub const NACK: u8 = 11;
    /// A packet with a checksum.
    pub const CHECKSUM: u8 = 12;
    /// An error, in streams.
    pub const ERROR: u8 = 13;
    /// The label of a cluster, before all else.
    pub const LABEL: u8 = 244;
}

/// A message in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Code 0.
    Ping(Ping),
    /// Code 1.
    IndirectPing(IndirectPing),
    /// Code 2.
    Ack(Ack),
    /// Code 3.
    Suspect(Suspect),
    /// Code 4.
    Alive(Alive),
    /// Code 5.
    Dead(Dead),
    /// Code 8: the bytes behind the code, in which nothing is read.
    User(Bytes),
    /// Code 11.
    Nack(Nack),
}

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

/// "This member does not answer."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The member's incarnation that does not answer.
    pub incarnation: u32,
    /// The member.
    pub node: Name,
    /// Who says so.
    pub from: Name,
}

/// "This member is gone."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The member's incarnation that is gone.
    pub incarnation: u32,
    /// The member.
    pub node: Name,
    /// Who says so; the member itself when it leaves on purpose.
    pub from: Name,
}

/// "This member is there, and such it is."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Only the member itself raises it.
    pub incarnation: u32,
    /// The member.
    pub node: Name,
    /// Where it is.
    pub address: Address,
    /// Its port; 0 means the receiver's own.
    pub port: u16,
    /// What the layer above lets it carry: [`crate::wire::serf::Tags`]. Bytes of their own, fit to be kept.
    pub meta: Bytes,
    /// What it understands. Absent from some messages: what is known stays.
    pub versions: Option<Versions>,
}

/// Which versions of the two protocols a member understands and speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Memberlist's, the least understood.
    pub protocol_min: u8,
    /// Memberlist's, the greatest understood.
    pub protocol_max: u8,
    /// Memberlist's, spoken.
    pub protocol: u8,
    /// Serf's, the least understood.
    pub delegate_min: u8,
    /// Serf's, the greatest understood.
    pub delegate_max: u8,
    /// Serf's, spoken.
    pub delegate: u8,
}

impl Versions {
    /// What Serf 0.9.4 says of itself.
    pub const SERF: Self = Self::from_array([1, 5, 2, 2, 5, 5]);

    /// From the order on the wire.
    #[must_use]
    pub const fn from_array(bytes: [u8; 6]) -> Self {
        let [
            protocol_min,
            protocol_max,
            protocol,
            delegate_min,
            delegate_max,
            delegate,
        ] = bytes;
        Self {
            protocol_min,
            protocol_max,
            protocol,
            delegate_min,
            delegate_max,
            delegate,
        }
    }

    /// In the order on the wire.
    #[must_use]
    pub const fn to_array(self) -> [u8; 6] {
        [
            self.protocol_min,
            self.protocol_max,
            self.protocol,
            self.delegate_min,
            self.delegate_max,
            self.delegate,
        ]
    }

    /// None from no bytes; other lengths than 6 can stop a Serf peer and are refused.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, Error> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let bytes = bytes
            .try_into()
            .map_err(|_length| Error::Versions { bytes: bytes.len() })?;
        Ok(Some(Self::from_array(bytes)))
    }

    fn encode(versions: Option<Self>, encoder: &mut Encoder<'_>) {
        match versions {
            Some(versions) => encoder.bytes(versions.to_array()),
            None => encoder.nil(),
        }
    }
}

// === impl Message ===

impl Message {
    /// Reads one message of a packet. What follows its structure is passed over, as Serf does.
    ///
    /// # Errors
    /// When it is empty, of a code that does not belong into packets, cut, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        let Ok(code) = decoder.byte() else {
            return Err(Error::Empty { what: "a message" });
        };
        Ok(match code {
            code::PING => Self::Ping(Ping::decode(&mut decoder)?),
            code::INDIRECT_PING => Self::IndirectPing(IndirectPing::decode(&mut decoder)?),
            code::ACK => Self::Ack(Ack::decode(&mut decoder)?),
            code::SUSPECT => {
                let (incarnation, node, from) = decode_accusation("suspect", &mut decoder)?;
                Self::Suspect(Suspect {
                    incarnation,
                    node,
                    from,
                })
            }
            code::ALIVE => Self::Alive(Alive::decode(&mut decoder)?),
            code::DEAD => {
                let (incarnation, node, from) = decode_accusation("dead", &mut decoder)?;
                Self::Dead(Dead {
                    incarnation,
                    node,
                    from,
                })
            }
            code::USER => Self::User(decoder.rest()),
            code::NACK => Self::Nack(Nack::decode(&mut decoder)?),
            code => {
                return Err(Error::Unknown {
                    what: "message type",
                    code: code.into(),
                });
            }
        })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Ping(message) => message.encode(out),
            Self::IndirectPing(message) => message.encode(out),
            Self::Ack(message) => message.encode(out),
            Self::Suspect(message) => message.encode(out),
            Self::Alive(message) => message.encode(out),
            Self::Dead(message) => message.encode(out),
            Self::User(body) => {
                out.put_u8(code::USER);
                out.put_slice(body);
            }
            Self::Nack(message) => message.encode(out),
        }
    }
}

// === impl Ping ===

impl Ping {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
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
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
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
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
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
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
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

// === impl Suspect, Dead ===

impl Suspect {
    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        encode_accusation(code::SUSPECT, self.incarnation, &self.node, &self.from, out);
    }
}

impl Dead {
    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        encode_accusation(code::DEAD, self.incarnation, &self.node, &self.from, out);
    }
}

/// What suspect and dead have in common.
fn decode_accusation(
    message: &'static str,
    decoder: &mut Decoder<'_>,
) -> Result<(u32, Name, Name), Error> {
    let (mut incarnation, mut node, mut from) = (0, Name::default(), Name::default());
    decoder.fields(
        message,
        &["Incarnation", "Node", "From"],
        |decoder, field| {
            match field {
                "Incarnation" => incarnation = decoder.uint()?,
                "Node" => node = decoder.name(NAME_BYTES_MAX)?,
                _ => from = decoder.name(NAME_BYTES_MAX)?,
            }
            Ok(())
        },
    )?;
    Ok((incarnation, node, from))
}

fn encode_accusation(code: u8, incarnation: u32, node: &Name, from: &Name, out: &mut BytesMut) {
    out.put_u8(code);
    let mut encoder = Encoder::gossip(out);
    encoder.map(3);
    encoder.key("From").text(from.as_bytes());
    encoder.key("Incarnation").uint(incarnation);
    encoder.key("Node").text(node.as_bytes());
}

// === impl Alive ===

impl Alive {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let fields = ["Incarnation", "Node", "Addr", "Port", "Meta", "Vsn"];
        let (mut incarnation, mut node, mut address) = (0, Name::default(), None);
        let (mut port, mut meta, mut versions) = (0, Bytes::new(), None);
        decoder.fields("alive", &fields, |decoder, field| {
            match field {
                "Incarnation" => incarnation = decoder.uint()?,
                "Node" => node = decoder.name(NAME_BYTES_MAX)?,
                "Addr" => address = Some(Address::from_bytes(decoder.slice()?)?),
                "Port" => port = decoder.uint()?,
                "Meta" => meta = decode_meta(decoder)?,
                _ => versions = Versions::decode(decoder.slice()?)?,
            }
            Ok(())
        })?;
        if node.is_empty() {
            return Err(Error::Empty { what: "a name" }.of("alive", "Node"));
        }
        let Some(address) = address else {
            return Err(Error::Address { bytes: 0 }.of("alive", "Addr"));
        };
        Ok(Self {
            incarnation,
            node,
            address,
            port,
            meta,
            versions,
        })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::ALIVE);
        let mut encoder = Encoder::gossip(out);
        encoder.map(6);
        encoder.key("Addr").bytes(self.address.as_bytes());
        encoder.key("Incarnation").uint(self.incarnation);
        encoder.key("Meta").bytes_or_nil(&self.meta);
        encoder.key("Node").text(self.node.as_bytes());
        encoder.key("Port").uint(self.port);
        Versions::encode(self.versions, encoder.key("Vsn"));
    }
}

/// Copied, since it is kept for as long as the member, and the packet should not be.
fn decode_meta(decoder: &mut Decoder<'_>) -> Result<Bytes, Error> {
    let meta = decoder.slice()?;
    if meta.len() > META_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "metadata in bytes",
            found: u64::try_from(meta.len()).unwrap_or(u64::MAX),
            max: META_BYTES_MAX,
        });
    }
    Ok(Bytes::copy_from_slice(meta))
}

#[cfg(test)]
pub(in crate::wire) mod tests;
