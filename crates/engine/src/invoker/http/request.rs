//! The request: address, headers, and the body in the encoding that its type asks for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use taraf_flow::{Data, FlowError};
use taraf_service::{Body, body};
use url::Url;

use super::super::auth::{Authorization, DigestLogin};
use super::HttpRequest;
use super::redirect::Hop;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const ATTEMPT: HeaderName = HeaderName::from_static("taraf-attempt");
const EPOCH: HeaderName = HeaderName::from_static("taraf-epoch");
const RUN: HeaderName = HeaderName::from_static("taraf-run");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub(super) fn method(text: &str) -> Result<Method, FlowError> {
    Method::from_bytes(text.to_ascii_uppercase().as_bytes())
        .map_err(|_not_a_token| FlowError::configuration(format!("`{text}` is not an HTTP method")))
}

/// The address that a text is.
///
/// # Errors
/// `configuration` for what cannot be called.
pub(crate) fn address(uri: &str) -> Result<Url, FlowError> {
    Url::parse(uri)
        .map_err(|error| FlowError::configuration(format!("`{uri}` is not an address: {error}")))
}

/// The address with the call's own query parameters behind those that it has already.
///
/// # Errors
/// `configuration` for what is not called over HTTP.
pub(crate) fn with_query(mut url: Url, query: &[(String, String)]) -> Result<Url, FlowError> {
    if !matches!(url.scheme(), "http" | "https") {
        let why = format!("`{url}` is neither http nor https");
        return Err(FlowError::configuration(why));
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The request, and the nonce that it answers when it answers one.
pub(super) fn build(
    call: &HttpRequest,
    hop: &Hop,
) -> Result<(Request<Body>, Option<String>), FlowError> {
    let mut headers = own_headers(call)?;
    if !hop.keeps_authorization {
        headers.remove(AUTHORIZATION);
    }
    let bytes = match &call.body {
        Some(data) if hop.keeps_body => Some(encode(data, &mut headers)?),
        _ => None,
    };
    let mut nonce = None;
    let shown = match &call.authorization {
        Authorization::Header(value) if hop.keeps_authorization => Some(value.clone()),
        Authorization::Digest(_) => digest(call, hop).and_then(|login| {
            let body = bytes.as_deref().unwrap_or_default();
            let (value, answered) = login.answer(hop.method.as_str(), &hop.url, body)?;
            nonce = Some(answered);
            Some(value)
        }),
        Authorization::Absent | Authorization::Header(_) => None,
    };
    if let Some(value) = shown {
        let mut value = header_value("Authorization", value.expose())?;
        value.set_sensitive(true);
        headers.entry(AUTHORIZATION).or_insert(value);
    }
    let mut request = Request::new(bytes.map_or_else(body::empty, body::full));
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = hop.url.as_str().parse().map_err(|error| {
        FlowError::configuration(format!("`{}` cannot be sent: {error}", hop.url))
    })?;
    *request.headers_mut() = headers;
    Ok((request, nonce))
}

/// The login by which challenges of this hop are answered, if any: an author's own header beats it.
pub(super) fn digest<'a>(call: &'a HttpRequest, hop: &Hop) -> Option<&'a DigestLogin> {
    let is_own = |(name, _): &(String, String)| name.eq_ignore_ascii_case("authorization");
    match &call.authorization {
        Authorization::Digest(login)
            if hop.keeps_authorization && !call.headers.iter().any(is_own) =>
        {
            Some(login)
        }
        _ => None,
    }
}

/// The author's headers and ours, which do not replace his.
fn own_headers(call: &HttpRequest) -> Result<HeaderMap, FlowError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let parsed = HeaderName::try_from(name.as_str()).map_err(|_not_a_token| {
            FlowError::configuration(format!("`{name}` is not a header's name"))
        })?;
        headers.append(parsed, header_value(name, value)?);
    }
    let mut ours = Vec::new();
    if let Some(effect) = &call.effect {
        ours.push((IDEMPOTENCY_KEY, effect.key.clone()));
        ours.push((ATTEMPT, effect.attempt.to_string()));
        ours.push((EPOCH, effect.epoch.to_string()));
        ours.push((RUN, effect.run.to_string()));
    }
    ours.extend(
        call.traceparent
            .clone()
            .map(|context| (TRACEPARENT, context)),
    );
    for (name, value) in ours {
        let value = header_value(name.as_str(), &value)?;
        headers.entry(name).or_insert(value);
    }
    Ok(headers)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, FlowError> {
    // The value stays out of the error: it may be a secret.
    HeaderValue::try_from(value).map_err(|_control_character| {
        FlowError::configuration(format!("the value of the header `{name}` cannot be sent"))
    })
}

/// An object, array, number or boolean is JSON and a string is itself, unless the type given by the
/// author says otherwise.
fn encode(data: &Data, headers: &mut HeaderMap) -> Result<Bytes, FlowError> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = given.map(|value| super::answer::essence(value).to_owned());
    let (bytes, default) = match (essence.as_deref(), data.as_str()) {
        (Some("application/x-www-form-urlencoded"), None) => (form(data)?, ""),
        (Some("application/octet-stream"), Some(text)) => (binary(&text)?, ""),
        (_, Some(text)) => (Bytes::from(text), "text/plain; charset=utf-8"),
        (_, None) if data.is_null() => return Ok(Bytes::new()),
        (_, None) => (data.as_bytes().clone(), "application/json"),
    };
    if essence.is_none() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(default));
    }
    Ok(bytes)
}

fn form(data: &Data) -> Result<Bytes, FlowError> {
    let entries = data.entries().ok_or_else(|| {
        FlowError::validation("a form's body is an object, or a string that is encoded already")
    })?;
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in entries {
        let values = value.items().unwrap_or_else(|| vec![value]);
        for value in values.iter().filter(|value| !value.is_null()) {
            form.append_pair(&name, &text(value));
        }
    }
    Ok(Bytes::from(form.finish()))
}

fn binary(text: &str) -> Result<Bytes, FlowError> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| {
        FlowError::validation(format!(
            "an application/octet-stream body is base64: {error}"
        ))
    })
}

/// A string as it is, anything else as JSON.
fn text(data: &Data) -> String {
    data.as_str()
        .unwrap_or_else(|| String::from_utf8_lossy(data.as_bytes()).into_owned())
}
