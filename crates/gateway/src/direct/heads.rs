//! Heads written as bytes: a request to a service, an answer to a caller. What is taken off and what
//! is put on is what [`crate::forward`] does with tables of headers.

use std::cell::RefCell;
use std::time::UNIX_EPOCH;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use taraf_base::Timestamp;
use taraf_service::trace::TraceContext;
use taraf_service::wire::{AnswerHead, Framing, Header};

use super::status;
use crate::answer;
use crate::forward::{self, Hop, write_line as field};
use crate::usage::Standing;

/// An IMF-fixdate (RFC 9110 §5.6.7) always has so many letters.
const DATE_BYTES: usize = 29;

/// Where a request goes, as its first lines say it.
pub(crate) struct Line<'a> {
    pub(crate) method: &'a str,
    /// The path at the service, and the query.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) host: &'a HeaderValue,
    /// What is told of the caller's connection.
    pub(crate) peer: &'a [u8],
}

/// Writes the head of a request to a service.
pub(crate) fn request(out: &mut Vec<u8>, line: &Line<'_>, headers: &[Header<'_>], hop: &Hop<'_>) {
    let mut forwarded_host = None;
    out.extend_from_slice(line.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(line.path.as_bytes());
    if let Some(query) = line.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(line.host.as_bytes());
    out.extend_from_slice(b"\r\n");
    for header in headers {
        if header.name.eq_ignore_ascii_case("host") {
            forwarded_host = Some(header.value);
        } else if forward::passes_to_service(header.name) {
            field(out, header.name, header.value);
        }
    }
    out.extend_from_slice(line.peer);
    if let Some(host) = forwarded_host {
        field(out, "x-forwarded-host", host);
    }
    field(out, "x-request-id", hop.request_id.as_bytes());
    field(out, "traceparent", &hop.trace.to_bytes());
    if let Some(caller) = hop.caller {
        out.extend_from_slice(caller.told.lines());
    }
    out.extend_from_slice(b"\r\n");
}

/// What an answer is given on its way to the caller.
pub(crate) struct Given<'a> {
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) standing: Option<&'a Standing>,
    pub(crate) is_head: bool,
    /// Whether the connection closes behind it.
    pub(crate) is_last: bool,
}

