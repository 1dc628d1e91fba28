//! A log in memory: for tests, with switches for the faults that real ones have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    Batch, BatchId, Chunk, Durability, Epoch, Error, Limits, Log, PartitionId, Position,
    Resolution, Space, Term, snapshot,
};

const BATCH_BYTES_MAX: usize = crate::file::BATCH_BYTES_MAX;
/// As in the file log: the newest and the one before.
const SNAPSHOTS_KEPT: usize = 2;

/// A log in memory. Clones share the storage, so a test "restarts" by using another clone, and lets
/// two leaders compete through two of them.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    batch_bytes_max: usize,
}

/// What the next appends answer, whoever makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The batch is stored, and the answer lost.
    AmbiguousStored,
    /// The batch is lost, and the answer too.
    AmbiguousNotStored,
    /// There is no space; nothing is stored.
    Full,
    /// This and every later append fails.
    Poisoned,
}

struct Shared {
    partitions: Mutex<BTreeMap<PartitionId, Partition>>,
    faults: Mutex<VecDeque<Fault>>,
    held: watch::Sender<bool>,
    space: watch::Sender<Space>,
}

#[derive(Default)]
struct Partition {
    tail: Position,
    last: BatchId,
    trimmed_below: Position,
    batches: VecDeque<Batch>,
    snapshots: BTreeMap<Position, Bytes>,
    is_poisoned: bool,
}

/// A leader's term on a [`MemoryLog`].
pub struct MemoryTerm {
    log: MemoryLog,
    partition: PartitionId,
    epoch: Epoch,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                partitions: Mutex::default(),
                faults: Mutex::default(),
                held: watch::Sender::new(false),
                space: watch::Sender::new(Space::Ample),
            }),
            batch_bytes_max: BATCH_BYTES_MAX,
        }
    }

    /// The same log with another limit on batches.
    #[must_use]
    pub fn with_batch_bytes_max(mut self, bytes: usize) -> Self {
        self.batch_bytes_max = bytes;
        self
    }

    /// Lets the next append meet `fault`; several are met one after the other.
    pub fn fail_next(&self, fault: Fault) {
        lock(&self.shared.faults).push_back(fault);
    }

    /// Appends wait, as on a slow disk, until [`MemoryLog::resume`].
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Lets held appends go on.
    pub fn resume(&self) {
        self.shared.held.send_replace(false);
    }

    /// Says that much room is left.
    pub fn set_space(&self, space: Space) {
        self.shared.space.send_replace(space);
    }

    /// As after a restart of the storage: poisoned partitions answer again.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
        for partition in lock(&self.shared.partitions).values_mut() {
            partition.is_poisoned = false;
        }
    }

    fn with<T>(&self, partition: PartitionId, f: impl FnOnce(&mut Partition) -> T) -> T {
        f(lock(&self.shared.partitions).entry(partition).or_default())
    }
}

impl Log for MemoryLog {
    type Term = MemoryTerm;

    async fn claim(&self, partition: PartitionId, observed: Epoch) -> Result<MemoryTerm, Error> {
        let epoch = self.with(partition, |p| {
            p.check_alive()?;
            if p.last.epoch > observed {
                return Err(p.fenced());
            }
            p.last = BatchId::claim(observed.next());
            Ok(p.last.epoch)
        })?;
        Ok(MemoryTerm {
            log: self.clone(),
            partition,
            epoch,
        })
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        self.with(partition, |p| p.read(from, bytes_max))
    }

    async fn tail(&self, partition: PartitionId) -> Result<(Position, BatchId), Error> {
        Ok(self.with(partition, |p| (p.tail, p.last)))
    }

    async fn trim(&self, partition: PartitionId, below: Position) -> Result<(), Error> {
        self.with(partition, |p| {
            while p.batches.front().is_some_and(|b| b.last() < below) {
                if let Some(batch) = p.batches.pop_front() {
                    p.trimmed_below = batch.last().next();
                }
            }
        });
        Ok(())
    }

    async fn put_snapshot(
        &self,
        partition: PartitionId,
        at: Position,
        data: snapshot::Data,
    ) -> Result<(), Error> {
        let data = data.into_bytes().map_err(Error::io("take a snapshot"))?;
        self.with(partition, |p| {
            p.snapshots.insert(at, data);
            while p.snapshots.len() > SNAPSHOTS_KEPT {
                p.snapshots.pop_first();
            }
        });
        Ok(())
    }

    async fn get_snapshot(
        &self,
        partition: PartitionId,
        at_most: Position,
    ) -> Result<Option<(Position, snapshot::Reader<'static>)>, Error> {
        Ok(self.with(partition, |p| {
            let (at, data) = p.snapshots.range(..=at_most).next_back()?;
            Some((*at, data.clone().into()))
        }))
    }

    fn limits(&self) -> Limits {
        Limits {
            batch_bytes_max: self.batch_bytes_max,
            durability: Durability::Memory,
        }
    }

    fn space(&self) -> watch::Receiver<Space> {
        self.shared.space.subscribe()
    }
}

impl Term for MemoryTerm {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    async fn append(&mut self, batch: Batch) -> Result<(), Error> {
        let mut held = self.log.shared.held.subscribe();
        // The sender lives in the log that this term holds, so waiting ends with a value.
        if held.wait_for(|held| !held).await.is_err() {
            return Err(Error::Ambiguous);
        }
        crate::batch::check(&batch, self.epoch, self.log.batch_bytes_max)?;
        let fault = lock(&self.log.shared.faults).pop_front();
        self.log.with(self.partition, |p| {
            p.check_alive()?;
            match fault {
                None => p.append(batch),
                Some(Fault::AmbiguousStored) => p.append(batch).and(Err(Error::Ambiguous)),
                Some(Fault::AmbiguousNotStored) => Err(Error::Ambiguous),
                Some(Fault::Full) => Err(Error::Full),
                Some(Fault::Poisoned) => {
                    p.is_poisoned = true;
                    p.check_alive()
                }
            }
        })
    }

    async fn resolve(&mut self, id: &BatchId) -> Result<Resolution, Error> {
        self.log.with(self.partition, |p| {
            p.check_alive()?;
            if p.batches.iter().any(|batch| batch.id == *id) {
                return Ok(Resolution::Stored);
            }
            if p.last.epoch > self.epoch {
                return Ok(Resolution::Fenced);
            }
            Ok(Resolution::NotStored)
        })
    }
}

impl Partition {
    fn check_alive(&self) -> Result<(), Error> {
        if self.is_poisoned {
            return Err(Error::Poisoned("a test asked for it".to_owned()));
        }
        Ok(())
    }

    fn append(&mut self, batch: Batch) -> Result<(), Error> {
        crate::batch::check_place(&batch, self.tail, self.last)?;
        self.tail = batch.last();
        self.last = batch.id;
        self.batches.push_back(batch);
        Ok(())
    }

    fn read(&self, from: Position, bytes_max: usize) -> Result<Chunk, Error> {
        if from < self.trimmed_below {
            let first = self.trimmed_below;
            return Err(Error::Trimmed { first });
        }
        let start = self.batches.partition_point(|batch| batch.last() < from);
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        for batch in self.batches.iter().skip(start) {
            bytes += batch.frames.len();
            if bytes > bytes_max && !chunk.batches.is_empty() {
                break;
            }
            chunk.batches.push(batch.clone());
        }
        Ok(chunk)
    }

    fn fenced(&self) -> Error {
        Error::Fenced {
            by: self.last.epoch,
            tail: self.tail,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
