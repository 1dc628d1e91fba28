//! One process: the file log over the simulated disk, its writers, and the leaders of all partitions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use taraf_engine::partition::{Input, Payloads, State, blob_of};
use taraf_gateway::registry::Input as KeyInput;
use taraf_log::blob::{BlobId, BlobStore, Collection};
use taraf_log::file::direct::DirectLog;
use taraf_log::machine::core::Core;
use taraf_log::machine::recovery::Recovery;
use taraf_log::machine::{Class, Machine, Phase};
use taraf_log::{Batch, BatchId, Error, PartitionId, Position};

use crate::accounts::KeySeat;
use crate::bug::Bug;
use crate::context::Context;
use crate::event::{Ask, Event, Inside, Key, Lead, LeadId, Offer, Run, Stage};
use crate::opening::{
    CHECKPOINTS, Trouble, check_payloads, key_seat, open, open_blobs, recover, trouble,
};
use crate::plan::KEYS;
use crate::planted::Strings;
use crate::runs::{RunSeat, Runs};
use crate::seat::{Driver, Owner, Seat};

pub(crate) const DIR: &str = "/data";
/// Bytes read at once while a leader recovers.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// A running process.
pub(crate) struct Process {
    number: u64,
    log: DirectLog<Option<LeadId>>,
    blobs: BlobStore,
    pub(crate) payloads: Arc<Payloads>,
    /// A collection of payloads that has begun, and what is named.
    collection: (Option<Collection>, BTreeSet<BlobId>),
    /// From the event that begins one to its end: as in the engine there is one at a time.
    is_collecting: bool,
    pub(crate) runs: BTreeMap<LeadId, RunSeat>,
    /// Who leads each partition of runs now.
    pub(crate) current: BTreeMap<PartitionId, LeadId>,
    keys: KeySeat,
    waiting: Vec<VecDeque<Offer>>,
    is_writing: Vec<bool>,
    next_lead: LeadId,
    /// Where each partition's state was last compared.
    compared: BTreeMap<PartitionId, Position>,
}

/// The leader of accounts; leaders of runs count from 1.
pub(crate) const KEYS_LEAD: LeadId = 0;

impl Process {
    /// Opens the log and leads every partition.
    pub(crate) fn start(context: &mut Context, number: u64) -> Result<Self, Trouble> {
        let mut log = open(context)?;
        let stripes = log.stripes();
        let blobs = open_blobs(context)?;
        let keys = key_seat(context, &mut log, number)?;
        let mut process = Self {
            number,
            keys,
            log,
            payloads: Arc::new(Payloads::new(
                blobs.clone(),
                context.plan.settings.limits.inline_bytes,
            )),
            blobs,
            collection: (None, BTreeSet::new()),
            is_collecting: false,
            runs: BTreeMap::new(),
            current: BTreeMap::new(),
            waiting: vec![VecDeque::new(); stripes],
            is_writing: vec![false; stripes],
            next_lead: KEYS_LEAD + 1,
            compared: BTreeMap::new(),
        };
        process.after_keys(context);
        for partition in context.plan.partitions.clone() {
            process.lead_runs(context, partition)?;
        }
        Ok(process)
    }

