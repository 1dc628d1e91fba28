//! [pure] What is proposed to a partition, and what it replies.

use taraf_base::Timestamp;
use taraf_flow::{Data, FlowError};

use super::action::Purpose;
use super::event::Outcome;
use crate::{FlowId, RunId, Status};

/// What is proposed to a partition.
#[derive(Clone, Debug)]
pub enum Input {
    /// Begin a run.
    Start(Box<Begin>),
    /// A call has ended.
    Outcome {
        /// For which run.
        run: RunId,
        /// For which step.
        step: u32,
        /// How.
        outcome: Outcome,
        /// When it was sent.
        began: Timestamp,
        /// When it ended.
        ended: Timestamp,
    },
    /// A timer is due.
    TimerDue {
        /// Of which run.
        run: RunId,
        /// Of which step; 0 for the run.
        step: u32,
        /// What it is for.
        purpose: Purpose,
        /// When it was due.
        due: Timestamp,
    },
    /// A run's next turn.
    Continue(RunId),
    /// What would follow for this run cannot be recorded: it ends by this error.
    Fault(RunId, FlowError),
    /// A person's word.
    Control(RunId, Control),
    /// Forget runs that ended long ago.
    Sweep,
    /// Forget this run, which has ended.
    Remove(RunId),
    /// Let go of these runs, which are durable in the archive.
    Moved(Vec<RunId>),
}

/// A person's word about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// End it.
    Cancel,
    /// Start nothing new in it.
    Suspend,
    /// Let it go on.
    Resume,
}

/// What begins a run. The driver chooses the id, so that the core needs no chance.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The run's id.
    pub id: RunId,
    /// The version of the flow.
    pub flow: FlowId,
    /// Whether the caller named that version, rather than the highest.
    pub versioned: bool,
    /// SHA-256 of the definition.
    pub hash: String,
    /// Raw input.
    pub input: Data,
    /// Whose run it is.
    pub owner: Option<String>,
    /// The key that names the run for its starter.
    pub key: Option<String>,
    /// W3C trace context of the starter.
    pub traceparent: Option<String>,
    /// How many runs had moved to the archive when the key was last looked for there.
    pub moved: u64,
    /// A run that moved and that the archive no longer keeps: its key is free again.
    pub expired: Option<RunId>,
}

/// What the proposer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The run exists; `existing` when an earlier start with the same key made it.
    Started { id: RunId, existing: bool },
    /// The key was used with another flow or input.
    KeyConflict { existing: RunId },
    /// The key names a run that has moved to the archive.
    Moved { existing: RunId },
    /// So many runs have moved to the archive meanwhile that the key must be looked for there again.
    LookAgain,
    /// There is no room for another run, for this reason.
    Overloaded(&'static str),
    /// A payload cannot be read now: nothing was recorded, and the same may be proposed again.
    TryAgain,
    /// Done.
    Done,
    /// Ended runs were forgotten; whether others are left to forget.
    Swept { more: bool },
    /// What it was about is over: nothing was recorded.
    Late,
    /// No such run.
    NotFound,
    /// Not in this phase.
    NotPossible(Status),
}
