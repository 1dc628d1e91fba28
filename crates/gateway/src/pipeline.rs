//! The life of a call: limits, match, authenticate, plan, target, answer, meter.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, Version};
use taraf_service::trace::{self, TraceContext};
use taraf_service::{Body, Problem, client, problem};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::accounts::Denied;
use crate::answer::{self, ErrorForm};
use crate::auth::Shown;
use crate::auth::api_key::{self, Caller};
use crate::bodies::{Ended, Outbound};
use crate::connection::{Peer, Place};
use crate::features::cors::{self, Grant};
use crate::forward::Hop;
use crate::path::{PathError, Segments};
use crate::routes::{Auth, Entry, Match, NoMatch, Routes};
use crate::server::Shared;
use crate::usage::Standing;

mod access_log;
mod accounts;
mod cached;
mod direct;
mod featured;
mod onward;
mod target;

pub(crate) use direct::{Headed, Last, Passing, pass, pass_again, passes, refused, taken};

/// What stands in logs for the status of a call whose caller went away before an answer.
const CALLER_GONE: u16 = 499;

/// What is known of a call as it passes the stages.
///
/// Invariant: each call is in flight once and ends once, because it is counted as it begins and its
/// end is counted and logged when this is dropped: after the answer's body, or wherever the call was
/// when its caller went away.
pub(crate) struct Call {
    gateway: Arc<Shared>,
    started: Instant,
    pub(crate) peer: Arc<Peer>,
    pub(crate) place: Place,
    method: Method,
    /// Of the request; logs are told no more of it.
    path: Box<str>,
    request_id: HeaderValue,
    trace: TraceContext,
    form: ErrorForm,
    /// What a page of another origin is told, on routes that such may call.
    cors: Option<Grant>,
    /// Its place among the calls of a route that takes only so many.
    admission: Option<OwnedSemaphorePermit>,
    route: Option<Arc<Entry>>,
    caller: Option<Arc<Caller>>,
    standing: Option<Standing>,
    ending: Ending,
}

/// What is told of a call by its request.
struct Facts {
    method: Method,
    path: Box<str>,
    request_id: HeaderValue,
    trace: Option<TraceContext>,
    form: ErrorForm,
}

impl Facts {
    fn of(request: &Request<Body>) -> Self {
        let (headers, path) = (request.headers(), request.uri().path());
        Self {
            method: request.method().clone(),
            path: path.into(),
            request_id: trace::request_id(headers, trace::random_id),
            trace: TraceContext::from_headers(headers),
            form: ErrorForm::of(path, headers),
        }
    }
}

/// How a call ended.
struct Ending {
    status: u16,
    bytes: u64,
    is_whole: bool,
}

/// Answers one request. Never fails: what goes wrong becomes the answer.
pub(crate) async fn answer(
    gateway: Arc<Shared>,
    peer: Arc<Peer>,
    place: Place,
    mut request: Request<Body>,
) -> Response<Outbound> {
    let routes = Arc::clone(&gateway.routes.borrow());
    peer.introduce(&mut request);
    let mut call = Call::begin(&gateway, peer, place, Facts::of(&request));
    let response = match stages(&gateway, &routes, &mut call, request).await {
        Ok(response) => response,
        Err(problem) => call.form.response(&problem),
    };
    meter(call, response)
}

async fn stages(
    gateway: &Arc<Shared>,
    routes: &Routes,
    call: &mut Call,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    limits(gateway, &request)?;
    let uri = request.uri().clone();
    let segments = Segments::read(uri.path()).map_err(unreadable)?;
    if let Some(question) = cors::asked(request.method(), request.headers())
        && let Some(answer) = preflight(routes, call, &question, &segments, request.headers())
    {
        return answer;
    }
    let route = matched(routes, call, request.method(), &segments)?;
    if let Some(features) = &route.entry.features
        && let Some(policy) = &features.cors
    {
        call.cors = policy.grant(request.headers());
    }
    let shown = Shown::of(request.headers(), request.extensions());
    authenticate(routes, call, &route, shown).await?;
    if let Some(features) = &route.entry.features
        && let Some(limits) = &features.limits
    {
        call.admission = limits.enter(call.started)?;
    }
    plan(gateway, call, route.entry.route.cost).await?;
    let response = target::call(gateway, call, &route, &segments, request).await?;
    Ok(call.form.translated(response).await)
}

