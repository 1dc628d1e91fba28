//! The leader's loop: brings what waits to the core, its batches to the log, and its outputs to those
//! who wait for them.

use std::sync::{Arc, OnceLock};

use taraf_base::Tasks;
use tokio::sync::{Notify, oneshot, watch};

use super::append::settle;
use super::core::{Core, Outgoing, Output};
use super::delivery::Delivery;
use super::handle::{Proposal, Told};
use super::inboxes::{Inboxes, Work};
use super::recovery::Recovered;
use super::replayer::{Keeper, Replayer};
use super::{Config, Machine, Observer, Phase, ProposeError, Status};
use crate::{BatchId, Durability, Error, Log, PartitionId, Position, Space, Term};

type Proposer<M> = oneshot::Sender<Result<<M as Machine>::Reply, ProposeError>>;

/// Drives the core of one partition; what it does, and why in that order, is said there.
pub(super) struct Leader<M: Machine, L, O> {
    log: Arc<L>,
    partition: PartitionId,
    config: Config,
    tasks: Tasks,
    status: watch::Sender<Status>,
    observer: O,
    inboxes: Inboxes<M>,
    snapshot_ended: Arc<Notify>,
    diverged: Arc<OnceLock<String>>,
    space: watch::Receiver<Space>,
    /// Takes the snapshots, when any are wanted.
    replayer: Option<Replayer<M>>,
    core: Core<M, Proposer<M>, Told>,
}

impl<M: Machine, L: Log, O: Observer<M>> Leader<M, L, O> {
    pub(super) fn new(parts: Parts<M, L, O>) -> Self {
        let (limits, mut config) = (parts.log.limits(), parts.config.clone());
        if limits.durability == Durability::Nothing {
            config.snapshot_every = 0;
        }
        let Recovered {
            machine,
            position,
            snapshot,
            ..
        } = &parts.recovered;
        let replayer = Replayer::beside(machine, *position, *snapshot, &config);
        let core = Core::new(
            parts.partition,
            parts.recovered,
            parts.claim,
            &config,
            limits,
        );
        Self {
            space: parts.log.space(),
            log: parts.log,
            partition: parts.partition,
            config: parts.config,
            tasks: parts.tasks,
            status: parts.status,
            observer: parts.observer,
            inboxes: parts.inboxes,
            snapshot_ended: Arc::default(),
            diverged: Arc::default(),
            replayer,
            core,
        }
    }

    /// Leads until told to stop, fenced, poisoned or abandoned.
    pub(super) async fn run<T: Term>(mut self, term: T) {
        let stop = self.tasks.token();
        let mut idle = Some(term);
        let mut flight = None;
        let mut rest = tokio::time::Instant::now() + self.config.rest_every;
        while !self.core.is_over() {
            if let Some(term) = idle.take() {
                self.take_what_waits();
                match self.core.next_batch() {
                    Some(outgoing) => flight = Some(Box::pin(self.settling(term, outgoing))),
                    None if self.core.ending().is_some() => break,
                    None => idle = Some(term),
                }
            }
            tokio::select! {
                biased;
                // Dropping the other branches loses nothing: receiving is safe to cancel.
                (term, result) = async { flight.as_mut().expect("checked").await },
                    if flight.is_some() =>
                {
                    flight = None;
                    idle = Some(term);
                    self.core.settled(result);
                    self.perform();
                }
                () = stop.cancelled(), if self.core.ending().is_none() => {
                    self.core.end(Phase::Stopped);
                }
                // A notice that is not taken waits for the next look.
                () = self.snapshot_ended.notified() => self.snapshot_has_ended(),
                work = self.inboxes.next(), if self.core.has_room() => self.take(work),
                () = tokio::time::sleep_until(rest), if idle.is_some() => {
                    self.rest();
                    rest = tokio::time::Instant::now() + self.config.rest_every;
                }
            }
        }
    }

    fn settling<T: Term>(
        &self,
        term: T,
        outgoing: Outgoing,
    ) -> impl Future<Output = (T, Result<(), Error>)> + use<T, M, L, O> {
        let delivery = Delivery::new(&self.config);
        let told = (self.status.clone(), self.tasks.token());
        settle(term, outgoing, self.config.blobs.clone(), delivery, told)
    }

