//! [pure] Positions, epochs, and batches that name the batch they follow.

use std::fmt;

use bytes::Bytes;

use crate::Error;

/// A shard of the data with a log of its own. The number is part of every id that lives in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

/// The number of a record in its partition: dense, the first record is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// The number of a leader's term. A higher one fences all lower ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The identity of a batch: who wrote it, and which of the writer's batches it is.
///
/// Invariant: along a partition's chain ids only grow. A claim opens its epoch with `n` 0 and the
/// batches of the term count from 1 without holes, so an id is never used twice and a writer of an older epoch
/// can never name the current tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// The term that wrote the batch.
    pub epoch: Epoch,
    /// 0 is the claim itself, then 1, 2, ….
    pub n: u64,
}

/// Records that become durable together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The batch (or claim) that this one follows; anything else at the tail refuses it.
    pub prev: BatchId,
    /// Its own identity.
    pub id: BatchId,
    /// The position of its first record.
    pub first: Position,
    /// How many records it holds, at least one.
    pub count: u32,
    /// Their frames, one after the other (see [`crate::record`]).
    pub frames: Bytes,
}

/// What a read found: whole batches in order, none when the end was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The batches. The first one holds the position that was asked for.
    pub batches: Vec<Batch>,
}

impl Position {
    /// Before the first record: the tail of an empty partition.
    pub const ZERO: Self = Self(0);
    /// The first record.
    pub const FIRST: Self = Self(1);
    /// Above all records.
    pub const MAX: Self = Self(u64::MAX);

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The one that many records later.
    #[must_use]
    pub const fn plus(self, records: u64) -> Self {
        Self(self.0.saturating_add(records))
    }
}

impl Epoch {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl BatchId {
    /// What the first claim of a partition follows.
    pub const GENESIS: Self = Self {
        epoch: Epoch(0),
        n: 0,
    };

    /// The id under which a claim of `epoch` stands in the chain.
    #[must_use]
    pub const fn claim(epoch: Epoch) -> Self {
        Self { epoch, n: 0 }
    }

    /// The next batch of the same term.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            epoch: self.epoch,
            n: self.n.saturating_add(1),
        }
    }
}

impl Batch {
    /// The position of its last record.
    #[must_use]
    pub fn last(&self) -> Position {
        Position(
            self.first
                .0
                .saturating_add(u64::from(self.count))
                .saturating_sub(1),
        )
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}", self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.n)
    }
}

/// Whether the term of `epoch` may offer this batch at all.
pub(crate) fn check(batch: &Batch, epoch: Epoch, bytes_max: usize) -> Result<(), Error> {
    if batch.frames.len() > bytes_max {
        return Err(Error::TooLarge { max: bytes_max });
    }
    if batch.count == 0 || batch.frames.is_empty() {
        return Err(Error::Malformed("it holds no record".to_owned()));
    }
    if batch.id.epoch != epoch || batch.id != batch.prev.next() {
        let why = format!("id {} in epoch {epoch} after {}", batch.id, batch.prev);
        return Err(Error::Malformed(why));
    }
    Ok(())
}

/// Whether the batch follows the tail: the comparison that fences.
pub(crate) fn check_place(batch: &Batch, tail: Position, last: BatchId) -> Result<(), Error> {
    if last.epoch > batch.id.epoch {
        let by = last.epoch;
        return Err(Error::Fenced { by, tail });
    }
    if batch.prev != last || batch.first != tail.next() {
        let (expected, next) = (last, tail.next());
        return Err(Error::Misplaced { expected, next });
    }
    Ok(())
}
