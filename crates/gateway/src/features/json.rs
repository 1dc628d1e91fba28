//! JSON bodies on their way through jq, within the guards that the expressions of flows have.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use taraf_base::Timestamp;
use taraf_flow::{Data, Expression, ExpressionError, Scope};
use taraf_service::body::{self, Error};
use taraf_service::{Body, Problem, problem};

use super::transform::Plan;
use crate::auth::api_key::{Caller, X_API_KEY};
use crate::flows;
use crate::routes::Entry;

/// What jq makes of a body that is not there and that it does not care for.
const NULL: &str = "null";

/// What jq is told of the request as it came: all but the credentials.
pub(crate) fn described(
    route: &Entry,
    values: &[String],
    caller: Option<&Caller>,
    request: &Request<Body>,
) -> Result<Data, Problem> {
    let is_secret = |name: &str| {
        name == X_API_KEY.as_str()
            || matches!(name, "authorization" | "cookie" | "proxy-authorization")
    };
    let parameters: Map<String, Value> = route
        .parameters(values)
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Ok(Data::from_json(&json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": flows::query(request.uri().query())?,
        "headers": headers(request.headers(), is_secret),
        "parameters": parameters,
        "account": caller.map(|caller| caller.account.to_string()),
        "plan": caller.map(|caller| &*caller.plan),
    })))
}

/// The body of a request, made by the route's expression.
pub(crate) async fn request(
    plan: &Plan,
    expression: &Expression,
    described: Option<Data>,
    request: Request<Body>,
) -> Result<Request<Body>, Problem> {
    let (mut parts, incoming) = request.into_parts();
    let bytes = body::collect(incoming, plan.body_bytes_max).await;
    let bytes = bytes.map_err(|error| match error {
        Error::TooLarge { max } => problem::PAYLOAD_TOO_LARGE.with_detail(format!(
            "a body that is transformed here may have {max} bytes"
        )),
        Error::Broken(_) => problem::BAD_REQUEST.with_detail("the body broke off"),
    })?;
    if !bytes.is_empty() && !is_json(&parts.headers) {
        let detail = "the body must be JSON, with `Content-Type: application/json`";
        return Err(problem::UNSUPPORTED_MEDIA_TYPE.with_detail(detail));
    }
    let is_empty = bytes.is_empty();
    let input = if is_empty {
        Ok(Data::null())
    } else {
        Data::from_bytes(bytes)
    };
    let input =
        input.map_err(|error| problem::BAD_REQUEST.with_detail(format!("the body: {error}")))?;
    let made = evaluate(expression, input, described, None).await;
    let made = made.map_err(|error| {
        problem::UNPROCESSABLE.with_detail(format!("the body cannot be transformed: {error}"))
    })?;
    let made = if is_empty && made == NULL {
        Bytes::new()
    } else {
        made
    };
    parts.headers.remove(http::header::CONTENT_LENGTH);
    if !made.is_empty() {
        let json = HeaderValue::from_static("application/json");
        parts.headers.insert(CONTENT_TYPE, json);
    }
    Ok(Request::from_parts(parts, body::full(made)))
}

/// Whether the body of an answer is to be made anew: there is one, and the call went well.
pub(crate) fn concerns(method: &Method, response: &Response<Body>) -> bool {
    let status = response.status();
    status.is_success()
        && status != StatusCode::NO_CONTENT
        && *method != Method::HEAD
        && !response.body().is_empty()
}

/// The body of an answer, made by the route's expression.
pub(crate) async fn answer(
    plan: &Plan,
    expression: &Expression,
    described: Option<Data>,
    response: Response<Body>,
    limit: Duration,
) -> Result<Response<Body>, Problem> {
    let (mut parts, incoming) = response.into_parts();
    let failed = |detail: String| problem::TRANSFORM_FAILED.with_detail(detail);
    if !is_json(&parts.headers) || parts.headers.contains_key(CONTENT_ENCODING) {
        return Err(failed("the service's answer is not plain JSON".to_owned()));
    }
    let collected = tokio::time::timeout(limit, body::collect(incoming, plan.body_bytes_max));
    let bytes = match collected.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(Error::TooLarge { max })) => {
            let detail = format!("the service's answer is longer than {max} bytes");
            return Err(failed(detail));
        }
        Ok(Err(Error::Broken(_))) => return Err(problem::UPSTREAM_BROKEN.new()),
        Err(_late) => return Err(problem::UPSTREAM_TIMEOUT.new()),
    };
    let input = Data::from_bytes(bytes)
        .map_err(|error| failed(format!("the service's answer: {error}")))?;
    let response = expression.mentions("response").then(|| {
        let headers = headers(&parts.headers, |_name| false);
        Data::from_json(&json!({"status": parts.status.as_u16(), "headers": headers}))
    });
    let made = evaluate(expression, input, described, response).await;
    let made = made.map_err(|error| failed(error.to_string()))?;
    let json = HeaderValue::from_static("application/json");
    parts.headers.insert(CONTENT_TYPE, json);
    Ok(Response::from_parts(parts, body::full(made)))
}

/// Evaluates beside the runtime's own threads: an expression may use its whole budget.
async fn evaluate(
    expression: &Expression,
    input: Data,
    request: Option<Data>,
    response: Option<Data>,
) -> Result<Bytes, ExpressionError> {
    let expression = expression.clone();
    let locals = [("request", request), ("response", response)];
    let locals = locals
        .into_iter()
        .filter_map(|(name, data)| Some((name.into(), data?)));
    let scope = Scope {
        locals: locals.collect(),
        now: Timestamp::now(),
        ..Scope::default()
    };
    let work = move || {
        let made = expression.eval(&input, &scope)?;
        // Written here, where it may take its time.
        Ok(made.as_bytes().clone())
    };
    let evaluated = tokio::task::spawn_blocking(work).await;
    evaluated.unwrap_or(Err(ExpressionError::Unavailable))
}

/// `application/json`, or a type that is JSON by its suffix (RFC 6839 §3.1).
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media_type.is_some_and(|value| {
        let essence = value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    })
}

fn headers(headers: &HeaderMap, is_secret: impl Fn(&str) -> bool) -> Map<String, Value> {
    let names = headers.keys().filter(|name| !is_secret(name.as_str()));
    names
        .map(|name| {
            let values = headers.get_all(name).iter();
            let texts: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            (name.to_string(), texts.join(", ").into())
        })
        .collect()
}
