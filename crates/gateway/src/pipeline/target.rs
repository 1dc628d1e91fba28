//! The stage that calls the target of a route: a service, a flow, an account view, a page.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LOCATION, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode, Uri};
use serde_json::{Map, Value};
use taraf_service::{Body, CallError, CallPolicy, Problem, problem};

use super::{Call, accounts, featured};
use crate::bodies::{Cut, Inbound};
use crate::flows::{self, FlowCall, Input};
use crate::forward::{self, Hop};
use crate::path::Segments;
use crate::routes::{Builtin, Entry, Match, Target};
use crate::server::Shared;
use crate::tunnel::{self, Wish};
use crate::{answer, health, portal};

/// The largest body that becomes the input of a flow.
const FLOW_BODY_BYTES_MAX: u64 = 4 << 20;

pub(super) async fn call(
    gateway: &Arc<Shared>,
    call: &Call,
    route: &Match<'_>,
    path: &Segments<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let (request, cut) = bounded(gateway, route, request)?;
    let answered = match &route.entry.route.target {
        Target::Service { .. } => service(gateway, call, route, path, request).await,
        // In boxes: the future of each call is as large as its largest part, and is moved.
        Target::Flow { .. } => Box::pin(flow(gateway, call, route, request)).await,
        Target::Account(view) => Box::pin(accounts::answer(gateway, call, *view, request)).await,
        Target::Builtin(page) => Box::pin(builtin(gateway, call, *page, route)).await,
    };
    if let Some(features) = &route.entry.features
        && features.forgets
        && !call.method.is_safe()
        && let Ok(answer) = &answered
    {
        forget(gateway, path, answer);
    }
    // A body that was cut makes every target fail, and the caller is told its own part in it.
    answered.map_err(|problem| match cut.problem() {
        Some(own) => own,
        None if problem.code == problem::UPSTREAM_TIMEOUT.code && cut.is_awaited() => {
            problem::REQUEST_TIMEOUT.with_detail("the body did not come in time")
        }
        None => problem,
    })
}

/// Puts the request's body within its limits; a length that says it is too long is believed.
fn bounded(
    gateway: &Shared,
    route: &Match<'_>,
    request: Request<Body>,
) -> Result<(Request<Body>, Cut), Problem> {
    let limits = &gateway.config.limits;
    let max = route
        .entry
        .route
        .body_bytes_max
        .unwrap_or(limits.body_bytes);
    let max = match &route.entry.route.target {
        Target::Service { .. } => max,
        Target::Flow { .. } | Target::Account(_) | Target::Builtin(_) => {
            max.min(FLOW_BODY_BYTES_MAX)
        }
    };
    let (parts, body) = request.into_parts();
    if http_body::Body::size_hint(&body).lower() > max {
        return Err(problem::PAYLOAD_TOO_LARGE.with_detail(format!("the limit is {max} bytes")));
    }
    let (body, cut) = Inbound::wrap(body, max, limits.body_pause);
    Ok((Request::from_parts(parts, body), cut))
}

async fn service(
    gateway: &Arc<Shared>,
    call: &Call,
    route: &Match<'_>,
    path: &Segments<'_>,
    mut request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let Some(target) = &route.entry.service else {
        return Err(problem::INTERNAL.new());
    };
    let wish = tunnel::wish(&mut request);
    // What leaves HTTP has no body to change and no answer to keep.
    if route.entry.features.is_some() && wish.is_none() {
        return Box::pin(featured::service(gateway, call, route, path, request)).await;
    }
    let to = route.target_path().unwrap_or_else(|| path.canonical());
    prepare(uri(to, request.uri().query())?, &call.hop(), &mut request);
    let policy = CallPolicy {
        switch: wish.as_ref().map(|_wish| Wish::PROTOCOL),
        ..policy(gateway, route.entry)
    };
    let response = send(gateway, &call.request_id, target, &policy, request).await?;
    Ok(match wish {
        Some(wish) => wish.granted(response, gateway, call),
        None => response,
    })
}

/// Makes the caller's request that to the service.
pub(super) fn prepare(uri: Uri, hop: &Hop<'_>, request: &mut Request<Body>) {
    *request.uri_mut() = uri;
    forward::request(request.headers_mut(), hop);
}

/// What a call of the route may take.
pub(super) fn policy(gateway: &Shared, entry: &Entry) -> CallPolicy {
    CallPolicy {
        deadline: deadline(gateway, entry),
        idempotent: entry.route.is_idempotent == Some(true),
        once: entry.route.is_idempotent == Some(false),
        stream_idle: gateway.config.limits.stream_idle,
        ..CallPolicy::default()
    }
}

