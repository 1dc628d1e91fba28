//! [pure] Streams: one request on a connection and its answer.
//!
//! ```text
//! [label] [0A, u32 length, envelope] [09, compressed] code, body
//! ```
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod reader;

use bytes::{BufMut, Bytes, BytesMut};

use super::keyring::{Keyring, TAG_BYTES};
use super::memberlist::{Ack, Header, NodeState, Ping, PushPull, code, size};
use super::msgpack::{Decoder, Encoder};
use super::{Envelope, Error, Nonce, compressed};

pub use reader::Reader;

/// The most bytes of one request or answer as they come.
pub const STREAM_BYTES_MAX: usize = 20 << 20;
/// The most bytes of one request or answer once it is decompressed.
pub const PLAIN_BYTES_MAX: usize = 32 << 20;
/// The longest user message.
pub const USER_BYTES_MAX: usize = 20 << 20;
/// The longest structure that does not say its length before: a header, a member, an error.
pub const STRUCTURE_BYTES_MAX: usize = 8 << 10;
/// What stands before the envelope, and is sealed with it.
const SEALED_HEAD_BYTES: usize = 5;

/// A request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A ping that does not trust packets, answered by [`Frame::Ack`].
    Ping(Ping),
    /// The answer, without a coordinate.
    Ack(Ack),
    /// All that one side knows, answered by all that the other knows.
    PushPull(PushPull),
    /// What the layer above says. Serf takes it and never sends it.
    User(Bytes),
    /// What was wrong with the request.
    Error(String),
}

/// Who wrote a request or an answer: only whoever opens a connection writes a label first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Whoever opened the connection.
    Request,
    /// Whoever accepted it.
    Answer,
}

impl Frame {
    /// Reads a frame of which all is there. What follows it is passed over.
    ///
    /// # Errors
    /// When it is empty, of a code that does not belong into streams, cut, beyond a limit, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        let Ok(code) = decoder.byte() else {
            return Err(Error::Empty { what: "a stream" });
        };
        Ok(match code {
            code::PING => Self::Ping(Ping::decode(&mut decoder)?),
            code::ACK => Self::Ack(Ack::decode(&mut decoder)?),
            code::PUSH_PULL => Self::PushPull(push_pull(&mut decoder)?),
            code::USER => {
                let length = user_bytes(&mut decoder)?;
                let bytes = decoder.take(length)?;
                Self::User(Bytes::copy_from_slice(bytes))
            }
            code::ERROR => {
                let mut text = String::new();
                decoder.fields("error", &["Error"], |decoder, _| {
                    text = decoder.string(STRUCTURE_BYTES_MAX)?;
                    Ok(())
                })?;
                Self::Error(text)
            }
            code => return Err(unknown(code)),
        })
    }

    /// Writes it, its code first, neither compressed nor sealed.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Ping(ping) => ping.encode(out),
            Self::Ack(ack) => ack.encode(out),
            Self::PushPull(state) => state.encode(out),
            Self::User(bytes) => {
                out.put_u8(code::USER);
                let mut encoder = Encoder::gossip(out);
                encoder.map(1);
                encoder.key("UserMsgLen").size(bytes.len());
                out.put_slice(bytes);
            }
            Self::Error(text) => {
                out.put_u8(code::ERROR);
                let mut encoder = Encoder::gossip(out);
                encoder.map(1);
                encoder.key("Error").text(text);
            }
        }
    }
}

/// Closes a frame for the stream, with all that goes before it. The nonce is drawn when it is needed.
///
/// # Errors
/// When it would be longer than [`STREAM_BYTES_MAX`].
pub fn write(
    frame: &Frame,
    side: Side,
    compresses: bool,
    envelope: &Envelope,
    nonce: impl FnOnce() -> Nonce,
) -> Result<Bytes, Error> {
    let mut out = BytesMut::new();
    if side == Side::Request {
        envelope.put_label(&mut out);
    }
    let keyring = envelope.sealing();
    let start = out.len();
    if keyring.is_some() {
        out.put_u8(code::ENCRYPTED);
        out.put_u32(0);
        Keyring::begin(&mut out);
    }
    put(frame, compresses, &mut out);
    if let Some(keyring) = keyring {
        let sealed_from = start.saturating_add(SEALED_HEAD_BYTES);
        // All that is there but the tag, which is the last of it.
        let length = out.len().saturating_sub(sealed_from);
        let length = length.saturating_add(TAG_BYTES);
        let mut associated = BytesMut::with_capacity(SEALED_HEAD_BYTES);
        associated.put_u8(code::ENCRYPTED);
        associated.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        if let Some(head) = out.get_mut(start..sealed_from) {
            head.copy_from_slice(&associated);
        }
        associated.put_slice(envelope.label());
        keyring.seal(nonce(), &associated, sealed_from, &mut out);
    }
    if out.len() > STREAM_BYTES_MAX {
        return Err(too_long(out.len()));
    }
    Ok(out.freeze())
}

fn put(frame: &Frame, compresses: bool, out: &mut BytesMut) {
    if !compresses {
        frame.encode(out);
        return;
    }
    let mut plain = BytesMut::new();
    frame.encode(&mut plain);
    // Serf does so even when it gets longer.
    if !compressed::encode(&plain, STREAM_BYTES_MAX, out) {
        out.put_slice(&plain);
    }
}

fn push_pull(decoder: &mut Decoder<'_>) -> Result<PushPull, Error> {
    let header = Header::decode(decoder)?;
    let mut read = PushPull {
        is_join: header.is_join,
        ..PushPull::default()
    };
    for _ in 0..header.states {
        match NodeState::decode(decoder)? {
            Some(state) => read.states.push(state),
            None => read.unusable = read.unusable.saturating_add(1),
        }
    }
    let user_state = decoder.rest();
    let missing = header.user_state_bytes.saturating_sub(user_state.len());
    if missing > 0 {
        return Err(Error::Incomplete { missing });
    }
    read.user_state = user_state.slice(..header.user_state_bytes);
    Ok(read)
}

/// The length of a user message, from its header.
fn user_bytes(decoder: &mut Decoder<'_>) -> Result<usize, Error> {
    let mut length = 0;
    decoder.fields("user message", &["UserMsgLen"], |decoder, _| {
        length = size("a user message in bytes", decoder.uint()?, USER_BYTES_MAX)?;
        Ok(())
    })?;
    Ok(length)
}

fn unknown(code: u8) -> Error {
    Error::Unknown {
        what: "message type of a stream",
        code: code.into(),
    }
}

fn too_long(bytes: usize) -> Error {
    Error::TooLarge {
        what: "a stream in bytes",
        found: u64::try_from(bytes).unwrap_or(u64::MAX),
        max: STREAM_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests;
