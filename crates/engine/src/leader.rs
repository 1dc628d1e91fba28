//! One partition that leads: its replica, and what is told and done when events are durable.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taraf_base::{Tasks, Timestamp, random_u64};
use taraf_flow::event::CloudEvent;
use taraf_log::machine::{Class, Handle, Observer, Replica};
use taraf_log::{Durability, Log, PartitionId, Position};
use tokio::sync::{broadcast, watch};

use crate::archive::Archive;
use crate::archivist::{Archivist, Ended};
use crate::invoker::{Invoker, Means};
use crate::journal::{Entries, Entry, Journals, Keeper};
use crate::metrics::Metrics;
use crate::partition::{self, Action, Event, Input, Partition, Reply, SavedEntry, What};
use crate::timers::{Driver, Timers};
use crate::{Error, Run, RunId};

/// How often runs that ended long ago are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How many records a snapshot is taken after.
const SNAPSHOT_EVERY: u64 = 100_000;

/// What is told to whoever waits or listens.
pub(crate) struct Hub {
    waiting: Mutex<BTreeMap<RunId, watch::Sender<Option<Arc<Run>>>>>,
    pub(crate) lifecycle: broadcast::Sender<Arc<CloudEvent>>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Hub {
    pub(crate) fn new(backlog: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            lifecycle: broadcast::Sender::new(backlog.max(1)),
            metrics: Arc::new(Metrics::new()),
        }
    }

    /// Tells the run as it ended, when it does. To be asked for before the run is looked at.
    pub(crate) fn end_of(&self, run: RunId) -> Awaited {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who waited for runs that nobody waits for any more are forgotten now and then.
        if waiting.len().is_power_of_two() {
            waiting.retain(|_, waiter| waiter.receiver_count() > 0);
        }
        waiting
            .entry(run)
            .or_insert_with(|| watch::Sender::new(None))
            .subscribe()
    }

    fn ended(&self, run: &partition::Run) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.remove(&run.id)
        };
        if let Some(waiting) = waiting {
            waiting.send_replace(Some(Arc::new(run.view())));
        }
    }
}

/// A run as it ended, once it has.
pub(crate) type Awaited = watch::Receiver<Option<Arc<Run>>>;

/// A partition that leads.
#[derive(Clone)]
pub(crate) struct Leader {
    pub(crate) partition: PartitionId,
    pub(crate) handle: Handle<Partition>,
    /// What happened in its runs.
    pub(crate) journals: Arc<Journals>,
    /// What has ended and moved.
    pub(crate) ended: Arc<Ended>,
}

impl Leader {
    /// The id of a run that begins here now.
    pub(crate) fn new_run(&self) -> RunId {
        RunId::compose(self.partition, Timestamp::now(), random_u64())
    }

    /// Leads a partition: replays it and goes on with what is outstanding.
    pub(crate) async fn start<L: Log>(
        log: Arc<L>,
        partition: PartitionId,
        machine: Partition,
        means: Arc<Means>,
        archive: Option<(Archive, Duration)>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let timers = Arc::new(Timers::default());
        let ended = Arc::new(Ended::default());
        let journals = journals(means.config.runs_dir.clone(), partition, &*log).await?;
        let leading = watch::Sender::new(None);
        let invoker = Invoker::new(Arc::clone(&means), leading.subscribe(), tasks.clone());
        let is_recovered = invoker.clone();
        let observer = Watcher {
            hub: Arc::clone(&means.hub),
            timers: Arc::clone(&timers),
            ended: Arc::clone(&ended),
            journals: Arc::clone(&journals),
            invoker,
        };
        let config = taraf_log::machine::Config {
            snapshot_every: SNAPSHOT_EVERY,
            blobs: means.config.blobs.clone(),
            accepts_replay: means.config.accepts_replay,
            ..taraf_log::machine::Config::default()
        };
        // What the journals have not written they read from the log again.
        let follower = (log.limits().durability == Durability::Synced)
            .then(|| config.followers.register("journals", journals.written_to()));
        let space = log.space();
        let of = Arc::clone(&log);
        let handle = Replica::start(of, partition, machine, config, observer, tasks).await?;
        let keeper = Keeper {
            journals: Arc::clone(&journals),
            log,
            partition,
            follower,
            metrics: Arc::clone(&means.hub.metrics),
        };
        tasks.spawn("journals of runs", keeper.run(tasks.clone()));
        leading.send_replace(Some(handle.clone()));
        is_recovered.recovered();
        let driver = Driver {
            timers,
            handle: handle.clone(),
            means: Arc::clone(&means),
            space,
        };
        tasks.spawn("timers of runs", driver.run(tasks.clone()));
        match archive {
            Some((archive, linger)) => {
                let archivist = Archivist {
                    archive,
                    handle: handle.clone(),
                    journals: Arc::clone(&journals),
                    ended: Arc::clone(&ended),
                    linger,
                    metrics: Arc::clone(&means.hub.metrics),
                };
                tasks.spawn("archivist", archivist.run(tasks.clone()));
            }
            None => tasks.spawn("sweep of ended runs", sweep(handle.clone(), tasks.clone())),
        }
        Ok(Self {
            partition,
            handle,
            journals,
            ended,
        })
    }
}

