//! [pure] Keys by the million: rows of one size in chunks that copies share, found by their hash.
//!
//! The machine and what the hot path reads are two copies of the same rows. A chunk is copied when
//! one of them changes it; [`Rows::share`] makes full chunks one again, so that nearly all keys are in
//! memory once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;
use subtle::ConstantTimeEq as _;
use taraf_base::Timestamp;

use super::{KeyHash, KeyId};

/// Rows that are copied together.
pub(crate) const CHUNK_ROWS: usize = 1_024;

/// The number of a row.
pub(crate) type Number = u32;

/// Rows that copies share; changed only by a copy that has it for itself.
pub(crate) type Chunk = Arc<Vec<Row>>;

/// What never changes of a key. Numbers in place of names: a row has 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hash: KeyHash,
    id: [u8; 16],
    created: [u8; 8],
    /// The number of its account.
    pub(crate) account: u32,
    /// The number of its plan's name.
    pub(crate) plan: u16,
}

/// Rows, the way from a hash to one of them, and what few keys have.
///
/// Invariant: `by_hash` has exactly the rows that are not `free`; `lines` and `ends` name only keys
/// that have a row. Copies that saw the same changes give a key the same number.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    chunks: Vec<Chunk>,
    by_hash: HashTable<Number>,
    free: Vec<Number>,
    /// The first key of the line, of keys that are not it.
    lines: BTreeMap<KeyId, KeyId>,
    ends: BTreeMap<KeyId, Timestamp>,
}

impl Row {
    pub(crate) fn new(id: KeyId, hash: KeyHash, created: Timestamp) -> Self {
        Self {
            hash,
            id: id.get().to_le_bytes(),
            created: created.as_millis().to_le_bytes(),
            account: 0,
            plan: 0,
        }
    }

    pub(crate) fn id(&self) -> KeyId {
        KeyId::new(u128::from_le_bytes(self.id))
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_millis(i64::from_le_bytes(self.created))
    }
}

impl Rows {
    /// Makes room for so many rows more, so that tables grow once.
    pub(super) fn reserve(&mut self, rows: usize) {
        let chunks = &self.chunks;
        self.by_hash
            .reserve(rows, |number| row_place(chunks, *number));
    }

    pub(crate) fn row(&self, number: Number) -> Option<&Row> {
        row(&self.chunks, number)
    }

    /// The row with this hash, compared in constant time.
    pub(crate) fn find(&self, hash: &KeyHash) -> Option<Number> {
        let is_same = |number: &Number| {
            let row = row(&self.chunks, *number);
            row.is_some_and(|row| bool::from(row.hash.0.ct_eq(&hash.0)))
        };
        self.by_hash.find(place(hash), is_same).copied()
    }

    /// Puts the row of a new key in.
    pub(crate) fn insert(&mut self, row: Row) -> Number {
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(place) = self.row_mut(number) {
                    *place = row;
                }
                number
            }
            None => self.push(row),
        };
        let chunks = &self.chunks;
        self.by_hash
            .insert_unique(place(&row.hash), number, |other| row_place(chunks, *other));
        number
    }

    /// The first key of a key's line: itself, unless it was rotated.
    pub(crate) fn line(&self, id: KeyId) -> KeyId {
        self.lines.get(&id).copied().unwrap_or(id)
    }

    pub(crate) fn set_line(&mut self, id: KeyId, line: KeyId) {
        if line != id {
            self.lines.insert(id, line);
        }
    }

    pub(crate) fn ends(&self, id: KeyId) -> Option<Timestamp> {
        self.ends.get(&id).copied()
    }

    pub(crate) fn end(&mut self, id: KeyId, ends: Timestamp) {
        self.ends.insert(id, ends);
    }

    /// The keys that end, by id.
    pub(super) fn ending(&self) -> impl Iterator<Item = (KeyId, Timestamp)> {
        self.ends.iter().map(|(id, ends)| (*id, *ends))
    }

    /// Takes the row of a key out; its number is given again.
    pub(crate) fn remove(&mut self, number: Number) {
        let Some(row) = self.row(number).copied() else {
            return;
        };
        let entry = self
            .by_hash
            .find_entry(place(&row.hash), |other| *other == number);
        if let Ok(entry) = entry {
            entry.remove();
            self.lines.remove(&row.id());
            self.ends.remove(&row.id());
            self.free.push(number);
        }
    }

    /// The chunks, for [`Rows::share`].
    pub(crate) fn chunks(&self) -> Vec<Chunk> {
        self.chunks.clone()
    }

    /// Takes those chunks of a copy that hold what its own hold, in their place; answers how many.
    pub(crate) fn share(&mut self, copy: &[Chunk]) -> usize {
        let mut shared = 0;
        for (own, other) in self.chunks.iter_mut().zip(copy) {
            if !Arc::ptr_eq(own, other) && own.len() == CHUNK_ROWS && own == other {
                *own = Arc::clone(other);
                shared += 1;
            }
        }
        shared
    }

    /// How many of these chunks are its own.
    #[cfg(test)]
    pub(crate) fn shares(&self, copy: &[Chunk]) -> usize {
        let pairs = self.chunks.iter().zip(copy);
        pairs.filter(|(own, other)| Arc::ptr_eq(own, other)).count()
    }

    fn push(&mut self, row: Row) -> Number {
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() == CHUNK_ROWS)
        {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK_ROWS)));
        }
        let at = self.chunks.len() - 1;
        let chunk = own(&mut self.chunks[at]);
        chunk.push(row);
        let number = at * CHUNK_ROWS + chunk.len() - 1;
        Number::try_from(number).expect("there are fewer keys than numbers")
    }

    fn row_mut(&mut self, number: Number) -> Option<&mut Row> {
        let (chunk, at) = split(number);
        own(self.chunks.get_mut(chunk)?).get_mut(at)
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.by_hash.len())
    }
}

