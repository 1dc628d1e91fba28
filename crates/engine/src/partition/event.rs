//! [pure] What is recorded of a run. Also what users read as its journal.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::{Data, FlowError};

use crate::{FlowId, RunId};

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// In which run.
    pub run: RunId,
    /// What.
    pub what: What,
}

/// A place in a run where one task after the other is done: the run's own list, a task's list, or a
/// branch. `step` is 0 for the run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lane {
    /// The step that owns it.
    pub step: u32,
    /// Which of the step's lanes: the branch of a fork; 0 for `try`, 1 for `catch.do`.
    pub slot: u32,
}

impl Lane {
    /// The run's own list.
    pub const ROOT: Self = Self { step: 0, slot: 0 };
    /// The slot of `catch.do`.
    pub const CATCH: u32 = 1;

    /// The only or first lane of a step.
    #[must_use]
    pub const fn first(step: u32) -> Self {
        Self { step, slot: 0 }
    }
}

/// What happened. Kind numbers are in `codec.rs` and never used again for something else.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The run was accepted.
    Started(Arc<Begun>),
    /// A task began.
    Entered(Entered),
    /// A task's `if` was false.
    Skipped {
        lane: Lane,
        task: Arc<str>,
        index: u32,
    },
    /// The items of a loop are known.
    Looped { step: u32, items: Arc<[Data]> },
    /// An iteration begins.
    Iterated { step: u32, index: u32, input: Given },
    /// A call is to be made. For an at-most-once call this is the intent: durable before it is sent.
    Scheduled {
        step: u32,
        class: CallClass,
        key: Arc<str>,
        request: Data,
    },
    /// A call has ended.
    Answered {
        step: u32,
        outcome: Outcome,
        began: Timestamp,
        ended: Timestamp,
    },
    /// A task waits for an instant.
    Waiting { step: u32, until: Timestamp },
    /// A branch of a fork has ended.
    Joined {
        step: u32,
        branch: u32,
        outcome: BranchOutcome,
    },
    /// An error was caught.
    Caught(Caught),
    /// The next attempt of a `try` begins.
    Retried {
        step: u32,
        attempt: u32,
        until: Option<Timestamp>,
    },
    /// A task has ended well. `context` is set when it exported one.
    TaskCompleted {
        step: u32,
        output: Given,
        context: Option<Data>,
    },
    /// A task has ended by an error.
    TaskFaulted { step: u32, error: FlowError },
    /// A task was ended from outside.
    TaskCancelled { step: u32 },
    /// The run lets others have their turn before this task.
    Paused { lane: Lane, index: u32 },
    /// A person holds the run.
    Suspended,
    /// A person lets the run go on. Timeouts are `held` milliseconds later than they were.
    Resumed { held: u64 },
    /// The run has ended with this output.
    Completed { output: Data },
    /// The run has ended by this error.
    Faulted { error: FlowError },
    /// The run was ended by a person, or with its caller.
    Cancelled { why: String },
    /// The run is no longer kept.
    Removed,
    /// The run has ended and is in the archive: the partition lets go of it.
    Moved,
}

impl What {
    /// Whether the run ends by it.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Completed { .. } | Self::Faulted { .. } | Self::Cancelled { .. }
        )
    }
}

/// How a run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// The version of the flow that it follows to its end.
    pub flow: FlowId,
    /// SHA-256 of the definition.
    pub hash: Arc<str>,
    /// Raw input.
    pub raw: Data,
    /// Input after `input.from`; none when that is the raw one.
    pub input: Option<Data>,
    /// Whose run it is.
    pub owner: Option<String>,
    /// The key that names it for its starter.
    pub key: Option<String>,
    /// W3C trace context of the starter.
    pub traceparent: Option<String>,
    /// When the run times out.
    pub deadline: Option<Timestamp>,
}

/// A task that began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entered {
    /// The step's number in the run, from 1.
    pub step: u32,
    /// Where.
    pub lane: Lane,
    /// The task's place in its list.
    pub index: u32,
    /// JSON Pointer of the task.
    pub task: Arc<str>,
    /// The kind of task.
    pub kind: StepKind,
    /// Iterations and repeated visits of the lists around it: `.2~1`.
    pub iteration: Arc<str>,
    /// Attempt of the innermost `try` around it.
    pub attempt: u32,
    /// Input after `input.from`; none when that is the raw one.
    pub input: Option<Data>,
    /// When it times out.
    pub deadline: Option<Timestamp>,
}

/// What a step is, as far as its state depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepKind {
    /// Ends in the group in which it begins.
    Instant,
    /// `do`
    Do,
    /// `for`
    For,
    /// `fork`
    Fork,
    /// `try`
    Try,
    /// `call`
    Call,
    /// `wait`
    Wait,
}

/// Data that the state may already hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Given {
    /// The step's transformed input.
    Input,
    /// What the lane of the step in that slot ended with.
    Lane(u32),
    /// What the call answered.
    Answer,
    /// This.
    Data(Data),
}

/// How a call or a branch ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// With this.
    Ok(Data),
    /// With this error.
    Err(#[serde(with = "as_json")] FlowError),
    /// With this error before anything was sent: an at-most-once call may be made again.
    Unsent(#[serde(with = "as_json")] FlowError),
}

/// How a branch ended: well, with what its lane holds, or with an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BranchOutcome {
    /// The branch's lane holds its output.
    Done,
    /// With this error.
    Faulted(#[serde(with = "as_json")] FlowError),
}

/// An error that a `try` caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caught {
    /// The `try`.
    pub step: u32,
    /// The error.
    #[serde(with = "as_json")]
    pub error: FlowError,
    /// When the next attempt begins; none: the error is handled or swallowed.
    pub retry: Option<Timestamp>,
}

/// How often a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallClass {
    /// As often as needed: asking twice is as asking once.
    Idempotent,
    /// At least once, with the same key each time.
    AtLeastOnce,
    /// At most once: what is not known is `uncertain`.
    AtMostOnce,
}

/// An error as one JSON document in bytes: its members are the user's and may be anything.
pub(crate) mod as_json {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _, ser::Error as _};
    use taraf_flow::FlowError;

    pub(crate) fn serialize<S: Serializer>(error: &FlowError, to: S) -> Result<S::Ok, S::Error> {
        let json = serde_json::to_vec(error).map_err(S::Error::custom)?;
        to.serialize_bytes(&json)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<FlowError, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(from)?;
        serde_json::from_slice(&bytes).map_err(D::Error::custom)
    }
}