/// Told by the replica what is durable.
struct Watcher {
    hub: Arc<Hub>,
    timers: Arc<Timers>,
    ended: Arc<Ended>,
    journals: Arc<Journals>,
    invoker: Invoker,
}

/// Opens the journals of a partition; of one that records nothing they stay in memory.
async fn journals<L: Log>(
    dir: Option<PathBuf>,
    partition: PartitionId,
    log: &L,
) -> Result<Arc<Journals>, Error> {
    let dir = dir.filter(|_| log.limits().durability == Durability::Synced);
    let opened = tokio::task::spawn_blocking(move || Journals::open(dir, partition)).await;
    let journals = opened.unwrap_or_else(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_stopping) => Journals::open(None, partition),
    });
    Ok(Arc::new(journals.map_err(Error::journals)?))
}

impl Observer<Partition> for Watcher {
    fn recovered(&mut self, machine: &Partition, position: Position, snapshot: Position) {
        let state = machine.state();
        let inherited = state.inherited().map(|(run, saved)| (run, entries(saved)));
        let is_kept = |run| state.runs.contains(&run);
        self.journals
            .recovered(position, (snapshot, inherited), is_kept);
        self.ended.recovered(state.ended.len(), state.moved());
    }

    fn committed(&mut self, position: Position, events: &[(Timestamp, Event)]) {
        self.journals.committed(position, events);
        let metrics = &self.hub.metrics;
        metrics.events.add(u64::try_from(events.len()).unwrap_or(0));
        for (_, event) in events {
            let ended = match event.what {
                What::Started(_) => {
                    metrics.started.increment();
                    continue;
                }
                What::Completed { .. } => "completed",
                What::Faulted { .. } => "faulted",
                What::Cancelled { .. } => "cancelled",
                What::Moved => {
                    self.ended.one_moved();
                    continue;
                }
                _ => continue,
            };
            self.ended.one();
            metrics.ended.with(&[ended]).increment();
        }
    }

    fn release(&mut self, actions: Vec<Action>) {
        let mut timers = Vec::new();
        for action in actions {
            match action {
                Action::SetTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => timers.push((true, (due, run, step, purpose))),
                Action::ClearTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => timers.push((false, (due, run, step, purpose))),
                Action::Call(call) => self.invoker.call(*call),
                Action::CancelCall { run, step } => self.invoker.cancel(run, step),
                Action::Uncertain { run, step } => self.invoker.uncertain(run, step),
                Action::Continue { run } => self.invoker.next_turn(run),
                Action::Tell(event) => {
                    // Nobody may be listening any more.
                    let _nobody = self.hub.lifecycle.send(event);
                }
                Action::Ended(run) => self.hub.ended(&run),
            }
        }
        // Last: where waits are skipped, a timer may come as soon as nothing else is under way.
        self.timers.change(timers);
    }
}

/// A journal that a snapshot held.
fn entries(saved: &[SavedEntry]) -> Entries {
    let mut entries = Entries::default();
    for (at, kind, version, body) in saved {
        entries.push(Entry {
            at: *at,
            kind: *kind,
            version: *version,
            body,
        });
    }
    entries
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