/// Writes the head of a service's answer to its caller, if it is one of those that pass as bytes: it
/// has a length, tells no error, and says nothing of the connection but whether it is kept.
pub(crate) fn answer(out: &mut Vec<u8>, head: &AnswerHead<'_, '_>, given: &Given<'_>) -> bool {
    if !(200..400).contains(&head.status) || head.status == 304 {
        return false;
    }
    let Some(Framing::Length(length)) = head.framing(given.is_head) else {
        return false;
    };
    if !head.headers.iter().all(is_plain) {
        return false;
    }
    first_line(out, head.status);
    let mut has_date = false;
    for header in head.headers {
        let name = header.name;
        let is_replaced = name.eq_ignore_ascii_case("x-request-id")
            || (given.standing.is_some() && answer::tells_standing(name));
        let is_length = name.eq_ignore_ascii_case("content-length");
        has_date |= name.eq_ignore_ascii_case("date");
        // Of an answer to HEAD the length is that of another body.
        let passes = if is_length {
            given.is_head
        } else {
            !is_replaced && forward::passes_to_caller(name)
        };
        if passes {
            field(out, name, header.value);
        }
    }
    if !given.is_head && head.status != 204 {
        length_field(out, length);
    }
    if !has_date {
        date_field(out);
    }
    field(out, "x-request-id", given.request_id.as_bytes());
    if let Some(standing) = given.standing {
        answer::write_standing(out, standing);
    }
    if given.is_last {
        field(out, "connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
    true
}

/// Whether nothing has to be known of a header but its name. Streams have other limits, and what
/// `Connection` names does not pass.
fn is_plain(header: &Header<'_>) -> bool {
    match header.name.len() {
        10 if header.name.eq_ignore_ascii_case("connection") => {
            let value = header.value;
            value.eq_ignore_ascii_case(b"close") || value.eq_ignore_ascii_case(b"keep-alive")
        }
        12 if header.name.eq_ignore_ascii_case("content-type") => {
            !taraf_service::client::is_stream_type(header.value)
        }
        _other => true,
    }
}

/// The headers as a table. Nothing when one cannot be in it.
pub(super) fn collect(headers: &[Header<'_>], table: &mut HeaderMap) -> Option<()> {
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        table.append(name, value);
    }
    Some(())
}

/// The head of an answer as the ordinary way has it, without what concerns the connection.
pub(crate) fn owned(head: &AnswerHead<'_, '_>) -> Option<http::response::Parts> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status(head.status);
    collect(head.headers, &mut parts.headers)?;
    forward::answer(&mut parts.headers);
    Some(parts)
}

pub(super) fn first_line(out: &mut Vec<u8>, number: u16) {
    if number == 200 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    let status = status(number);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    // Nobody reads it; without a name for the status it may be empty (RFC 9112 §4).
    let reason = status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub(super) fn length_field(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    answer::write_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// `Date` (RFC 9110 §6.6.1), put into words once a second.
pub(super) fn date_field(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = Timestamp::now();
    let second = now.as_millis().div_euclid(1_000);
    DATE.with_borrow_mut(|(written, text)| {
        if *written != second {
            let since = std::time::Duration::from_secs(u64::try_from(second).unwrap_or(0));
            *text = httpdate::fmt_http_date(UNIX_EPOCH + since);
            *written = second;
        }
        debug_assert_eq!(text.len(), DATE_BYTES);
        field(out, "date", text.as_bytes());
    });
}

/// The trace of a request by the header that it brought.
pub(crate) fn trace(traceparent: Option<&[u8]>) -> Option<TraceContext> {
    TraceContext::parse(std::str::from_utf8(traceparent?).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use taraf_service::wire::{self, Found};

    use super::*;

    const NAMES: [&str; 22] = [
        "Accept",
        "accept",
        "X-Api-Key",
        "Authorization",
        "Forwarded",
        "X-Real-IP",
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Taraf-Account",
        "x-taraf-anything",
        "X-Request-Id",
        "Traceparent",
        "tracestate",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Content-Type",
        "Cookie",
        "x-tara",
        "Date",
        "X-RateLimit-Limit",
    ];

    fn hop<'a>(peer: &'a HeaderValue, request_id: &'a HeaderValue) -> Hop<'a> {
        Hop {
            peer,
            is_secure: false,
            trust_forwarded: false,
            caller: None,
            request_id,
            trace: TraceContext::new(1, 2),
        }
    }

    fn sorted<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Vec<(String, String)> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut all: Vec<_> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
            .collect();
        all.sort();
        all
    }

    fn written(found: Found<Vec<(String, String)>>) -> Vec<(String, String)> {
        match found {
            Found::Whole(headers) => headers,
            other => panic!("what was written is no head: {other:?}"),
        }
    }

    fn some_headers() -> impl Strategy<Value = String> {
        let header = (prop::sample::select(&NAMES[..]), "[!-~]{0,12}");
        let line = header.prop_map(|(name, value)| format!("{name}: {value}\r\n"));
        prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn a_service_is_told_the_same_in_both_ways(headers in some_headers()) {
            let text = format!("GET /a HTTP/1.1\r\nHost: api.example.org\r\n{headers}\r\n");
            let (peer, id) = (HeaderValue::from_static("192.0.2.7"), HeaderValue::from_static("id"));
            let host = HeaderValue::from_static("up.service");
            let found = wire::request(text.as_bytes(), |head| {
                let mut out = Vec::new();
                let told = forward::lines_of(&peer, false);
                let line = Line {
                    method: "GET",
                    path: "/b",
                    query: Some("c=d"),
                    host: &host,
                    peer: &told,
                };
                request(&mut out, &line, head.headers, &hop(&peer, &id));
                let direct = written(wire::request(&out, |head| {
                    assert_eq!(head.target, "/b?c=d");
                    sorted(head.headers.iter().map(|header| (header.name, header.value)))
                }));
                let mut table = HeaderMap::new();
                collect(head.headers, &mut table).unwrap();
                forward::request(&mut table, &hop(&peer, &id));
                table.insert("host", host.clone());
                let named = table.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                (direct, sorted(named))
            });
            let Found::Whole((direct, ordinary)) = found else {
                panic!("no head: {text}");
            };
            prop_assert_eq!(direct, ordinary);
        }

        #[test]
        fn a_caller_is_told_the_same_in_both_ways(headers in some_headers()) {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 5\r\n\r\n");
            let id = HeaderValue::from_static("id");
            let given = Given { request_id: &id, standing: None, is_head: false, is_last: false };
            let found = wire::answer(text.as_bytes(), |head| {
                let mut out = Vec::new();
                assert!(answer(&mut out, head, &given));
                let direct = written_answer(&out);
                let mut parts = owned(head).unwrap();
                parts.headers.insert("x-request-id", id.clone());
                let named = parts.headers.iter();
                (direct, sorted(named.map(|(name, value)| (name.as_str(), value.as_bytes()))))
            });
            let Found::Whole((mut direct, ordinary)) = found else {
                panic!("no head: {text}");
            };
            if !ordinary.iter().any(|(name, _)| name == "date") {
                direct.retain(|(name, _)| name != "date");
            }
            prop_assert_eq!(direct, ordinary);
        }
    }

    fn written_answer(out: &[u8]) -> Vec<(String, String)> {
        written(wire::answer(out, |head| {
            sorted(
                head.headers
                    .iter()
                    .map(|header| (header.name, header.value)),
            )
        }))
    }

    #[test]
    fn answers_that_need_more_do_not_pass_as_bytes() {
        let id = HeaderValue::from_static("id");
        let passes = |first: &str, headers: &str, is_head: bool| {
            let text = format!("HTTP/1.1 {first}\r\n{headers}\r\n");
            let given = Given {
                request_id: &id,
                standing: None,
                is_head,
                is_last: true,
            };
            let found = wire::answer(text.as_bytes(), |head| {
                let mut out = Vec::new();
                let passes = answer(&mut out, head, &given);
                (passes, String::from_utf8(out).unwrap())
            });
            match found {
                Found::Whole(passed) => passed,
                other => panic!("{other:?}"),
            }
        };
        let (is_written, text) = passes("200 OK", "content-length: 5\r\n", false);
        assert!(is_written);
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: "),
            "{text}"
        );
        assert!(
            text.ends_with("\r\nx-request-id: id\r\nconnection: close\r\n\r\n"),
            "{text}"
        );
        let (is_written, text) = passes("204 No Content", "", false);
        assert!(is_written && !text.contains("content-length"), "{text}");
        let (is_written, text) = passes("200 OK", "content-length: 5\r\n", true);
        assert!(is_written && text.contains("content-length: 5"), "{text}");
        for (first, headers) in [
            ("200 OK", ""),
            ("200 OK", "transfer-encoding: chunked\r\n"),
            ("200 OK", "content-length: 5\r\nconnection: x-private\r\n"),
            (
                "200 OK",
                "content-length: 5\r\ncontent-type: text/event-stream\r\n",
            ),
            ("304 Not Modified", ""),
            ("404 Not Found", "content-length: 5\r\n"),
            ("503 Busy", "content-length: 5\r\n"),
        ] {
            assert!(!passes(first, headers, false).0, "{first} {headers}");
        }
    }
}
