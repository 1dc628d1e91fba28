//! Routes that lead to a flow: the request becomes its input, its output the answer.
//!
//! The input is one object: the members of a JSON object body (another JSON value becomes the member
//! `body`), then the query's parameters (a repeated one becomes a list), then the path's. What comes
//! later takes the place of what was there: no body can pretend another path.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use serde_json::{Map, Value, json};
use taraf_service::{Body, Problem, body, problem};

use crate::answer;

/// The header by which a caller makes a start safe to repeat.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// The most parameters of a query that becomes an input.
const QUERY_PARAMETERS_MAX: usize = 256;

/// What a flow answers, in time.
pub type FlowFuture<'a> = Pin<Box<dyn Future<Output = Result<FlowAnswer, Problem>> + Send + 'a>>;

/// Those who run flows. The program joins this to the engine.
///
/// An implementation must answer [`Flows::start`] with `Ok` only when the run is recorded (unless its
/// flow is ephemeral), and must hide the runs of other accounts in [`Flows::run`]. It need not keep
/// the deadline: the gateway gives up by itself.
pub trait Flows: Send + Sync + 'static {
    /// Starts a run and waits for its output, at most `call.wait`. A fault is a problem with the
    /// status of the flow's error.
    fn start(&self, call: FlowCall) -> FlowFuture<'_>;

    /// A run that `account` started; [`problem::RUN_NOT_FOUND`] for any other.
    fn run<'a>(&'a self, id: &'a str, account: &'a str) -> FlowFuture<'a>;
}

/// A call that starts a run.
#[derive(Clone, Debug)]
pub struct FlowCall {
    /// The route's id, for settings that its owner keeps beside it.
    pub route: String,
    /// The flow's namespace.
    pub namespace: String,
    /// The flow's name.
    pub name: String,
    /// The flow's version; the latest without it.
    pub version: Option<String>,
    /// How long to wait for the output of a durable run.
    pub wait: Duration,
    /// When the gateway gives up on an ephemeral run.
    pub deadline: Duration,
    /// The merged input.
    pub input: Value,
    /// The path's parameters alone.
    pub path: Map<String, Value>,
    /// The query's parameters alone.
    pub query: Map<String, Value>,
    /// The body alone.
    pub body: Option<Value>,
    /// The id of the calling account; none on an open route.
    pub account: Option<String>,
    /// Makes the start safe to repeat. Scoped to the account by whoever runs the flow.
    pub idempotency_key: Option<String>,
    /// W3C trace context of the call.
    pub traceparent: String,
    /// The call's `x-request-id`.
    pub request_id: String,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowAnswer {
    /// The output, as JSON: 200.
    Output(Bytes),
    /// The run goes on: 202, and where it can be asked for.
    Accepted {
        /// The run's id.
        id: String,
    },
    /// A run as it is now, as JSON: 200.
    Run(Bytes),
}

impl FlowAnswer {
    pub(crate) fn into_response(self) -> Response<Body> {
        match self {
            Self::Output(json) | Self::Run(json) => answer::json(StatusCode::OK, json),
            Self::Accepted { id } => {
                let status = json!({ "id": id, "status": "running" });
                let mut response = answer::json(StatusCode::ACCEPTED, status.to_string());
                if let Ok(location) = HeaderValue::try_from(format!("/runs/{id}")) {
                    response.headers_mut().insert(LOCATION, location);
                }
                response
            }
        }
    }
}

/// The parts of a request that become the input.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) path: Map<String, Value>,
    pub(crate) query: Map<String, Value>,
    pub(crate) body: Option<Value>,
}

impl Input {
    /// The one object.
    pub(crate) fn merged(&self) -> Value {
        let mut merged = match &self.body {
            Some(Value::Object(members)) => members.clone(),
            Some(other) => Map::from_iter([("body".to_owned(), other.clone())]),
            None => Map::new(),
        };
        merged.extend(self.query.clone());
        merged.extend(self.path.clone());
        Value::Object(merged)
    }
}

/// The query's parameters; a repeated one is a list.
pub(crate) fn query(text: Option<&str>) -> Result<Map<String, Value>, Problem> {
    let mut members = Map::new();
    let pairs = url::form_urlencoded::parse(text.unwrap_or_default().as_bytes());
    for (at, (name, value)) in pairs.enumerate() {
        if at == QUERY_PARAMETERS_MAX {
            return Err(problem::BAD_REQUEST.with_detail("the query has too many parameters"));
        }
        let value = Value::String(value.into_owned());
        match members.get_mut(name.as_ref()) {
            None => {
                members.insert(name.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(members)
}

/// The body as JSON; nothing when it is empty.
pub(crate) async fn json_body(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Option<Value>, Problem> {
    let bytes = body::collect(body, max)
        .await
        .map_err(|error| match error {
            body::Error::TooLarge { .. } => problem::PAYLOAD_TOO_LARGE.new(),
            body::Error::Broken(_) => problem::BAD_REQUEST.with_detail("the body broke off"),
        })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if !is_json(headers) {
        return Err(problem::UNSUPPORTED_MEDIA_TYPE.with_detail("the body must be JSON"));
    }
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            Err(problem::BAD_REQUEST.with_detail(format!("the body is not JSON: {error}")))
        }
    }
}

/// A body without a type is taken for JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let media_type = value.to_str().unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => Err(problem::BAD_REQUEST.with_detail(format!(
            "Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible characters"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_wins_over_query_and_query_over_body() {
        let input = Input {
            path: query(Some("a=path")).unwrap(),
            query: query(Some("a=query&b=query")).unwrap(),
            body: Some(json!({"a": "body", "b": "body", "c": 1})),
        };
        let expected = json!({"a": "path", "b": "query", "c": 1});
        assert_eq!(input.merged(), expected);
    }

    #[test]
    fn a_body_that_is_no_object_is_one_member() {
        let input = Input {
            body: Some(json!([1, 2])),
            ..Input::default()
        };
        assert_eq!(input.merged(), json!({"body": [1, 2]}));
        assert_eq!(Input::default().merged(), json!({}));
    }

    #[test]
    fn a_repeated_parameter_is_a_list() {
        let check = |text: &str, expected: Value| {
            assert_eq!(Value::Object(query(Some(text)).unwrap()), expected);
        };
        check("a=1&a=2&b=%C8%99", json!({"a": ["1", "2"], "b": "ș"}));
        check("", json!({}));
        let many = "a&".repeat(QUERY_PARAMETERS_MAX + 1);
        assert_eq!(query(Some(&many)).unwrap_err().status, 400);
    }

    #[tokio::test]
    async fn what_is_not_json_is_refused() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))])
        };
        let status = async |headers: HeaderMap, text: &'static str| {
            let read = json_body(&headers, body::full(text), 8).await;
            read.map_err(|problem| problem.status)
        };
        assert_eq!(status(HeaderMap::new(), "1").await, Ok(Some(json!(1))));
        assert_eq!(status(HeaderMap::new(), "").await, Ok(None));
        assert_eq!(status(headers("text/plain"), "1").await, Err(415));
        let typed = headers("application/ld+json; charset=utf-8");
        assert_eq!(status(typed, "1").await, Ok(Some(json!(1))));
        assert_eq!(status(HeaderMap::new(), "{").await, Err(400));
        assert_eq!(status(HeaderMap::new(), "123456789").await, Err(413));
    }
}
