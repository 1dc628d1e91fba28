//! The file log as a [`Log`]: opens the directory, hands requests to the stripes' writers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use taraf_base::Tasks;
use tokio::sync::{mpsc, oneshot};

use super::config::{BATCH_BYTES_MAX, Config, SEGMENT_BYTES_MIN};
use super::disk::{Disk, LockGuard, OsDisk};
use super::frame::Frame;
use super::index::{Entry, Index};
use super::recover::recover;
use super::segment::Segment;
use super::spare::{self, Preparer};
use super::thread::{self, Request};
use super::writer::{Start, Writer};
use super::{directory, snapshots};
use crate::{
    Batch, BatchId, Chunk, Durability, Epoch, Error, Limits, Log, PartitionId, Position,
    Resolution, Term, batch,
};

/// The log in local segment files. Acknowledged means synced.
///
/// One process uses a data directory at a time. The lock is held until the log and its terms are
/// dropped and its writers have ended, which [`Tasks::drain`] waits for.
pub struct FileLog {
    disk: Arc<dyn Disk>,
    stripes: Vec<StripeHandle>,
    snapshots: PathBuf,
    limits: Limits,
    _lock: Arc<LockGuard>,
}

/// A leader's term on a [`FileLog`].
pub struct FileTerm {
    partition: PartitionId,
    epoch: Epoch,
    batch_bytes_max: usize,
    requests: mpsc::Sender<Request>,
}

struct StripeHandle {
    dir: PathBuf,
    segment_bytes: u64,
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
}

/// What a stripe's writer publishes and its readers see: durable batches only.
pub(super) struct Shared {
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) index: Index,
    segments: BTreeMap<u64, Arc<Segment>>,
}

impl FileLog {
    /// Opens the data directory, creating it when there is none. Must be called within a runtime;
    /// blocks while it recovers. The writers end when `tasks` stops (after what was handed to them
    /// is written) or when the log and all terms are dropped.
    ///
    /// # Errors
    /// When the directory cannot be used, is locked by another process, or is damaged.
    pub fn open(dir: &Path, config: Config, tasks: &Tasks) -> Result<Self, Error> {
        Self::open_on(Arc::new(OsDisk), dir, config, tasks)
    }

    /// Opens a data directory on the given storage.
    ///
    /// # Errors
    /// As [`FileLog::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: Config,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let opened = open(&disk, dir, config)?;
        let lock = Arc::new(opened.lock);
        let start = |stripe| start_stripe(&disk, stripe, &opened.config, &lock, tasks);
        let handles: Vec<_> = opened.stripes.into_iter().map(start).collect();
        stop_with(tasks, &handles);
        Ok(Self {
            disk,
            stripes: handles,
            snapshots: opened.snapshots,
            limits: opened.limits,
            _lock: lock,
        })
    }

    fn stripe(&self, partition: PartitionId) -> &StripeHandle {
        &self.stripes[stripe_of(partition, self.stripes.len())]
    }
}

/// The stripe that a partition is written to; below `stripes`, of which there is at least one.
pub(super) fn stripe_of(partition: PartitionId, stripes: usize) -> usize {
    usize::try_from(partition.0).unwrap_or(usize::MAX) % stripes.max(1)
}

/// A data directory that was locked and recovered: all that a log needs before its writers start.
pub(super) struct Opened {
    pub(super) lock: LockGuard,
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) snapshots: PathBuf,
    /// In the order of their numbers.
    pub(super) stripes: Vec<(Start, Arc<Shared>)>,
}

/// Locks and recovers a data directory, making it when there is none.
///
/// # Errors
/// As [`FileLog::open`].
pub(super) fn open(disk: &Arc<dyn Disk>, dir: &Path, mut config: Config) -> Result<Opened, Error> {
    config.segment_bytes = config.segment_bytes.max(SEGMENT_BYTES_MIN);
    let lock = directory::lock(disk.as_ref(), dir)?;
    let count = directory::open_format(disk.as_ref(), dir, config.stripes)?;
    let snapshots = dir.join("snapshots");
    directory::make(disk.as_ref(), &snapshots)?;
    let mut stripes = Vec::new();
    for stripe in 0..count {
        let dir = directory::stripe(disk.as_ref(), dir, stripe)?;
        stripes.push(open_stripe(disk.as_ref(), dir, stripe, &config)?);
    }
    let half = usize::try_from(config.segment_bytes / 2).unwrap_or(usize::MAX);
    Ok(Opened {
        lock,
        config,
        limits: Limits {
            batch_bytes_max: BATCH_BYTES_MAX.min(half),
            durability: Durability::Synced,
        },
        snapshots,
        stripes,
    })
}

