//! What can go wrong when the engine is asked for something.

use taraf_flow::Finding;
use taraf_log::machine::ProposeError;

use crate::archive;
use crate::journal;
use crate::{FlowId, FlowRef, RunId};

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No flow of this name, or not in this version.
    #[error("find the flow {0}: it is not published")]
    NoSuchFlow(FlowRef),
    /// No run of this id, or it is no longer kept.
    #[error("find the run {0}: it does not exist or is no longer kept")]
    NoSuchRun(RunId),
    /// The definition has errors.
    #[error("accept the definition: {}", summary(.0))]
    Invalid(Vec<Finding>),
    /// The definition is sound, but has tasks that are not built.
    #[error("run the definition: {}", summary(.0))]
    Unsupported(Vec<Finding>),
    /// This version exists with other content; versions are immutable.
    #[error("publish {0}: this version exists with other content")]
    Conflict(FlowId),
    /// This version exists with the same text, but documents elsewhere have other content by now.
    #[error(
        "publish {flow}: this version exists, and what it needs has changed since: {}; give it a new version",
        .places.join(", ")
    )]
    Changed {
        /// Which version.
        flow: FlowId,
        /// Places in the definition whose documents changed.
        places: Vec<String>,
    },
    /// The idempotency key was used with another flow or another input.
    #[error(
        "start the run: the idempotency key was used for {existing} with another flow or input"
    )]
    KeyConflict {
        /// The run that has the key.
        existing: RunId,
    },
    /// The run is in a state in which this cannot be done.
    #[error("{action} the run {run}: it is {status}")]
    NotPossible {
        /// What was asked.
        action: &'static str,
        /// Of which run.
        run: RunId,
        /// The state that it is in.
        status: crate::Status,
    },
    /// Something given is not acceptable.
    #[error("accept {what}: {why}")]
    Refused {
        /// What was given.
        what: &'static str,
        /// Why it is refused.
        why: String,
    },
    /// The input of a run is over the limit. Nothing was recorded.
    #[error("accept the input: it has {bytes} bytes, more than the {max} that are allowed")]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
        /// The most that it may have.
        max: usize,
    },
    /// Too much is waiting: try again later.
    #[error("accept more work: {0}")]
    Overloaded(&'static str),
    /// The partition does not lead, or stopped.
    #[error("reach the partition")]
    Partition(#[source] ProposeError),
    /// The log did not open.
    #[error("use the log")]
    Log(#[from] taraf_log::Error),
    /// The archive did not answer.
    #[error("use the archive of finished runs")]
    Archive(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The journals of live runs cannot be read or written.
    #[error("use the journals of live runs")]
    Journals(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A payload of a run cannot be read.
    #[error("read a payload of the run {run}")]
    Payload {
        /// Which run.
        run: RunId,
        /// Why not, and what can be done.
        #[source]
        source: taraf_log::blob::Error,
    },
    /// A search of the archive took too long.
    #[error("find runs in time: narrow the search by status, flow, owner or time")]
    SearchTooLong,
}

impl Error {
    pub(crate) fn journals(error: journal::Error) -> Self {
        Self::Journals(Box::new(error))
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Overloaded(_) | Self::Partition(_))
    }
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Overloaded => Self::Overloaded("the inbox of the partition is full"),
            ProposeError::Full => Self::Overloaded("the log has no space"),
            ProposeError::TooLarge { max } => Self::Refused {
                what: "the request",
                why: format!(
                    "what follows from it has more than the {max} bytes that are recorded at once"
                ),
            },
            other => Self::Partition(other),
        }
    }
}

impl From<archive::Error> for Error {
    fn from(error: archive::Error) -> Self {
        match error {
            archive::Error::TooLong => Self::SearchTooLong,
            other => Self::Archive(Box::new(other)),
        }
    }
}

fn summary(findings: &[Finding]) -> String {
    match findings {
        [] => "it has errors".to_owned(),
        [one] => format!("line {}: {}", one.line, one.message),
        [first, rest @ ..] => format!(
            "line {}: {} (and {} more)",
            first.line,
            first.message,
            rest.len()
        ),
    }
}
