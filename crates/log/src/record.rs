//! [pure] The bytes of one record, the same in every backend.
//!
//! Little endian, drawn in `docs/protocols/log.md`:
//!
//! ```text
//! len u32 | crc32c u32 | fmt u8 | kind u8 | version u16 | position u64 | time i64 | subject u128 | body
//! ```
//!
//! `len` counts what follows the checksum; the checksum covers the same bytes.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use taraf_base::Timestamp;

use crate::Position;

/// The only frame format so far. An unknown one stops the reader.
pub const FORMAT: u8 = 1;
/// Bytes before the body.
pub const HEADER_BYTES: usize = 44;
/// Bytes that `len` and the checksum take and do not count.
const PREFIX_BYTES: usize = 8;

/// What the machine says about a record beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which event it is. Numbers are never used again for something else.
    pub kind: u8,
    /// The version of the body's layout. A machine reads all versions that it ever wrote.
    pub version: u16,
    /// Whom the record concerns (a run, an account); 0 when nobody.
    pub subject: u128,
}

/// A record as it lies in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number in the partition.
    pub position: Position,
    /// When the leader decided it; never earlier than the record before.
    pub time: Timestamp,
    /// Its kind, version and subject.
    pub header: Header,
    /// The machine's bytes.
    pub body: &'a [u8],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end within the frame.
    #[error("the record is cut off")]
    Cut,
    /// The checksum does not match.
    #[error("the record's checksum does not match")]
    Checksum,
    /// A newer program wrote it.
    #[error("the record has the unknown format {0}")]
    Format(u8),
    /// The record is not the one that must stand here.
    #[error("record {found} stands where record {expected} must be")]
    Position {
        /// The number that must come next.
        expected: Position,
        /// The number that was found.
        found: Position,
    },
    /// The batch holds another number of records than it says.
    #[error("{found} records stand where {expected} must be")]
    Count {
        /// As many as the batch says.
        expected: u32,
        /// As many as it holds.
        found: u32,
    },
}

/// Appends the frame of one record to `out`.
///
/// # Panics
/// When the body exceeds 4 GiB, far above every limit on a batch.
pub fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    let counted = HEADER_BYTES
        .saturating_sub(PREFIX_BYTES)
        .saturating_add(record.body.len());
    let mut header = [0_u8; HEADER_BYTES];
    let mut fields = Fields::new(&mut header);
    let len = u32::try_from(counted).expect("a body is limited far below 4 GiB");
    fields.put(&len.to_le_bytes());
    fields.put(&[0; 4]);
    fields.put(&[FORMAT, record.header.kind]);
    fields.put(&record.header.version.to_le_bytes());
    fields.put(&record.position.0.to_le_bytes());
    fields.put(&record.time.as_millis().to_le_bytes());
    fields.put(&record.header.subject.to_le_bytes());
    let (prefix, covered) = header.split_at_mut(PREFIX_BYTES);
    let crc = crc32c::crc32c_append(crc32c::crc32c(covered), record.body);
    Fields::new(prefix.split_at_mut(4).1).put(&crc.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(record.body);
}

/// Reads the record at the start of `bytes`; also answers what follows it.
///
/// # Errors
/// When there is no whole and intact record of a known format.
pub fn decode(bytes: &[u8]) -> Result<(Record<'_>, &[u8]), FrameError> {
    let (len, rest) = split::<4>(bytes)?;
    let (crc, rest) = split::<4>(rest)?;
    let len = usize::try_from(u32::from_le_bytes(len)).map_err(|_too_long| FrameError::Cut)?;
    let (covered, rest) = rest.split_at_checked(len).ok_or(FrameError::Cut)?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(crc) {
        return Err(FrameError::Checksum);
    }
    let ([format, kind], covered) = split::<2>(covered)?;
    if format != FORMAT {
        return Err(FrameError::Format(format));
    }
    let (version, covered) = split::<2>(covered)?;
    let (position, covered) = split::<8>(covered)?;
    let (time, covered) = split::<8>(covered)?;
    let (subject, body) = split::<16>(covered)?;
    let record = Record {
        position: Position(u64::from_le_bytes(position)),
        time: Timestamp::from_millis(i64::from_le_bytes(time)),
        header: Header {
            kind,
            version: u16::from_le_bytes(version),
            subject: u128::from_le_bytes(subject),
        },
        body,
    };
    Ok((record, rest))
}

/// Reads the records of a batch, checking each and that they are dense and as many as promised.
///
/// # Errors
/// At the first record that is not the one that must follow.
pub fn decode_all(
    mut frames: &[u8],
    first: Position,
    count: u32,
) -> Result<Vec<Record<'_>>, FrameError> {
    let mut records = Vec::new();
    let mut expected = first;
    while !frames.is_empty() {
        let (record, rest) = decode(frames)?;
        if record.position != expected {
            let found = record.position;
            return Err(FrameError::Position { expected, found });
        }
        records.push(record);
        expected = expected.next();
        frames = rest;
    }
    let found = u32::try_from(records.len()).unwrap_or(u32::MAX);
    if found != count {
        return Err(FrameError::Count {
            expected: count,
            found,
        });
    }
    Ok(records)
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), FrameError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(FrameError::Cut)?;
    Ok((*head, rest))
}

/// Writes fields one after the other into a header of fixed size.
pub(crate) struct Fields<'a> {
    rest: &'a mut [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(header: &'a mut [u8]) -> Self {
        Self { rest: header }
    }

    /// Invariant: a header's fields fill it exactly, which the golden files prove; the field is
    /// dropped rather than cut should one ever not fit.
    pub(crate) fn put(&mut self, field: &[u8]) {
        let rest = std::mem::take(&mut self.rest);
        if let Some((place, rest)) = rest.split_at_mut_checked(field.len()) {
            place.copy_from_slice(field);
            self.rest = rest;
        }
    }
}
