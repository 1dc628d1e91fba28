//! [pure] Where a reader of a stripe begins, where each partition ends, and what became of a batch.

use std::collections::{BTreeMap, VecDeque};

use super::frame::{Frame, Tails};
use super::partitions::Partitions;
use crate::{BatchId, Epoch, PartitionId, Position, Resolution};

/// A partition's batches between two marks of one segment lie at most that far apart, so a reader
/// looks at no more before it is where it wants to be.
const MARK_BYTES: u64 = 256 << 10;
/// Terms whose last batch is remembered, for leaders that lost their partition and still ask.
const TERMS_MAX: usize = 64;

/// A place from which reading forward finds a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The first record of the batch that lies here.
    pub(super) first: Position,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// The durable batches of a stripe: not each of them, which would cost memory for every batch that
/// is kept, but marks on the way and the ends.
///
/// Invariant: a partition has a mark at its first batch in each segment, and marks are in order.
/// They are added only from frames that were checked against the tail, by the writer or by
/// recovery.
#[derive(Default)]
pub(super) struct Index {
    partitions: Partitions<Partition>,
}

#[derive(Default)]
struct Partition {
    tail: Position,
    last: BatchId,
    marks: VecDeque<Mark>,
    /// The last batch of each term before that of `last`; batches of a term are numbered densely.
    terms: BTreeMap<Epoch, u64>,
    /// Records before this one may go.
    wanted: Position,
}

impl Index {
    /// What a stripe knows before its first frame.
    pub(super) fn new(tails: &Tails) -> Self {
        let mut index = Self::default();
        for (partition, (tail, last)) in tails {
            let entry = index.partitions.of(*partition);
            (entry.tail, entry.last) = (*tail, *last);
        }
        index
    }

    /// Adds a frame that follows the tail of its partition.
    pub(super) fn add(&mut self, frame: &Frame, segment: u64, offset: u64) {
        let partition = self.partitions.of(frame.partition);
        let id = frame.batch.id;
        if partition.last.epoch != id.epoch {
            partition.end_term();
        }
        partition.last = id;
        if frame.is_claim() {
            return;
        }
        partition.tail = frame.batch.last();
        let is_far = |mark: &Mark| {
            mark.segment != segment || offset.saturating_sub(mark.offset) >= MARK_BYTES
        };
        if partition.marks.back().is_none_or(is_far) {
            partition.marks.push_back(Mark {
                first: frame.batch.first,
                segment,
                offset,
            });
        }
    }

    pub(super) fn tail(&self, partition: PartitionId) -> (Position, BatchId) {
        let found = self.partitions.get(partition);
        found.map_or((Position::ZERO, BatchId::GENESIS), |p| (p.tail, p.last))
    }

    /// Where the partitions end, those left out that have no frame.
    pub(super) fn tails(&self) -> Tails {
        let begun = self.partitions.iter();
        let begun = begun.filter(|(_, p)| p.last != BatchId::GENESIS);
        begun.map(|(id, p)| (id, (p.tail, p.last))).collect()
    }

    /// What became of a batch, as far as what is durable tells; nothing when its term lies too far
    /// back to know.
    pub(super) fn fate(&self, partition: PartitionId, id: BatchId) -> Option<Resolution> {
        let Some(partition) = self.partitions.get(partition) else {
            return Some(Resolution::NotStored);
        };
        let is_fenced = partition.last.epoch > id.epoch;
        let last = if partition.last.epoch == id.epoch {
            Some(partition.last.n)
        } else {
            partition.terms.get(&id.epoch).copied()
        };
        match last {
            Some(last) if id.n <= last => Some(Resolution::Stored),
            None if is_fenced && partition.terms.len() >= TERMS_MAX => None,
            _ if is_fenced => Some(Resolution::Fenced),
            _ => Some(Resolution::NotStored),
        }
    }

    /// Where to begin reading for the record `from`.
    pub(super) fn mark(&self, partition: PartitionId, from: Position) -> Option<Mark> {
        let partition = self.partitions.get(partition)?;
        if from > partition.tail {
            return None;
        }
        let after = partition.marks.partition_point(|mark| mark.first <= from);
        // Without one before it, the first is where the kept records begin.
        partition.marks.get(after.saturating_sub(1)).copied()
    }

    /// The records that partitions may lose: all before these.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (PartitionId, Position, Position)> {
        let rows = self.partitions.iter();
        rows.map(|(id, p)| (id, p.wanted, p.tail))
    }

    /// Notes what a partition no longer needs.
    pub(super) fn trim(&mut self, partition: PartitionId, below: Position) {
        let trimmed = self.partitions.of(partition);
        trimmed.wanted = trimmed.wanted.max(below);
    }

    /// Forgets the marks in segments below `segment`.
    pub(super) fn forget_below(&mut self, segment: u64) {
        for partition in self.partitions.values_mut() {
            let keep = partition
                .marks
                .partition_point(|mark| mark.segment < segment);
            partition.marks.drain(..keep);
        }
    }
}

impl Partition {
    /// Remembers where the term of `last` ended, the oldest of too many no longer.
    fn end_term(&mut self) {
        if self.last == BatchId::GENESIS {
            return;
        }
        if self.terms.len() >= TERMS_MAX {
            self.terms.pop_first();
        }
        self.terms.insert(self.last.epoch, self.last.n);
    }
}