/// What is wrong with a request whoever sends it.
fn limits(gateway: &Shared, request: &Request<Body>) -> Result<(), Problem> {
    let uri = request.uri();
    let query_bytes = uri.query().map_or(0, str::len);
    if uri.path().len() + query_bytes > gateway.config.limits.uri_bytes {
        return Err(problem::URI_TOO_LONG.new());
    }
    if request.method() == Method::CONNECT {
        return Err(problem::BAD_REQUEST.with_detail("this is no proxy for other hosts"));
    }
    // HTTP/2 is limited by bytes where the connection is; HTTP/1 by both.
    if request.headers().len() > gateway.config.limits.headers {
        return Err(problem::HEADERS_TOO_LARGE.new());
    }
    framing(request.version(), request.headers())
}

/// What two readers could take for different requests. That of two lengths one counts, and of a length
/// and a coding the coding, is kept by hyper (RFC 9112 §6.3).
fn framing(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let hosts = headers.get_all(HOST).iter().count();
    // RFC 9112 §3.2.
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err(problem::BAD_REQUEST.with_detail("one Host header is needed"));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    // RFC 9112 §6.1: the service would get the body without the name of its coding.
    let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if is_chunked && codings.next().is_none() {
        return Ok(());
    }
    let close = HeaderValue::from_static("close");
    let problem = problem::NOT_IMPLEMENTED.with_detail("the transfer coding must be `chunked`");
    Err(problem.with_header(CONNECTION, close))
}

fn unreadable(error: PathError) -> Problem {
    match error {
        PathError::TooLong => problem::URI_TOO_LONG.new(),
        PathError::Encoding | PathError::Segment => {
            problem::BAD_REQUEST.with_detail(error.to_string())
        }
    }
}

/// Which route the call takes.
fn matched<'r>(
    routes: &'r Routes,
    call: &mut Call,
    method: &Method,
    path: &Segments<'_>,
) -> Result<Match<'r>, Problem> {
    let found = routes.find(method, path).map_err(|error| match error {
        NoMatch::NotFound => problem::NOT_FOUND.with_detail("no route has this path"),
        NoMatch::MethodNotAllowed(methods) => {
            let names: Vec<_> = methods.iter().map(Method::as_str).collect();
            let allow = HeaderValue::try_from(names.join(", "));
            let allow = allow.unwrap_or_else(|_never| HeaderValue::from_static(""));
            problem::METHOD_NOT_ALLOWED.new().with_header(ALLOW, allow)
        }
    })?;
    call.take(found.entry);
    Ok(found)
}

/// The answer to a browser's question whether a page of another origin may call; nothing when no
/// route has an answer, so that the request is one like others. Asking needs no key and costs nothing:
/// a browser asks by itself.
fn preflight(
    routes: &Routes,
    call: &mut Call,
    method: &Method,
    path: &Segments<'_>,
    headers: &HeaderMap,
) -> Option<Result<Response<Body>, Problem>> {
    let found = routes.find(method, path).ok()?;
    let policy = found.entry.features.as_ref()?.cors.as_ref()?;
    call.take(found.entry);
    call.cors = policy.grant(headers);
    Some(policy.preflight(headers))
}

/// Who calls, on routes that want to know.
async fn authenticate(
    routes: &Routes,
    call: &mut Call,
    route: &Match<'_>,
    shown: Shown<'_>,
) -> Result<(), Problem> {
    match &route.entry.route.auth {
        Auth::Open => return Ok(()),
        Auth::Key => {}
        Auth::Any(accepted) => {
            let accounts = &call.gateway.accounts;
            let asked = routes.authenticators().identify(accepted, shown, accounts);
            call.caller = Some(Box::pin(asked).await?);
            return Ok(());
        }
    }
    let Some(key) = api_key::shown(shown.headers) else {
        let challenge = HeaderValue::from_static("Bearer realm=\"taraf\"");
        return Err(problem::API_KEY_MISSING
            .with_detail("send a key in the header x-api-key; POST /account/register gives one")
            .with_header(WWW_AUTHENTICATE, challenge));
    };
    let caller = call.gateway.accounts.identify(key);
    let refused = || problem::API_KEY_INVALID.with_detail("the key is unknown or was revoked");
    call.caller = Some(caller.ok_or_else(refused)?);
    Ok(())
}