    /// Takes a partition of runs, from whoever leads it in this process too.
    pub(crate) fn lead_runs(
        &mut self,
        context: &mut Context,
        partition: PartitionId,
    ) -> Result<(), Trouble> {
        let strings = Arc::new(Strings::default());
        let payloads = Arc::clone(&self.payloads);
        let machine = context.machine(context.bug, &strings, Some(payloads));
        strings.is_replaying.store(true, Ordering::Relaxed);
        let (mut recovered, claim) = recover(context, &mut self.log, partition, machine, &strings)?;
        strings.is_replaying.store(false, Ordering::Relaxed);
        let Some(shadow) = context.runs.get_mut(&partition) else {
            return Ok(());
        };
        let (tail, log) = (recovered.position, &self.log);
        let told = shadow.compare(tail, |from, bytes| log.read(partition, from, bytes));
        let is_same = shadow.check_hash("a leader after recovery", recovered.machine.state_hash());
        match told {
            Ok(told) => {
                let taken = context.history.take(told);
                context.check("each run is one line", taken);
            }
            // The machine may die within a reading too.
            Err(_) if context.disk.is_dead() => return Err(Trouble::Dead),
            Err(what) => context.fail("what is acknowledged stays", what),
        }
        context.check("replay gives the same state", is_same);
        let names = recovered.machine.state().payloads();
        check_payloads(context, &self.blobs, names.map(|name| blob_of(&name)))?;
        if context.failure.is_some() {
            return Err(Trouble::Dead);
        }
        let owner = Owner {
            process: self.number,
            lead: self.next_lead,
            partition,
        };
        self.next_lead += 1;
        context.note(format_args!(
            "leader {} of {partition} at record {tail} in epoch {}",
            owner.lead, claim.epoch
        ));
        let now = context.wall().max(recovered.time);
        let outstanding = recovered.machine.outstanding(now);
        let snapshot = recovered.snapshot;
        let config = &context.plan.machine;
        let core = Core::new(partition, recovered, claim, config, self.log.limits());
        let mut seat = Seat::new(owner, core, Runs::new(strings), snapshot);
        seat.driver.release(context, owner, outstanding);
        self.runs.insert(owner.lead, seat);
        self.current.insert(partition, owner.lead);
        Ok(())
    }

    /// Forgets leaders that were replaced, as their end of the process would.
    pub(crate) fn forget_replaced(&mut self) {
        let current = &self.current;
        self.runs
            .retain(|id, _| current.values().any(|leads| leads == id));
    }

    /// An input for the partition's present leader.
    pub(crate) fn ask_runs(
        &self,
        context: &mut Context,
        partition: PartitionId,
        class: Class,
        input: Input,
        ask: Ask,
    ) {
        if let Some(lead) = self.current.get(&partition) {
            let input = Lead::Run(Run::Input(Box::new((class, input, ask))));
            context.after(1, Event::Process(self.number, Inside::Lead(*lead, input)));
        }
    }

    /// An input for the accounts.
    pub(crate) fn ask_keys(&self, context: &mut Context, input: KeyInput, ask: Ask) {
        self.key_event(context, Key::Input(Box::new((input, ask))));
    }

    /// Something of the accounts' driver happens.
    pub(crate) fn key_event(&self, context: &mut Context, what: Key) {
        let event = Inside::Lead(KEYS_LEAD, Lead::Key(what));
        context.after(1, Event::Process(self.number, event));
    }

    /// Something happens within this process.
    pub(crate) fn happen(&mut self, context: &mut Context, what: Inside) -> Result<(), Trouble> {
        match what {
            Inside::Write(stripe) => self.write(context, stripe),
            Inside::Written(stripe, told) => self.written(context, stripe, told),
            Inside::Collect(stage) => self.collect(context, stage),
            Inside::Lead(KEYS_LEAD, what) => self.happen_to_keys(context, what),
            Inside::Lead(id, what) => self.happen_to_runs(context, id, what),
        }
    }

    /// As the engine's collector does it, with time for others between.
    fn collect(&mut self, context: &mut Context, stage: Stage) -> Result<(), Trouble> {
        let is_late = context.bug == Some(Bug::CollectionBeginsLate);
        let (begins, asks) = if is_late {
            (Stage::Ask, Stage::Begin)
        } else {
            (Stage::Begin, Stage::Ask)
        };
        if stage == begins {
            self.collection.0 = Some(self.blobs.begin_collection());
        }
        if stage == asks {
            let seats = self.current.values().filter_map(|lead| self.runs.get(lead));
            let states = seats.map(|seat| seat.core.machine().state());
            let names = states.flat_map(State::payloads);
            self.collection.1 = names.map(|name| blob_of(&name)).collect();
        }
        let next = match stage {
            Stage::Begin => Stage::Ask,
            Stage::Ask => Stage::Remove,
            Stage::Remove => return self.remove_unnamed(context),
        };
        let delay = context.dice.latency(200_000);
        let event = Event::Process(self.number, Inside::Collect(next));
        context.after(delay, event);
        Ok(())
    }

