//! What a stripe's writer publishes and its readers see: durable batches only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cut::Holds;
use super::frame::{Frame, Sequence, Tails};
use super::index::{Index, Mark};
use super::reader::Frames;
use super::segment::Segment;
use crate::{Batch, BatchId, Chunk, Error, PartitionId, Position, Resolution};

pub(super) struct Shared {
    state: Mutex<State>,
}

struct State {
    index: Index,
    segments: BTreeMap<u64, Arc<Segment>>,
    /// Where the frames of each segment end.
    ends: BTreeMap<u64, u64>,
    /// The first frame that is not durable yet.
    next: Sequence,
}

/// A part of a segment in which batches are looked for.
struct Stretch {
    segment: Arc<Segment>,
    offset: u64,
    /// Where it ends: the first frame that belongs to the next segment or is not durable.
    end: Sequence,
}

impl Shared {
    pub(super) fn new(
        index: Index,
        segments: BTreeMap<u64, Arc<Segment>>,
        ends: BTreeMap<u64, u64>,
        next: Sequence,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                index,
                segments,
                ends,
                next,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows frames that are durable now.
    pub(super) fn publish(&self, segment: u64, frames: &[(Frame, u64)]) {
        let Some((last, at)) = frames.last() else {
            return;
        };
        let mut state = self.lock();
        for (frame, offset) in frames {
            state.index.add(frame, segment, *offset);
        }
        state.next = last.sequence + 1;
        let end = at.saturating_add(last.size() as u64);
        state.ends.insert(segment, end);
    }

    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        let mut state = self.lock();
        let (number, end) = (segment.header.number, segment.header.size() as u64);
        state.ends.insert(number, end);
        state.segments.insert(number, segment);
    }

    /// The segments in order, each with where its durable frames end.
    pub(super) fn segments(&self) -> Vec<(Arc<Segment>, u64)> {
        let state = self.lock();
        let end = |number: &u64| state.ends.get(number).copied().unwrap_or(0);
        let segments = state.segments.iter();
        segments
            .map(|(n, segment)| (Arc::clone(segment), end(n)))
            .collect()
    }

    pub(super) fn tail(&self, partition: PartitionId) -> (Position, BatchId) {
        self.lock().index.tail(partition)
    }

    pub(super) fn tails(&self) -> Tails {
        self.lock().index.tails()
    }

    pub(super) fn fate(&self, partition: PartitionId, id: BatchId) -> Option<Resolution> {
        self.lock().index.fate(partition, id)
    }

    /// Batches from the one that holds `from` on, as many as fit and at least one.
    pub(super) fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        let Some((stretches, tail)) = self.plan(partition, from)? else {
            return Ok(Chunk::default());
        };
        let mut found = Found {
            partition,
            from,
            tail,
            bytes_max,
            bytes: 0,
            batches: Vec::new(),
        };
        for stretch in &stretches {
            if found.look_in(stretch)? {
                let batches = found.batches;
                return Ok(Chunk { batches });
            }
        }
        let missing = found.next();
        let path = stretches.last().map(|stretch| stretch.segment.path.clone());
        Err(Error::Corrupt {
            file: path.unwrap_or_default(),
            offset: 0,
            what: format!("record {missing} of {partition} cannot be found any more"),
        })
    }

    /// Where the records from `from` on lie; nothing behind the tail.
    fn plan(
        &self,
        partition: PartitionId,
        from: Position,
    ) -> Result<Option<(Vec<Stretch>, Position)>, Error> {
        let state = self.lock();
        let (tail, _) = state.index.tail(partition);
        let first = state.kept(partition);
        if from.max(Position::FIRST) < first {
            return Err(Error::Trimmed { first });
        }
        let Some(Mark {
            segment, offset, ..
        }) = state.index.mark(partition, from)
        else {
            return Ok(None);
        };
        let mut segments = state.segments.range(segment..).peekable();
        let mut stretches = Vec::new();
        while let Some((number, found)) = segments.next() {
            let next = segments.peek().map(|(_, next)| next.header.first);
            let end = next.unwrap_or(state.next);
            // Left before its first frame, for want of room: there is nothing to look at.
            if found.header.first >= end {
                continue;
            }
            stretches.push(Stretch {
                segment: Arc::clone(found),
                offset: if *number == segment {
                    offset
                } else {
                    found.header.size() as u64
                },
                end,
            });
        }
        Ok(Some((stretches, tail)))
    }

    /// Takes out the segments that no partition needs; the last one stays, and all do as long as
    /// they are held.
    pub(super) fn trim(
        &self,
        partition: PartitionId,
        below: Position,
        holds: &Holds,
    ) -> Vec<Arc<Segment>> {
        let mut state = self.lock();
        state.index.trim(partition, below);
        // Looked at under the lock under which a cut is taken: it finds all segments or none gone.
        if holds.is_held() {
            return Vec::new();
        }
        let needed = state.needed();
        state.index.forget_below(needed);
        state.ends = state.ends.split_off(&needed);
        let kept = state.segments.split_off(&needed);
        std::mem::replace(&mut state.segments, kept)
            .into_values()
            .collect()
    }
}

