//! [pure] Errors as documents (RFC 9457) with a stable `code`, and the table of all codes.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Body;
use crate::body;

mod table;

pub use table::*;

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What the `type` of a problem begins with; its code follows.
pub const TYPE_PREFIX: &str = "urn:taraf:problem:";

/// A sort of problem: what never changes about it. The platform's are constants of this module;
/// an application declares its own the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The stable word for programs: lower-case with underscores.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The same few words for every occurrence.
    pub title: &'static str,
    /// What has happened, for the reference.
    pub meaning: &'static str,
    /// What to do about it, for the reference.
    pub help: &'static str,
}

impl Kind {
    /// A problem of this sort without a detail.
    #[must_use]
    #[expect(
        clippy::new_ret_no_self,
        clippy::wrong_self_convention,
        reason = "`problem::NOT_FOUND.new()` reads as what it does"
    )]
    pub fn new(&self) -> Problem {
        Problem {
            code: Cow::Borrowed(self.code),
            status: self.status,
            title: Cow::Borrowed(self.title),
            detail: None,
            instance: None,
            extensions: Box::default(),
            headers: Box::default(),
        }
    }

    /// A problem of this sort; the detail is for the caller to read.
    #[must_use]
    pub fn with_detail(&self, detail: impl Into<String>) -> Problem {
        let mut problem = self.new();
        problem.detail = Some(detail.into());
        problem
    }
}

/// The problem that an answer of this status most likely is, when nothing more is known of it.
#[must_use]
pub fn of_status(status: StatusCode) -> Problem {
    let kind = match status.as_u16() {
        401 => UNAUTHORIZED,
        403 => FORBIDDEN,
        404 => NOT_FOUND,
        405 => METHOD_NOT_ALLOWED,
        406 => NOT_ACCEPTABLE,
        408 => REQUEST_TIMEOUT,
        409 => CONFLICT,
        411 => LENGTH_REQUIRED,
        413 => PAYLOAD_TOO_LARGE,
        414 => URI_TOO_LONG,
        415 => UNSUPPORTED_MEDIA_TYPE,
        421 => MISDIRECTED_REQUEST,
        422 => UNPROCESSABLE,
        429 => RATE_LIMITED,
        431 => HEADERS_TOO_LARGE,
        501 => NOT_IMPLEMENTED,
        502 => UPSTREAM_BROKEN,
        503 => SERVICE_UNAVAILABLE,
        504 => UPSTREAM_TIMEOUT,
        number if number < 500 => BAD_REQUEST,
        _other => INTERNAL,
    };
    let mut problem = kind.new();
    problem.status = status.as_u16();
    problem
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        kind.new()
    }
}

impl IntoResponse for Kind {
    fn into_response(self) -> Response {
        self.new().into_response()
    }
}

/// One occurrence of a problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The stable word for programs.
    pub code: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// The same few words for every occurrence of the code.
    pub title: Cow<'static, str>,
    /// What happened this time, for the caller to read.
    pub detail: Option<String>,
    /// A reference to this occurrence.
    pub instance: Option<Box<str>>,
    /// Further members of the document.
    pub extensions: Box<Map<String, Value>>,
    /// Headers that the answer carries, such as `Retry-After` and `Allow`.
    pub headers: Box<[(HeaderName, HeaderValue)]>,
}

// A problem is the error of many results, which should stay small.
const _: () = assert!(size_of::<Problem>() < 128);

#[derive(Serialize)]
struct Written<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'a str,
    #[serde(flatten)]
    extensions: &'a Map<String, Value>,
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    title: String,
    status: u16,
    detail: Option<String>,
    instance: Option<String>,
    code: Option<String>,
    #[serde(flatten)]
    extensions: Map<String, Value>,
}

