//! Performs what partitions ask for, and proposes the outcomes.

mod auth;
mod document;
mod http;
mod mask;
mod send;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use taraf_base::{Tasks, Timestamp};
use taraf_log::machine::Handle;
use taraf_service::Client;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use auth::Authenticator;
pub(crate) use document::Document;
pub(crate) use send::secrets;

use crate::insist::insist;
use crate::leader::Hub;
use crate::partition::{Call, Input, Outcome, Partition};
use crate::{Config, RunId};

/// What all invokers share.
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) authenticator: Authenticator,
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
        let error = http::uncertain(
            "the engine stopped while the call was under way; it may or may not have been made",
        );
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

    async fn propose(&self, input: Input) {
        if let Some(handle) = self.handle().await {
            insist(&handle, input).await;
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
