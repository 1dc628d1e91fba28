//! [pure] Events as record bodies: MessagePack by position, drawn in `docs/protocols/run-log.md`.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use taraf_base::Timestamp;
use taraf_flow::{Data, FlowError};
use taraf_log::machine::{DecodeError, Header};

use super::event::{
    Begun, BranchOutcome, CallClass, Caught, Entered, Event, Given, Lane, Outcome, What, as_json,
};
use crate::RunId;

/// Version of the snapshot's layout.
pub const SNAPSHOT_VERSION: u8 = 5;
/// Version of the bodies' layout when no document in them is kept elsewhere.
const VERSION: u16 = 1;
/// The same with the name of a document wherever one is kept elsewhere.
const VERSION_NAMING: u16 = 2;

/// Kind numbers and their names. A number is never used again for something else.
pub const KINDS: [(u8, &str); 22] = [
    (1, "started"),
    (2, "entered"),
    (3, "skipped"),
    (4, "looped"),
    (5, "iterated"),
    (6, "scheduled"),
    (7, "answered"),
    (8, "waiting"),
    (9, "joined"),
    (10, "caught"),
    (11, "retried"),
    (12, "task-completed"),
    (13, "task-faulted"),
    (14, "task-cancelled"),
    (15, "paused"),
    (16, "suspended"),
    (17, "resumed"),
    (18, "completed"),
    (19, "faulted"),
    (20, "cancelled"),
    (21, "removed"),
    (22, "moved"),
];

impl What {
    /// The number of its kind.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Started(_) => 1,
            Self::Entered(_) => 2,
            Self::Skipped { .. } => 3,
            Self::Looped { .. } => 4,
            Self::Iterated { .. } => 5,
            Self::Scheduled { .. } => 6,
            Self::Answered { .. } => 7,
            Self::Waiting { .. } => 8,
            Self::Joined { .. } => 9,
            Self::Caught(_) => 10,
            Self::Retried { .. } => 11,
            Self::TaskCompleted { .. } => 12,
            Self::TaskFaulted { .. } => 13,
            Self::TaskCancelled { .. } => 14,
            Self::Paused { .. } => 15,
            Self::Suspended => 16,
            Self::Resumed { .. } => 17,
            Self::Completed { .. } => 18,
            Self::Faulted { .. } => 19,
            Self::Cancelled { .. } => 20,
            Self::Removed => 21,
            Self::Moved => 22,
        }
    }

    /// The name of its kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let kind = self.kind();
        KINDS
            .iter()
            .find(|(number, _)| *number == kind)
            .map_or("unknown", |(_, name)| name)
    }
}

