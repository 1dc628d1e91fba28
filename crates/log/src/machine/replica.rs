//! Makes a machine the leader of its partition: claim, snapshot, replay, then the leader's loop.

use std::sync::Arc;

use taraf_base::Tasks;
use tokio::sync::{mpsc, watch};

use super::inboxes::Inboxes;
use super::leader::{Leader, Parts};
use super::recovery::recover;
use super::{Config, Handle, Machine, Observer, Phase, Status};
use crate::{BatchId, Error, Log, PartitionId, Position, Term};

/// A machine that leads its partition; see [`Replica::start`].
pub struct Replica;

impl Replica {
    /// Claims the partition, brings `machine` (an empty state) to the end of the log, tells the
    /// observer, releases what is outstanding, and then takes proposals on a task of `tasks`.
    ///
    /// When `tasks` stops, what was decided is still written and answered; what waits is refused.
    ///
    /// A partition whose records give another state than a checkpoint says is not led: the handle's
    /// status says [`Phase::Diverged`], and nothing is taken or performed.
    ///
    /// # Errors
    /// When the partition cannot be claimed, or a snapshot or record cannot be applied.
    pub async fn start<M, L, O>(
        log: Arc<L>,
        partition: PartitionId,
        machine: M,
        config: Config,
        mut observer: O,
        tasks: &Tasks,
    ) -> Result<Handle<M>, Error>
    where
        M: Machine,
        L: Log,
        O: Observer<M>,
    {
        let (_, seen) = log.tail(partition).await?;
        let term = log.claim(partition, seen.epoch).await?;
        let (tail, last) = log.tail(partition).await?;
        if last.epoch > term.epoch() {
            let by = last.epoch;
            return Err(Error::Fenced { by, tail });
        }
        let accepts = config.accepts_replay;
        let recovered = match recover(log.as_ref(), partition, machine, tail, accepts).await {
            Err(error @ Error::Diverged { .. }) => {
                tracing::error!(%error, "a partition is not led");
                let status = watch::Sender::new(Status {
                    phase: Phase::Diverged(error.to_string()),
                    position: tail,
                    epoch: term.epoch(),
                    is_full: false,
                    snapshot: Position::ZERO,
                });
                // Its inboxes close here: who proposes finds the reason in the status.
                return Ok(connect(&config, &status).0);
            }
            recovered => recovered?,
        };
        observer.recovered(&recovered.machine, recovered.position, recovered.snapshot);
        let now = (config.clock)().max(recovered.time);
        let outstanding = recovered.machine.outstanding(now);
        if !outstanding.is_empty() {
            observer.release(outstanding);
        }
        let status = watch::Sender::new(Status {
            phase: Phase::Leading,
            position: recovered.position,
            epoch: term.epoch(),
            is_full: false,
            snapshot: recovered.snapshot,
        });
        let (handle, inboxes) = connect(&config, &status);
        let leader = Leader::new(Parts {
            log,
            partition,
            recovered,
            config,
            observer,
            inboxes,
            claim: BatchId::claim(term.epoch()),
            status,
            tasks: tasks.clone(),
        });
        tasks.spawn("log-replica", leader.run(term));
        Ok(handle)
    }
}

fn connect<M: Machine>(config: &Config, status: &watch::Sender<Status>) -> (Handle<M>, Inboxes<M>) {
    let (outcomes, outcome_inbox) = mpsc::channel(config.outcome_max.max(1));
    let (controls, control_inbox) = mpsc::channel(config.control_max.max(1));
    let (events, event_inbox) = mpsc::channel(config.event_max.max(1));
    let (starts, start_inbox) = mpsc::channel(config.start_max.max(1));
    let (reads, read_inbox) = mpsc::channel(config.read_max.max(1));
    let handle = Handle {
        outcomes,
        controls,
        events,
        starts,
        reads,
        status: status.subscribe(),
    };
    let inboxes = Inboxes {
        outcomes: outcome_inbox,
        controls: control_inbox,
        events: event_inbox,
        starts: start_inbox,
        reads: read_inbox,
    };
    (handle, inboxes)
}
