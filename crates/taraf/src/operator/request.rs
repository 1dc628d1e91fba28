//! Reading a call: known query parameters only, JSON bodies, durations; each refusal is a problem.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request;
use serde::de::DeserializeOwned;
use taraf_service::{Problem, problem};

use super::Operation;

/// The longest time that an answer may wait for the end of a run.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Refuses a call with a query parameter that its operation does not know, and notes each call that
/// changes something: who steers a node leaves a trace.
pub(super) async fn pass(operation: Operation, request: Request, next: Next) -> Response {
    let Operation {
        method,
        path,
        query,
    } = operation;
    let unknown = unknown_parameter(request.uri().query().unwrap_or_default(), query);
    let response = match unknown {
        Some(name) => problem::BAD_REQUEST
            .with_detail(refusal(&name, query))
            .into_response(),
        None => next.run(request).await,
    };
    if method != "get" {
        let status = response.status().as_u16();
        tracing::info!(target: "access", method, path, status, "operator");
    }
    response
}

fn unknown_parameter(query: &str, known: &[&str]) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name.into_owned())
        .find(|name| !known.contains(&name.as_str()))
}

fn refusal(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("query parameter `{name}` is not known; this call takes none");
    }
    format!(
        "query parameter `{name}` is not known; this call takes {}",
        known.join(", ")
    )
}

/// The query as a value.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(value)| Self(value))
            .map_err(|error| problem::BAD_REQUEST.with_detail(error.body_text()))
    }
}

/// The body's bytes, within the limit.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE => {
                let limit = super::BODY_BYTES_MAX;
                Err(problem::PAYLOAD_TOO_LARGE.with_detail(format!("at most {limit} bytes")))
            }
            Err(error) => Err(problem::BAD_REQUEST.with_detail(error.body_text())),
        }
    }
}

impl Body {
    /// The body as JSON; an empty body gives `T`'s default where it has one.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bytes: &[u8] = if self.0.is_empty() { b"{}" } else { &self.0 };
        serde_json::from_slice(bytes)
            .map_err(|error| problem::BAD_REQUEST.with_detail(format!("the body: {error}")))
    }
}

/// A duration of the query, at most [`WAIT_MAX`].
pub(crate) fn wait(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else {
        return Ok(Duration::ZERO);
    };
    duration("wait", text).map(|wait| wait.min(WAIT_MAX))
}

/// A duration given by the caller.
pub(crate) fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    taraf_base::duration::parse(text)
        .map_err(|error| problem::BAD_REQUEST.with_detail(format!("`{name}`: {error}")))
}

/// An id or another value given by the caller.
pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<T, Problem> {
    text.parse()
        .map_err(|error| problem::BAD_REQUEST.with_detail(format!("`{name}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_not_known_is_found() {
        assert_eq!(unknown_parameter("", &[]), None);
        assert_eq!(unknown_parameter("wait=5s", &["wait"]), None);
        assert_eq!(
            unknown_parameter("wait=5s&wiat=1s", &["wait"]),
            Some("wiat".to_owned())
        );
        assert_eq!(unknown_parameter("a%20b", &["a"]), Some("a b".to_owned()));
    }

    #[test]
    fn a_wait_has_a_limit() {
        assert_eq!(wait(None).ok(), Some(Duration::ZERO));
        assert_eq!(wait(Some("5s")).ok(), Some(Duration::from_secs(5)));
        assert_eq!(wait(Some("9h")).ok(), Some(WAIT_MAX));
        assert_eq!(wait(Some("soon")).unwrap_err().status, 400);
    }
}
