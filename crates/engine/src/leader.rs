//! One partition that leads: its replica, and what is told and done when events are durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taraf_base::{Tasks, Timestamp};
use taraf_flow::event::CloudEvent;
use taraf_log::machine::{Class, Handle, Observer, Replica};
use taraf_log::{Log, PartitionId, Space};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use crate::insist::insist;
use crate::invoker::{Invoker, Means};
use crate::lifecycle::Projection;
use crate::metrics::Metrics;
use crate::partition::{Action, Definitions, Event, Input, Partition, Reply, Settings, What};
use crate::timers::Timers;
use crate::{Error, RunId};

/// How often runs that ended long ago are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How many records a snapshot is taken after.
const SNAPSHOT_EVERY: u64 = 100_000;

/// What is told to whoever waits or listens.
pub(crate) struct Hub {
    waiting: Mutex<BTreeMap<RunId, watch::Sender<()>>>,
    pub(crate) lifecycle: broadcast::Sender<Arc<CloudEvent>>,
    pub(crate) metrics: Metrics,
}

impl Hub {
    pub(crate) fn new(backlog: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            lifecycle: broadcast::Sender::new(backlog.max(1)),
            metrics: Metrics::new(),
        }
    }

    /// Closed when the run has ended. To be asked for before the run is looked at.
    pub(crate) fn end_of(&self, run: RunId) -> watch::Receiver<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who waited for runs that nobody waits for any more are forgotten now and then.
        if waiting.len().is_power_of_two() {
            waiting.retain(|_, waiter| waiter.receiver_count() > 0);
        }
        waiting
            .entry(run)
            .or_insert_with(|| watch::Sender::new(()))
            .subscribe()
    }

    fn ended(&self, run: RunId) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&run);
    }
}

/// A partition that leads.
#[derive(Clone)]
pub(crate) struct Leader {
    pub(crate) partition: PartitionId,
    pub(crate) handle: Handle<Partition>,
}

impl Leader {
    /// Leads a partition: replays it and goes on with what is outstanding.
    pub(crate) async fn start<L: Log>(
        log: Arc<L>,
        partition: PartitionId,
        settings: Settings,
        definitions: Arc<dyn Definitions>,
        means: Arc<Means>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let timers = Arc::new(Timers::default());
        let leading = watch::Sender::new(None);
        let invoker = Invoker::new(Arc::clone(&means), leading.subscribe(), tasks.clone());
        let observer = Watcher {
            hub: Arc::clone(&means.hub),
            projection: Projection::default(),
            timers: Arc::clone(&timers),
            invoker,
        };
        let machine = Partition::new(settings, definitions);
        let config = taraf_log::machine::Config {
            snapshot_every: SNAPSHOT_EVERY,
            ..taraf_log::machine::Config::default()
        };
        let space = log.space();
        let handle = Replica::start(log, partition, machine, config, observer, tasks).await?;
        leading.send_replace(Some(handle.clone()));
        tasks.spawn(
            "timers of runs",
            drive_timers(timers, handle.clone(), space, tasks.clone()),
        );
        tasks.spawn("sweep of ended runs", sweep(handle.clone(), tasks.clone()));
        Ok(Self { partition, handle })
    }
}

/// Told by the replica what is durable.
struct Watcher {
    hub: Arc<Hub>,
    projection: Projection,
    timers: Arc<Timers>,
    invoker: Invoker,
}

impl Observer<Partition> for Watcher {
    fn recovered(&mut self, machine: &Partition) {
        self.projection.recover(machine.state());
    }

    fn committed(&mut self, events: &[(Timestamp, Event)]) {
        let metrics = &self.hub.metrics;
        metrics.events.add(u64::try_from(events.len()).unwrap_or(0));
        for (at, event) in events {
            let wanted = self.hub.lifecycle.receiver_count() > 0;
            for told in self.projection.tell(event, *at, wanted) {
                // Nobody may be listening any more.
                let _nobody = self.hub.lifecycle.send(Arc::new(told));
            }
            let ended = match event.what {
                What::Started(_) => {
                    metrics.started.increment();
                    continue;
                }
                What::Completed { .. } => "completed",
                What::Faulted { .. } => "faulted",
                What::Cancelled { .. } => "cancelled",
                _ => continue,
            };
            metrics.ended.with(&[ended]).increment();
            self.hub.ended(event.run);
        }
    }

    fn release(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::SetTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => {
                    self.timers.set((due, run, step, purpose));
                }
                Action::ClearTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => {
                    self.timers.clear((due, run, step, purpose));
                }
                Action::Call(call) => self.invoker.call(*call),
                Action::CancelCall { run, step } => self.invoker.cancel(run, step),
                Action::Uncertain { run, step } => self.invoker.uncertain(run, step),
                Action::Continue { run } => self.invoker.next_turn(run),
            }
        }
    }
}

/// Proposes the timers that are due. What they wake begins work, so they wait while there is no room:
/// the outcomes of what runs come first.
async fn drive_timers(
    timers: Arc<Timers>,
    handle: Handle<Partition>,
    mut space: watch::Receiver<Space>,
    tasks: Tasks,
) {
    let stopping = tasks.token();
    loop {
        let due = tokio::select! {
            () = stopping.cancelled() => return,
            // Safe to cancel: what is taken is returned in the same poll.
            due = timers.due() => due,
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            // Who tells of the room may be gone; then there is room. What was cleared meanwhile is
            // refused as any late timer is.
            _space = space.wait_for(|space| *space != Space::Full) => {}
        }
        let mut proposals = JoinSet::new();
        for (due, run, step, purpose) in due {
            let handle = handle.clone();
            proposals.spawn(async move {
                let input = Input::TimerDue {
                    run,
                    step,
                    purpose,
                    due,
                };
                insist(&handle, input).await;
            });
        }
        while proposals.join_next().await.is_some() {}
    }
}

async fn sweep(handle: Handle<Partition>, tasks: Tasks) {
    let stopping = tasks.token();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        loop {
            match handle.propose(Class::Control, Input::Sweep).await {
                Ok(Reply::Swept { more: true }) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, "the sweep of ended runs waits for the next time");
                    break;
                }
            }
        }
    }
}
