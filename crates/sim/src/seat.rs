//! [pure] One leader as its driver runs it: inboxes, the batch on its way, the snapshot beside it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Timestamp;
use taraf_log::blob::{self, Blob};
use taraf_log::machine::core::{Core, Outgoing, Output};
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
    delivery: Option<(Delivery, Outgoing)>,
    /// The newest snapshot.
    snapshot: Position,
    /// Records after the last snapshot that was begun.
    since: u64,
    is_replaying: bool,
    /// The last record that it knows to be durable.
    durable: Position,
    pub(crate) is_paused: bool,
    /// What happened while it was paused.
    pub(crate) deferred: Vec<Lead>,
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
        self.delivery.as_ref().map(|(_, out)| out.batch.clone())
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

    /// The blobs that its batch names, while they are not stored.
    fn blobs(&self) -> &[Arc<Blob>] {
        self.delivery.as_ref().map_or(&[], |(_, out)| &out.blobs)
    }

    /// What became of the attempt to store them.
    pub(crate) fn put(&mut self, context: &mut Context, result: Result<(), blob::Error>) {
        if context.bug == Some(Bug::RecordBeforeBlob) {
            return; // The batch was offered before.
        }
        if let Some((delivery, _)) = &mut self.delivery {
            let next = match result {
                Err(blob::Error::Full) if context.bug == Some(Bug::ContinueAfterFull) => {
                    Next::Settled(Ok(()))
                }
                result => delivery.put(result),
            };
            self.follow(context, next);
        }
    }

    /// The batch of which it is asked what became of it.
    pub(crate) fn asked(&self) -> Option<BatchId> {
        self.delivery.as_ref().map(|(_, out)| out.batch.id)
    }

    /// What the log said became of it.
    pub(crate) fn resolved(&mut self, context: &mut Context, result: Result<Resolution, Error>) {
        let Some((delivery, out)) = &mut self.delivery else {
            return;
        };
        if matches!(result, Ok(Resolution::Stored)) {
            context.durable_now(self.owner.partition, &out.batch);
        }
        let next = delivery.resolved(result);
        self.follow(context, next);
    }

    fn follow(&mut self, context: &mut Context, next: Next) {
        let delay = |after: Duration| u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        match next {
            Next::Put(after) => {
                let blobs = self.blobs().to_vec();
                context.after(delay(after), self.owner.event(Lead::Put(blobs)));
            }
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
        if !self.is_replaying && self.durable > Position::ZERO {
            (self.since, self.is_replaying) = (0, true);
            let delay = context.dice.latency(5_000);
            context.after(delay, self.owner.event(Lead::Replay(self.durable)));
        }
    }

    /// It rests: nothing holds the log.
    pub(crate) fn rest(&mut self, context: &mut Context) {
        self.replay(context);
    }

    /// A snapshot was stored, or never will be.
    pub(crate) const fn snapshot_ended(&mut self) {
        self.is_replaying = false;
    }

    /// Lets everything out that may leave; answers the next batch to append, if there is one.
    pub(crate) fn settle(&mut self, context: &mut Context, config: &Config) -> Option<Batch> {
        self.perform(context);
        if self.delivery.is_some() || self.core.is_over() {
            return None;
        }
        self.take_what_waits(context);
        let out = self.core.next_batch()?;
        let first = Delivery::first(!out.blobs.is_empty());
        let batch = out.batch.clone();
        self.delivery = Some((Delivery::new(config), out));
        if matches!(first, Next::Put(_)) {
            let is_early = context.bug == Some(Bug::RecordBeforeBlob);
            let delay = context.dice.latency(if is_early { 20_000 } else { 300 });
            let blobs = self.blobs().to_vec();
            context.after(delay, self.owner.event(Lead::Put(blobs)));
            return is_early.then_some(batch);
        }
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
            }
        }
    }

    /// The record before which the log may be let go of now that a snapshot of `at` is stored.
    pub(crate) fn stored(&mut self, at: Position) -> Position {
        std::mem::replace(&mut self.snapshot, at).next()
    }
}
