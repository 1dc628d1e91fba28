//! One call: attempts until an answer, a failure that must stand, or the deadline.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{CallPolicy, Shared, is_stream, switch};
use crate::pool::{Broken, Lease, Member, Outcome, Pool, Reply, Standing};
use crate::retry::{self, Failure};
use crate::{Body, BoxError, CallError};

/// Why an attempt gave no answer, and what is left to try again with.
struct Failed {
    error: CallError,
    /// The request, when nothing of it was sent.
    unsent: Option<Request<Body>>,
    /// A kept connection turned out to be dead: nobody's fault, worth a fresh one at once.
    was_stale: bool,
    /// The caller's own body broke off or did not come: nothing is said about the endpoint.
    is_callers: bool,
}

impl Failed {
    const fn failure(&self) -> Failure {
        if self.unsent.is_some() {
            Failure::Unsent
        } else {
            Failure::NoAnswer
        }
    }
}

/// What bounds one call.
pub(super) struct Call<'a> {
    shared: &'a Arc<Shared>,
    pub(super) standing: &'a Standing,
    pub(super) policy: &'a CallPolicy,
    pub(super) is_idempotent: bool,
    /// When it began, and when it must have its answer.
    pub(super) began: Instant,
    pub(super) until: Instant,
    retries: u32,
}

/// Where a call stands between two attempts.
pub(super) struct Progress {
    until: Instant,
    /// An attempt was made.
    has_begun: bool,
    retries: u32,
    wait: Duration,
    only_fresh: bool,
    /// The endpoint that has just failed the call.
    avoid: Option<Arc<Member>>,
}

impl Progress {
    /// Before the first attempt.
    pub(super) const fn first(until: Instant) -> Self {
        Self {
            until,
            has_begun: false,
            retries: 0,
            wait: Duration::ZERO,
            only_fresh: false,
            avoid: None,
        }
    }
}