#[derive(Serialize, Deserialize)]
struct WireError(#[serde(with = "as_json")] FlowError);

/// Appends the body of an event, and answers what the record says beside it.
pub(crate) fn encode(event: &Event, body: &mut Vec<u8>) -> Header {
    match &event.what {
        What::Started(begun) => put(body, &**begun),
        What::Entered(entered) => put(body, entered),
        What::Skipped { lane, task, index } => put(body, &(lane, task, index)),
        What::Looped { step, items } => put(body, &(step, items)),
        What::Iterated { step, index, input } => put(body, &(step, index, input)),
        What::Scheduled {
            step,
            class,
            key,
            request,
        } => put(body, &(step, class, key, request)),
        What::Answered {
            step,
            outcome,
            began,
            ended,
        } => put(body, &(step, outcome, began, ended)),
        What::Waiting { step, until } => put(body, &(step, until)),
        What::Joined {
            step,
            branch,
            outcome,
        } => put(body, &(step, branch, outcome)),
        What::Caught(caught) => put(body, caught),
        What::Retried {
            step,
            attempt,
            until,
        } => put(body, &(step, attempt, until)),
        What::TaskCompleted {
            step,
            output,
            context,
        } => put(body, &(step, output, context)),
        What::TaskFaulted { step, error } => put(body, &(step, WireError(error.clone()))),
        What::TaskCancelled { step } => put(body, &(step,)),
        What::Paused { lane, index } => put(body, &(lane, index)),
        What::Resumed { held } => put(body, &(held,)),
        What::Completed { output } => put(body, &(output,)),
        What::Faulted { error } => put(body, &(WireError(error.clone()),)),
        What::Cancelled { why } => put(body, &(why,)),
        What::Suspended | What::Removed | What::Moved => {}
    }
    Header {
        kind: event.what.kind(),
        version: if event.what.names_some() {
            VERSION_NAMING
        } else {
            VERSION
        },
        subject: event.run.get(),
    }
}

/// Reads an event of any version ever written.
pub(crate) fn decode(header: &Header, body: &[u8]) -> Result<Event, DecodeError> {
    let kind = header.kind;
    if !KINDS.iter().any(|(number, _)| *number == kind) {
        return Err(DecodeError::UnknownKind(kind));
    }
    if !(VERSION..=VERSION_NAMING).contains(&header.version) {
        return Err(DecodeError::UnknownVersion {
            kind,
            version: header.version,
        });
    }
    let what = decode_first(kind, body)?;
    Ok(Event {
        run: RunId::new(header.subject),
        what,
    })
}

fn decode_first(kind: u8, body: &[u8]) -> Result<What, DecodeError> {
    Ok(match kind {
        1 => What::Started(Arc::new(get::<Begun>(body)?)),
        2 => What::Entered(get::<Entered>(body)?),
        3 => {
            let (lane, task, index) = get::<(Lane, Arc<str>, u32)>(body)?;
            What::Skipped { lane, task, index }
        }
        4 => {
            let (step, items) = get::<(u32, Arc<[Data]>)>(body)?;
            What::Looped { step, items }
        }
        5 => {
            let (step, index, input) = get::<(u32, u32, Given)>(body)?;
            What::Iterated { step, index, input }
        }
        6 => {
            let (step, class, key, request) = get::<(u32, CallClass, Arc<str>, Data)>(body)?;
            What::Scheduled {
                step,
                class,
                key,
                request,
            }
        }
        7 => {
            let (step, outcome, began, ended) = get::<(u32, Outcome, Timestamp, Timestamp)>(body)?;
            What::Answered {
                step,
                outcome,
                began,
                ended,
            }
        }
        8 => {
            let (step, until) = get::<(u32, Timestamp)>(body)?;
            What::Waiting { step, until }
        }
        9 => {
            let (step, branch, outcome) = get::<(u32, u32, BranchOutcome)>(body)?;
            What::Joined {
                step,
                branch,
                outcome,
            }
        }
        10 => What::Caught(get::<Caught>(body)?),
        _ => return decode_second(kind, body),
    })
}

fn decode_second(kind: u8, body: &[u8]) -> Result<What, DecodeError> {
    Ok(match kind {
        11 => {
            let (step, attempt, until) = get::<(u32, u32, Option<Timestamp>)>(body)?;
            What::Retried {
                step,
                attempt,
                until,
            }
        }
        12 => {
            let (step, output, context) = get::<(u32, Given, Option<Data>)>(body)?;
            What::TaskCompleted {
                step,
                output,
                context,
            }
        }
        13 => {
            let (step, WireError(error)) = get::<(u32, WireError)>(body)?;
            What::TaskFaulted { step, error }
        }
        14 => What::TaskCancelled {
            step: get::<(u32,)>(body)?.0,
        },
        15 => {
            let (lane, index) = get::<(Lane, u32)>(body)?;
            What::Paused { lane, index }
        }
        16 => What::Suspended,
        17 => What::Resumed {
            held: get::<(u64,)>(body)?.0,
        },
        18 => What::Completed {
            output: get::<(Data,)>(body)?.0,
        },
        19 => What::Faulted {
            error: get::<(WireError,)>(body)?.0.0,
        },
        20 => What::Cancelled {
            why: get::<(String,)>(body)?.0,
        },
        21 => What::Removed,
        22 => What::Moved,
        other => return Err(DecodeError::UnknownKind(other)),
    })
}

/// Appends a value to a body.
pub(crate) fn put<T: Serialize>(body: &mut Vec<u8>, value: &T) {
    // Invariant: these types hold nothing that MessagePack cannot write, and a vector takes all.
    rmp_serde::encode::write(body, value).expect("an event has a MessagePack form");
}

/// Reads a value that fills a body.
pub(crate) fn get<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    rmp_serde::from_slice(body).map_err(|error| DecodeError::Malformed(error.to_string()))
}
