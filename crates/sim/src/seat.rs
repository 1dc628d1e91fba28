//! [pure] One leader as its driver runs it: inboxes, the batch on its way, the snapshot beside it.

use std::collections::VecDeque;
use std::time::Duration;

use taraf_base::Timestamp;
use taraf_log::machine::core::{Core, Output};
use taraf_log::machine::delivery::{Delivery, Next};
use taraf_log::machine::{Class, Config, Machine};
use taraf_log::{Batch, BatchId, Error, PartitionId, Position, Resolution};

use crate::bug::Bug;
use crate::context::Context;
use crate::event::{Ask, Event, Inside, Lead, LeadId};

/// What a leader's outputs mean for what is around it.
pub(crate) trait Driver<M: Machine> {
    /// Actions whose cause is durable.
    fn release(&mut self, context: &mut Context, of: Owner, actions: Vec<M::Action>);
    /// Events that are durable.
    fn committed(&mut self, machine: &M, events: &[(Timestamp, M::Event)]);
    /// An answer.
    fn answer(
        &mut self,
        context: &mut Context,
        of: Owner,
        machine: &M,
        ask: Ask,
        answer: Result<M::Reply, taraf_log::machine::ProposeError>,
    );
}

/// Whose events these are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) process: u64,
    pub(crate) lead: LeadId,
    pub(crate) partition: PartitionId,
}

impl Owner {
    pub(crate) fn event(self, what: Lead) -> Event {
        Event::Process(self.process, Inside::Lead(self.lead, what))
    }
}

/// A leader and its driver.
pub(crate) struct Seat<M: Machine, D> {
    pub(crate) owner: Owner,
    pub(crate) core: Core<M, Ask, Position>,
    pub(crate) driver: D,
    inboxes: [VecDeque<(M::Input, Ask)>; 4],
    delivery: Option<(Delivery, Batch)>,
    /// The newest snapshot.
    snapshot: Position,
    /// Whether snapshots are replayed beside it; then how many records after the last one.
    replays: bool,
    since: u64,
    is_replaying: bool,
    /// The last record that it knows to be durable.
    durable: Position,
    pub(crate) is_paused: bool,
    /// What happened while it was paused.
    pub(crate) deferred: Vec<Lead>,
}

/// How a leader of `machine` runs.
pub(crate) fn config_of<M: Machine>(context: &Context, machine: &M) -> Config {
    let mut config = context.plan.machine.clone();
    if machine.empty().is_some() {
        // The replayer beside it takes the snapshots.
        config.snapshot_every = 0;
    }
    config
}

const CLASSES: [Class; 4] = [Class::Outcome, Class::Control, Class::Event, Class::Start];

impl<M: Machine, D: Driver<M>> Seat<M, D> {
    pub(crate) fn new(
        owner: Owner,
        core: Core<M, Ask, Position>,
        driver: D,
        snapshot: Position,
    ) -> Self {
        let durable = core.position();
        Self {
            owner,
            replays: core.machine().empty().is_some(),
            since: durable.0.saturating_sub(snapshot.0),
            is_replaying: false,
            durable,
            core,
            driver,
            inboxes: [const { VecDeque::new() }; 4],
            delivery: None,
            snapshot,
            is_paused: false,
            deferred: Vec::new(),
        }
    }

