//! [pure] What the writer of a stripe does with what it is given: gathers frames, writes them at once, syncs
//! once, and then knows who may be told. `thread.rs` drives it; the simulator drives it too.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::config::Config;
use super::disk::Disk;
use super::frame::{Frame, Sequence, Tails};
use super::partitions::Partitions;
use super::reserve::Reports;
use super::segment::{self, Beginning, NotPlaced, Segment};
use super::shared::Shared;
use crate::{Batch, BatchId, Epoch, Error, PartitionId, Position, Resolution, batch};

/// Where a writer finds the files of its next segments.
pub(super) trait Spares {
    /// The next spare file, prepared and synced.
    ///
    /// # Errors
    /// When it could not be prepared. After [`Spares::want`] the next call tries again.
    fn take(&mut self) -> Result<PathBuf, Error>;
    /// Asks for the next one. Called once for each that was taken.
    fn want(&mut self);
}

/// Writes one stripe. `T` is who is told.
///
/// Invariant: nobody is told `Ok` before the sync that covers their frame has returned, and after
/// a write or sync that failed nobody ever again. A failed sync may have marked the pages clean, so
/// that the next one would answer success for bytes that the disk never got: there is no retry.
pub(super) struct Writer<S, T> {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    stripe: u16,
    config: Config,
    shared: Arc<Shared>,
    spares: S,
    segment: Arc<Segment>,
    offset: u64,
    next: Sequence,
    /// Partitions' tails, with what is gathered and not yet durable.
    tails: Partitions<Tail>,
    buffer: Vec<u8>,
    gathered: Vec<(Frame, u64)>,
    /// Who waits for what is gathered.
    waiting: Vec<T>,
    /// Who can be told now.
    told: Vec<(T, Result<(), Error>)>,
    reports: Reports,
    /// A write found no room half-way. What it left in the segment must not be taken for frames
    /// that follow: the next goes to a new segment, before whose first frame this one ends.
    is_stranded: bool,
    poisoned: Option<String>,
}

/// The last record and the last batch of a partition.
struct Tail(Position, BatchId);

impl Default for Tail {
    fn default() -> Self {
        Self(Position::ZERO, BatchId::GENESIS)
    }
}

/// Where a writer starts, as recovery found it.
pub(super) struct Start {
    pub(super) dir: PathBuf,
    pub(super) stripe: u16,
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
    pub(super) next: Sequence,
    pub(super) tails: Tails,
    pub(super) reports: Reports,
}