    fn remove_unnamed(&mut self, context: &mut Context) -> Result<(), Trouble> {
        self.is_collecting = false;
        let (collection, named) = std::mem::take(&mut self.collection);
        let Some(collection) = collection else {
            return Ok(());
        };
        // What fails is tried again some time; whether too much went is seen at the next start.
        let collected = collection.finish_now(|id| named.contains(id));
        context.note(format_args!("payloads: {collected:?}"));
        if context.disk.is_dead() {
            return Err(Trouble::Dead);
        }
        Ok(())
    }

    fn happen_to_runs(
        &mut self,
        context: &mut Context,
        id: LeadId,
        what: Lead,
    ) -> Result<(), Trouble> {
        let Some(seat) = self.runs.get_mut(&id) else {
            return Ok(());
        };
        if seat.is_paused {
            seat.deferred.push(what);
            return Ok(());
        }
        match what {
            Lead::Run(what) => seat.happen(context, what),
            Lead::Key(_) => {}
            what => happen_to_any(
                context,
                (&mut self.log, &self.blobs),
                seat,
                &mut self.waiting,
                what,
            ),
        }
        self.after_runs(context, id)
    }

    fn happen_to_keys(&mut self, context: &mut Context, what: Lead) -> Result<(), Trouble> {
        match what {
            Lead::Key(what) => self.keys.happen(context, what),
            Lead::Run(_) => {}
            what => happen_to_any(
                context,
                (&mut self.log, &self.blobs),
                &mut self.keys,
                &mut self.waiting,
                what,
            ),
        }
        self.after_keys(context);
        ended(context, &self.keys)
    }

    /// Lets out what may leave a leader and hands its next batch to the writer.
    fn after_runs(&mut self, context: &mut Context, id: LeadId) -> Result<(), Trouble> {
        let config = context.plan.machine.clone();
        let Some(seat) = self.runs.get_mut(&id) else {
            return Ok(());
        };
        let batch = seat.settle(context, &config);
        let partition = seat.owner.partition;
        if let Some(batch) = batch {
            let stripe = self.log.stripe_of(partition);
            self.waiting[stripe].push_back(Offer {
                lead: id,
                partition,
                batch,
            });
        }
        self.start_writers(context);
        let Some(seat) = self.runs.get(&id) else {
            return Ok(());
        };
        if seat.core.ending() == Some(&Phase::Fenced) {
            context.note(format_args!("leader {id} of {partition} is fenced"));
            if self.current.get(&partition) == Some(&id) {
                context.fail("only who was replaced is fenced", format!("leader {id}"));
            }
            self.runs.remove(&id);
            return Ok(());
        }
        ended(context, seat)
    }

    fn after_keys(&mut self, context: &mut Context) {
        let config = context.plan.machine.clone();
        if let Some(batch) = self.keys.settle(context, &config) {
            let stripe = self.log.stripe_of(KEYS);
            self.waiting[stripe].push_back(Offer {
                lead: KEYS_LEAD,
                partition: KEYS,
                batch,
            });
        }
        self.start_writers(context);
    }

    fn start_writers(&mut self, context: &mut Context) {
        for stripe in 0..self.waiting.len() {
            if !self.waiting[stripe].is_empty() && !self.is_writing[stripe] {
                self.is_writing[stripe] = true;
                let delay = context.dice.latency(30);
                context.after(delay, Event::Process(self.number, Inside::Write(stripe)));
            }
        }
    }