/// Whether the plan allows the call: the rate, then the quota, which is spent here.
async fn plan(gateway: &Shared, call: &mut Call, cost: u32) -> Result<(), Problem> {
    let Some(caller) = &call.caller else {
        return Ok(());
    };
    let (charged, standing) = gateway.accounts.admit(caller, cost).await;
    let allowed = charged.map_err(|denied| match denied {
        Denied::OverPlan(over) => answer::over_plan(&over, &standing),
        Denied::Unavailable => {
            let problem = problem::OVERLOADED.with_detail("the call cannot be charged now");
            answer::retry_after(problem, Duration::from_secs(1))
        }
    });
    call.standing = Some(standing);
    allowed
}

/// Adds what every answer carries; the call lasts until the answer's end.
fn meter(mut call: Box<Call>, response: Response<Body>) -> Response<Outbound> {
    let (mut parts, body) = response.into_parts();
    let headers = &mut parts.headers;
    headers.insert(trace::REQUEST_ID, call.request_id.clone());
    if let Some(standing) = &call.standing {
        answer::add_standing(headers, standing);
    }
    if let Some(grant) = call.cors.take() {
        grant.apply(headers);
    }
    // A stream without an end is watched for silence instead.
    let is_endless = client::is_stream(headers);
    let until = (!is_endless).then(|| call.started + call.gateway.config.limits.total);
    call.ending.status = parts.status.as_u16();
    let body = Outbound::wrap(body, until, call);
    Response::from_parts(parts, body)
}

impl Call {
    /// In a box from the beginning: it moves from stage to stage, and into the answer's body.
    fn begin(gateway: &Arc<Shared>, peer: Arc<Peer>, place: Place, facts: Facts) -> Box<Self> {
        gateway.metrics.in_flight.add(1);
        let trace = facts
            .trace
            .unwrap_or_else(|| TraceContext::new(trace::random_id(), trace::random_span()));
        Box::new(Self {
            gateway: Arc::clone(gateway),
            started: Instant::now(),
            peer,
            place,
            method: facts.method,
            path: facts.path,
            request_id: facts.request_id,
            trace: trace.child(trace::random_span()),
            form: facts.form,
            cors: None,
            admission: None,
            route: None,
            caller: None,
            standing: None,
            ending: Ending {
                status: CALLER_GONE,
                bytes: 0,
                is_whole: false,
            },
        })
    }

    fn take(&mut self, entry: &Arc<Entry>) {
        self.route = Some(Arc::clone(entry));
    }

    /// What a service is told of it.
    fn hop(&self) -> Hop<'_> {
        Hop {
            peer: &self.peer.text,
            is_secure: self.peer.is_secure,
            trust_forwarded: self.gateway.config.trust_forwarded,
            caller: self.caller.as_deref(),
            request_id: &self.request_id,
            trace: self.trace,
        }
    }
}

impl Ended for Call {
    fn ended(mut self: Box<Self>, bytes: u64, is_whole: bool) {
        self.ending.bytes = bytes;
        self.ending.is_whole = is_whole;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let time = self.started.elapsed();
        let metrics = &self.gateway.metrics;
        metrics.in_flight.add(-1);
        let Ending { status, bytes, .. } = self.ending;
        if status != CALLER_GONE {
            self.place.is_answered();
        }
        metrics.ended(self.route.as_deref(), status, time, bytes);
        if let (Some(caller), Some(route)) = (&self.caller, &self.route) {
            metrics.called(caller, route, time);
        }
        access_log::write(self, time);
    }
}