impl<S: Spares, T> Writer<S, T> {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        config: Config,
        shared: Arc<Shared>,
        spares: S,
        start: Start,
    ) -> Self {
        Self {
            disk,
            dir: start.dir,
            stripe: start.stripe,
            config,
            shared,
            spares,
            segment: start.segment,
            offset: start.offset,
            next: start.next,
            tails: by_partition(&start.tails),
            buffer: Vec::new(),
            gathered: Vec::new(),
            waiting: Vec::new(),
            told: Vec::new(),
            reports: start.reports,
            is_stranded: false,
            poisoned: None,
        }
    }

    /// Puts a batch behind those gathered; [`Writer::when_durable`] says who waits for it.
    ///
    /// # Errors
    /// When it does not follow the tail, or there is no space: nothing of it is stored.
    pub(super) fn append(&mut self, partition: PartitionId, batch: Batch) -> Result<(), Error> {
        self.check_alive()?;
        let (tail, last) = self.tail(partition);
        batch::check_place(&batch, tail, last)?;
        self.gather(Frame {
            sequence: 0,
            synced: 0,
            partition,
            batch,
        })
    }

    /// Puts a claim behind what is gathered and answers its epoch; it counts when it is durable.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a higher epoch than `observed` was reached; else as for a batch.
    pub(super) fn claim(
        &mut self,
        partition: PartitionId,
        observed: Epoch,
    ) -> Result<Epoch, Error> {
        self.check_alive()?;
        let (tail, last) = self.tail(partition);
        if last.epoch > observed {
            let by = last.epoch;
            return Err(Error::Fenced { by, tail });
        }
        let epoch = observed.next();
        self.gather(Frame::claim(partition, tail, last, epoch))?;
        Ok(epoch)
    }

    /// Who is to be told about what was gathered last.
    pub(super) fn when_durable(&mut self, waiting: T) {
        self.waiting.push(waiting);
    }

    /// Whether as much is gathered as is written at once.
    pub(super) const fn is_full(&self) -> bool {
        self.buffer.len() >= self.config.write_bytes_max
    }

    /// Those who can be told now, in order, and what.
    pub(super) fn told(&mut self) -> std::vec::Drain<'_, (T, Result<(), Error>)> {
        self.told.drain(..)
    }

    /// What became of a batch; what is gathered is written first.
    ///
    /// # Errors
    /// When the log has stopped for good, or [`Error::Full`] when that is not settled yet for want
    /// of space.
    pub(super) fn resolve(
        &mut self,
        partition: PartitionId,
        id: BatchId,
    ) -> Result<Resolution, Error> {
        self.flush();
        self.check_alive()?;
        if self.is_stranded {
            // Until the segment is left for good, a restart could still find the batch.
            self.roll()?;
        }
        let fate = self.shared.fate(partition, id);
        fate.ok_or_else(|| {
            let (tail, last) = self.tail(partition);
            let by = last.epoch;
            Error::Fenced { by, tail }
        })
    }

    fn tail(&self, partition: PartitionId) -> (Position, BatchId) {
        let genesis = (Position::ZERO, BatchId::GENESIS);
        self.tails
            .get(partition)
            .map_or(genesis, |Tail(tail, last)| (*tail, *last))
    }

    fn check_alive(&self) -> Result<(), Error> {
        match &self.poisoned {
            Some(why) => Err(Error::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    /// Puts a frame behind those gathered. An error means that nothing of it is stored.
    fn gather(&mut self, mut frame: Frame) -> Result<(), Error> {
        let end = self.offset + (self.buffer.len() + frame.size()) as u64;
        let is_last = end > self.config.segment_bytes;
        if is_last {
            self.flush();
            self.check_alive()?;
        }
        if is_last || self.is_stranded {
            self.roll()?;
        }
        frame.sequence = self.next;
        // The buffer is flushed as one, so all before it are durable when it is written.
        let gathered = self.gathered.len() as u64;
        frame.synced = self.next - gathered - 1;
        self.next += 1;
        let at = self.offset + self.buffer.len() as u64;
        frame.encode(self.segment.header.salt, &mut self.buffer);
        let Tail(tail, last) = self.tails.of(frame.partition);
        if !frame.is_claim() {
            *tail = frame.batch.last();
        }
        *last = frame.batch.id;
        self.gathered.push((frame, at));
        Ok(())
    }

    /// Writes and syncs what was gathered; then everybody who waits for it can be told.
    pub(super) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let stored = self.store();
        self.buffer.clear();
        self.gathered.clear();
        for waiting in self.waiting.drain(..) {
            let result = match &stored {
                Ok(()) => Ok(()),
                Err(Error::Poisoned(why)) => Err(Error::Poisoned(why.clone())),
                // Full. A restart could still find it; `resolve` tells when that is over.
                Err(_) => Err(Error::Ambiguous),
            };
            self.told.push((waiting, result));
        }
    }

    /// Makes what was gathered durable, and shows it.
    fn store(&mut self) -> Result<(), Error> {
        let file = &self.segment.file;
        if let Err(error) = file.write_at(&self.buffer, self.offset) {
            if segment::is_full(&error) {
                return self.store_elsewhere();
            }
            return Err(self.poison(&error));
        }
        // Full or not: after a sync that failed nothing can be known of the pages.
        if let Err(error) = file.sync() {
            return Err(self.poison(&error));
        }
        self.offset += self.buffer.len() as u64;
        self.shared
            .publish(self.segment.header.number, &self.gathered);
        Ok(())
    }

    /// A write found no room, although the segment was prepared: file systems that never write in
    /// place do that. The spare may have been taken from other blocks, so it is tried; without it
    /// nothing of what was gathered is kept.
    fn store_elsewhere(&mut self) -> Result<(), Error> {
        self.is_stranded = true;
        let stored = self.roll();
        if stored.is_err() {
            self.next -= self.gathered.len() as u64;
            self.tails = by_partition(&self.shared.tails());
        }
        stored
    }

    fn poison(&mut self, error: &io::Error) -> Error {
        let why = format!("failed to write {}: {error}", self.segment.path.display());
        tracing::error!(why, "the log stops for good");
        self.poisoned = Some(why.clone());
        Error::Poisoned(why)
    }

    /// Goes on in the next segment, which begins with what is gathered and could not be written.
    /// An error other than [`Error::Poisoned`] means that the segment is still this one.
    fn roll(&mut self) -> Result<(), Error> {
        let spare = match self.spares.take() {
            Ok(spare) => spare,
            Err(error) => {
                self.spares.want();
                return Err(self.note(full(error)));
            }
        };
        let carried = self.gathered.len() as u64;
        let beginning = Beginning {
            stripe: self.stripe,
            number: self.segment.header.number + 1,
            first: self.next - carried,
            carried,
            epoch: Epoch(0),
            tails: self.shared.tails(),
        };
        let (disk, dir) = (self.disk.as_ref(), &self.dir);
        let mut frames = self.gathered.iter().map(|(frame, _)| frame.clone());
        let lost = || Error::Poisoned("a gathered frame is missing".to_owned());
        let next = || frames.next().ok_or_else(lost);
        let mut placed = Vec::new();
        let place = |frame: &Frame, at| placed.push((frame.clone(), at));
        let put = segment::put_in_place(disk, dir, &spare, beginning, next, place);
        let (segment, offset) = match put {
            Ok(put) => put,
            Err(NotPlaced::Full) => {
                // The spare is still one and is found again.
                self.spares.want();
                return Err(self.note(Error::Full));
            }
            Err(NotPlaced::Failed(error)) => {
                // It may be in place or not; a restart finds out.
                let why = error_chain(&error);
                tracing::error!(why, "the log stops for good");
                self.poisoned = Some(why.clone());
                return Err(Error::Poisoned(why));
            }
        };
        // Not before: until it has its name, whoever prepares would find this spare again.
        self.spares.want();
        self.is_stranded = false;
        self.segment = Arc::new(segment);
        self.offset = offset;
        self.shared.add_segment(Arc::clone(&self.segment));
        self.shared.publish(self.segment.header.number, &placed);
        Ok(())
    }

    fn note(&self, error: Error) -> Error {
        if matches!(error, Error::Full) {
            self.reports.found_full();
        }
        error
    }
}

fn by_partition(tails: &Tails) -> Partitions<Tail> {
    let mut partitions = Partitions::default();
    for (partition, (tail, last)) in tails {
        *partitions.of(*partition) = Tail(*tail, *last);
    }
    partitions
}

/// A segment that could not be prepared for want of space means that the log is full.
fn full(error: Error) -> Error {
    match error {
        Error::Io { source, .. } if segment::is_full(&source) => Error::Full,
        other => other,
    }
}

fn error_chain(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