    /// Takes all that waits now, so that it becomes one batch.
    fn take_what_waits(&mut self) {
        while self.core.has_room() {
            match self.inboxes.try_next() {
                Some(work) => self.take(work),
                None => return,
            }
        }
    }

    fn take(&mut self, work: Work<M>) {
        match work {
            Work::Proposal(proposal) => {
                let Proposal {
                    class,
                    input,
                    reply,
                } = proposal;
                self.core.set_full(self.status.borrow().is_full);
                self.core.set_space(*self.space.borrow());
                self.core
                    .propose(class, input, (self.config.clock)(), reply);
            }
            Work::Read(read) => self.core.read(read),
            Work::Abandoned => self.core.end(Phase::Stopped),
        }
        self.perform();
    }

    /// Lets everything out that may leave.
    fn perform(&mut self) {
        while let Some(output) = self.core.next_output() {
            match output {
                Output::Committed { position, events } => {
                    self.status.send_modify(|status| status.position = position);
                    self.observer.committed(position, &events);
                    self.snapshot_if_due(position, events.len());
                }
                Output::Release(actions) => self.observer.release(actions),
                Output::Answer(proposer, answer) => {
                    // A proposer that went away needs no answer.
                    let _gone = proposer.send(answer);
                }
                Output::Seen(told) => told(),
            }
        }
    }

    fn keeper(&self) -> Keeper<L> {
        Keeper {
            log: Arc::clone(&self.log),
            partition: self.partition,
            status: self.status.clone(),
            followers: self.config.followers.clone(),
            lag_max: self.config.follower_lag_max,
            accepts_replay: self.config.accepts_replay,
            ended: Arc::clone(&self.snapshot_ended),
            diverged: Arc::clone(&self.diverged),
        }
    }

    /// What is durable has grown to `position`: it may be time for a snapshot.
    fn snapshot_if_due(&mut self, position: Position, records: usize) {
        let (replayer, machine) = (self.replayer.as_mut(), self.core.machine());
        let begin = |replayer: &mut Replayer<M>| replayer.begin_if_due(records, machine);
        if let Some(empty) = replayer.and_then(begin) {
            self.keeper().replay(empty, position, &self.tasks);
        }
    }

    /// The next one may begin; that of records which came meanwhile is due at once, as no others may come.
    fn snapshot_has_ended(&mut self) {
        if let Some(why) = self.diverged.get() {
            self.core.abandon(Phase::Diverged(why.clone()));
        }
        if let Some(replayer) = &mut self.replayer {
            replayer.ended();
            let position = self.status.borrow().position;
            self.snapshot_if_due(position, 0);
        }
    }

    /// Has a snapshot taken while nothing comes in, so that the log may be trimmed.
    fn rest(&mut self) {
        let position = self.status.borrow().position;
        let replayer = self.replayer.as_mut();
        if let Some(empty) = replayer.and_then(|replayer| replayer.begin_at_rest(position)) {
            self.keeper().replay(empty, position, &self.tasks);
        }
    }
}

/// A panic (an observer's, a machine's) ends the task; those who wait must learn that it is over.
/// The phase is set here, before the fields, and with them the waiting answers, are dropped.
impl<M: Machine, L, O> Drop for Leader<M, L, O> {
    fn drop(&mut self) {
        let unexpected = || Phase::Poisoned("the replica's task ended unexpectedly".to_owned());
        let phase = self.core.ending().cloned().unwrap_or_else(unexpected);
        self.status.send_modify(|status| status.phase = phase);
    }
}

/// What a leader begins with.
pub(super) struct Parts<M: Machine, L, O> {
    pub(super) log: Arc<L>,
    pub(super) partition: PartitionId,
    pub(super) recovered: Recovered<M>,
    pub(super) config: Config,
    pub(super) observer: O,
    pub(super) inboxes: Inboxes<M>,
    /// Where the term stands in the chain.
    pub(super) claim: BatchId,
    pub(super) status: watch::Sender<Status>,
    pub(super) tasks: Tasks,
}
