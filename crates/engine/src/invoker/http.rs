//! One HTTP call as a flow means it: how the request is encoded, which answers are errors, and
//! what of the answer the task gets (the language's `call: http`).

mod answer;
mod redirect;
mod request;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, response};
use taraf_flow::tasks::HttpOutput;
use taraf_flow::{Data, ErrorKind, FlowError};
use taraf_service::{Body, CallError, CallPolicy, Client, body};
use url::Url;

use super::auth::{Authorization, DigestLogin};
use crate::RunId;
use crate::partition::CallClass;
use crate::partition::tasks::call::uncertain;

pub(super) use redirect::shown;
pub(super) use request::{address, with_query};

/// Redirects that one call follows at most.
const REDIRECTS_MAX: usize = 5;
/// Challenges that one request answers at most: one, and another when the nonce was too old.
const CHALLENGES_MAX: usize = 2;
/// How much of a challenge's body is read to keep the connection.
const CHALLENGE_BYTES_MAX: usize = 64 * 1024;

/// A call whose expressions are all evaluated.
#[derive(Clone, Debug)]
pub(crate) struct HttpRequest {
    /// Any case.
    pub(crate) method: String,
    /// The address, its query included.
    pub(crate) url: Url,
    /// The author's headers.
    pub(crate) headers: Vec<(String, String)>,
    /// The body; absent means none.
    pub(crate) body: Option<Data>,
    /// What the task gets of the answer.
    pub(crate) output: HttpOutput,
    /// Whether redirects are followed.
    pub(crate) redirect: bool,
    /// What the endpoint's policy shows; an author's header beats it.
    pub(crate) authorization: Authorization,
    /// Whose effect it is; absent for what no run asks for.
    pub(crate) effect: Option<Effect>,
    /// W3C trace context of the run's caller.
    pub(crate) traceparent: Option<String>,
    /// For the whole call, redirects and body included.
    pub(crate) deadline: Duration,
    /// Longest body of an answer.
    pub(crate) response_bytes_max: usize,
    /// How often it may be made.
    pub(crate) class: CallClass,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// In the language's terms.
    pub(crate) error: FlowError,
    /// Whether anything may have reached the other side.
    pub(crate) is_sent: bool,
}

impl Failure {
    /// It failed before anything was sent.
    pub(crate) const fn unsent(error: FlowError) -> Self {
        Self {
            error,
            is_sent: false,
        }
    }
}

/// Unless something says otherwise, it may have been sent.
impl From<FlowError> for Failure {
    fn from(error: FlowError) -> Self {
        Self {
            error,
            is_sent: true,
        }
    }
}

/// The step that a call is an effect of.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    /// The same for every attempt at this step, sent as `Idempotency-Key`.
    pub(crate) key: String,
    /// Which attempt of the step this is, from 1.
    pub(crate) attempt: u32,
    /// The term of the leader that sends it, so that a receiver may refuse an older one.
    pub(crate) epoch: u64,
    /// The run that calls.
    pub(crate) run: RunId,
}

/// Performs the call.
///
/// # Errors
/// In the language's terms: `communication` with the status that fits, `authorization` when the
/// host may not be called, `configuration` for an address or header that cannot be sent, `runtime`
/// for an answer over the limit. The caller adds the task's pointer.
pub(crate) async fn perform(client: &Client, call: HttpRequest) -> Result<Data, Failure> {
    let limit = call.deadline;
    match tokio::time::timeout(limit, exchange(client, &call)).await {
        Ok(done) => {
            let (sent, head, bytes) = done?;
            Ok(answer::data(call.output, sent.as_ref(), &head, &bytes)?)
        }
        Err(_elapsed) => {
            let detail = format!(
                "no whole answer from {} within {}",
                shown(call.url.as_str()),
                taraf_base::duration::format(limit)
            );
            Err(unanswered(call.class, detail, 504).into())
        }
    }
}

/// Asks, follows redirects, and reads the answer when its status is none of an error. What was sent is
/// told when the task wants the whole response.
pub(super) async fn exchange(
    client: &Client,
    call: &HttpRequest,
) -> Result<(Option<answer::Sent>, response::Parts, Bytes), Failure> {
    let mut hop = redirect::Hop {
        url: call.url.clone(),
        method: request::method(&call.method).map_err(Failure::unsent)?,
        keeps_body: true,
        keeps_authorization: true,
    };
    let policy = CallPolicy {
        deadline: call.deadline,
        body_idle: call.deadline,
        idempotent: call.class == CallClass::Idempotent,
        // The client would repeat a PUT whatever the policy says of it.
        retries: match call.class {
            CallClass::AtMostOnce => 0,
            CallClass::Idempotent | CallClass::AtLeastOnce => CallPolicy::default().retries,
        },
        ..CallPolicy::default()
    };
    let mut followed = 0;
    loop {
        let (sent, response) = ask(client, call, &hop, &policy, followed == 0).await?;
        let (head, body) = response.into_parts();
        if call.redirect
            && followed < REDIRECTS_MAX
            && let Some(next) = redirect::next(&hop, head.status, &head.headers)?
        {
            hop = next;
            followed += 1;
            continue;
        }
        let bytes = body::collect(body, call.response_bytes_max)
            .await
            .map_err(|error| unreadable(call.class, &error, call.response_bytes_max))?;
        let highest = if call.redirect { 399 } else { 299 };
        if !(200..=highest).contains(&head.status.as_u16()) {
            return Err(answer::refused(&head, &bytes).into());
        }
        return Ok((sent, head, bytes));
    }
}

