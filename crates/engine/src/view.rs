//! [pure] Runs as their readers see them.

use serde::Serialize;
use taraf_base::Timestamp;
use taraf_flow::{Data, FlowError};
use taraf_log::PartitionId;

use crate::{FlowId, FlowRef, RunId};

/// Phase of a run, in the words of the language.
pub use taraf_flow::lifecycle::Phase as Status;

/// What starts a run.
#[derive(Clone, Debug)]
pub struct Start {
    /// Which flow.
    pub flow: FlowRef,
    /// Its raw input; absent means `{}`.
    pub input: Option<Data>,
    /// The same key with the same flow and input names the same run.
    pub idempotency_key: Option<String>,
    /// Whose run it is; the gateway shows it to nobody else.
    pub owner: Option<String>,
    /// W3C trace context of the caller, sent along with every call.
    pub traceparent: Option<String>,
}

impl Start {
    /// Starts the highest version of a flow with this input.
    #[must_use]
    pub fn new(flow: FlowRef, input: Option<Data>) -> Self {
        Self {
            flow,
            input,
            idempotency_key: None,
            owner: None,
            traceparent: None,
        }
    }
}

/// A run that was accepted: it survives a crash from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub id: RunId,
    /// Whether an earlier start with the same key made it.
    pub existing: bool,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The version of the flow that it follows to its end.
    pub flow: FlowId,
    /// Its phase.
    pub status: Status,
    /// One sentence: what it waits for, or how it ended.
    pub why: String,
    /// Its raw input.
    pub input: Data,
    /// Its result, when completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Data>,
    /// Its error, when faulted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FlowError>,
    /// When it was accepted.
    pub created: Timestamp,
    /// When its first task could begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When something last happened to it.
    pub updated: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Whose run it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The key that it was started with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JournalEntry {
    /// Its number in the run, from 1.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// What: `entered`, `scheduled`, `completed`…
    pub event: &'static str,
    /// The task, as a JSON Pointer into the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The task's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which iteration of the loops around it, and which visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iteration: Option<String>,
    /// Which attempt of the innermost `try` around it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What came in, went out or was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// In place of data that are kept beside the log and not shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// The error, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FlowError>,
    /// When what it waits for is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A part of a journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JournalPage {
    /// The entries, the first first.
    pub entries: Vec<JournalEntry>,
    /// The number of the last of them, when there are others behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl JournalPage {
    /// The most entries of one page; long ones make it shorter.
    pub const MAX: usize = 10_000;
}

/// Data that are kept beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Payload {
    /// The name that they are kept under: SHA-256 and length.
    pub name: String,
    /// How many bytes they have.
    pub bytes: u64,
    /// Why they cannot be read, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this phase.
    pub status: Option<Status>,
    /// Of this flow, of any version when none is named.
    pub flow: Option<FlowRef>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Created at or after.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
    /// Text that occurs in the id, the flow's name, the idempotency key or the error.
    pub q: Option<String>,
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// `next` of the page before.
    pub after: Option<String>,
    /// How many runs, at most [`Page::MAX`].
    pub limit: usize,
}

impl Page {
    /// The longest page.
    pub const MAX: usize = 500;
}

impl Default for Page {
    fn default() -> Self {
        Self {
            after: None,
            limit: 50,
        }
    }
}

/// A part of a list, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<Run>,
    /// Where the next page begins, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Partitions that are not led now: their runs are not among these.
    #[serde(skip)]
    pub unled: Vec<PartitionId>,
}
