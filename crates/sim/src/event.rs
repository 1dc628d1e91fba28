//! [pure] What can happen in a simulation, in one place.

use std::sync::Arc;

use taraf_engine::RunId;
use taraf_engine::partition::{Control, Input};
use taraf_gateway::registry::{Input as KeyInput, KeyId};
use taraf_log::blob::Blob;
use taraf_log::snapshot::Data;
use taraf_log::{Batch, Error, PartitionId, Position};

use crate::plan::Fault;

/// A leader of one process; each has a number of its own.
pub(crate) type LeadId = u64;

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Nobody,
    /// An input that is insisted on.
    Insist(u64),
    /// A client's operation.
    Client(u64),
    /// A meter that reserves a block.
    Meter(KeyId, taraf_gateway::quota::Month),
}

#[derive(Debug)]
pub(crate) enum Event {
    /// A process starts.
    Boot,
    /// The next fault.
    Fault,
    /// A fault that was chosen.
    Inject(Fault),
    /// A disk that was full has room again.
    Room,
    /// Another leader takes the partition of a paused one.
    TakeOver(LeadId),
    /// A paused leader goes on.
    GoOn(LeadId),
    /// Faults are over.
    Heal,
    /// Whether all is done now.
    Look,
    /// Every leader's reasons to wake are compared with what will wake it.
    Audit,
    /// A client starts, or starts again, its run.
    Start(usize),
    /// A client gave up waiting for an answer.
    GiveUp(u64),
    /// A person's word about some run.
    Control(Option<(RunId, Control)>),
    /// Someone asks something of the accounts.
    Key,
    /// A call is made with some key.
    Use(u64),
    /// A call reaches its service.
    Execute(Box<OnWire>),
    /// Something within the process of that number.
    Process(u64, Inside),
}

/// A call between the invoker and a service.
#[derive(Clone, Debug)]
pub(crate) struct OnWire {
    pub(crate) process: u64,
    pub(crate) lead: LeadId,
    pub(crate) call: u64,
    pub(crate) run: RunId,
    pub(crate) step: u32,
    pub(crate) attempt: u32,
    pub(crate) key: String,
}

/// A batch on its way through the writer. Its leader may be gone before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) lead: LeadId,
    pub(crate) partition: PartitionId,
    pub(crate) batch: Batch,
}

/// What happens within a process.
#[derive(Debug)]
pub(crate) enum Inside {
    /// The writer of a stripe takes what waits.
    Write(usize),
    /// What a stripe wrote is told.
    Written(usize, Vec<(Offer, Result<(), Error>)>),
    /// Payloads that nothing names are looked for: begun, asked for, removed.
    Collect(Stage),
    Lead(LeadId, Lead),
}

/// How far a collection of payloads is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Begin,
    Ask,
    Remove,
}

/// What happens to a leader.
#[derive(Debug)]
pub(crate) enum Lead {
    /// The blobs that its batch names are stored.
    Put(Vec<Arc<Blob>>),
    /// Its batch is offered, or offered again.
    Append,
    /// What became of its batch, kept while it was paused.
    Told(Box<Result<(), Error>>),
    /// It asks what became of its batch.
    Resolve,
    /// The log up to that record is replayed for a snapshot.
    Replay(Position),
    /// Its snapshot is stored.
    Store(Position, Data),
    /// It rests.
    Rest,
    /// The state is looked at.
    Read,
    Run(Run),
    Key(Key),
}

#[derive(Debug)]
pub(crate) enum Run {
    Input(Box<(taraf_log::machine::Class, Input, Ask)>),
    /// The timers are looked at; an older look is void.
    Timers(u64),
    /// An input is proposed, again or for the first time.
    Propose(u64),
    /// A call goes out.
    Send(u64),
    /// A call's answer is here.
    Answered(Box<OnWire>),
}

#[derive(Debug)]
pub(crate) enum Key {
    Input(Box<(KeyInput, Ask)>),
    /// A unit of a key's quota is spent; how often it was tried.
    Spend(KeyId, u32),
}
