//! The file log without threads: each call does its work before it returns. The same recovery, writer and
//! reader as [`FileLog`](super::FileLog), for who has a time of his own, as the simulator has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::cut::Holds;
use super::disk::{Disk, LockGuard};
use super::shared::Shared;
use super::snapshots;
use super::spare::Prompt;
use super::store;
use super::writer::Writer;
use crate::{
    Batch, BatchId, Chunk, Epoch, Error, Limits, PartitionId, Position, Resolution, batch, snapshot,
};

/// A file log whose owner says when it writes. `T` is who waits for what was handed in.
pub struct DirectLog<T> {
    disk: Arc<dyn Disk>,
    config: Config,
    limits: Limits,
    snapshots: PathBuf,
    stripes: Vec<Stripe<T>>,
    _lock: LockGuard,
}

struct Stripe<T> {
    dir: PathBuf,
    shared: Arc<Shared>,
    writer: Writer<Prompt, T>,
}

impl<T> DirectLog<T> {
    /// Opens a data directory on the given storage.
    ///
    /// # Errors
    /// As [`FileLog::open`](super::FileLog::open).
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path, config: Config) -> Result<Self, Error> {
        let opened = store::open(&disk, dir, config)?;
        let config = opened.config;
        let start = |(start, shared): (super::writer::Start, Arc<Shared>)| {
            let dir = start.dir.clone();
            let spares = Prompt::new(Arc::clone(&disk), dir.clone(), config.segment_bytes);
            let writer = Writer::new(
                Arc::clone(&disk),
                config.clone(),
                Arc::clone(&shared),
                spares,
                start,
            );
            Stripe {
                dir,
                shared,
                writer,
            }
        };
        Ok(Self {
            stripes: opened.stripes.into_iter().map(start).collect(),
            limits: opened.limits,
            snapshots: opened.snapshots,
            _lock: opened.lock,
            disk,
            config,
        })
    }

    /// See [`Log::limits`](crate::Log::limits).
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// How many stripes there are.
    #[must_use]
    pub fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// The stripe that a partition is written to.
    #[must_use]
    pub fn stripe_of(&self, partition: PartitionId) -> usize {
        store::stripe_of(partition, self.stripes.len())
    }

    /// Takes a batch to be written with the next [`DirectLog::flush`] of its stripe.
    ///
    /// # Errors
    /// As [`Term::append`](crate::Term::append), and then `waiting` is handed back.
    pub fn append(
        &mut self,
        partition: PartitionId,
        batch: Batch,
        waiting: T,
    ) -> Result<(), (T, Error)> {
        let max = self.limits.batch_bytes_max;
        let stripe = self.stripe_of(partition);
        let stripe = self.stripe(stripe);
        let taken = batch::check(&batch, batch.id.epoch, max)
            .and_then(|()| stripe.writer.append(partition, batch));
        match taken {
            Ok(()) => stripe.writer.when_durable(waiting),
            Err(error) => return Err((waiting, error)),
        }
        Ok(())
    }

    /// Claims a partition, durably.
    ///
    /// # Errors
    /// As [`Log::claim`](crate::Log::claim).
    pub fn claim(
        &mut self,
        partition: PartitionId,
        observed: Epoch,
        waiting: T,
    ) -> Result<Epoch, Error> {
        let stripe = self.stripe_of(partition);
        let writer = &mut self.stripe(stripe).writer;
        let epoch = writer.claim(partition, observed)?;
        writer.when_durable(waiting);
        Ok(epoch)
    }

    /// See [`Term::resolve`](crate::Term::resolve).
    ///
    /// # Errors
    /// As there.
    pub fn resolve(&mut self, partition: PartitionId, id: BatchId) -> Result<Resolution, Error> {
        let stripe = self.stripe_of(partition);
        self.stripe(stripe).writer.resolve(partition, id)
    }

    /// Writes and syncs what a stripe has gathered.
    pub fn flush(&mut self, stripe: usize) {
        self.stripe(stripe).writer.flush();
    }

    /// Those of a stripe who can be told now, in order, and what: `Ok` only when it is durable.
    pub fn told(&mut self, stripe: usize) -> Vec<(T, Result<(), Error>)> {
        self.stripe(stripe).writer.told().collect()
    }

    /// See [`Log::read`](crate::Log::read).
    ///
    /// # Errors
    /// As there.
    pub fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        self.shared(partition).read(partition, from, bytes_max)
    }

    /// See [`Log::tail`](crate::Log::tail).
    #[must_use]
    pub fn tail(&self, partition: PartitionId) -> (Position, BatchId) {
        self.shared(partition).tail(partition)
    }

    /// See [`Log::trim`](crate::Log::trim).
    ///
    /// # Errors
    /// As there.
    pub fn trim(&self, partition: PartitionId, below: Position) -> Result<(), Error> {
        let stripe = &self.stripes[self.stripe_of(partition)];
        let unneeded = stripe.shared.trim(partition, below, &Holds::default());
        let bytes = self.config.segment_bytes;
        store::let_go(self.disk.as_ref(), &stripe.dir, bytes, unneeded)
    }

    /// See [`Log::put_snapshot`](crate::Log::put_snapshot).
    ///
    /// # Errors
    /// As there.
    pub fn put_snapshot(
        &self,
        partition: PartitionId,
        at: Position,
        data: snapshot::Data,
    ) -> Result<(), Error> {
        snapshots::put(self.disk.as_ref(), &self.snapshots, partition, at, data)
    }

    /// See [`Log::get_snapshot`](crate::Log::get_snapshot).
    ///
    /// # Errors
    /// As there.
    pub fn get_snapshot(
        &self,
        partition: PartitionId,
        at_most: Position,
    ) -> Result<Option<(Position, snapshot::Reader<'static>)>, Error> {
        snapshots::get(self.disk.as_ref(), &self.snapshots, partition, at_most)
    }

    fn stripe(&mut self, stripe: usize) -> &mut Stripe<T> {
        &mut self.stripes[stripe]
    }

    fn shared(&self, partition: PartitionId) -> &Shared {
        &self.stripes[self.stripe_of(partition)].shared
    }
}
