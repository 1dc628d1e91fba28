//! [pure] Where each batch of a stripe lies, and which segments nobody needs any more.

use std::collections::{BTreeMap, VecDeque};

use super::frame::{Frame, Tails};
use crate::{BatchId, Epoch, Error, PartitionId, Position};

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: BatchId,
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Bytes of the frame, padding included.
    pub(super) size: usize,
}

/// All durable batches of a stripe.
///
/// Invariant: the entries of a partition are in order and dense up to its tail. They are added
/// only from frames that were checked against the tail, by the writer or by recovery.
#[derive(Default)]
pub(super) struct Index {
    partitions: BTreeMap<PartitionId, Partition>,
}

#[derive(Default)]
struct Partition {
    tail: Position,
    last: BatchId,
    entries: VecDeque<Entry>,
    /// Records before this one may go.
    wanted: Position,
}

impl Index {
    /// What a stripe knows before its first frame.
    pub(super) fn new(tails: &Tails) -> Self {
        let mut index = Self::default();
        for (partition, (tail, last)) in tails {
            let entry = index.partitions.entry(*partition).or_default();
            (entry.tail, entry.last) = (*tail, *last);
        }
        index
    }

    /// Adds a frame that follows the tail of its partition.
    pub(super) fn add(&mut self, frame: &Frame, segment: u64, offset: u64) {
        let partition = self.partitions.entry(frame.partition).or_default();
        partition.last = frame.batch.id;
        if frame.is_claim() {
            return;
        }
        partition.tail = frame.batch.last();
        partition.entries.push_back(Entry {
            id: frame.batch.id,
            first: frame.batch.first,
            last: frame.batch.last(),
            segment,
            offset,
            size: frame.size(),
        });
    }

    pub(super) fn tail(&self, partition: PartitionId) -> (Position, BatchId) {
        let found = self.partitions.get(&partition);
        found.map_or((Position::ZERO, BatchId::GENESIS), |p| (p.tail, p.last))
    }

    pub(super) fn tails(&self) -> Tails {
        let row = |(id, p): (&PartitionId, &Partition)| (*id, (p.tail, p.last));
        self.partitions.iter().map(row).collect()
    }

    /// Whether the batch is stored. Ids only grow along the chain, so a search finds it.
    pub(super) fn contains(&self, partition: PartitionId, id: BatchId) -> bool {
        let found = self.partitions.get(&partition);
        found.is_some_and(|p| p.entries.binary_search_by_key(&id, |e| e.id).is_ok())
    }

    pub(super) fn epoch(&self, partition: PartitionId) -> Epoch {
        self.tail(partition).1.epoch
    }

    /// The batches to read from `from` on.
    pub(super) fn find(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, Error> {
        let Some(partition) = self.partitions.get(&partition) else {
            return Ok(Vec::new());
        };
        let kept = partition.entries.front().map(|entry| entry.first);
        let first = kept.unwrap_or_else(|| partition.tail.next());
        if from.max(Position::FIRST) < first {
            return Err(Error::Trimmed { first });
        }
        let start = partition.entries.partition_point(|entry| entry.last < from);
        let mut found = Vec::new();
        let mut bytes = 0_usize;
        for entry in partition.entries.range(start..) {
            bytes = bytes.saturating_add(entry.size);
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(*entry);
        }
        Ok(found)
    }

    /// Notes what a partition no longer needs; answers the lowest segment that anybody does.
    pub(super) fn trim(&mut self, partition: PartitionId, below: Position) -> Option<u64> {
        let trimmed = self.partitions.entry(partition).or_default();
        trimmed.wanted = trimmed.wanted.max(below);
        let needed = self.partitions.values().filter_map(|p| {
            let start = p.entries.partition_point(|entry| entry.last < p.wanted);
            p.entries.get(start).map(|entry| entry.segment)
        });
        needed.min()
    }

    /// Forgets the batches in segments below `segment`.
    pub(super) fn forget_below(&mut self, segment: u64) {
        for partition in self.partitions.values_mut() {
            let keep = partition
                .entries
                .partition_point(|entry| entry.segment < segment);
            partition.entries.drain(..keep);
        }
    }
}
