//! Takes snapshots beside the leader: applies the log to the snapshot before, so that the leader never
//! stops for one, and what a restart would do is done all day.

use std::sync::{Arc, OnceLock};

use taraf_base::Tasks;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::recovery::{READ_BYTES_MAX, Recovery};
use super::snapshot::Pace;
use super::{Config, Followers, Machine, Status};
use crate::snapshot::Data;
use crate::{Error, Log, PartitionId, Position};

/// When a snapshot is due, and the empty state that it is replayed into.
pub(super) struct Replayer<M> {
    template: M,
    pace: Pace,
}

/// Where a snapshot goes, and what is let go of behind it.
pub(super) struct Keeper<L> {
    pub(super) log: Arc<L>,
    pub(super) partition: PartitionId,
    pub(super) status: watch::Sender<Status>,
    pub(super) followers: Followers,
    pub(super) lag_max: u64,
    pub(super) accepts_replay: bool,
    /// Told when it is done, well or not.
    pub(super) ended: Arc<Notify>,
    /// Set before that when the records give another state than the leader had.
    pub(super) diverged: Arc<OnceLock<String>>,
}

impl<M: Machine> Replayer<M> {
    /// A replayer beside a leader at `position`; nothing when snapshots are not wanted.
    pub(super) fn beside(
        machine: &M,
        position: Position,
        snapshot: Position,
        config: &Config,
    ) -> Option<Self> {
        let every = config.snapshot_every;
        (every > 0).then(|| Self {
            template: machine.empty(),
            pace: Pace::new(every, position, snapshot),
        })
    }

    /// That many records more of `machine` are durable; answers an empty state when it is time for a snapshot.
    pub(super) fn begin_if_due(&mut self, records: usize, machine: &M) -> Option<M> {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.pace
            .begin_if_due(records, machine)
            .then(|| self.template.empty())
    }

    /// The leader rests at `position`; as above.
    pub(super) fn begin_at_rest(&mut self, position: Position) -> Option<M> {
        self.pace
            .begin_at_rest(position)
            .then(|| self.template.empty())
    }

    pub(super) const fn ended(&mut self) {
        self.pace.ended();
    }
}

impl<L: Log> Keeper<L> {
    /// Replays into `machine` up to the durable record `at`, on a thread of its own, and keeps what
    /// comes out.
    pub(super) fn replay<M: Machine>(self, machine: M, at: Position, tasks: &Tasks) {
        let (runtime, stop) = (tokio::runtime::Handle::current(), tasks.token());
        tasks.spawn_blocking("log-replayer", move || {
            runtime.block_on(async {
                match self.replayed(machine, at, &stop).await {
                    Ok(Some(data)) => self.keep(at, data).await,
                    Ok(None) => {}
                    Err(error @ Error::Diverged { .. }) => {
                        tracing::error!(%error, "a partition is led no more");
                        // Nobody else sets it.
                        let _first = self.diverged.set(error.to_string());
                    }
                    Err(error) => {
                        let partition = self.partition;
                        tracing::error!(%partition, %error, "failed to replay for a snapshot");
                    }
                }
                self.ended.notify_one();
            });
        });
    }

    /// Stores a snapshot, then lets go of the records before the *previous* one, so that a damaged
    /// newest snapshot can still be replaced by the one before; but not of what somebody who follows
    /// has not seen.
    async fn keep(&self, at: Position, data: Data) {
        let partition = self.partition;
        let (previous, tail) = {
            let status = self.status.borrow();
            (status.snapshot, status.position)
        };
        if let Err(error) = self.log.put_snapshot(partition, at, data).await {
            tracing::error!(%partition, %error, "failed to store a snapshot");
            return;
        }
        self.status.send_modify(|status| status.snapshot = at);
        let needed = self.followers.needed(tail, self.lag_max);
        let below = needed.min(previous.next());
        if let Err(error) = self.log.trim(partition, below).await {
            tracing::warn!(%partition, %error, "failed to trim the log");
        }
    }

    /// The state after record `at`, from the newest snapshot and the records after it; nothing when told
    /// to stop.
    async fn replayed<M: Machine>(
        &self,
        machine: M,
        at: Position,
        stop: &CancellationToken,
    ) -> Result<Option<Data>, Error> {
        let partition = self.partition;
        let recovery = Recovery::new(partition, machine, at);
        let mut recovery = recovery.accepting(self.accepts_replay);
        if let Some((before, data)) = self.log.get_snapshot(partition, at).await? {
            recovery.restore(before, data)?;
        }
        while let Some(from) = recovery.next() {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let chunk = self.log.read(partition, from, READ_BYTES_MAX).await?;
            recovery.apply(&chunk)?;
            // Others have their turn between two chunks: nobody waits for a snapshot.
            std::thread::yield_now();
        }
        Ok(Some(recovery.finish().into_snapshot()))
    }
}