/// The chunk for itself, with room for all its rows.
fn own(chunk: &mut Chunk) -> &mut Vec<Row> {
    if Arc::get_mut(chunk).is_none() {
        let mut copy = Vec::with_capacity(CHUNK_ROWS);
        copy.extend_from_slice(chunk);
        *chunk = Arc::new(copy);
    }
    Arc::get_mut(chunk).expect("it was made for one just now")
}

fn split(number: Number) -> (usize, usize) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    (number / CHUNK_ROWS, number % CHUNK_ROWS)
}

fn row(chunks: &[Chunk], number: Number) -> Option<&Row> {
    let (chunk, at) = split(number);
    chunks.get(chunk)?.get(at)
}

fn row_place(chunks: &[Chunk], number: Number) -> u64 {
    row(chunks, number).map_or(0, |row| place(&row.hash))
}

/// A hash is as good a place as any: its bytes are spread evenly already.
fn place(hash: &KeyHash) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.0[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_row(n: u32) -> Row {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_le_bytes());
        hash[8] = 1;
        Row::new(
            KeyId::new(n.into()),
            KeyHash(hash),
            Timestamp::from_millis(n.into()),
        )
    }

    fn shared(one: &Rows, other: &Rows) -> usize {
        one.shares(&other.chunks)
    }

    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Row>(), 64);
    }

    #[test]
    fn copies_share_what_neither_changes() {
        let mut rows = Rows::default();
        let numbers: Vec<_> = (0..3_000).map(|n| rows.insert(a_row(n))).collect();
        let copy = rows.clone();
        rows.insert(a_row(9_000));
        rows.remove(numbers[1]);
        rows.insert(a_row(9_001));
        assert_eq!(shared(&rows, &copy), 1);
        for (n, number) in (0..3_000).zip(&numbers) {
            assert_eq!(copy.find(&a_row(n).hash), Some(*number));
            assert_eq!(rows.find(&a_row(n).hash).is_some(), n != 1, "{n}");
        }
        assert_eq!(copy.find(&a_row(9_000).hash), None);
        assert_eq!(
            rows.find(&a_row(9_001).hash),
            Some(numbers[1]),
            "the free place is taken again"
        );
        assert_eq!(rows.row(numbers[1]).unwrap().id(), KeyId::new(9_001));
        assert_eq!(copy.row(numbers[1]).unwrap().id(), KeyId::new(1));
    }

    #[test]
    fn full_chunks_that_are_equal_become_one() {
        let (mut one, mut other) = (Rows::default(), Rows::default());
        for n in 0..2_500 {
            one.insert(a_row(n));
            other.insert(a_row(n));
        }
        assert_eq!(shared(&one, &other), 0);
        let removed = one.find(&a_row(7).hash).unwrap();
        one.remove(removed);
        one.insert(a_row(9_000));
        assert_eq!(
            one.share(&other.chunks()),
            1,
            "the first differs, the third is not full"
        );
        assert_eq!(one.share(&other.chunks()), 0);
        assert_eq!(shared(&one, &other), 1);
        for n in 0..2_500 {
            assert_eq!(one.find(&a_row(n).hash).is_some(), n != 7, "{n}");
            assert!(other.find(&a_row(n).hash).is_some(), "{n}");
        }
    }

    #[test]
    fn an_end_and_a_line_go_with_their_row() {
        let mut rows = Rows::default();
        let number = rows.insert(a_row(1));
        rows.end(KeyId::new(1), Timestamp::from_millis(5));
        rows.set_line(KeyId::new(1), KeyId::new(9));
        assert_eq!(rows.line(KeyId::new(1)), KeyId::new(9));
        rows.remove(number);
        rows.remove(number);
        assert_eq!((rows.ending().count(), rows.free.len()), (0, 1));
        assert_eq!(rows.line(KeyId::new(1)), KeyId::new(1));
    }
}
