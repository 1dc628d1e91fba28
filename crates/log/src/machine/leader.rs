//! The leader's loop: decide and evolve at once, gather while a batch is on its way, tell when it
//! is durable.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use taraf_base::{Tasks, Timestamp};
use tokio::sync::watch;

use super::append::{Patience, settle};
use super::handle::{Proposal, Told};
use super::inboxes::{Inboxes, Work};
use super::recovery::{Recovered, evolve, panic_text};
use super::{Class, Config, Decision, Machine, Observer, Phase, ProposeError, Status, snapshot};
use crate::record::{self, Record};
use crate::{Batch, BatchId, Durability, Error, Log, PartitionId, Position, Term};

/// Snapshots of one position at rest: trimming follows the one before the newest, so that after
/// two nothing is held.
const REST_SNAPSHOTS: u32 = 2;
/// Answers that may wait for the disk, those of inputs without events and of reads included.
const WAITING_MAX: usize = 16_384;

/// Groups that will be one batch, and all that must wait until it is durable.
struct Gathered<M: Machine> {
    first: Position,
    count: u32,
    frames: Vec<u8>,
    events: Vec<(Timestamp, M::Event)>,
    actions: Vec<M::Action>,
    told: Vec<Told>,
    snapshot: Option<(Position, Vec<u8>)>,
}

/// Invariant: nothing leaves (reply, action, committed event, snapshot) before the batch that
/// holds its cause, and so all batches before it, are durable. It holds because all four live in
/// [`Gathered`] and are taken out in [`Leader::settled`] alone, or arise when nothing is pending.
pub(super) struct Leader<M: Machine, L, O> {
    log: Arc<L>,
    partition: PartitionId,
    config: Config,
    tasks: Tasks,
    status: watch::Sender<Status>,
    observer: O,
    machine: M,
    inboxes: Inboxes<M>,
    /// The last record decided, which may run ahead of the disk.
    position: Position,
    time: Timestamp,
    last: BatchId,
    gathered: VecDeque<Gathered<M>>,
    in_flight: Option<Gathered<M>>,
    since_snapshot: u64,
    snapshot_runs: Arc<AtomicBool>,
    /// Where the replica last rested, and the snapshots that it took there.
    rested: (Position, u32),
    /// Why the loop will end once everything decided is settled.
    ending: Option<Phase>,
}

impl<M: Machine, L: Log, O: Observer<M>> Leader<M, L, O> {
    pub(super) fn new(parts: Parts<M, L, O>) -> Self {
        let Recovered {
            machine,
            position,
            time,
            snapshot,
        } = parts.recovered;
        Self {
            log: parts.log,
            partition: parts.partition,
            config: parts.config,
            tasks: parts.tasks,
            status: parts.status,
            observer: parts.observer,
            machine,
            inboxes: parts.inboxes,
            position,
            time,
            last: parts.claim,
            gathered: VecDeque::new(),
            in_flight: None,
            since_snapshot: position.0.saturating_sub(snapshot.0),
            snapshot_runs: Arc::default(),
            rested: (Position::ZERO, 0),
            ending: None,
        }
    }

    /// Leads until told to stop, fenced, poisoned or abandoned.
    pub(super) async fn run<T: Term>(mut self, term: T) {
        let stop = self.tasks.token();
        let mut idle = Some(term);
        let mut flight = None;
        let mut rest = tokio::time::Instant::now() + self.config.rest_every;
        loop {
            if let Some(term) = idle.take() {
                self.take_what_waits();
                match self.next_batch() {
                    Some(batch) => {
                        let patience = Patience::new(&self.config);
                        let status = self.status.clone();
                        let settling = settle(term, batch, patience, status, stop.clone());
                        flight = Some(Box::pin(settling));
                    }
                    None if self.ending.is_some() => break,
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
                    if let Err(error) = self.settled(result) {
                        self.ending = Some(error);
                        break;
                    }
                    idle = Some(term);
                }
                () = stop.cancelled(), if self.ending.is_none() => {
                    self.ending = Some(Phase::Stopped);
                }
                work = self.inboxes.next(), if self.ending.is_none() && self.has_room() => {
                    self.take(work);
                }
                () = tokio::time::sleep_until(rest), if idle.is_some() => {
                    self.rest();
                    rest = tokio::time::Instant::now() + self.config.rest_every;
                }
            }
        }
    }