    /// The writer of a stripe takes all that waits, writes it at once and syncs once.
    fn write(&mut self, context: &mut Context, stripe: usize) -> Result<(), Trouble> {
        let mut offered = BTreeMap::new();
        let mut told = Vec::new();
        while let Some(offer) = self.waiting[stripe].pop_front() {
            let partition = offer.partition;
            let batch = if context.bug == Some(Bug::FenceByPosition) {
                by_position(&offer.batch, self.log.tail(partition))
            } else {
                offer.batch.clone()
            };
            match self.log.append(partition, batch, Some(offer.lead)) {
                Ok(()) => {
                    offered.insert(offer.lead, offer);
                }
                Err((_, error)) => told.push((offer, Err(error))),
            }
        }
        if context.bug == Some(Bug::AcknowledgeBeforeSync) {
            let early = std::mem::take(&mut offered);
            told.extend(early.into_values().map(|offer| (offer, Ok(()))));
        } else {
            self.log.flush(stripe);
        }
        for (lead, result) in self.log.told(stripe) {
            if let Some(offer) = lead.and_then(|lead| offered.remove(&lead)) {
                told.push((offer, result));
            }
        }
        if context.disk.is_dead() {
            return Err(Trouble::Dead);
        }
        let delay = context.plan.sync_us;
        let delay = context.dice.latency(delay);
        let event = Inside::Written(stripe, told);
        context.after(delay, Event::Process(self.number, event));
        Ok(())
    }

    fn written(
        &mut self,
        context: &mut Context,
        stripe: usize,
        told: Vec<(Offer, Result<(), Error>)>,
    ) -> Result<(), Trouble> {
        if context.bug == Some(Bug::AcknowledgeBeforeSync) {
            self.log.flush(stripe);
        }
        self.is_writing[stripe] = false;
        for (offer, result) in told {
            let Offer {
                lead,
                partition,
                batch,
            } = offer;
            if result.is_ok() {
                context.durable_now(partition, &batch);
            }
            if let Err(error) = &result {
                context.note(format_args!("{partition}: batch {}: {error}", batch.id));
                let is_expected =
                    matches!(error, Error::Full | Error::Ambiguous | Error::Fenced { .. });
                if !is_expected {
                    return Err(trouble(context, "appending", error));
                }
            }
            if lead == KEYS_LEAD {
                self.keys.told(context, result);
                self.after_keys(context);
                ended(context, &self.keys)?;
            } else if let Some(seat) = self.runs.get_mut(&lead) {
                if seat.is_paused {
                    seat.deferred.push(Lead::Told(Box::new(result)));
                } else {
                    seat.told(context, result);
                    self.after_runs(context, lead)?;
                }
            }
        }
        self.start_writers(context);
        Ok(())
    }

    /// Somebody looks at the states; now and then a leader has rested long enough.
    pub(crate) fn look(&mut self, context: &mut Context) {
        for lead in self.current.values().copied().chain([KEYS_LEAD]) {
            let what = if context.dice.percent(20) {
                Lead::Rest
            } else {
                Lead::Read
            };
            let delay = context.dice.latency(50_000);
            context.after(delay, Event::Process(self.number, Inside::Lead(lead, what)));
        }
        if !self.is_collecting && context.dice.percent(30) {
            self.is_collecting = true;
            let event = Event::Process(self.number, Inside::Collect(Stage::Begin));
            let delay = context.dice.latency(50_000);
            context.after(delay, event);
        }
    }

    /// Every leader's reasons to wake.
    pub(crate) fn audit(&mut self, context: &mut Context) {
        for lead in self.current.values() {
            if let Some(seat) = self.runs.get_mut(lead) {
                context.check("every live run has a reason to wake", seat.audit());
                let (partition, position) = (seat.owner.partition, seat.core.position());
                let Some(shadow) = context.runs.get_mut(&partition) else {
                    continue;
                };
                let is_known = self.compared.get(&partition) == Some(&position);
                if seat.is_idle() && position == shadow.tail() && !is_known {
                    self.compared.insert(partition, position);
                    let hash = seat.core.state_hash();
                    let checked = shadow.check_hash("its leader", hash);
                    context.check("the leader has the state of its records", checked);
                }
            }
        }
    }
}

