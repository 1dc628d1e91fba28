//! [pure] What the writer of a stripe does with what it is given: gathers frames, writes them at once, syncs
//! once, and then knows who may be told. `thread.rs` drives it; the simulator drives it too.

use std::path::PathBuf;
use std::sync::Arc;

use super::config::Config;
use super::disk::Disk;
use super::frame::{Frame, Sequence, Tails};
use super::segment::{self, Beginning, Segment};
use super::store::Shared;
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
    tails: Tails,
    buffer: Vec<u8>,
    gathered: Vec<(Frame, u64)>,
    /// Who waits for what is gathered.
    waiting: Vec<T>,
    /// Who can be told now.
    told: Vec<(T, Result<(), Error>)>,
    poisoned: Option<String>,
}

/// Where a writer starts, as recovery found it.
pub(super) struct Start {
    pub(super) dir: PathBuf,
    pub(super) stripe: u16,
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
    pub(super) next: Sequence,
    pub(super) tails: Tails,
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
            tails: start.tails,
            buffer: Vec::new(),
            gathered: Vec::new(),
            waiting: Vec::new(),
            told: Vec::new(),
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
    /// When the log has stopped for good.
    pub(super) fn resolve(
        &mut self,
        partition: PartitionId,
        id: BatchId,
    ) -> Result<Resolution, Error> {
        self.flush();
        self.check_alive()?;
        let state = self.shared.lock();
        if state.index.contains(partition, id) {
            return Ok(Resolution::Stored);
        }
        if state.index.epoch(partition) > id.epoch {
            return Ok(Resolution::Fenced);
        }
        Ok(Resolution::NotStored)
    }

    fn tail(&self, partition: PartitionId) -> (Position, BatchId) {
        let genesis = (Position::ZERO, BatchId::GENESIS);
        self.tails.get(&partition).copied().unwrap_or(genesis)
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
        if end > self.config.segment_bytes {
            self.flush();
            self.check_alive()?;
            self.roll()?;
        }
        frame.sequence = self.next;
        // The buffer is flushed as one, so all before it are durable when it is written.
        let gathered = self.gathered.len() as u64;
        frame.synced = self.next - gathered - 1;
        self.next += 1;
        let at = self.offset + self.buffer.len() as u64;
        frame.encode(self.segment.header.salt, &mut self.buffer);
        let tail = if frame.is_claim() {
            self.tail(frame.partition).0
        } else {
            frame.batch.last()
        };
        self.tails.insert(frame.partition, (tail, frame.batch.id));
        self.gathered.push((frame, at));
        Ok(())
    }

    /// Writes and syncs what was gathered; then everybody who waits for it can be told.
    pub(super) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let file = &self.segment.file;
        let written = file
            .write_at(&self.buffer, self.offset)
            .and_then(|()| file.sync());
        if let Err(error) = written {
            let why = format!("failed to write {}: {error}", self.segment.path.display());
            tracing::error!(why, "the log stops for good");
            self.poisoned = Some(why);
        } else {
            self.offset += self.buffer.len() as u64;
            self.shared
                .publish(self.segment.header.number, &self.gathered);
        }
        self.buffer.clear();
        self.gathered.clear();
        for waiting in self.waiting.drain(..) {
            let result = self
                .poisoned
                .clone()
                .map_or(Ok(()), |why| Err(Error::Poisoned(why)));
            self.told.push((waiting, result));
        }
    }

    /// Goes on in the next segment. Nothing is gathered now, so nothing is lost when there is none.
    fn roll(&mut self) -> Result<(), Error> {
        let spare = match self.spares.take() {
            Ok(spare) => spare,
            Err(error) => {
                self.spares.want();
                return Err(full(error));
            }
        };
        let beginning = Beginning {
            stripe: self.stripe,
            number: self.segment.header.number + 1,
            first: self.next,
            tails: self.tails.clone(),
            frames: Vec::new(),
        };
        let placed = segment::put_in_place(self.disk.as_ref(), &self.dir, &spare, beginning);
        let (segment, offset) = placed.map_err(|error| {
            // It may be in place or not; a restart finds out.
            let why = error_chain(&error);
            tracing::error!(why, "the log stops for good");
            self.poisoned = Some(why.clone());
            Error::Poisoned(why)
        })?;
        // Not before: until it has its name, the preparing thread would find this spare again.
        self.spares.want();
        self.segment = Arc::new(segment);
        self.offset = offset;
        self.shared.add_segment(Arc::clone(&self.segment));
        Ok(())
    }
}

/// A segment that could not be prepared for want of space means that the log is full.
fn full(error: Error) -> Error {
    match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Error::Full,
        other => other,
    }
}

fn error_chain(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
