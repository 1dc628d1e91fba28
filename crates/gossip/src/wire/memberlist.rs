//! [pure] Memberlist's messages: who is asked, suspected, alive, dead.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod member;
mod probe;
mod state;

use bytes::{BufMut, Bytes, BytesMut};

use super::Error;
use super::msgpack::Decoder;

pub use member::{Alive, Dead, Suspect, Versions};
pub use probe::{Ack, IndirectPing, Nack, Ping, Source};
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
            code::SUSPECT => Self::Suspect(Suspect::decode(&mut decoder)?),
            code::ALIVE => Self::Alive(Alive::decode(&mut decoder)?),
            code::DEAD => Self::Dead(Dead::decode(&mut decoder)?),
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

#[cfg(test)]
pub(in crate::wire) mod tests;
