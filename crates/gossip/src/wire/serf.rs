//! [pure] Serf's messages, which memberlist carries: intents, events, queries, state, keys.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod coordinate;
mod intent;
mod internal;
mod query;
mod state;
mod tags;

use bytes::{Bytes, BytesMut};

use super::msgpack::{Decoder, Encoder};
use super::{Error, Name};

pub use super::memberlist::NAME_BYTES_MAX;
pub use coordinate::{Coordinate, DIMENSIONS};
pub use intent::{Join, Leave};
pub use internal::{ConflictResponse, KeyRequest, KeyResponse, Member, MemberStatus};
pub use query::{Filter, Query, QueryResponse, Relay};
pub use state::{Event, EventsAt, PushPull, Said, UserEvent};
pub use tags::{TAGS_BYTES_MAX, Tags};

/// The first byte of a message.
pub mod code {
    /// [`super::Leave`].
    pub const LEAVE: u8 = 0;
    /// [`super::Join`].
    pub const JOIN: u8 = 1;
    /// [`super::PushPull`].
    pub const PUSH_PULL: u8 = 2;
    /// [`super::UserEvent`].
    pub const USER_EVENT: u8 = 3;
    /// [`super::Query`].
    pub const QUERY: u8 = 4;
    /// [`super::QueryResponse`].
    pub const QUERY_RESPONSE: u8 = 5;
    /// [`super::ConflictResponse`], inside a query response.
    pub const CONFLICT_RESPONSE: u8 = 6;
    /// [`super::KeyRequest`], inside a query.
    pub const KEY_REQUEST: u8 = 7;
    /// [`super::KeyResponse`], inside a query response.
    pub const KEY_RESPONSE: u8 = 8;
    /// [`super::Relay`].
    pub const RELAY: u8 = 9;
}

/// A time of one of Serf's three Lamport clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LTime(pub u64);

impl From<LTime> for u64 {
    fn from(time: LTime) -> Self {
        time.0
    }
}

/// What members say to one another in user messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Code 0.
    Leave(Leave),
    /// Code 1.
    Join(Join),
    /// Code 3.
    UserEvent(UserEvent),
    /// Code 4.
    Query(Query),
    /// Code 5.
    QueryResponse(QueryResponse),
    /// Code 9.
    Relay(Relay),
}

impl Message {
    /// Reads the body of a user message. Whoever passes it on does so with the bytes that came: they may hold
    /// fields that are read by others.
    ///
    /// # Errors
    /// When it is empty, of a code that is not sent this way, cut, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        Ok(match first(&mut decoder)? {
            code::LEAVE => Self::Leave(Leave::decode(&mut decoder)?),
            code::JOIN => Self::Join(Join::decode(&mut decoder)?),
            code::USER_EVENT => Self::UserEvent(UserEvent::decode(&mut decoder)?),
            code::QUERY => Self::Query(Query::decode(&mut decoder)?),
            code::QUERY_RESPONSE => Self::QueryResponse(QueryResponse::decode(&mut decoder)?),
            code::RELAY => Self::Relay(Relay::decode(&mut decoder)?),
            code => {
                return Err(Error::Unknown {
                    what: "Serf message type",
                    code: code.into(),
                });
            }
        })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Leave(message) => message.encode(out),
            Self::Join(message) => message.encode(out),
            Self::UserEvent(message) => message.encode(out),
            Self::Query(message) => message.encode(out),
            Self::QueryResponse(message) => message.encode(out),
            Self::Relay(message) => message.encode(out),
        }
    }
}

/// The first byte of a message.
fn first(decoder: &mut Decoder<'_>) -> Result<u8, Error> {
    decoder.byte().map_err(|_nothing| Error::Empty {
        what: "a Serf message",
    })
}

/// The first byte, which must be this one.
fn begins(decoder: &mut Decoder<'_>, expected: u8, what: &'static str) -> Result<(), Error> {
    match first(decoder)? {
        code if code == expected => Ok(()),
        code => Err(Error::Unknown {
            what,
            code: code.into(),
        }),
    }
}

fn ltime(decoder: &mut Decoder<'_>) -> Result<LTime, Error> {
    decoder.uint().map(LTime)
}

fn name(decoder: &mut Decoder<'_>) -> Result<Name, Error> {
    decoder.name(NAME_BYTES_MAX)
}

fn names(encoder: &mut Encoder<'_>, names: &[Name]) {
    encoder.array(names.len());
    for name in names {
        encoder.text(name.as_bytes());
    }
}

#[cfg(test)]
mod tests;
