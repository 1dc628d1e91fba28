//! [pure] The bytes of the files that hold the journals of live runs, drawn in
//! `docs/protocols/journals.md`.
//!
//! ```text
//! file   magic [8] | format u16 | 2 zero bytes | partition u32 | frame*
//! frame  crc32c u32 | kind u8 | packing u8 | 2 zero bytes | len u32 | raw u32
//!        | run u128 | first u64 | count u32 | payload [len]
//! part   open len u32 | open | entry*                       (the payload of kind 1, unpacked)
//! ```
//!
//! Little endian. The checksum covers everything of the frame that follows it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use taraf_log::machine::DecodeError;
use taraf_log::{PartitionId, Position};

use super::entries::{Entries, Part};
use crate::RunId;
use crate::partition::{get, put};

/// The format that is written. Every earlier one is read for ever.
const FORMAT: u16 = 1;
/// Bytes before the first frame.
pub(super) const FILE_HEAD_BYTES: usize = 16;
/// Bytes of a frame before its payload.
pub(super) const HEAD_BYTES: usize = 44;
/// The most bytes of a payload, packed or not: one entry may be as long as a batch.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

const MAGIC: [u8; 8] = *b"TARAFJNL";
const PART: u8 = 1;
const MARK: u8 = 2;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Shorter payloads stay as they are.
const PACK_BYTES_MIN: usize = 1 << 10;
/// A level that compresses journals about four times at a few hundred megabytes a second.
const LEVEL: i32 = 1;

/// Why bytes are no file of journals, or no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// It does not begin as such a file does.
    #[error("it holds no journals")]
    NoJournals,
    /// A newer program wrote it.
    #[error("it has the unknown format {0}")]
    Format(u16),
    /// The file was put where another belongs.
    #[error("it is of {0}")]
    OfAnother(PartitionId),
    /// The bytes are not those that were written.
    #[error("a part's checksum does not match")]
    Checksum,
    /// It is not what its head says.
    #[error("a part is not well formed: {0}")]
    Malformed(String),
}

impl From<DecodeError> for FrameError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// What a frame says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    crc: u32,
    packing: u8,
    /// Bytes of the payload.
    pub(super) len: usize,
    raw: usize,
    /// What it holds.
    pub(super) holds: Holds,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// So many entries of a run's journal, from that number on.
    Part { run: RunId, first: u64, count: u32 },
    /// Nothing: all that was recorded up to there is in the frames before.
    Mark(Position),
}

/// The first bytes of a file.
pub(super) fn file_head(partition: PartitionId) -> [u8; FILE_HEAD_BYTES] {
    let mut bytes = [0; FILE_HEAD_BYTES];
    let fields = MAGIC.into_iter().chain(FORMAT.to_le_bytes());
    let fields = fields.chain([0, 0]).chain(partition.0.to_le_bytes());
    for (place, byte) in bytes.iter_mut().zip(fields) {
        *place = byte;
    }
    bytes
}

/// Checks the first bytes of a file.
pub(super) fn check_file_head(bytes: &[u8], partition: PartitionId) -> Result<(), FrameError> {
    let found = partition_of(bytes)?;
    if found != partition {
        return Err(FrameError::OfAnother(found));
    }
    Ok(())
}

/// Whose journals a file with these first bytes holds.
pub(super) fn partition_of(bytes: &[u8]) -> Result<PartitionId, FrameError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(FrameError::NoJournals)?;
    let &[f0, f1, _, _, p0, p1, p2, p3, ..] = rest else {
        return Err(FrameError::NoJournals);
    };
    let format = u16::from_le_bytes([f0, f1]);
    if format != FORMAT {
        return Err(FrameError::Format(format));
    }
    Ok(PartitionId(u32::from_le_bytes([p0, p1, p2, p3])))
}

/// Appends the frame of a part, whose first entry has that number.
pub(super) fn put_part(to: &mut Vec<u8>, run: RunId, first: u64, part: &Part) {
    let mut open = Vec::new();
    put(&mut open, &part.before);
    let entries = part.entries.as_bytes();
    let mut payload = Vec::with_capacity(open.len().saturating_add(entries.len()));
    let len = u32::try_from(open.len()).unwrap_or(u32::MAX);
    payload.extend_from_slice(&len.to_le_bytes());
    payload.extend_from_slice(&open);
    payload.extend_from_slice(entries);
    let packed = (payload.len() >= PACK_BYTES_MIN)
        .then(|| zstd::bulk::compress(&payload, LEVEL).ok())
        .flatten()
        .filter(|packed| packed.len() < payload.len());
    let (packing, bytes) = match &packed {
        Some(packed) => (ZSTD, packed),
        None => (PLAIN, &payload),
    };
    // Invariant: a part is cut long before it has so many entries.
    let count = u32::try_from(part.entries.count()).unwrap_or(u32::MAX);
    let holds = Holds::Part { run, first, count };
    put_frame(to, packing, payload.len(), holds, bytes);
}

