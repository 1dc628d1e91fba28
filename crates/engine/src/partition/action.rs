//! [pure] What a run asks for: calls, timers, its next turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::event::CloudEvent;
use taraf_flow::{Data, Scope, Task};

use super::event::CallClass;
use super::payloads::Looking;
use super::run::{Doing, Run, TryPhase};
use crate::RunId;

/// What is done once the events that caused it are durable.
#[derive(Debug)]
pub enum Action {
    /// Make this call, and propose its outcome.
    Call(Box<Call>),
    /// Nobody waits for this call any more: give it up.
    CancelCall { run: RunId, step: u32 },
    /// This at-most-once call may have been made before a crash: propose that as its outcome.
    Uncertain { run: RunId, step: u32 },
    /// Propose the run's timer when it is due.
    SetTimer {
        run: RunId,
        step: u32,
        purpose: Purpose,
        due: Timestamp,
    },
    /// The timer is not needed any more.
    ClearTimer {
        run: RunId,
        step: u32,
        purpose: Purpose,
        due: Timestamp,
    },
    /// Propose the run's next turn.
    Continue { run: RunId },
    /// Tell whoever listens.
    Tell(Arc<CloudEvent>),
    /// Tell whoever waits for its end; this is the run as it ended.
    Ended(Box<Run>),
}

/// A call to make.
#[derive(Debug)]
pub struct Call {
    /// For which run.
    pub run: RunId,
    /// For which step: an outcome that names another step is late, and refused.
    pub step: u32,
    /// Attempt of the innermost `try` around it.
    pub attempt: u32,
    /// Same for all attempts of the same step, and after a crash.
    pub key: Arc<str>,
    /// The task.
    pub task: Arc<Task>,
    /// What was evaluated when it was scheduled.
    pub request: Data,
    /// The task's transformed input.
    pub input: Data,
    /// What expressions see that are evaluated at sending time.
    pub scope: Scope,
    /// Whether it may be repeated.
    pub class: CallClass,
    /// The earliest timeout around it.
    pub until: Option<Timestamp>,
    /// W3C trace context of the run's starter.
    pub traceparent: Option<String>,
    /// Who looks at the payloads in it, if some are kept elsewhere.
    pub looking: Option<Arc<Looking>>,
    /// Names of the secrets that the definition may read.
    pub secrets: Vec<String>,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// The timeout of the run (step 0) or of a task.
    Timeout,
    /// The timeout of one attempt of a `try`.
    AttemptTimeout,
    /// The end of a `wait` or of a delay before a retry.
    Delay,
}

/// A reason for which a run will wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// A call is under way.
    Call { step: u32 },
    /// A timer is set.
    Timer {
        step: u32,
        purpose: Purpose,
        due: Timestamp,
    },
    /// Its next turn is due. The tasks begun so far tell one turn from the next.
    Continue { turn: u64 },
}

impl Run {
    /// Everything that will wake the run.
    ///
    /// Invariant: a run that has neither ended nor is held has at least one, else it would never
    /// end. The actions of a decision are what this set gains and loses by its events, so that
    /// what is outstanding after a replay is exactly what was asked for before the crash.
    #[must_use]
    pub fn wakes(&self) -> BTreeSet<Wake> {
        let mut wakes = BTreeSet::new();
        if self.ended.is_some() {
            return wakes;
        }
        for (&step, state) in &self.steps {
            if let Doing::Call {
                answer: None,
                key: Some(_),
                ..
            } = state.doing
            {
                wakes.insert(Wake::Call { step });
            }
        }
        if self.suspended.is_some() {
            return wakes;
        }
        if !self.paused.is_empty() {
            wakes.insert(Wake::Continue { turn: self.starts });
        }
        let mut timer = |step, purpose, due: Option<Timestamp>| {
            if let Some(due) = due {
                wakes.insert(Wake::Timer { step, purpose, due });
            }
        };
        timer(0, Purpose::Timeout, self.deadline);
        for (&step, state) in &self.steps {
            timer(step, Purpose::Timeout, state.deadline);
            match &state.doing {
                Doing::Wait { until } => timer(step, Purpose::Delay, *until),
                Doing::Try {
                    phase,
                    attempt_until,
                    ..
                } => {
                    if let TryPhase::Delayed { until } = phase {
                        timer(step, Purpose::Delay, Some(*until));
                    }
                    timer(step, Purpose::AttemptTimeout, *attempt_until);
                }
                Doing::Instant
                | Doing::Do
                | Doing::For { .. }
                | Doing::Fork { .. }
                | Doing::Call { .. } => {}
            }
        }
        wakes
    }
}
