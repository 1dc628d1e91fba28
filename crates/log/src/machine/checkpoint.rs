//! [pure] Records that say what the state must be: the leader writes them, and whoever applies its records
//! compares.
//!
//! ```text
//! kind 255, version 1, subject 0; body: how it is hashed u16 | hash u64, of the state after the record before
//! ```

use taraf_base::Timestamp;

use super::DecodeError;
use crate::Position;
use crate::record::{self, Fields, Header, Record};

/// The kind of such a record, in every partition. No machine may use it.
pub const KIND: u8 = 255;
const VERSION: u16 = 1;

/// Appends the frame of a checkpoint.
pub(super) fn encode(
    position: Position,
    time: Timestamp,
    (way, hash): (u16, u64),
    frames: &mut Vec<u8>,
) {
    let header = Header {
        kind: KIND,
        version: VERSION,
        subject: 0,
    };
    let mut body = [0; 10];
    let mut fields = Fields::new(&mut body);
    fields.put(&way.to_le_bytes());
    fields.put(&hash.to_le_bytes());
    let record = Record {
        position,
        time,
        header,
        body: &body,
    };
    record::encode(&record, frames);
}

/// How the state is hashed and what comes out, when this record is a checkpoint.
///
/// # Errors
/// When it is one of a newer program, or cut off.
pub fn decode(header: &Header, body: &[u8]) -> Result<Option<(u16, u64)>, DecodeError> {
    if header.kind != KIND {
        return Ok(None);
    }
    if header.version != VERSION {
        return Err(DecodeError::UnknownVersion {
            kind: KIND,
            version: header.version,
        });
    }
    let cut = || DecodeError::Malformed("a checkpoint is cut off".to_owned());
    let (way, hash) = body.split_first_chunk::<2>().ok_or_else(cut)?;
    let (hash, _) = hash.split_first_chunk::<8>().ok_or_else(cut)?;
    Ok(Some((u16::from_le_bytes(*way), u64::from_le_bytes(*hash))))
}