impl Problem {
    /// The same problem with one more member. The standard members cannot be replaced.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        const STANDARD: [&str; 6] = ["type", "title", "status", "detail", "instance", "code"];
        if !STANDARD.contains(&member) {
            self.extensions.insert(member.to_owned(), value.into());
        }
        self
    }

    /// The same problem, its answer carrying one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        let mut headers = self.headers.into_vec();
        headers.push((name, value));
        self.headers = headers.into();
        self
    }

    /// The same problem with a reference to this occurrence.
    #[must_use]
    pub fn with_instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into().into());
        self
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self.written()).unwrap_or_else(|_error| json!({"code": self.code}))
    }

    /// The document as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(&self.written())
            .unwrap_or_else(|_error| b"{}".to_vec())
            .into()
    }

    /// The form that errors have under `/api/`: `{"error":{"code","title","description"}}`.
    #[must_use]
    pub fn to_error_form(&self) -> Value {
        json!({"error": {
            "code": self.code,
            "title": self.title,
            "description": self.detail.as_deref().unwrap_or(&self.title),
        }})
    }

    /// Reads a problem document that another server answered. `None` when the bytes are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut read: Read = serde_json::from_slice(bytes).ok()?;
        let type_ = read.extensions.remove("type");
        let code = read.code.or_else(|| {
            let code = type_.as_ref()?.as_str()?.strip_prefix(TYPE_PREFIX)?;
            Some(code.to_owned())
        });
        Some(Self {
            code: Cow::Owned(code.unwrap_or_else(|| "unknown".to_owned())),
            status: read.status,
            title: Cow::Owned(read.title),
            detail: read.detail,
            instance: read.instance.map(Into::into),
            extensions: Box::new(read.extensions),
            headers: Box::default(),
        })
    }

    /// The answer that carries the problem document.
    #[must_use]
    pub fn response(&self) -> http::Response<Body> {
        self.answer(MEDIA_TYPE, self.to_bytes())
    }

    /// The answer that carries the form used under `/api/`.
    #[must_use]
    pub fn error_form_response(&self) -> http::Response<Body> {
        self.answer(
            "application/json",
            self.to_error_form().to_string().into_bytes().into(),
        )
    }

    fn answer(&self, media_type: &'static str, bytes: Bytes) -> http::Response<Body> {
        let mut response = http::Response::new(body::full(bytes));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        response
    }

    fn written(&self) -> Written<'_> {
        Written {
            r#type: format!("{TYPE_PREFIX}{}", self.code),
            title: &self.title,
            status: self.status,
            detail: self.detail.as_deref(),
            instance: self.instance.as_deref(),
            code: &self.code,
            extensions: &self.extensions,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.code)?;
        self.detail
            .as_ref()
            .map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response().map(Into::into)
    }
}

/// The reference of all codes in Markdown: those of the platform, then those of each application.
#[must_use]
pub fn reference(applications: &[(&str, &[Kind])]) -> String {
    let mut text = "# Errors\n\n\
        Every error is answered as a problem document (RFC 9457, `application/problem+json`) whose \
        `code` never changes its meaning. Under `/api/` the form is \
        `{\"error\":{\"code\",\"title\",\"description\"}}` with the same codes, unless the request \
        asks for problem documents. This file is generated from `crates/service/src/problem/table.rs` \
        and the applications' tables.\n\n"
        .to_owned();
    text.push_str(&table(TABLE));
    for (application, kinds) in applications {
        text.extend(["\n## ", application, "\n\n"]);
        text.push_str(&table(kinds));
    }
    text
}

fn table(kinds: &[Kind]) -> String {
    let mut text =
        "| code | status | title | what has happened | what to do |\n|---|---|---|---|---|\n"
            .to_owned();
    for kind in kinds {
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            kind.code, kind.status, kind.title, kind.meaning, kind.help
        )
        .expect("a string takes all that is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_the_document_of_rfc_9457() {
        let problem = NOT_FOUND
            .with_detail("no company 1")
            .with("cif", "1")
            .with("status", 200);
        assert_eq!(
            problem.to_json(),
            json!({
                "type": "urn:taraf:problem:not_found", "title": "Not found", "status": 404,
                "detail": "no company 1", "code": "not_found", "cif": "1"
            })
        );
        let mut back = Problem::from_bytes(&problem.to_bytes()).unwrap();
        assert_eq!(back.to_json(), problem.to_json());
        back.detail = None;
        assert_eq!(
            back.to_error_form(),
            json!({"error": {"code": "not_found", "title": "Not found", "description": "Not found"}})
        );
    }

    #[test]
    fn a_foreign_problem_without_a_code_is_read() {
        let problem = Problem::from_bytes(br#"{"status": 409, "title": "Taken"}"#).unwrap();
        assert_eq!((problem.status, &*problem.code), (409, "unknown"));
        assert!(Problem::from_bytes(b"<html>").is_none());
    }

    #[test]
    fn an_answer_has_status_type_and_headers() {
        let allow = HeaderValue::from_static("GET");
        let problem = METHOD_NOT_ALLOWED
            .new()
            .with_header(http::header::ALLOW, allow);
        let response = problem.response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()["allow"], "GET");
    }

    #[test]
    fn codes_are_unique_words_with_a_status_of_errors() {
        let mut codes: Vec<_> = TABLE.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
        for kind in TABLE {
            assert!((400..600).contains(&kind.status), "{}", kind.code);
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(kind.code.chars().all(is_word), "{}", kind.code);
        }
    }
}
