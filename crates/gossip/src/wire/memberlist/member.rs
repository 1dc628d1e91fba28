//! [pure] What is said of members: alive and such, suspected, gone.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use super::{META_BYTES_MAX, NAME_BYTES_MAX, code};
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Address, Error, Name};

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
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, Error> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let bytes = bytes
            .try_into()
            .map_err(|_length| Error::Versions { bytes: bytes.len() })?;
        Ok(Some(Self::from_array(bytes)))
    }

    pub(super) fn encode(versions: Option<Self>, encoder: &mut Encoder<'_>) {
        match versions {
            Some(versions) => encoder.bytes(versions.to_array()),
            None => encoder.nil(),
        }
    }
}

// === impl Suspect, Dead ===

impl Suspect {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let (incarnation, node, from) = decode_accusation("suspect", decoder)?;
        Ok(Self {
            incarnation,
            node,
            from,
        })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        encode_accusation(code::SUSPECT, self.incarnation, &self.node, &self.from, out);
    }
}

impl Dead {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let (incarnation, node, from) = decode_accusation("dead", decoder)?;
        Ok(Self {
            incarnation,
            node,
            from,
        })
    }

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
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
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
