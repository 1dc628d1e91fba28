//! One request at a service: identified, limited, dispatched, answered, counted.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode};
use http_body::Body as _;
use http_body_util::Limited;
use hyper::body::Incoming;
use taraf_base::{random_bytes, random_u64};
use tokio::time::Instant;
use tower_service::Service as _;

use super::Config;
use super::body::{AnswerBody, RequestBody};
use super::dispatch::{App, Dispatch, Route};
use super::watched::InCall;
use crate::trace::{self, TraceContext};
use crate::{Problem, body, problem};

/// What stands for a route when none matched, so that paths of outsiders never become labels.
const NO_ROUTE: &str = "none";

/// Most of a plain error text that is taken over into a problem document.
const PLAIN_ERROR_BYTES_MAX: usize = 4 * 1024;

pub(super) async fn answer(
    dispatch: &Dispatch,
    config: &Config,
    mut request: Request<Incoming>,
    call: InCall,
) -> Result<Response<AnswerBody>, Infallible> {
    let began = Instant::now();
    let method = request.method().clone();
    let request_id = identify(&mut request);
    let app = dispatch.app(request.headers(), request.uri());
    let mut answer = match (dispatch.page(app, &method, request.uri().path()), app) {
        (Some(page), _) => page,
        (None, None) => dispatch.misdirected().response().map(Into::into),
        (None, Some(app)) => limited(app, config, request).await,
    };
    let route = answer.extensions_mut().remove::<Route>();
    let route = route.as_ref().map_or(NO_ROUTE, |route| route.0.as_str());
    let name = app.map_or(NO_ROUTE, App::name);
    let status = answer.status();
    let time = began.elapsed();
    dispatch
        .requests
        .with(&[name, route, method_label(&method), status.as_str()])
        .increment();
    dispatch.latency.with(&[name, route]).observe(time);
    // The template and not the path: paths may carry what nobody should read in a trace.
    tracing::debug!(
        service = name,
        %method,
        route,
        status = status.as_u16(),
        time_us = time.as_micros(),
        request_id = request_id.to_str().unwrap_or_default(),
        "answered"
    );
    answer.headers_mut().insert(trace::REQUEST_ID, request_id);
    Ok(answer.map(|inner| AnswerBody { inner, _call: call }))
}

/// Gives the request an id and a place in a trace where it has none, for handlers to read and pass
/// on.
fn identify(request: &mut Request<Incoming>) -> HeaderValue {
    let random = || u128::from_le_bytes(random_bytes());
    let request_id = trace::request_id(request.headers(), random);
    let context = match TraceContext::from_headers(request.headers()) {
        Some(context) => context.child(random_u64()),
        None => TraceContext::new(random(), random_u64()),
    };
    let headers = request.headers_mut();
    headers.insert(trace::REQUEST_ID, request_id.clone());
    headers.insert(trace::TRACEPARENT, context.to_header());
    request.extensions_mut().insert(context);
    request_id
}

/// The router's answer within the limits, errors as problems.
async fn limited(app: &App, config: &Config, request: Request<Incoming>) -> Response {
    let declared = request.body().size_hint().exact();
    let max = u64::try_from(config.body_bytes_max).unwrap_or(u64::MAX);
    if declared.is_some_and(|length| length > max) {
        let detail = format!("the body may have at most {max} bytes");
        return closing(problem::PAYLOAD_TOO_LARGE.with_detail(detail));
    }
    let has_stalled = Arc::new(AtomicBool::new(false));
    let request = request.map(|incoming| {
        let stalled = Arc::clone(&has_stalled);
        let body = RequestBody::new(incoming, config.body_idle_timeout, stalled);
        axum::body::Body::new(Limited::new(body, config.body_bytes_max))
    });
    let answer = tokio::time::timeout(config.answer_timeout, routed(app, request)).await;
    if has_stalled.load(Ordering::Relaxed) {
        let limit = taraf_base::duration::format(config.body_idle_timeout);
        let detail = format!("nothing of the body came for {limit}");
        return closing(problem::REQUEST_TIMEOUT.with_detail(detail));
    }
    match answer {
        Ok(answer) => documented(answer).await,
        Err(_elapsed) => {
            let limit = taraf_base::duration::format(config.answer_timeout);
            closing(problem::UPSTREAM_TIMEOUT.with_detail(format!("no answer within {limit}")))
        }
    }
}

/// The router's answer; a panic in a handler is one too.
async fn routed(app: &App, request: Request<axum::body::Body>) -> Response {
    let mut router = app.router.clone();
    let mut answer = pin!(router.call(request));
    let caught = poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(answer))) => Poll::Ready(Some(answer)),
            // The future is not polled again: its state is unknown after a panic.
            Err(_panic) => Poll::Ready(None),
        }
    });
    caught.await.unwrap_or_else(|| {
        tracing::error!(service = app.name(), "a handler panicked");
        closing(problem::INTERNAL.new())
    })
}

/// Errors without a document of their own, as routers and extractors answer them, become problems;
/// their headers, such as `Allow`, stay.
async fn documented(answer: Response) -> Response {
    let status = answer.status();
    let is_plain = answer.headers().get(CONTENT_TYPE).is_none_or(|value| {
        let value = value.to_str().unwrap_or_default();
        value.starts_with("text/plain")
    });
    if status < StatusCode::BAD_REQUEST || !is_plain {
        return answer;
    }
    let (mut head, plain) = answer.into_parts();
    let mut problem = problem::of_status(status);
    if let Ok(bytes) = body::collect(plain, PLAIN_ERROR_BYTES_MAX).await {
        let text = String::from_utf8_lossy(&bytes);
        problem.detail = Some(text.into_owned()).filter(|text| !text.is_empty());
    }
    let (document, bytes) = problem.response().into_parts();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(TRANSFER_ENCODING);
    for (name, value) in &document.headers {
        head.headers.insert(name, value.clone());
    }
    Response::from_parts(head, bytes.into())
}

/// A problem after which the connection cannot go on, as what follows on it is unknown.
fn closing(problem: Problem) -> Response {
    let close = HeaderValue::from_static("close");
    let problem = problem.with_header(CONNECTION, close);
    problem.response().map(Into::into)
}

/// Methods that outsiders make up must not become labels.
fn method_label(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.as_str(),
        _ => crate::metrics::OTHER,
    }
}
