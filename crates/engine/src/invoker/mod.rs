//! Performs what partitions ask for, and proposes the outcomes.

mod http;
mod send;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taraf_base::{Backoff, Rng, Tasks, Timestamp, random_u64};
use taraf_flow::FlowError;
use taraf_log::machine::{Class, Handle, ProposeError};
use taraf_service::Client;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::leader::Hub;
use crate::partition::{Call, Input, Outcome, Partition, Reply};
use crate::{Config, RunId};

/// How long to wait before an outcome is proposed again.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(50),
    max: Duration::from_secs(5),
    factor: 2,
};

/// What all invokers share.
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) hub: Arc<Hub>,
    /// Places for calls under way.
    pub(crate) places: Semaphore,
}

type Leading = watch::Receiver<Option<Handle<Partition>>>;
type Running = Arc<Mutex<BTreeMap<(RunId, u32), CancellationToken>>>;

/// Performs what one partition asks for.
#[derive(Clone)]
pub(crate) struct Invoker {
    means: Arc<Means>,
    leading: Leading,
    tasks: Tasks,
    running: Running,
}

impl Invoker {
    pub(crate) fn new(means: Arc<Means>, leading: Leading, tasks: Tasks) -> Self {
        Self {
            means,
            leading,
            tasks,
            running: Running::default(),
        }
    }

    /// Makes a call when there is a place, and proposes its outcome. The number of calls that wait
    /// is bounded by that of live steps.
    pub(crate) fn call(&self, call: Call) {
        let place = (call.run, call.step);
        let cancel = self.tasks.token().child_token();
        self.locked(|running| running.insert(place, cancel.clone()));
        let invoker = self.clone();
        self.tasks.spawn("call of a flow", async move {
            tokio::select! {
                // Given up, or to be made again after a restart.
                () = cancel.cancelled() => {}
                () = invoker.perform(call) => {}
            }
            invoker.locked(|running| running.remove(&place));
        });
    }

    /// Gives a call up: nobody waits for its outcome.
    pub(crate) fn cancel(&self, run: RunId, step: u32) {
        if let Some(call) = self.locked(|running| running.remove(&(run, step))) {
            call.cancel();
        }
    }

    /// Proposes that an at-most-once call may or may not have been made.
    pub(crate) fn uncertain(&self, run: RunId, step: u32) {
        let mut error = FlowError::runtime(
            "the engine stopped while the call was under way; it may or may not have been made",
        );
        error.type_ = UNCERTAIN.to_owned();
        error.title = Some("Uncertain".to_owned());
        let now = Timestamp::now();
        let input = Input::Outcome {
            run,
            step,
            outcome: Outcome::Err(error),
            began: now,
            ended: now,
        };
        self.propose_later(input);
    }

    /// Proposes a run's next turn.
    pub(crate) fn next_turn(&self, run: RunId) {
        self.propose_later(Input::Continue(run));
    }

    fn propose_later(&self, input: Input) {
        let invoker = self.clone();
        let stopping = self.tasks.token();
        self.tasks.spawn("outcome of a flow", async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = invoker.propose(input) => {}
            }
        });
    }

    async fn perform(&self, call: Call) {
        // The semaphore is never closed.
        let Ok(_place) = self.means.places.acquire().await else {
            return;
        };
        let Some(handle) = self.handle().await else {
            return;
        };
        let began = Timestamp::now();
        let epoch = handle.status().borrow().epoch.0;
        let answer = send::send(&self.means, &call, epoch).await;
        let ended = Timestamp::now();
        let metrics = &self.means.hub.metrics;
        metrics
            .calls
            .with(&[if answer.is_ok() { "ok" } else { "error" }])
            .increment();
        metrics.call_seconds.observe(ended.since(began));
        let outcome = match answer {
            Ok(data) => Outcome::Ok(data),
            Err(error) => Outcome::Err(error),
        };
        let (run, step) = (call.run, call.step);
        self.propose(Input::Outcome {
            run,
            step,
            outcome,
            began,
            ended,
        })
        .await;
    }

    /// Proposes until the partition has taken it or stops.
    async fn propose(&self, mut input: Input) {
        let Some(handle) = self.handle().await else {
            return;
        };
        let mut rng = Rng::new(random_u64());
        for attempt in 0.. {
            match handle.propose(Class::Outcome, input.clone()).await {
                Ok(Reply::Late) => {
                    tracing::debug!(?input, "an outcome came too late and was refused");
                    return;
                }
                Ok(_) => return,
                Err(ProposeError::TooLarge { max }) => match too_large(&input, max) {
                    Some(smaller) => input = smaller,
                    None => return,
                },
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(AGAIN.delay(attempt, &mut rng)).await;
                }
                Err(error) => {
                    // A partition that stopped will ask again when it leads.
                    tracing::debug!(%error, "an outcome was not taken");
                    return;
                }
            }
        }
    }

    async fn handle(&self) -> Option<Handle<Partition>> {
        let mut leading = self.leading.clone();
        let handle = leading.wait_for(Option::is_some).await;
        handle.ok().and_then(|handle| handle.clone())
    }

    fn locked<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<(RunId, u32), CancellationToken>) -> T,
    ) -> T {
        change(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Type of the error of an at-most-once call that may have been made before a crash.
pub(crate) const UNCERTAIN: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/uncertain";

/// An answer that leads to more than the log takes becomes an error that says so.
fn too_large(input: &Input, max: usize) -> Option<Input> {
    match input {
        Input::Outcome {
            run,
            step,
            outcome: Outcome::Ok(_),
            began,
            ended,
        } => {
            let error = FlowError::runtime(format!(
                "what follows from the answer has more than the {max} bytes that one record may"
            ));
            let (run, step, began, ended) = (*run, *step, *began, *ended);
            Some(Input::Outcome {
                run,
                step,
                outcome: Outcome::Err(error),
                began,
                ended,
            })
        }
        _ => None,
    }
}
