//! Performs what partitions ask for, and proposes the outcomes.

mod auth;
mod document;
mod http;
mod mask;
mod pace;
mod places;
mod send;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use taraf_base::{Tasks, Timestamp};
use taraf_log::machine::Handle;
use taraf_service::Client;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use auth::Authenticator;
pub(crate) use document::Document;
pub(crate) use send::secrets;

use crate::insist::insist;
use crate::leader::Hub;
use crate::partition::tasks::call::uncertain;
use crate::partition::{Call, CallClass, Input, Outcome, Partition};
use crate::{Config, RunId};
use http::Failure;
pub(crate) use pace::Pace;
pub(crate) use places::Places;

/// What all invokers share.
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) authenticator: Authenticator,
    pub(crate) config: Config,
    pub(crate) hub: Arc<Hub>,
    /// Places for calls under way.
    pub(crate) places: Places,
    /// How fast what was outstanding goes on.
    pub(crate) pace: Pace,
    /// What is under way anywhere.
    pub(crate) busy: Arc<Busy>,
}

/// Counts what will propose something without a timer: calls, turns.
#[derive(Default)]
pub(crate) struct Busy {
    count: AtomicUsize,
    pub(crate) idle: Notify,
}

/// One thing under way.
struct Doing(Arc<Busy>);

impl Busy {
    /// Whether only timers will go on with anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn begin(self: &Arc<Self>) -> Doing {
        self.count.fetch_add(1, Ordering::AcqRel);
        Doing(Arc::clone(self))
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
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
    /// Whether what is asked for was outstanding when the partition was taken over.
    is_recovering: Arc<AtomicBool>,
}

impl Invoker {
    pub(crate) fn new(means: Arc<Means>, leading: Leading, tasks: Tasks) -> Self {
        Self {
            means,
            leading,
            tasks,
            running: Running::default(),
            is_recovering: Arc::new(AtomicBool::new(true)),
        }
    }

    /// What was outstanding has been asked for: from here on everything is new.
    pub(crate) fn recovered(&self) {
        self.is_recovering.store(false, Ordering::Release);
    }

    /// Makes a call when there is a place, and proposes its outcome. The number of calls that wait
    /// is bounded by that of live steps.
    pub(crate) fn call(&self, call: Call) {
        let place = (call.run, call.step);
        let cancel = self.tasks.token().child_token();
        self.locked(|running| running.insert(place, cancel.clone()));
        let invoker = self.clone();
        let was_outstanding = self.is_recovering.load(Ordering::Acquire);
        let doing = self.means.busy.begin();
        // Large, and a task is moved several times before it runs.
        let work = Box::pin(async move {
            let _doing = doing;
            tokio::select! {
                // Given up, or to be made again after a restart.
                () = cancel.cancelled() => {}
                () = invoker.perform(call, was_outstanding) => {}
            }
            invoker.locked(|running| running.remove(&place));
        });
        self.tasks.spawn("call of a flow", work);
    }

    /// Gives a call up: nobody waits for its outcome.
    pub(crate) fn cancel(&self, run: RunId, step: u32) {
        if let Some(call) = self.locked(|running| running.remove(&(run, step))) {
            call.cancel();
        }
    }

    /// Proposes that an at-most-once call may or may not have been made.
    pub(crate) fn uncertain(&self, run: RunId, step: u32) {
        let error = uncertain(
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
        let doing = self.means.busy.begin();
        self.tasks.spawn("outcome of a flow", async move {
            let _doing = doing;
            let propose = async {
                invoker.means.pace.let_go().await;
                invoker.propose(input).await;
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                () = propose => {}
            }
        });
    }

    async fn perform(&self, call: Call, was_outstanding: bool) {
        let pace = &self.means.pace;
        if was_outstanding {
            pace.turn().await;
        } else {
            pace.let_go().await;
        }
        let url = send::recorded_url(&call);
        let _place = self.means.places.take(url.as_ref()).await;
        let Some(handle) = self.handle().await else {
            return;
        };
        let began = Timestamp::now();
        let epoch = handle.status().borrow().epoch.0;
        let answer = send::send(&self.means, &call, url, epoch).await;
        let ended = Timestamp::now();
        let metrics = &self.means.hub.metrics;
        metrics
            .calls
            .with(&[if answer.is_ok() { "ok" } else { "error" }])
            .increment();
        metrics.call_seconds.observe(ended.since(began));
        let outcome = match answer {
            Ok(data) => Outcome::Ok(data),
            // For all others it makes no difference, and is not written down.
            Err(Failure {
                error,
                is_sent: false,
            }) if call.class == CallClass::AtMostOnce => Outcome::Unsent(error),
            Err(Failure { error, .. }) => Outcome::Err(error),
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