fn open_stripe(
    disk: &dyn Disk,
    dir: PathBuf,
    stripe: u16,
    config: &Config,
) -> Result<(Start, Arc<Shared>), Error> {
    let recovered = recover(disk, &dir, stripe, config)?;
    let (_, segment) = recovered
        .segments
        .last_key_value()
        .expect("recovery begins a segment");
    let start = Start {
        dir,
        stripe,
        segment: Arc::clone(segment),
        offset: recovered.offset,
        next: recovered.next,
        tails: recovered.index.tails(),
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            index: recovered.index,
            segments: recovered.segments,
        }),
    });
    Ok((start, shared))
}

fn start_stripe(
    disk: &Arc<dyn Disk>,
    (start, shared): (Start, Arc<Shared>),
    config: &Config,
    lock: &Arc<LockGuard>,
    tasks: &Tasks,
) -> StripeHandle {
    let dir = start.dir.clone();
    let spares = Preparer::start(Arc::clone(disk), dir.clone(), config.segment_bytes, tasks);
    let (requests, inbox) = mpsc::channel(config.queue_max.max(1));
    let writer = Writer::new(
        Arc::clone(disk),
        config.clone(),
        Arc::clone(&shared),
        spares,
        start,
    );
    let lock = Arc::clone(lock);
    tasks.spawn_blocking("log-writer", move || {
        thread::run(writer, inbox);
        drop(lock);
    });
    StripeHandle {
        dir,
        segment_bytes: config.segment_bytes,
        requests,
        shared,
    }
}

/// Tells the writers when the tasks stop. Holds no sender until then, so that a log which is
/// dropped before ends its writers too.
fn stop_with(tasks: &Tasks, stripes: &[StripeHandle]) {
    let token = tasks.token();
    let writers: Vec<_> = stripes.iter().map(|s| s.requests.downgrade()).collect();
    tasks.spawn("log-stop", async move {
        token.cancelled().await;
        for requests in writers.iter().filter_map(mpsc::WeakSender::upgrade) {
            // A writer that has ended needs no word.
            let _ended = requests.send(Request::Stop).await;
        }
    });
}

impl Log for FileLog {
    type Term = FileTerm;

    async fn claim(&self, partition: PartitionId, observed: Epoch) -> Result<FileTerm, Error> {
        let requests = self.stripe(partition).requests.clone();
        let epoch = ask(&requests, |reply| Request::Claim {
            partition,
            observed,
            reply,
        });
        Ok(FileTerm {
            partition,
            epoch: epoch.await?,
            batch_bytes_max: self.limits.batch_bytes_max,
            requests,
        })
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        let shared = Arc::clone(&self.stripe(partition).shared);
        blocking(move || shared.read(partition, from, bytes_max)).await
    }

    async fn tail(&self, partition: PartitionId) -> Result<(Position, BatchId), Error> {
        Ok(self.stripe(partition).shared.lock().index.tail(partition))
    }

    async fn trim(&self, partition: PartitionId, below: Position) -> Result<(), Error> {
        let stripe = self.stripe(partition);
        let unneeded = stripe.shared.trim(partition, below);
        let (disk, dir) = (Arc::clone(&self.disk), stripe.dir.clone());
        let bytes = stripe.segment_bytes;
        blocking(move || let_go(disk.as_ref(), &dir, bytes, unneeded)).await
    }

    async fn put_snapshot(
        &self,
        partition: PartitionId,
        at: Position,
        data: Bytes,
    ) -> Result<(), Error> {
        let (disk, dir) = (Arc::clone(&self.disk), self.snapshots.clone());
        blocking(move || snapshots::put(disk.as_ref(), &dir, partition, at, &data)).await
    }