    /// Whether nothing is decided and not durable, and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.delivery.is_none() && self.inboxes.iter().all(VecDeque::is_empty) && !self.is_paused
    }

    /// An input arrives.
    pub(crate) fn input(&mut self, class: Class, input: M::Input, ask: Ask, now: Timestamp) {
        if self.core.has_room() {
            self.propose(class, input, ask, now);
            return;
        }
        let place = CLASSES.iter().position(|c| *c == class).unwrap_or(0);
        self.inboxes[place].push_back((input, ask));
    }

    fn propose(&mut self, class: Class, input: M::Input, ask: Ask, now: Timestamp) {
        let is_full = self.delivery.as_ref().is_some_and(|(d, _)| d.is_full());
        self.core.set_full(is_full);
        self.core.propose(class, input, now, ask);
    }

    /// The state is looked at by somebody; what was seen is told when it is durable.
    pub(crate) fn read(&mut self) {
        let seen = self.core.position();
        self.core.read(|_state| seen);
    }

    /// The batch that is to be offered again.
    pub(crate) fn batch_again(&self) -> Option<Batch> {
        self.delivery.as_ref().map(|(_, batch)| batch.clone())
    }

    /// What became of the batch on its way.
    pub(crate) fn told(&mut self, context: &mut Context, result: Result<(), Error>) {
        let Some((delivery, _)) = &mut self.delivery else {
            return;
        };
        let result = match result {
            Err(Error::Full) if context.bug == Some(Bug::ContinueAfterFull) => Ok(()),
            result => result,
        };
        let next = delivery.appended(result);
        self.follow(context, next);
    }

    /// The batch of which it is asked what became of it.
    pub(crate) fn asked(&self) -> Option<BatchId> {
        self.delivery.as_ref().map(|(_, batch)| batch.id)
    }

    /// What the log said became of it.
    pub(crate) fn resolved(&mut self, context: &mut Context, result: Result<Resolution, Error>) {
        let Some((delivery, batch)) = &mut self.delivery else {
            return;
        };
        if matches!(result, Ok(Resolution::Stored)) {
            context.durable_now(self.owner.partition, batch);
        }
        let next = delivery.resolved(result);
        self.follow(context, next);
    }

    fn follow(&mut self, context: &mut Context, next: Next) {
        let delay = |after: Duration| u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        match next {
            Next::Append(after) => context.after(delay(after), self.owner.event(Lead::Append)),
            Next::Resolve(after) => context.after(delay(after), self.owner.event(Lead::Resolve)),
            Next::Settled(result) => {
                self.delivery = None;
                self.core.settled(result);
            }
        }
    }

    /// So many records more are durable: it may be time to replay them for a snapshot.
    fn grown(&mut self, context: &mut Context, position: Position, records: usize) {
        self.durable = position;
        self.since += u64::try_from(records).unwrap_or(0);
        if self.since >= context.plan.machine.snapshot_every {
            self.replay(context);
        }
    }

    fn replay(&mut self, context: &mut Context) {
        if self.replays && !self.is_replaying && self.durable > Position::ZERO {
            (self.since, self.is_replaying) = (0, true);
            let delay = context.dice.latency(5_000);
            context.after(delay, self.owner.event(Lead::Replay(self.durable)));
        }
    }

    /// It rests: nothing holds the log.
    pub(crate) fn rest(&mut self, context: &mut Context) {
        self.replay(context);
        self.core.rest();
    }

    /// A snapshot was stored, or never will be.
    pub(crate) fn snapshot_ended(&mut self) {
        self.is_replaying = false;
        self.core.snapshot_ended();
    }

    /// Lets everything out that may leave; answers the next batch to append, if there is one.
    pub(crate) fn settle(&mut self, context: &mut Context, config: &Config) -> Option<Batch> {
        self.perform(context);
        if self.delivery.is_some() || self.core.is_over() {
            return None;
        }
        self.take_what_waits(context);
        let batch = self.core.next_batch()?;
        self.delivery = Some((Delivery::new(config), batch.clone()));
        Some(batch)
    }

    fn take_what_waits(&mut self, context: &mut Context) {
        while self.core.has_room() {
            let mut found = None;
            for (inbox, class) in self.inboxes.iter_mut().zip(CLASSES) {
                if let Some((input, ask)) = inbox.pop_front() {
                    found = Some((class, input, ask));
                    break;
                }
            }
            let Some((class, input, ask)) = found else {
                return;
            };
            self.propose(class, input, ask, context.wall());
            self.perform(context);
        }
    }

    fn perform(&mut self, context: &mut Context) {
        while let Some(output) = self.core.next_output() {
            match output {
                Output::Committed { position, events } => {
                    self.driver.committed(self.core.machine(), &events);
                    self.grown(context, position, events.len());
                }
                Output::Release(actions) => self.driver.release(context, self.owner, actions),
                Output::Answer(ask, answer) => {
                    let machine = self.core.machine();
                    self.driver
                        .answer(context, self.owner, machine, ask, answer);
                }
                Output::Seen(position) => {
                    let durable = context.durable(self.owner.partition);
                    if position > durable {
                        let what = format!("a reader saw record {position}, durable is {durable}");
                        context.fail("nothing leaves before it is durable", what);
                    }
                }
                Output::Snapshot(at, bytes) => {
                    let delay = context.dice.latency(5_000);
                    context.after(delay, self.owner.event(Lead::Store(at, bytes)));
                }
            }
        }
    }

    /// The record before which the log may be let go of now that a snapshot of `at` is stored.
    pub(crate) fn stored(&mut self, at: Position) -> Position {
        std::mem::replace(&mut self.snapshot, at).next()
    }
}
