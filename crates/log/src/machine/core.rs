//! [pure] A machine that leads, without anything that waits: decide and evolve at once, gather while a
//! batch is on its way, tell when it is durable. `leader.rs` drives it; the simulator drives it too.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use taraf_base::Timestamp;

use super::recovery::{Recovered, evolve, panic_text};
use super::{Class, Config, Decision, Machine, Phase, ProposeError, checkpoint};
use crate::blob::Blob;
use crate::record::{self, Record};
use crate::{Batch, BatchId, Durability, Error, Limits, PartitionId, Position, Space};

/// Answers that may wait for the disk, those of inputs without events and of reads included.
const WAITING_MAX: usize = 16_384;

/// What a leader has for the world, in the order in which it may leave.
#[derive(Debug)]
pub enum Output<M: Machine, P, R> {
    /// These events are durable now, and all before them.
    Committed {
        /// The last of them.
        position: Position,
        /// In order, each with the time of its record.
        events: Vec<(Timestamp, M::Event)>,
    },
    /// The cause of these actions is durable.
    Release(Vec<M::Action>),
    /// Who proposed is told; `Ok` only when all that led to it is durable.
    Answer(P, Result<M::Reply, ProposeError>),
    /// What a reader saw is durable.
    Seen(R),
}

/// Groups that will be one batch, and all that must wait until it is durable.
struct Gathered<M: Machine, P, R> {
    first: Position,
    count: u32,
    frames: Vec<u8>,
    events: Vec<(Timestamp, M::Event)>,
    actions: Vec<M::Action>,
    told: Vec<Told<M, P, R>>,
    /// What must be durable before the frames. Held until these are, too: so long it is found here.
    blobs: Vec<Arc<Blob>>,
    blob_bytes: usize,
}

/// A batch to append, and the blobs that it names: first they are made durable, then it is offered.
#[derive(Debug)]
pub struct Outgoing {
    /// The batch.
    pub batch: Batch,
    /// What it names and is not durable yet.
    pub blobs: Vec<Arc<Blob>>,
}

/// Who is told when a batch is durable, and what.
enum Told<M: Machine, P, R> {
    Reply(P, M::Reply),
    Seen(R),
}

/// A machine that leads its partition. `P` is who proposes, `R` who reads; both are handed back with
/// the answer.
///
/// Each call may leave outputs, which [`Core::next_output`] answers in order. At most one batch is on
/// its way: [`Core::next_batch`] gives it out, [`Core::settled`] says what became of it.
///
/// Invariant: nothing leaves (answer, action, committed event) before the batch that holds its cause,
/// and so all batches before it, are durable. It holds because all three live in `Gathered` and are taken out in [`Core::settled`] alone, or arise when nothing is pending.
pub struct Core<M: Machine, P, R> {
    partition: PartitionId,
    batch_bytes_max: usize,
    gather_bytes_max: usize,
    machine: M,
    /// The last record decided, which may run ahead of the disk.
    position: Position,
    time: Timestamp,
    last: BatchId,
    gathered: VecDeque<Gathered<M, P, R>>,
    in_flight: Option<Gathered<M, P, R>>,
    space: Space,
    is_full: bool,
    /// Records between two checkpoints; 0 writes none.
    checkpoint_every: u64,
    since_checkpoint: u64,
    outputs: VecDeque<Output<M, P, R>>,
    ending: Option<Phase>,
    is_over: bool,
}

impl<M: Machine, P, R> Core<M, P, R> {
    /// A leader at the end of its log. `claim` is where its term stands in the chain, `limits` are
    /// those of the log.
    #[must_use]
    pub fn new(
        partition: PartitionId,
        recovered: Recovered<M>,
        claim: BatchId,
        config: &Config,
        limits: Limits,
    ) -> Self {
        let keeps_records = limits.durability != Durability::Nothing;
        Self {
            partition,
            batch_bytes_max: limits.batch_bytes_max,
            gather_bytes_max: config.gather_bytes_max,
            machine: recovered.machine,
            position: recovered.position,
            time: recovered.time,
            last: claim,
            gathered: VecDeque::new(),
            in_flight: None,
            space: Space::Ample,
            is_full: false,
            checkpoint_every: if M::HASHED.is_some() && keeps_records {
                config.checkpoint_every
            } else {
                0
            },
            since_checkpoint: 0,
            outputs: VecDeque::new(),
            ending: None,
            is_over: false,
        }
    }

