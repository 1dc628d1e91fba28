//! [pure] The answer: what the task gets of it, or the error that its status is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, PROXY_AUTHORIZATION,
};
use http::{Request, StatusCode, response};
use serde_json::{Map, Value};
use taraf_flow::tasks::HttpOutput;
use taraf_flow::{Data, FlowError};
use url::Url;

/// Longest text of an answer that an error carries.
const DETAIL_BYTES_MAX: usize = 8 * 1024;
/// What stands for credentials.
const MASK: &str = "***";

/// The request as a `response` output shows it.
pub(crate) struct Sent {
    method: String,
    uri: String,
    headers: Value,
}

impl Sent {
    /// Credentials are masked.
    pub(super) fn of<B>(request: &Request<B>, url: &Url) -> Self {
        let secret: Vec<HeaderName> = request
            .headers()
            .iter()
            .filter(|(name, value)| {
                let carries = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(*name);
                carries || value.is_sensitive() || name.as_str() == "x-api-key"
            })
            .map(|(name, _)| name.clone())
            .collect();
        Self {
            method: request.method().to_string(),
            uri: url.to_string(),
            headers: headers(request.headers(), &secret),
        }
    }

    fn shown(&self) -> Data {
        Data::from_entries([
            ("method", Data::string(&self.method)),
            ("uri", Data::string(&self.uri)),
            ("headers", Data::from_json(&self.headers)),
        ])
    }
}

/// What the task gets of an answer that is none of an error.
pub(super) fn data(
    output: HttpOutput,
    sent: Option<&Sent>,
    head: &response::Parts,
    bytes: &Bytes,
) -> Result<Data, FlowError> {
    match output {
        HttpOutput::Content => content(&head.headers, bytes),
        HttpOutput::Raw => Ok(Data::string(&STANDARD.encode(bytes))),
        HttpOutput::Response => {
            let request = sent.map_or_else(Data::null, Sent::shown);
            Ok(Data::from_entries([
                ("request", request),
                (
                    "statusCode",
                    Data::from_json(&Value::from(head.status.as_u16())),
                ),
                ("headers", Data::from_json(&headers(&head.headers, &[]))),
                ("content", content(&head.headers, bytes)?),
            ]))
        }
    }
}

/// A status outside what the call accepts.
pub(super) fn refused(head: &response::Parts, bytes: &Bytes) -> FlowError {
    let status = head.status;
    let title = status
        .canonical_reason()
        .map_or_else(|| format!("Status {status}"), str::to_owned);
    let mut end = bytes.len().min(DETAIL_BYTES_MAX);
    // Not in the middle of a character.
    while end > 0 && end < bytes.len() && bytes[end] & 0b1100_0000 == 0b1000_0000 {
        end -= 1;
    }
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let detail = if text.is_empty() {
        phrase(status)
    } else {
        text
    };
    FlowError::communication(detail)
        .with_status(status.as_u16())
        .with_title(title)
}

fn phrase(status: StatusCode) -> String {
    format!("the answer is {status} without a body")
}

/// JSON is its value, text is a string, nothing is null, and anything else is base64.
fn content(headers: &HeaderMap, bytes: &Bytes) -> Result<Data, FlowError> {
    if bytes.is_empty() {
        return Ok(Data::null());
    }
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = essence(given).to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Data::from_bytes(bytes.clone()).map_err(|error| {
            FlowError::communication(format!("the answer says {essence} and is not: {error}"))
                .with_status(502)
        });
    }
    let is_text = essence.starts_with("text/")
        || essence.ends_with("+xml")
        || matches!(
            &*essence,
            "application/xml" | "application/x-www-form-urlencoded"
        );
    if is_text {
        return Ok(Data::string(&String::from_utf8_lossy(bytes)));
    }
    Ok(Data::string(&STANDARD.encode(bytes)))
}

/// The media type without its parameters.
pub(super) fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Names in the usual spelling, several values joined.
fn headers(headers: &HeaderMap, masked: &[HeaderName]) -> Value {
    let mut all = Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let value = if masked.contains(name) {
            MASK.to_owned()
        } else {
            values.join(", ")
        };
        all.insert(spelt(name.as_str()), Value::String(value));
    }
    Value::Object(all)
}

/// `content-type` as `Content-Type`.
fn spelt(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}