impl State {
    /// The first record of a partition that is still there.
    fn kept(&self, partition: PartitionId) -> Position {
        let oldest = self.segments.first_key_value();
        let before = oldest.and_then(|(_, segment)| segment.header.tails.get(&partition));
        before.map_or(Position::FIRST, |(tail, _)| tail.next())
    }

    /// The lowest segment that any partition needs. A wanted record lies in the last segment that
    /// began before it.
    fn needed(&self) -> u64 {
        let last = self
            .segments
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        let needed = self.index.wanted().filter_map(|(partition, wanted, tail)| {
            let began_before = |segment: &Segment| {
                let before = segment.header.tails.get(&partition);
                before.is_none_or(|(before, _)| *before < wanted.max(Position::FIRST))
            };
            if tail < wanted.max(Position::FIRST) {
                return None;
            }
            let mut newest_first = self.segments.iter().rev();
            newest_first
                .find(|(_, segment)| began_before(segment))
                .map(|(number, _)| *number)
                .or_else(|| self.segments.first_key_value().map(|(number, _)| *number))
        });
        needed.min().unwrap_or(last).min(last)
    }
}

/// What a read has found so far.
struct Found {
    partition: PartitionId,
    from: Position,
    tail: Position,
    bytes_max: usize,
    bytes: usize,
    batches: Vec<Batch>,
}

impl Found {
    /// The record that must come next.
    fn next(&self) -> Position {
        let last = self.batches.last();
        last.map_or_else(
            || self.from.max(Position::FIRST),
            |batch| batch.last().next(),
        )
    }

    /// Looks through a stretch; answers whether the read is complete.
    fn look_in(&mut self, stretch: &Stretch) -> Result<bool, Error> {
        let path = &stretch.segment.path;
        let doing = || Error::io(format!("read {}", path.display()));
        let salt = stretch.segment.header.salt;
        let file = stretch.segment.file.as_ref();
        let mut frames = Frames::new(file, salt, stretch.offset).map_err(doing())?;
        let mut expected = None;
        while expected.is_none_or(|expected| expected < stretch.end) {
            let at = frames.offset();
            let damaged = || damaged(path, at);
            let peek = frames.peek().map_err(doing())?.ok_or_else(damaged)?;
            if expected.is_some_and(|expected| expected != peek.sequence) {
                return Err(damaged());
            }
            if peek.sequence >= stretch.end {
                return Ok(false);
            }
            expected = Some(peek.sequence + 1);
            if peek.partition != self.partition || peek.last < self.next() {
                frames.skip(&peek);
                continue;
            }
            self.bytes = self.bytes.saturating_add(peek.size);
            if self.bytes > self.bytes_max && !self.batches.is_empty() {
                return Ok(true);
            }
            let frame = frames.next().map_err(doing())?;
            let frame = frame.map_err(|_invalid| damaged())?;
            if frame.batch.first > self.next() || frame.is_claim() {
                return Err(damaged());
            }
            let is_last = frame.batch.last() >= self.tail;
            self.batches.push(frame.batch);
            if is_last {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn damaged(path: &Path, offset: u64) -> Error {
    Error::Corrupt {
        file: path.to_owned(),
        offset,
        what: "what was written here cannot be read any more".to_owned(),
    }
}
