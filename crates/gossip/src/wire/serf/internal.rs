//! [pure] What Serf's own queries carry: beliefs about a name, and keys.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Tags, begins, code, name};
use crate::wire::memberlist::Versions;
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Address, Error, Name};

/// The most keys in a list of them.
const KEYS_MAX: usize = 1_024;
/// The longest message or key in an answer, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;
/// The most tags of a member in an answer.
const TAGS_MAX: usize = 256;

/// What a member is to Serf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberStatus {
    /// 0
    None,
    /// 1
    Alive,
    /// 2
    Leaving,
    /// 3
    Left,
    /// 4
    Failed,
}

impl MemberStatus {
    /// The word for it in RPC and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Alive => "alive",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Alive => 1,
            Self::Leaving => 2,
            Self::Left => 3,
            Self::Failed => 4,
        }
    }

    fn from_code(code: u64) -> Result<Self, Error> {
        Ok(match code {
            0 => Self::None,
            1 => Self::Alive,
            2 => Self::Leaving,
            3 => Self::Left,
            4 => Self::Failed,
            code => {
                return Err(Error::Unknown {
                    what: "member status",
                    code,
                });
            }
        })
    }
}

impl fmt::Display for MemberStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A member as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub address: Address,
    /// Its port.
    pub port: u16,
    /// What it says of itself.
    pub tags: Tags,
    /// What it is.
    pub status: MemberStatus,
    /// What it understands.
    pub versions: Versions,
}

/// The answer to `_serf_conflict`: who has the name, if anybody is known to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictResponse(pub Option<Member>);

/// The payload of the queries about keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The key itself; empty when keys are to be listed.
    pub key: taraf_base::Secret<Vec<u8>>,
}

/// The answer to the queries about keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyResponse {
    /// Whether it was done.
    pub is_done: bool,
    /// Why not, or what else is to be said.
    pub message: String,
    /// All keys in base64, when they were to be listed.
    pub keys: Vec<String>,
    /// The one that is encrypted with, in base64.
    pub primary: String,
}

/// Keys are not shown.
impl fmt::Debug for KeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyResponse")
            .field("is_done", &self.is_done)
            .field("message", &self.message)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

// === impl ConflictResponse ===

impl ConflictResponse {
    /// Reads the payload of a query response.
    ///
    /// # Errors
    /// When it is empty, another message, cut, beyond a limit, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        begins(
            &mut decoder,
            code::CONFLICT_RESPONSE,
            "Serf message type in a conflict response",
        )?;
        if decoder.nil() {
            return Ok(Self(None));
        }
        Member::decode(&mut decoder).map(|member| Self(Some(member)))
    }

    /// The payload of a query response.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(code::CONFLICT_RESPONSE);
        let mut encoder = Encoder::gossip(&mut out);
        match &self.0 {
            Some(member) => member.encode(&mut encoder),
            None => encoder.nil(),
        }
        out.freeze()
    }
}

impl Member {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let fields = [
            "Name",
            "Addr",
            "Port",
            "Tags",
            "Status",
            "ProtocolMin",
            "ProtocolMax",
            "ProtocolCur",
            "DelegateMin",
            "DelegateMax",
            "DelegateCur",
        ];
        let mut address = None;
        let mut member = Self {
            name: Name::default(),
            address: Address::Four([0; 4]),
            port: 0,
            tags: Tags::default(),
            status: MemberStatus::None,
            versions: Versions::from_array([0; 6]),
        };
        decoder.fields("member", &fields, |decoder, field| {
            match field {
                "Name" => member.name = name(decoder)?,
                "Addr" => address = Some(Address::from_bytes(decoder.slice()?)?),
                "Port" => member.port = decoder.uint()?,
                "Tags" => member.tags = Tags::decode_from(decoder, TAGS_MAX)?,
                "Status" => member.status = MemberStatus::from_code(decoder.uint()?)?,
                "ProtocolMin" => member.versions.protocol_min = decoder.uint()?,
                "ProtocolMax" => member.versions.protocol_max = decoder.uint()?,
                "ProtocolCur" => member.versions.protocol = decoder.uint()?,
                "DelegateMin" => member.versions.delegate_min = decoder.uint()?,
                "DelegateMax" => member.versions.delegate_max = decoder.uint()?,
                _ => member.versions.delegate = decoder.uint()?,
            }
            Ok(())
        })?;
        let Some(address) = address else {
            return Err(Error::Address { bytes: 0 }.of("member", "Addr"));
        };
        Ok(Self { address, ..member })
    }

    fn encode(&self, encoder: &mut Encoder<'_>) {
        encoder.map(11);
        encoder.key("Addr").bytes(self.address.as_bytes());
        encoder.key("DelegateCur").uint(self.versions.delegate);
        encoder.key("DelegateMax").uint(self.versions.delegate_max);
        encoder.key("DelegateMin").uint(self.versions.delegate_min);
        encoder.key("Name").text(self.name.as_bytes());
        encoder.key("Port").uint(self.port);
        encoder.key("ProtocolCur").uint(self.versions.protocol);
        encoder.key("ProtocolMax").uint(self.versions.protocol_max);
        encoder.key("ProtocolMin").uint(self.versions.protocol_min);
        encoder.key("Status").uint(self.status.code());
        self.tags.encode_into(encoder.key("Tags"));
    }
}

// === impl KeyRequest, KeyResponse ===

impl KeyRequest {
    /// Reads the payload of a query.
    ///
    /// # Errors
    /// When it is empty, another message, cut, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        begins(
            &mut decoder,
            code::KEY_REQUEST,
            "Serf message type in a query about keys",
        )?;
        let mut key: &[u8] = &[];
        decoder.fields("key request", &["Key"], |decoder, _| {
            key = decoder.slice()?;
            Ok(())
        })?;
        let key = taraf_base::Secret::new(key.to_vec());
        Ok(Self { key })
    }

    /// The payload of a query.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(code::KEY_REQUEST);
        let mut encoder = Encoder::gossip(&mut out);
        encoder.map(1);
        encoder.key("Key").bytes(self.key.expose());
        out.freeze()
    }
}

impl KeyResponse {
    /// Reads the payload of a query response.
    ///
    /// # Errors
    /// When it is empty, another message, cut, beyond a limit, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        begins(
            &mut decoder,
            code::KEY_RESPONSE,
            "Serf message type in an answer about keys",
        )?;
        let mut read = Self::default();
        let fields = ["Result", "Message", "Keys", "PrimaryKey"];
        decoder.fields("key response", &fields, |decoder, field| {
            match field {
                "Result" => read.is_done = decoder.bool()?,
                "Message" => read.message = decoder.string(TEXT_BYTES_MAX)?,
                "Keys" => {
                    let count = decoder.array(KEYS_MAX)?;
                    let keys = (0..count).map(|_| decoder.string(TEXT_BYTES_MAX));
                    read.keys = keys.collect::<Result<_, _>>()?;
                }
                _ => read.primary = decoder.string(TEXT_BYTES_MAX)?,
            }
            Ok(())
        })?;
        Ok(read)
    }

    /// The payload of a query response.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(code::KEY_RESPONSE);
        let mut encoder = Encoder::gossip(&mut out);
        encoder.map(4);
        if self.keys.is_empty() {
            encoder.key("Keys").nil();
        } else {
            encoder.key("Keys").array(self.keys.len());
            for key in &self.keys {
                encoder.text(key);
            }
        }
        encoder.key("Message").text(&self.message);
        encoder.key("PrimaryKey").text(&self.primary);
        encoder.key("Result").bool(self.is_done);
        out.freeze()
    }
}