    /// Takes a snapshot while nothing is decided and not durable, so that the log may be trimmed.
    fn rest(&mut self) {
        if self.config.snapshot_every == 0 || !self.gathered.is_empty() || !self.keeps_records() {
            return;
        }
        if self.rested.0 != self.position {
            self.rested = (self.position, 0);
        }
        let is_done = self.position == Position::ZERO || self.rested.1 >= REST_SNAPSHOTS;
        if is_done || self.snapshot_runs.swap(true, Ordering::AcqRel) {
            return;
        }
        self.rested.1 += 1;
        self.since_snapshot = 0;
        let bytes = snapshot::take(&self.machine, self.time);
        self.store_snapshot(self.position, bytes.into());
    }

    fn keeps_records(&self) -> bool {
        self.log.limits().durability != Durability::Nothing
    }

    /// Takes all that waits now, so that it becomes one batch.
    fn take_what_waits(&mut self) {
        while self.ending.is_none() && self.has_room() {
            match self.inboxes.try_next() {
                Some(work) => self.take(work),
                None => return,
            }
        }
    }

    fn has_room(&self) -> bool {
        let waiting = self.in_flight.iter().chain(&self.gathered);
        let waiting: usize = waiting.map(|gathered| gathered.told.len()).sum();
        let bytes: usize = self.gathered.iter().map(|g| g.frames.len()).sum();
        waiting < WAITING_MAX && bytes < self.config.gather_bytes_max
    }

    fn take(&mut self, work: Work<M>) {
        match work {
            Work::Proposal(proposal) => self.decide(proposal),
            Work::Read(read) => {
                // A reader whose look panics finds its answer dropped; the state is unchanged.
                match catch_unwind(AssertUnwindSafe(|| read(&self.machine))) {
                    Ok(told) => self.when_durable(Vec::new(), told),
                    Err(panic) => {
                        tracing::error!(why = panic_text(panic.as_ref()), "a read panicked");
                    }
                }
            }
            Work::Abandoned => self.ending = Some(Phase::Stopped),
        }
    }

