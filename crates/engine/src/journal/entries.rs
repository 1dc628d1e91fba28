//! [pure] Entries of journals as bytes, and the parts in which long journals are kept.
//!
//! ```text
//! entry  time i64 | kind u8 | version u16 | len u32 | body [len]
//! ```
//!
//! Little endian. Kind, version and body are those of the record (`docs/protocols/run-log.md`).
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use taraf_base::Timestamp;
use taraf_log::machine::{DecodeError, Header};

use crate::RunId;
use crate::partition::{self, Event, Open, What};

/// Bytes of an entry before its body.
const HEAD_BYTES: usize = 15;

/// Some entries of one run's journal, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    bytes: Vec<u8>,
    count: u64,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// When it was recorded.
    pub(crate) at: Timestamp,
    /// The kind of the record.
    pub(crate) kind: u8,
    /// The version of its body.
    pub(crate) version: u16,
    /// Its body.
    pub(crate) body: &'a [u8],
}

/// Neighbouring entries of one run's journal, and what one has to know of those before to tell them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// The steps that were open before the first of them.
    pub(crate) before: Open,
    /// The entries.
    pub(crate) entries: Entries,
}

impl Entries {
    /// Takes bytes that were entries before.
    pub(crate) const fn new(bytes: Vec<u8>, count: u64) -> Self {
        Self { bytes, count }
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Their bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds one, and answers its bytes.
    pub(crate) fn push(&mut self, entry: Entry<'_>) -> usize {
        let before = self.bytes.len();
        let head = head(entry.at, entry.kind, entry.version, entry.body.len());
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(entry.body);
        self.count = self.count.saturating_add(1);
        self.bytes.len().saturating_sub(before)
    }

    /// Adds an event, and answers its bytes.
    pub(crate) fn push_event(&mut self, event: &Event, at: Timestamp) -> usize {
        let before = self.bytes.len();
        self.bytes.resize(before.saturating_add(HEAD_BYTES), 0);
        let header = partition::encode(event, &mut self.bytes);
        let after = self.bytes.len();
        let taken = after.saturating_sub(before);
        let head = head(
            at,
            header.kind,
            header.version,
            taken.saturating_sub(HEAD_BYTES),
        );
        if let Some(place) = self
            .bytes
            .get_mut(before..before.saturating_add(HEAD_BYTES))
        {
            place.copy_from_slice(&head);
        }
        self.count = self.count.saturating_add(1);
        taken
    }

    /// Adds those of another behind these.
    pub(crate) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.count = self.count.saturating_add(other.count);
    }

    /// The entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Entry<'_>, DecodeError>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            (!rest.is_empty()).then(|| {
                let read = next(rest).ok_or_else(|| {
                    DecodeError::Malformed("an entry of a journal is cut off".to_owned())
                });
                rest = read.as_ref().map_or(&[], |(_, rest)| *rest);
                read.map(|(entry, _)| entry)
            })
        })
    }

    /// The same in pieces of about so many bytes, one entry each at least.
    pub(crate) fn cut(&self, bytes_max: usize) -> Result<Vec<Self>, DecodeError> {
        if self.bytes.len() <= bytes_max {
            return Ok(vec![self.clone()]);
        }
        let (mut pieces, mut piece) = (Vec::new(), Self::default());
        for entry in self.iter() {
            if piece.bytes.len() >= bytes_max {
                pieces.push(std::mem::take(&mut piece));
            }
            piece.push(entry?);
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

fn head(at: Timestamp, kind: u8, version: u16, len: usize) -> [u8; HEAD_BYTES] {
    // Invariant: a body is part of a batch, which is far shorter.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let fields = at.as_millis().to_le_bytes().into_iter().chain([kind]);
    let fields = fields.chain(version.to_le_bytes()).chain(len.to_le_bytes());
    let mut head = [0; HEAD_BYTES];
    for (place, byte) in head.iter_mut().zip(fields) {
        *place = byte;
    }
    head
}

fn next(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (at, rest) = bytes.split_first_chunk::<8>()?;
    let (&[kind], rest) = rest.split_first_chunk::<1>()?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (body, rest) = rest.split_at_checked(len)?;
    let entry = Entry {
        at: Timestamp::from_millis(i64::from_le_bytes(*at)),
        kind,
        version: u16::from_le_bytes(*version),
        body,
    };
    Some((entry, rest))
}

impl Entry<'_> {
    /// What it says.
    pub(crate) fn what(&self, run: RunId) -> Result<What, DecodeError> {
        let header = Header {
            kind: self.kind,
            version: self.version,
            subject: run.get(),
        };
        Ok(partition::decode(&header, self.body)?.what)
    }
}

impl Part {
    /// What is open behind it.
    pub(crate) fn after(&self, run: RunId) -> Result<Open, DecodeError> {
        let mut open = self.before.clone();
        for entry in self.entries.iter() {
            open.follow(&entry?.what(run)?);
        }
        Ok(open)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use taraf_log::PartitionId;

    use super::*;
    use crate::partition::Lane;

    const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn entries(count: u32) -> (RunId, Entries) {
        let run = RunId::compose(PartitionId(16), AT, 1);
        let mut entries = Entries::default();
        for index in 0..count {
            let what = What::Paused {
                lane: Lane::ROOT,
                index,
            };
            entries.push_event(&Event { run, what }, AT);
        }
        (run, entries)
    }

    #[test]
    fn entries_are_read_as_they_were_written_also_in_pieces() {
        let (run, all) = entries(100);
        let mut again = Entries::default();
        let mut bytes = 0;
        for (n, entry) in (0_u32..).zip(all.iter()) {
            let entry = entry.unwrap();
            assert!(matches!(entry.what(run).unwrap(), What::Paused { index, .. } if index == n));
            assert_eq!(entry.at, AT);
            bytes += again.push(entry);
        }
        assert_eq!((&again, bytes), (&all, all.as_bytes().len()));
        let pieces = all.cut(200).unwrap();
        assert!(pieces.len() > 5);
        let mut joined = Entries::default();
        pieces.iter().for_each(|piece| joined.append(piece));
        assert_eq!(joined, all);
    }

    #[test]
    fn bytes_that_end_within_an_entry_are_an_error_and_not_a_loop() {
        let (_, all) = entries(3);
        for len in 1..all.as_bytes().len() {
            let cut = Entries::new(all.as_bytes()[..len].to_vec(), 3);
            let read: Vec<_> = cut.iter().collect();
            assert!(read.len() <= 3);
            let ends_well = read.iter().all(Result::is_ok);
            assert_eq!(ends_well, len % (all.as_bytes().len() / 3) == 0, "{len}");
        }
    }
}