/// A call from some attempt on.
pub(super) async fn resume(
    shared: &Arc<Shared>,
    pool: &Pool,
    mut request: Request<Body>,
    policy: &CallPolicy,
    progress: Progress,
) -> Result<Response<Body>, CallError> {
    if *request.method() == Method::CONNECT {
        return Err(CallError::Invalid("the method is CONNECT".to_owned()));
    }
    *request.version_mut() = Version::HTTP_11;
    let wants_switch = switch::is_asked(request.headers());
    let mut call = Call::new(shared, &pool.standing, policy, request.method());
    let (mut avoid, mut only_fresh) = call.go_on(progress).await;
    loop {
        let spare = call.is_idempotent.then(|| copy_of(&request)).flatten();
        let mut lease = pool.lease(shared, avoid.as_ref())?;
        let mut result = call.attempt(&mut lease, request, only_fresh).await;
        if let Ok(answer) = &result
            && switch::is_granted(answer)
        {
            return match result {
                Ok(answer) if wants_switch => Box::pin(switch::granted(answer, lease)).await,
                _unasked => Err(CallError::Closed(
                    "the service switched protocols unasked".into(),
                )),
            };
        }
        let (failure, next) = match &mut result {
            Ok(answer) => (Failure::Answer(answer.status()), spare),
            Err(failed) => (failed.failure(), failed.unsent.take().or(spare)),
        };
        let was_stale = matches!(&result, Err(failed) if failed.was_stale) && !only_fresh;
        let wait = match &next {
            Some(_) if was_stale => Some(Duration::ZERO),
            Some(_) => call.wait_before_retry(failure),
            None => None,
        };
        let (Some(again), Some(wait)) = (next, wait) else {
            return match result {
                Ok(answer) => begin(answer, lease, policy).await,
                Err(failed) => Err(failed.error),
            };
        };
        only_fresh = was_stale;
        if !was_stale {
            avoid = Some(Arc::clone(lease.member()));
            call.retries += 1;
            call.standing.retries.increment();
        }
        // The place is given up before the wait, as others may need it; a short answer that came
        // whole leaves its connection to them.
        if let Ok(answer) = result {
            drop(begin(answer, lease, policy).await);
        } else {
            drop(lease);
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        request = again;
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        standing: &'a Standing,
        policy: &'a CallPolicy,
        method: &Method,
    ) -> Self {
        let began = Instant::now();
        Self {
            shared,
            standing,
            policy,
            is_idempotent: !policy.once && (policy.idempotent || retry::is_idempotent(method)),
            began,
            until: began + policy.deadline,
            retries: 0,
        }
    }

    /// Takes a call up from where it stands. Answers the endpoint that is avoided, and whether only a
    /// fresh connection serves.
    pub(super) async fn go_on(&mut self, progress: Progress) -> (Option<Arc<Member>>, bool) {
        (self.until, self.retries) = (progress.until, progress.retries);
        if !progress.has_begun {
            self.standing.budget.deposit();
        }
        if !progress.wait.is_zero() {
            tokio::time::sleep(progress.wait).await;
        }
        (progress.avoid, progress.only_fresh)
    }

    /// Where the call stands before its first attempt.
    pub(super) const fn beginning(&self) -> Progress {
        Progress::first(self.until)
    }

    /// Where it stands when a kept connection turned out to be dead.
    pub(super) fn after_stale(&self) -> Progress {
        Progress {
            has_begun: true,
            retries: self.retries,
            only_fresh: true,
            ..self.beginning()
        }
    }

    /// Where it stands after its first attempt has failed at an endpoint, if it may be tried again.
    pub(super) fn after_failure(&self, failure: Failure, at: &Arc<Member>) -> Option<Progress> {
        let wait = self.wait_before_retry(failure)?;
        self.standing.retries.increment();
        Some(Progress {
            has_begun: true,
            wait,
            retries: self.retries + 1,
            avoid: Some(Arc::clone(at)),
            ..self.beginning()
        })
    }

    /// An answer came: the endpoint and the counters learn of it.
    pub(super) fn note_answer(&self, lease: &mut Lease, status: StatusCode, latency: Duration) {
        self.standing.latency.observe(latency);
        let (outcome, counter) = if status < StatusCode::INTERNAL_SERVER_ERROR {
            (Outcome::Answered, &self.standing.answered)
        } else {
            (Outcome::AnsweredError, &self.standing.answered_error)
        };
        counter.increment();
        lease.report(outcome, Some(latency));
    }

    /// None came.
    pub(super) fn note_failure(&self, lease: &mut Lease) {
        self.standing.failed.increment();
        lease.report(Outcome::Failed, None);
    }

    /// One attempt within its limit. The endpoint learns how it ended.
    async fn attempt(
        &self,
        lease: &mut Lease,
        request: Request<Body>,
        only_fresh: bool,
    ) -> Result<Response<Incoming>, Failed> {
        let began = Instant::now();
        let limit = self.policy.attempt.unwrap_or(self.policy.deadline);
        let until = self.until.min(began + limit);
        let (request, awaited) = observed(request);
        let result = exchange(lease, self.standing, request, only_fresh, until).await;
        let result = result.map_err(|failed| {
            failed.unwrap_or_else(|| Failed {
                error: CallError::Timeout {
                    what: "answer",
                    limit: until.duration_since(began),
                },
                unsent: None,
                was_stale: false,
                // Otherwise callers who dribble their bodies could open the breaker for all.
                is_callers: awaited.is_some_and(|sign| sign.load(Ordering::Relaxed)),
            })
        });
        match &result {
            Ok(answer) => self.note_answer(lease, answer.status(), began.elapsed()),
            Err(failed) => {
                lease.disconnect();
                if !failed.was_stale && !failed.is_callers {
                    self.note_failure(lease);
                }
            }
        }
        result
    }

    /// How long to wait before the call may be tried again, if it may.
    fn wait_before_retry(&self, failure: Failure) -> Option<Duration> {
        if self.retries >= self.policy.retries || !retry::may_repeat(failure, self.is_idempotent) {
            return None;
        }
        let backoff = self.shared.config.retry.backoff();
        let wait = backoff.delay(self.retries, &mut self.shared.rng());
        let is_in_time = Instant::now() + wait < self.until;
        (is_in_time && self.standing.budget.withdraw(self.shared.now())).then_some(wait)
    }
}

/// The request with a body that tells whether it is waited for; one that is at hand never is.
fn observed(request: Request<Body>) -> (Request<Body>, Option<Arc<AtomicBool>>) {
    if request.body().is_at_hand() {
        return (request, None);
    }
    let awaited = Arc::<AtomicBool>::default();
    let sign = Arc::clone(&awaited);
    let request = request.map(|inner| Body::new(Observed { inner, sign }));
    (request, Some(awaited))
}

/// A streamed body and the sign that more of it is waited for.
struct Observed {
    inner: Body,
    sign: Arc<AtomicBool>,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.sign.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Connects and asks; nothing when the time is up. A kept connection has a timer that is set already
/// most times, where a timeout around all of this would be set anew for each call.
async fn exchange(
    lease: &mut Lease,
    standing: &Standing,
    request: Request<Body>,
    only_fresh: bool,
    until: Instant,
) -> Result<Response<Incoming>, Option<Failed>> {
    let was_kept = !only_fresh && lease.take_kept();
    if !was_kept {
        // Seldom and large: what waits for a kept connection should not carry it.
        let connecting = Box::pin(lease.connect(standing));
        let connected = tokio::time::timeout_at(until, connecting).await;
        if let Err(error) = connected.map_err(|_elapsed| None::<Failed>)? {
            return Err(Some(Failed {
                error,
                unsent: Some(request),
                was_stale: false,
                is_callers: false,
            }));
        }
    }
    lease.ask(request, until).await.map_err(|unanswered| {
        let Broken { error, unsent } = unanswered?;
        Some(Failed {
            was_stale: was_kept && is_connection_lost(&error),
            is_callers: error.is_user(),
            error: if error.is_user() {
                CallError::Invalid("the request's body broke off".to_owned())
            } else {
                CallError::Closed(error.into())
            },
            unsent,
        })
    })
}

/// Whether the connection went away, rather than carrying something that is not HTTP.
fn is_connection_lost(error: &hyper::Error) -> bool {
    let is_io = error
        .source()
        .is_some_and(<dyn std::error::Error>::is::<io::Error>);
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || is_io
}

/// The answer with its body, which holds the lease until its end.
async fn begin(
    answer: Response<Incoming>,
    lease: Lease,
    policy: &CallPolicy,
) -> Result<Response<Body>, CallError> {
    let (head, incoming) = answer.into_parts();
    let idle = if is_stream(&head.headers) {
        policy.stream_idle
    } else {
        policy.body_idle
    };
    let mut parts = Some((incoming, lease));
    let body = poll_fn(|cx| match parts.take() {
        Some((incoming, lease)) => Poll::Ready(Reply::begin(incoming, lease, idle, cx)),
        None => Poll::Pending,
    });
    Ok(Response::from_parts(head, body.await?))
}

/// The same request again, when its body is at hand. Extensions concern this process alone and are
/// not copied.
fn copy_of(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}