    /// The state, which may run ahead of the disk.
    #[must_use]
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// The last record decided, which may run ahead of the disk.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Whether it takes more before what it gathered is on its way.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let waiting = self.in_flight.iter().chain(&self.gathered);
        let waiting: usize = waiting.map(|gathered| gathered.told.len()).sum();
        let bytes = self.gathered.iter().map(Gathered::bytes);
        let bytes = bytes.fold(0, usize::saturating_add);
        self.ending.is_none() && waiting < WAITING_MAX && bytes < self.gather_bytes_max
    }

    /// Why it takes nothing more, once that is so.
    #[must_use]
    pub const fn ending(&self) -> Option<&Phase> {
        self.ending.as_ref()
    }

    /// Whether nothing of it can be written any more: not even what was decided.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes nothing more; what was decided is still written.
    pub fn end(&mut self, why: Phase) {
        self.ending.get_or_insert(why);
    }

    /// Whether a batch waits for room now: nothing but outcomes is taken meanwhile.
    pub const fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// It must not lead any more, not even write what was decided: who waits is told by being dropped.
    pub fn abandon(&mut self, why: Phase) {
        self.is_over = true;
        self.ending = Some(why);
    }

    /// A hash over the state, which may run ahead of the disk.
    pub fn state_hash(&mut self) -> u64 {
        self.machine.state_hash()
    }

    /// How much room is left: what begins work is refused before what ends it.
    pub const fn set_space(&mut self, space: Space) {
        self.space = space;
    }

    /// What leaves next.
    pub fn next_output(&mut self) -> Option<Output<M, P, R>> {
        self.outputs.pop_front()
    }

    /// Looks at the state; what the look answers is handed back when the state that it saw is
    /// durable. A look that panics is dropped with its answer, and the state is unchanged.
    pub fn read(&mut self, look: impl FnOnce(&M) -> R) {
        match catch_unwind(AssertUnwindSafe(|| look(&self.machine))) {
            Ok(seen) => self.when_durable(Vec::new(), Told::Seen(seen)),
            Err(panic) => tracing::error!(why = panic_text(panic.as_ref()), "a read panicked"),
        }
    }

    /// Decides on an input at the time `now`, or at that of the last record if the clock went back.
    pub fn propose(&mut self, class: Class, input: M::Input, now: Timestamp, proposer: P) {
        let is_refused = match class {
            Class::Outcome => false,
            Class::Control => self.is_full,
            Class::Event => self.is_full || self.space == Space::Full,
            Class::Start => self.is_full || self.space != Space::Ample,
        };
        if is_refused {
            self.refuse(proposer, ProposeError::Full);
            return;
        }
        let now = now.max(self.time);
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let mut decision = self.machine.decide(input, now);
            // Without room payloads stay in their records, which have room held back for them.
            let has_room = self.space != Space::Full;
            let blobs = self.machine.detach(&mut decision.events, has_room);
            let frames = encode::<M>(&decision.events, self.position, now);
            (decision, frames, blobs)
        }));
        let (decision, frames, blobs) = match decided {
            Ok(decided) => decided,
            Err(panic) => {
                let why = panic_text(panic.as_ref());
                tracing::error!(partition = %self.partition, why, "deciding on an input panicked");
                self.refuse(proposer, ProposeError::Panicked(why));
                return;
            }
        };
        let max = self.batch_bytes_max;
        if frames.len() > max {
            self.refuse(proposer, ProposeError::TooLarge { max });
        } else if decision.events.is_empty() {
            self.when_durable(decision.actions, Told::Reply(proposer, decision.reply));
        } else {
            self.record(decision, proposer, (&frames, blobs), now);
        }
    }

    /// The next batch to append, when none is on its way.
    pub fn next_batch(&mut self) -> Option<Outgoing> {
        if self.in_flight.is_some() || self.is_over {
            return None;
        }
        let mut gathered = self.gathered.pop_front()?;
        let batch = Batch {
            prev: self.last,
            id: self.last.next(),
            first: gathered.first,
            count: gathered.count,
            frames: Bytes::from(std::mem::take(&mut gathered.frames)),
        };
        self.last = batch.id;
        let blobs = gathered.blobs.clone();
        self.in_flight = Some(gathered);
        Some(Outgoing { batch, blobs })
    }

    /// What became of the batch on its way. On an error it is over, and [`Core::ending`] says why;
    /// who waits is told by being dropped with the leader.
    pub fn settled(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.is_over = true;
            self.ending = Some(match error {
                Error::Fenced { by, tail } => {
                    tracing::warn!(partition = %self.partition, %by, %tail, "fenced");
                    Phase::Fenced
                }
                Error::Full => Phase::Stopped,
                error => {
                    tracing::error!(partition = %self.partition, %error, "failed to append");
                    Phase::Poisoned(error.to_string())
                }
            });
            return;
        }
        let Some(gathered) = self.in_flight.take() else {
            return;
        };
        let count = u64::from(gathered.count).saturating_sub(1);
        self.outputs.push_back(Output::Committed {
            position: gathered.first.plus(count),
            events: gathered.events,
        });
        if !gathered.actions.is_empty() {
            self.outputs.push_back(Output::Release(gathered.actions));
        }
        self.outputs
            .extend(gathered.told.into_iter().map(Told::into_output));
    }

    fn refuse(&mut self, proposer: P, why: ProposeError) {
        self.outputs.push_back(Output::Answer(proposer, Err(why)));
    }

    /// Applies a group and adds it to what will be written.
    fn record(
        &mut self,
        decision: Decision<M>,
        proposer: P,
        (frames, blobs): (&[u8], Vec<Arc<Blob>>),
        now: Timestamp,
    ) {
        let mut position = self.position;
        for event in &decision.events {
            position = position.next();
            if let Err(panic) = evolve(&mut self.machine, event, now) {
                // The state is half changed and the group not written: write what was decided
                // before it, then stop. A restart comes back without this group.
                let why = format!("{}, record {position}: {panic}", self.partition);
                tracing::error!(why, "parking a partition");
                self.refuse(proposer, ProposeError::Poisoned(why.clone()));
                self.ending = Some(Phase::Poisoned(why));
                return;
            }
        }
        let count = position.0.saturating_sub(self.position.0);
        self.make_room(frames.len());
        self.position = position;
        self.time = now;
        let gathered = self.gathered.back_mut().expect("one was just made");
        let count = u32::try_from(count).expect("a group's bytes, so its events, are limited");
        gathered.count = gathered.count.saturating_add(count);
        gathered.frames.extend_from_slice(frames);
        for blob in blobs {
            gathered.blob_bytes = gathered.blob_bytes.saturating_add(blob.bytes.len());
            gathered.blobs.push(blob);
        }
        let events = decision.events.into_iter().map(|event| (now, event));
        gathered.events.extend(events);
        gathered.actions.extend(decision.actions);
        gathered.told.push(Told::Reply(proposer, decision.reply));
        self.since_checkpoint = self.since_checkpoint.saturating_add(u64::from(count));
        if self.checkpoint_every > 0 && self.since_checkpoint >= self.checkpoint_every {
            self.checkpoint();
        }
    }

    /// Writes down what the state is after all that was decided.
    fn checkpoint(&mut self) {
        self.since_checkpoint = 0;
        let hash = (M::HASHED.unwrap_or(0), self.machine.state_hash());
        let mut frame = Vec::new();
        checkpoint::encode(self.position.next(), self.time, hash, &mut frame);
        self.make_room(frame.len());
        self.position = self.position.next();
        if let Some(gathered) = self.gathered.back_mut() {
            gathered.count = gathered.count.saturating_add(1);
            gathered.frames.extend_from_slice(&frame);
        }
    }

    /// What is gathered last takes so many bytes more.
    fn make_room(&mut self, bytes: usize) {
        let max = self.batch_bytes_max;
        let fits = |g: &Gathered<M, P, R>| g.frames.len().saturating_add(bytes) <= max;
        if !self.gathered.back().is_some_and(fits) {
            self.gathered.push_back(Gathered::new(self.position.next()));
        }
    }

    /// For what changes nothing: it waits for the state that it saw.
    fn when_durable(&mut self, actions: Vec<M::Action>, told: Told<M, P, R>) {
        let pending = self.gathered.back_mut().or(self.in_flight.as_mut());
        if let Some(gathered) = pending {
            gathered.actions.extend(actions);
            gathered.told.push(told);
            return;
        }
        if !actions.is_empty() {
            self.outputs.push_back(Output::Release(actions));
        }
        self.outputs.push_back(told.into_output());
    }
}

impl<M: Machine, P, R> Told<M, P, R> {
    fn into_output(self) -> Output<M, P, R> {
        match self {
            Self::Reply(proposer, reply) => Output::Answer(proposer, Ok(reply)),
            Self::Seen(reader) => Output::Seen(reader),
        }
    }
}

impl<M: Machine, P, R> Gathered<M, P, R> {
    fn new(first: Position) -> Self {
        Self {
            first,
            count: 0,
            frames: Vec::new(),
            events: Vec::new(),
            actions: Vec::new(),
            told: Vec::new(),
            blobs: Vec::new(),
            blob_bytes: 0,
        }
    }

    const fn bytes(&self) -> usize {
        self.frames.len().saturating_add(self.blob_bytes)
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