    async fn get_snapshot(
        &self,
        partition: PartitionId,
        at_most: Position,
    ) -> Result<Option<(Position, Bytes)>, Error> {
        let (disk, dir) = (Arc::clone(&self.disk), self.snapshots.clone());
        blocking(move || snapshots::get(disk.as_ref(), &dir, partition, at_most)).await
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}

impl Term for FileTerm {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    async fn append(&mut self, batch: Batch) -> Result<(), Error> {
        batch::check(&batch, self.epoch, self.batch_bytes_max)?;
        let partition = self.partition;
        ask(&self.requests, |reply| Request::Append {
            partition,
            batch,
            reply,
        })
        .await
    }

    async fn resolve(&mut self, id: &BatchId) -> Result<Resolution, Error> {
        let (partition, id) = (self.partition, *id);
        ask(&self.requests, |reply| Request::Resolve {
            partition,
            id,
            reply,
        })
        .await
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows frames that are durable now.
    pub(super) fn publish(&self, segment: u64, frames: &[(Frame, u64)]) {
        let mut state = self.lock();
        for (frame, offset) in frames {
            state.index.add(frame, segment, *offset);
        }
    }

    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        self.lock().segments.insert(segment.header.number, segment);
    }

    /// See [`Log::read`].
    pub(super) fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        let found = self.find(partition, from, bytes_max)?;
        let batches = found
            .iter()
            .map(|(entry, segment)| read_batch(entry, segment));
        let batches = batches.collect::<Result<_, _>>()?;
        Ok(Chunk { batches })
    }

    fn find(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Vec<(Entry, Arc<Segment>)>, Error> {
        let state = self.lock();
        let entries = state.index.find(partition, from, bytes_max)?;
        let with_segment = entries.into_iter().map(|entry| {
            let segment = state.segments.get(&entry.segment);
            (
                entry,
                Arc::clone(segment.expect("the index names segments that are there")),
            )
        });
        Ok(with_segment.collect())
    }

    /// Takes out the segments that no partition needs; the last one stays.
    pub(super) fn trim(&self, partition: PartitionId, below: Position) -> Vec<Arc<Segment>> {
        let mut state = self.lock();
        let last = state
            .segments
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        let needed = state.index.trim(partition, below).unwrap_or(last).min(last);
        state.index.forget_below(needed);
        let kept = state.segments.split_off(&needed);
        std::mem::replace(&mut state.segments, kept)
            .into_values()
            .collect()
    }
}

/// Lets go of segments that no partition needs.
///
/// # Errors
/// When the disk fails.
pub(super) fn let_go(
    disk: &dyn Disk,
    dir: &Path,
    bytes: u64,
    unneeded: Vec<Arc<Segment>>,
) -> Result<(), Error> {
    for segment in unneeded {
        let doing = Error::io(format!("remove {}", segment.path.display()));
        let path = segment.path.clone();
        // A reader may still hold the file; its bytes must then stay what they are.
        match Arc::try_unwrap(segment) {
            Ok(_unread) => spare::recycle(disk, dir, &path, bytes)?,
            Err(_read) => disk.remove(&path).map_err(doing)?,
        }
    }
    Ok(())
}

fn read_batch(entry: &Entry, segment: &Segment) -> Result<Batch, Error> {
    let mut bytes = vec![0; entry.size];
    let doing = Error::io(format!("read {}", segment.path.display()));
    segment
        .file
        .read_at(&mut bytes, entry.offset)
        .map_err(doing)?;
    match Frame::decode(&bytes, segment.header.salt) {
        Ok(frame) if frame.batch.id == entry.id => Ok(frame.batch),
        _ => Err(Error::Corrupt {
            file: segment.path.clone(),
            offset: entry.offset,
            what: format!(
                "the batch at record {} cannot be read any more",
                entry.first
            ),
        }),
    }
}

async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
) -> Result<T, Error> {
    let stopped = || Error::Poisoned("the log has been stopped".to_owned());
    let (reply, answer) = oneshot::channel();
    let sent = requests.send(request(reply)).await;
    sent.map_err(|_ended| stopped())?;
    answer.await.map_err(|_ended| stopped())?
}

/// Runs file work where it may block. It is awaited here, so it needs no supervision.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(Error::Poisoned(format!("a file operation failed: {panic}"))))
}