fn ended<M: Machine, D>(context: &mut Context, seat: &Seat<M, D>) -> Result<(), Trouble> {
    match seat.core.ending() {
        None => Ok(()),
        Some(phase) => {
            let what = format!("{} ended: {phase:?}", seat.owner.partition);
            if !context.disk.has_failed() && !context.disk.is_dead() {
                context.fail("a leader leads while the disk works", &what);
            }
            Err(Trouble::Disk(what))
        }
    }
}

/// What happens to leaders of both kinds.
fn happen_to_any<M: Machine, D: Driver<M>>(
    context: &mut Context,
    (log, store): (&mut DirectLog<Option<LeadId>>, &BlobStore),
    seat: &mut Seat<M, D>,
    waiting: &mut [VecDeque<Offer>],
    what: Lead,
) {
    let partition = seat.owner.partition;
    match what {
        Lead::Put(blobs) => {
            let stored = blobs.iter().try_for_each(|blob| store.put_now(blob));
            context.note(format_args!(
                "{partition}: {} blobs: {stored:?}",
                blobs.len()
            ));
            seat.put(context, stored);
        }
        Lead::Append => {
            if let Some(batch) = seat.batch_again() {
                waiting[log.stripe_of(partition)].push_back(Offer {
                    lead: seat.owner.lead,
                    partition,
                    batch,
                });
            }
        }
        Lead::Told(result) => seat.told(context, *result),
        Lead::Resolve => {
            if let Some(id) = seat.asked() {
                let result = log.resolve(partition, id);
                context.note(format_args!("{partition}: batch {id} is {result:?}"));
                seat.resolved(context, result);
            }
        }
        Lead::Replay(at) => replay(context, log, seat, at),
        Lead::Store(at, data) => {
            let newest = context.bug == Some(Bug::TrimBeforeSnapshot);
            let early = newest.then(|| log.trim(partition, at.next()));
            let stored = log
                .put_snapshot(partition, at, data)
                .and_then(|()| log.trim(partition, seat.stored(at)));
            for result in early.into_iter().chain([stored]) {
                if let Err(error) = result {
                    context.note(format_args!(
                        "{partition}: snapshot of record {at}: {error}"
                    ));
                }
            }
            seat.snapshot_ended();
        }
        Lead::Rest => seat.rest(context),
        Lead::Read => seat.read(),
        Lead::Run(_) | Lead::Key(_) => {}
    }
}

/// Applies the log to the snapshot before, as the replayer beside a leader does, and stores what comes
/// out a little later.
fn replay<M: Machine, D: Driver<M>>(
    context: &mut Context,
    log: &DirectLog<Option<LeadId>>,
    seat: &mut Seat<M, D>,
    at: Position,
) {
    let partition = seat.owner.partition;
    let mut recovery = Recovery::new(partition, seat.core.machine().empty(), at);
    let mut replay = || -> Result<(), Error> {
        if let Some((before, data)) = log.get_snapshot(partition, at)? {
            recovery.restore(before, data)?;
        }
        while let Some(from) = recovery.next() {
            recovery.apply(&log.read(partition, from, READ_BYTES)?)?;
        }
        Ok(())
    };
    match replay() {
        Ok(()) => {
            let data = recovery.finish().into_snapshot();
            let delay = context.dice.latency(5_000);
            context.after(delay, seat.owner.event(Lead::Store(at, data)));
        }
        Err(error @ Error::Diverged { .. }) => context.fail(CHECKPOINTS, error),
        Err(error) => {
            // One that was replaced may find that its successor has let go of the records.
            context.note(format_args!("{partition}: replay to record {at}: {error}"));
            seat.snapshot_ended();
        }
    }
}

/// The batch as a log would take it that looks at positions alone.
fn by_position(batch: &Batch, (tail, last): (Position, BatchId)) -> Batch {
    let mut batch = batch.clone();
    if batch.first == tail.next() {
        batch.prev = last;
        batch.id = BatchId {
            epoch: last.epoch,
            n: last.n + 1,
        };
    }
    batch
}