/// Sends the request to a service and takes its answer.
pub(super) async fn send(
    gateway: &Shared,
    request_id: &HeaderValue,
    target: &taraf_service::Target,
    policy: &CallPolicy,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let outcome = gateway.client.forward(request, target, policy).await;
    answered(request_id, outcome)
}

/// What the caller gets of a service's answer, or of there being none.
pub(super) fn answered(
    request_id: &HeaderValue,
    outcome: Result<Response<Body>, CallError>,
) -> Result<Response<Body>, Problem> {
    let mut response = outcome.map_err(|error| {
        tracing::debug!(%error, ?request_id, "the target did not answer");
        error.problem()
    })?;
    forward::answer(response.headers_mut());
    Ok(response)
}

/// A path at a service with a query.
pub(super) fn uri(mut path: String, query: Option<&str>) -> Result<Uri, Problem> {
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    Uri::try_from(path)
        .map_err(|_odd| problem::BAD_REQUEST.with_detail("the path cannot be sent on"))
}

/// What was kept of the path that a call has changed is no longer so (RFC 9111 §4.4).
fn forget(gateway: &Shared, path: &Segments<'_>, answer: &Response<Body>) {
    if answer.status().is_client_error() || answer.status().is_server_error() {
        return;
    }
    let store = &gateway.cache.store;
    store.forget(&path.canonical());
    for name in [LOCATION, CONTENT_LOCATION] {
        let other = answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        // Another host's path is none of ours.
        let other = other.filter(|other| other.starts_with('/') && !other.starts_with("//"));
        let other = other.and_then(|other| Segments::read(other.split(['?', '#']).next()?).ok());
        if let Some(other) = other {
            store.forget(&other.canonical());
        }
    }
}

async fn flow(
    gateway: &Shared,
    call: &Call,
    route: &Match<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let Target::Flow {
        namespace,
        name,
        version,
        wait,
    } = &route.entry.route.target
    else {
        return Err(problem::INTERNAL.new());
    };
    let input = input(route, request.uri().query())?;
    let idempotency_key = flows::idempotency_key(request.headers())?;
    let (parts, body) = request.into_parts();
    let max = usize::try_from(FLOW_BODY_BYTES_MAX).unwrap_or(usize::MAX);
    let body = flows::json_body(&parts.headers, body, max).await?;
    let input = Input { body, ..input };
    let deadline = deadline(gateway, route.entry).max(*wait);
    let start = FlowCall {
        route: route.entry.route.id.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
        version: version.clone(),
        wait: *wait,
        deadline,
        input: input.merged(),
        path: input.path,
        query: input.query,
        body: input.body,
        account: call
            .caller
            .as_ref()
            .map(|caller| caller.account.to_string()),
        idempotency_key,
        traceparent: call.trace.to_string(),
        request_id: call.request_id.to_str().unwrap_or_default().to_owned(),
    };
    let answered = tokio::time::timeout(deadline + FLOW_GRACE, gateway.flows.start(start)).await;
    let answered = answered.map_err(|_late| problem::UPSTREAM_TIMEOUT.new())?;
    answered.map(flows::FlowAnswer::into_response)
}

/// A flow that answers at its deadline is still heard.
const FLOW_GRACE: Duration = Duration::from_secs(1);

fn input(route: &Match<'_>, query: Option<&str>) -> Result<Input, Problem> {
    let path: Map<String, Value> = route
        .parameters()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    Ok(Input {
        path,
        query: flows::query(query)?,
        body: None,
    })
}

async fn builtin(
    gateway: &Shared,
    call: &Call,
    page: Builtin,
    route: &Match<'_>,
) -> Result<Response<Body>, Problem> {
    match page {
        Builtin::Portal => Ok(portal::page()),
        Builtin::OpenApi => {
            let document = Arc::clone(&gateway.openapi.borrow());
            Ok(answer::json(StatusCode::OK, document.as_ref().clone()))
        }
        Builtin::Live => Ok(health::live()),
        Builtin::Ready => Ok(health::ready(gateway)),
        Builtin::Run => run(gateway, call, route).await,
    }
}

async fn run(gateway: &Shared, call: &Call, route: &Match<'_>) -> Result<Response<Body>, Problem> {
    let (Some(id), Some(caller)) = (route.values.first(), &call.caller) else {
        return Err(problem::RUN_NOT_FOUND.new());
    };
    let account = caller.account.to_string();
    let asked = gateway.flows.run(id, &account);
    let answered = tokio::time::timeout(deadline(gateway, route.entry), asked).await;
    let answered = answered.map_err(|_late| problem::UPSTREAM_TIMEOUT.new())?;
    answered.map(flows::FlowAnswer::into_response)
}

fn deadline(gateway: &Shared, entry: &Entry) -> Duration {
    let limits = &gateway.config.limits;
    entry.route.deadline.unwrap_or(limits.deadline)
}