/// Sends one request. The challenge of a server that has not asked before, or whose nonce is too old
/// by now, is answered: the request was refused and so not performed, whatever its class.
async fn ask(
    client: &Client,
    call: &HttpRequest,
    hop: &redirect::Hop,
    policy: &CallPolicy,
    is_first: bool,
) -> Result<(Option<answer::Sent>, Response<Body>), Failure> {
    let mut answered = 0;
    let mut known = None;
    loop {
        let (request, nonce) = request::build(call, hop).map_err(|error| Failure {
            error,
            is_sent: !is_first,
        })?;
        let is_shown = call.output == HttpOutput::Response;
        let sent = is_shown.then(|| answer::Sent::of(&request, &hop.url));
        let response = client
            .call(request, policy)
            .await
            .map_err(|error| Failure {
                is_sent: !is_first || may_be_sent(&error),
                error: lost(call.class, &error, &hop.url),
            })?;
        let Some(login) = request::digest(call, hop) else {
            return Ok((sent, response));
        };
        let was_new = nonce.is_some() && nonce == known;
        if answered < CHALLENGES_MAX
            && let Some(nonce) = challenge(login, hop, &response, was_new)
        {
            known = Some(nonce);
            answered += 1;
            // A connection that cannot be kept is made anew.
            let _drained = body::collect(response.into_body(), CHALLENGE_BYTES_MAX).await;
            continue;
        }
        return Ok((sent, response));
    }
}

/// The nonce to answer. An answer to a new one that is refused is a wrong password, unless the
/// server says otherwise.
fn challenge(
    login: &DigestLogin,
    hop: &redirect::Hop,
    response: &Response<Body>,
    was_new: bool,
) -> Option<String> {
    if response.status() != StatusCode::UNAUTHORIZED {
        login.answered(&hop.url, response.headers());
        return None;
    }
    let asked = login.challenged(&hop.url, response.headers())?;
    (!was_new || asked.is_stale).then_some(asked.nonce)
}

/// The service's answer to what was shown to it.
pub(super) fn is_unauthorized(error: &FlowError) -> bool {
    error.is(ErrorKind::Communication) && error.status == 401
}

/// Whether the request, or part of it, may have reached the other side.
const fn may_be_sent(error: &CallError) -> bool {
    !matches!(
        error,
        CallError::NoSuchService(_)
            | CallError::NoEndpoint(_)
            | CallError::BreakerOpen(_)
            | CallError::Overloaded(_)
            | CallError::Resolve { .. }
            | CallError::Connect { .. }
            | CallError::Denied(_)
            | CallError::Invalid(_)
    )
}

/// A request was sent, or part of it, and no whole answer came.
fn unanswered(class: CallClass, detail: String, status: u16) -> FlowError {
    match class {
        CallClass::AtMostOnce => uncertain(format!("{detail}; the call may have been made")),
        CallClass::Idempotent | CallClass::AtLeastOnce => {
            FlowError::communication(detail).with_status(status)
        }
    }
}

fn lost(class: CallClass, error: &CallError, url: &Url) -> FlowError {
    let detail = format!(
        "{}: {}",
        shown(url.as_str()),
        taraf_base::with_causes(error)
    );
    match error {
        CallError::Denied(_) => FlowError::authorization(detail),
        CallError::Invalid(_) => FlowError::configuration(detail),
        CallError::TooLarge { .. } => FlowError::runtime(detail),
        // Refused and unknown hosts are 503 in the language; a broken TLS or answer is 502.
        CallError::Resolve { .. } | CallError::Connect { .. } => {
            FlowError::communication(detail).with_status(503)
        }
        CallError::Timeout { .. } | CallError::Closed(_) | CallError::Stopping => {
            unanswered(class, detail, error.status())
        }
        _ => FlowError::communication(detail).with_status(error.status()),
    }
}

fn unreadable(class: CallClass, error: &body::Error, max: usize) -> FlowError {
    match error {
        body::Error::TooLarge { .. } => {
            FlowError::runtime(format!("the answer is longer than {max} bytes"))
        }
        body::Error::Broken(_) => {
            let detail = format!(
                "failed to read the answer: {}",
                taraf_base::with_causes(error)
            );
            unanswered(class, detail, 502)
        }
    }
}

#[cfg(test)]
mod tests;
