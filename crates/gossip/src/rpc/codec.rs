//! [pure] The bytes of Serf's RPC: requests, answers and the records of streams, one value of msgpack after another.
//!
//! A request is a header `{Command, Seq}` and a body where its command has one; an answer is a header
//! `{Error, Seq}` and a body where the request's command has one. Records of a stream come as further answers
//! with the number of the request that began it. Nothing says how long anything is: who reads must know what
//! follows. Drawn in `docs/protocols/serf-rpc.md`.

mod answers;
mod reader;
mod records;
mod requests;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

pub use answers::{AnswerHeader, CoordinateAnswer, MembersAnswer};
pub use reader::Reader;
pub use records::{EventRecord, QueryRecord};
pub use requests::{Command, Request, RequestHeader};

use super::event::Tags;
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Error, Name};

/// The one version of the protocol.
pub const VERSION: i64 = 1;

/// The longest request that is read, header and body; a join with ten thousand addresses fits.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// The longest answer or record that is read: some tens of thousands of members.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The longest text in a request or answer: a name, a key, an expression, an error, a log line.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The longest list or map, of which each entry takes a byte at least.
const ENTRIES_MAX: usize = ANSWER_BYTES_MAX;

/// What is said of a client or an agent that is alive no more, or of another that closed the connection.
pub(crate) mod errors {
    pub(crate) const HANDSHAKE_REQUIRED: &str = "Handshake required";
    pub(crate) const HANDSHAKE_TWICE: &str = "Handshake already performed";
    pub(crate) const VERSION: &str = "Unsupported IPC version";
    pub(crate) const AUTH_REQUIRED: &str = "Authentication required";
    pub(crate) const AUTH_INVALID: &str = "Invalid authentication token";
    pub(crate) const COMMAND: &str = "Unsupported command";
    pub(crate) const FILTER: &str = "Invalid event filter";
    pub(crate) const MONITOR_EXISTS: &str = "Monitor already exists";
    pub(crate) const STREAM_EXISTS: &str = "Stream with given sequence exists";
    pub(crate) const QUERY_UNKNOWN: &str = "No pending queries matching ID";
    pub(crate) const QUERY_PREFIX: &str = "Queries cannot contain the '_serf_' prefix";
}

/// A value with a form of its own in RPC.
pub trait Body: Sized {
    /// Writes it.
    fn encode(&self, out: &mut Encoder<'_>);

    /// Reads it.
    ///
    /// # Errors
    /// When it is something else, or cut.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error>;
}

/// The bytes of one value after another.
#[must_use]
pub fn encode(parts: &[&dyn Encodes]) -> Bytes {
    let mut out = BytesMut::new();
    for part in parts {
        part.encode_into(&mut out);
    }
    out.freeze()
}

/// A [`Body`], whichever it is.
pub trait Encodes: Sync {
    /// Writes it behind what is there.
    fn encode_into(&self, out: &mut BytesMut);
}

impl<B: Body + Sync> Encodes for B {
    fn encode_into(&self, out: &mut BytesMut) {
        self.encode(&mut Encoder::rpc(out));
    }
}

fn text(from: &mut Decoder<'_>) -> Result<String, Error> {
    from.string(TEXT_BYTES_MAX)
}

fn name(from: &mut Decoder<'_>) -> Result<Name, Error> {
    from.name(TEXT_BYTES_MAX)
}

/// Bytes of their own, which do not keep alive what came with them.
fn bytes(from: &mut Decoder<'_>) -> Result<Bytes, Error> {
    Ok(Bytes::copy_from_slice(from.slice()?))
}

fn list<'a, T>(
    from: &mut Decoder<'a>,
    mut read: impl FnMut(&mut Decoder<'a>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let count = from.array(ENTRIES_MAX)?;
    // Not reserved: the count is a claim.
    (0..count).map(|_| read(from)).collect()
}

fn tags(from: &mut Decoder<'_>) -> Result<Tags, Error> {
    map(from, text)
}

fn map<'a, T>(
    from: &mut Decoder<'a>,
    mut read: impl FnMut(&mut Decoder<'a>) -> Result<T, Error>,
) -> Result<BTreeMap<String, T>, Error> {
    let count = from.map(ENTRIES_MAX)?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let key = text(from)?;
        entries.insert(key, read(from)?);
    }
    Ok(entries)
}

fn put_tags(out: &mut Encoder<'_>, tags: &Tags) {
    out.map(tags.len());
    for (key, value) in tags {
        out.text(key);
        out.text(value);
    }
}

fn put_list<T: AsRef<[u8]>>(out: &mut Encoder<'_>, texts: impl ExactSizeIterator<Item = T>) {
    out.array(texts.len());
    for text in texts {
        out.text(text);
    }
}

#[cfg(test)]
mod tests;