    fn decide(&mut self, proposal: Proposal<M>) {
        let Proposal {
            class,
            input,
            reply,
        } = proposal;
        // A proposer that went away needs no answer, here and below.
        if class != Class::Outcome && self.status.borrow().is_full {
            let _gone = reply.send(Err(ProposeError::Full));
            return;
        }
        let now = (self.config.clock)().max(self.time);
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let decision = self.machine.decide(input, now);
            let frames = encode::<M>(&decision.events, self.position, now);
            (decision, frames)
        }));
        let (decision, frames) = match decided {
            Ok(decided) => decided,
            Err(panic) => {
                let why = panic_text(panic.as_ref());
                tracing::error!(partition = %self.partition, why, "deciding on an input panicked");
                let _gone = reply.send(Err(ProposeError::Panicked(why)));
                return;
            }
        };
        let max = self.log.limits().batch_bytes_max;
        if frames.len() > max {
            let _gone = reply.send(Err(ProposeError::TooLarge { max }));
            return;
        }
        let Decision {
            events,
            actions,
            reply: answer,
        } = decision;
        let told: Told = Box::new(move || {
            let _gone = reply.send(Ok(answer));
        });
        if events.is_empty() {
            self.when_durable(actions, told);
        } else {
            self.record(events, actions, told, &frames, now);
        }
    }

    /// Applies a group and adds it to what will be written.
    fn record(
        &mut self,
        events: Vec<M::Event>,
        actions: Vec<M::Action>,
        told: Told,
        frames: &[u8],
        now: Timestamp,
    ) {
        let mut position = self.position;
        for event in &events {
            position = position.next();
            if let Err(panic) = evolve(&mut self.machine, event, now) {
                // The state is half changed and the group not written: write what was decided
                // before it, then stop. A restart comes back without this group.
                let why = format!("{}, record {position}: {panic}", self.partition);
                tracing::error!(why, "parking a partition");
                self.ending = Some(Phase::Poisoned(why));
                return;
            }
        }
        let count = position.0.saturating_sub(self.position.0);
        let max = self.log.limits().batch_bytes_max;
        let fits = |g: &Gathered<M>| g.frames.len().saturating_add(frames.len()) <= max;
        if !self.gathered.back().is_some_and(fits) {
            self.gathered.push_back(Gathered::new(self.position.next()));
        }
        self.position = position;
        self.time = now;
        self.since_snapshot = self.since_snapshot.saturating_add(count);
        let snapshot = self.snapshot_if_due();
        let gathered = self.gathered.back_mut().expect("one was just made");
        let count = u32::try_from(count).expect("a group's bytes, so its events, are limited");
        gathered.count = gathered.count.saturating_add(count);
        gathered.frames.extend_from_slice(frames);
        gathered.events.extend(events.into_iter().map(|e| (now, e)));
        gathered.actions.extend(actions);
        gathered.told.push(told);
        if snapshot.is_some() {
            gathered.snapshot = snapshot;
        }
    }

    /// For what changes nothing: it waits for the state that it saw.
    fn when_durable(&mut self, actions: Vec<M::Action>, told: Told) {
        let pending = self.gathered.back_mut().or(self.in_flight.as_mut());
        if let Some(gathered) = pending {
            gathered.actions.extend(actions);
            gathered.told.push(told);
            return;
        }
        if !actions.is_empty() {
            self.observer.release(actions);
        }
        told();
    }

    /// The state as it is after the last decided record; stored once that record is durable.
    fn snapshot_if_due(&mut self) -> Option<(Position, Vec<u8>)> {
        let every = self.config.snapshot_every;
        let is_due = every > 0 && self.since_snapshot >= every;
        if !is_due || !self.keeps_records() || self.snapshot_runs.swap(true, Ordering::AcqRel) {
            return None;
        }
        self.since_snapshot = 0;
        Some((self.position, snapshot::take(&self.machine, self.time)))
    }

    fn next_batch(&mut self) -> Option<Batch> {
        let mut gathered = self.gathered.pop_front()?;
        let batch = Batch {
            prev: self.last,
            id: self.last.next(),
            first: gathered.first,
            count: gathered.count,
            frames: Bytes::from(std::mem::take(&mut gathered.frames)),
        };
        self.last = batch.id;
        self.in_flight = Some(gathered);
        Some(batch)
    }

    /// Tells everybody who waits for the batch in flight; `Err` is why this replica ends.
    fn settled(&mut self, result: Result<(), Error>) -> Result<(), Phase> {
        match result {
            Ok(()) => {}
            Err(Error::Fenced { by, tail }) => {
                tracing::warn!(partition = %self.partition, %by, %tail, "fenced");
                return Err(Phase::Fenced);
            }
            Err(Error::Full) => return Err(Phase::Stopped),
            Err(error) => {
                tracing::error!(partition = %self.partition, %error, "failed to append");
                return Err(Phase::Poisoned(error.to_string()));
            }
        }
        let Some(gathered) = self.in_flight.take() else {
            return Ok(());
        };
        let position = Position(gathered.first.0 + u64::from(gathered.count) - 1);
        self.status.send_modify(|status| status.position = position);
        self.observer.committed(&gathered.events);
        if !gathered.actions.is_empty() {
            self.observer.release(gathered.actions);
        }
        for told in gathered.told {
            told();
        }
        if let Some((at, bytes)) = gathered.snapshot {
            self.store_snapshot(at, bytes.into());
        }
        Ok(())
    }

    /// Stores a snapshot beside the loop, then lets go of the records before the *previous* one,
    /// so that a damaged newest snapshot can still be replaced by the one before.
    fn store_snapshot(&self, at: Position, bytes: Bytes) {
        let (log, partition) = (Arc::clone(&self.log), self.partition);
        let (status, runs) = (self.status.clone(), Arc::clone(&self.snapshot_runs));
        self.tasks.spawn("log-snapshot", async move {
            let previous = status.borrow().snapshot;
            match log.put_snapshot(partition, at, bytes).await {
                Ok(()) => {
                    status.send_modify(|status| status.snapshot = at);
                    if let Err(error) = log.trim(partition, previous.next()).await {
                        tracing::warn!(%partition, %error, "failed to trim the log");
                    }
                }
                Err(error) => tracing::error!(%partition, %error, "failed to store a snapshot"),
            }
            runs.store(false, Ordering::Release);
        });
    }
}

/// A panic (an observer's, a machine's) ends the task; those who wait must learn that it is over.
/// The phase is set here, before the fields, and with them the waiting answers, are dropped.
impl<M: Machine, L, O> Drop for Leader<M, L, O> {
    fn drop(&mut self) {
        let unexpected = || Phase::Poisoned("the replica's task ended unexpectedly".to_owned());
        let phase = self.ending.take().unwrap_or_else(unexpected);
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

impl<M: Machine> Gathered<M> {
    fn new(first: Position) -> Self {
        Self {
            first,
            count: 0,
            frames: Vec::new(),
            events: Vec::new(),
            actions: Vec::new(),
            told: Vec::new(),
            snapshot: None,
        }
    }
}

fn encode<M: Machine>(events: &[M::Event], after: Position, time: Timestamp) -> Vec<u8> {
    let (mut frames, mut body, mut position) = (Vec::new(), Vec::new(), after);
    for event in events {
        body.clear();
        position = position.next();
        let header = M::encode(event, &mut body);
        let record = Record {
            position,
            time,
            header,
            body: &body,
        };
        record::encode(&record, &mut frames);
    }
    frames
}
