//! The file log as a [`Log`]: opens the directory, hands requests to the stripes' writers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use taraf_base::Tasks;
use tokio::sync::{mpsc, oneshot, watch};

use super::config::{BATCH_BYTES_MAX, Config, SEGMENT_BYTES_MIN};
use super::cut::Holds;
use super::disk::{Disk, LockGuard, OsDisk};
use super::recover::recover;
use super::reserve::{Reports, Reserve};
use super::segment::Segment;
use super::shared::Shared;
use super::spare::{self, Preparer};
use super::thread::{self, Request};
use super::writer::{Start, Writer};
use super::{directory, snapshots};
use crate::{
    Batch, BatchId, Chunk, Durability, Epoch, Error, Limits, Log, PartitionId, Position,
    Resolution, Space, Term, batch, snapshot,
};

/// The log in local segment files. Acknowledged means synced.
///
/// One process uses a data directory at a time. The lock is held until the log and its terms are
/// dropped and its writers have ended, which [`Tasks::drain`] waits for.
pub struct FileLog {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    stripes: Vec<StripeHandle>,
    pub(super) snapshots: PathBuf,
    pub(super) holds: Holds,
    limits: Limits,
    reserve: Reserve,
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
        let reserve = Reserve::start(&disk, dir, &opened.config, &lock, tasks);
        let start = |(mut start, shared): (Start, _)| {
            start.reports = reserve.reports.clone();
            start_stripe(&disk, (start, shared), &opened.config, &lock, tasks)
        };
        let handles: Vec<_> = opened.stripes.into_iter().map(start).collect();
        stop_with(tasks, &handles);
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            holds: Holds::default(),
            stripes: handles,
            snapshots: opened.snapshots,
            limits: opened.limits,
            reserve,
            _lock: lock,
        })
    }

    /// What the stripes' writers publish, in the order of their numbers.
    pub(super) fn shared(&self) -> impl Iterator<Item = &Shared> {
        self.stripes.iter().map(|stripe| stripe.shared.as_ref())
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
        reports: Reports::default(),
    };
    let (index, segments) = (recovered.index, recovered.segments);
    let shared = Shared::new(index, segments, recovered.ends, recovered.next);
    let shared = Arc::new(shared);
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
        Ok(self.stripe(partition).shared.tail(partition))
    }

    async fn trim(&self, partition: PartitionId, below: Position) -> Result<(), Error> {
        let stripe = self.stripe(partition);
        let unneeded = stripe.shared.trim(partition, below, &self.holds);
        let (disk, dir) = (Arc::clone(&self.disk), stripe.dir.clone());
        let bytes = stripe.segment_bytes;
        blocking(move || let_go(disk.as_ref(), &dir, bytes, unneeded)).await
    }

    async fn put_snapshot(
        &self,
        partition: PartitionId,
        at: Position,
        data: snapshot::Data,
    ) -> Result<(), Error> {
        let (disk, dir) = (Arc::clone(&self.disk), self.snapshots.clone());
        blocking(move || snapshots::put(disk.as_ref(), &dir, partition, at, data)).await
    }

    async fn get_snapshot(
        &self,
        partition: PartitionId,
        at_most: Position,
    ) -> Result<Option<(Position, snapshot::Reader<'static>)>, Error> {
        let (disk, dir) = (Arc::clone(&self.disk), self.snapshots.clone());
        blocking(move || snapshots::get(disk.as_ref(), &dir, partition, at_most)).await
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn space(&self) -> watch::Receiver<Space> {
        self.reserve.space()
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