/// Appends a mark.
pub(super) fn put_mark(to: &mut Vec<u8>, position: Position) {
    put_frame(to, PLAIN, 0, Holds::Mark(position), &[]);
}

fn put_frame(to: &mut Vec<u8>, packing: u8, raw: usize, holds: Holds, payload: &[u8]) {
    let (kind, run, first, count) = match holds {
        Holds::Part { run, first, count } => (PART, run.get(), first, count),
        Holds::Mark(position) => (MARK, 0, position.0, 0),
    };
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let at = to.len();
    to.extend_from_slice(&[0; 4]);
    to.extend_from_slice(&[kind, packing, 0, 0]);
    to.extend_from_slice(&size(payload.len()));
    to.extend_from_slice(&size(raw));
    to.extend_from_slice(&run.to_le_bytes());
    to.extend_from_slice(&first.to_le_bytes());
    to.extend_from_slice(&count.to_le_bytes());
    to.extend_from_slice(payload);
    let crc = crc32c::crc32c(to.get(at.saturating_add(4)..).unwrap_or_default());
    if let Some(place) = to.get_mut(at..at.saturating_add(4)) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

/// What stands before a payload.
pub(super) fn head(bytes: &[u8; HEAD_BYTES]) -> Result<Head, FrameError> {
    let bad = |what: &str| FrameError::Malformed(what.to_owned());
    let word = |at: usize| {
        let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let run = bytes.get(16..).and_then(|bytes| bytes.first_chunk::<16>());
    let run = run.map_or(0, |bytes| u128::from_le_bytes(*bytes));
    let first = bytes.get(32..).and_then(|bytes| bytes.first_chunk::<8>());
    let first = first.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let [kind, packing, ..] = word(4).to_le_bytes();
    let holds = match kind {
        PART => Holds::Part {
            run: RunId::new(run),
            first,
            count: word(40),
        },
        MARK => Holds::Mark(Position(first)),
        _ => return Err(bad("its kind is unknown")),
    };
    let size = |at| usize::try_from(word(at)).unwrap_or(usize::MAX);
    let (len, raw) = (size(8), size(12));
    if len > PAYLOAD_BYTES_MAX || raw > PAYLOAD_BYTES_MAX {
        return Err(bad("it is too long"));
    }
    Ok(Head {
        crc: word(0),
        packing,
        len,
        raw,
        holds,
    })
}

/// Whether the bytes of a whole frame are those that were written.
pub(super) fn check(head: &Head, frame: &[u8]) -> Result<(), FrameError> {
    let covered = frame.get(4..).unwrap_or_default();
    let is_whole = frame.len() == HEAD_BYTES.saturating_add(head.len);
    if !is_whole || crc32c::crc32c(covered) != head.crc {
        return Err(FrameError::Checksum);
    }
    Ok(())
}

/// The part in the bytes of a whole frame.
pub(super) fn part(frame: &[u8]) -> Result<Part, FrameError> {
    let bad = |what: &str| FrameError::Malformed(what.to_owned());
    let first = frame.first_chunk::<HEAD_BYTES>();
    let head = head(first.ok_or_else(|| bad("it is cut off"))?)?;
    check(&head, frame)?;
    let Holds::Part { count, .. } = head.holds else {
        return Err(bad("it is a mark"));
    };
    let payload = frame.get(HEAD_BYTES..).unwrap_or_default();
    let unpacked;
    let payload = match head.packing {
        PLAIN => payload,
        ZSTD => {
            unpacked = zstd::bulk::decompress(payload, head.raw)
                .map_err(|_refused| bad("it cannot be unpacked"))?;
            &unpacked
        }
        _ => return Err(bad("its packing is unknown")),
    };
    let (len, rest) = payload
        .split_first_chunk::<4>()
        .ok_or_else(|| bad("it is empty"))?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let (open, entries) = rest
        .split_at_checked(len)
        .ok_or_else(|| bad("it is cut off"))?;
    Ok(Part {
        before: get(open)?,
        entries: Entries::new(entries.to_vec(), u64::from(count)),
    })
}
