//! [pure] The heads of requests and answers on their way through: what is taken off, what is put on.

use core::net::IpAddr;

use http::HeaderMap;
use http::header::{AUTHORIZATION, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue};
use taraf_service::client::{is_hop_by_hop, remove_hop_by_hop};
use taraf_service::trace::{self, TraceContext};

use crate::auth::api_key::{Caller, X_API_KEY};

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_ACCOUNT: HeaderName = HeaderName::from_static("x-taraf-account");
pub(crate) const X_PLAN: HeaderName = HeaderName::from_static("x-taraf-plan");
pub(crate) const X_KEY_ID: HeaderName = HeaderName::from_static("x-taraf-key-id");
const OUR_PREFIX: &str = "x-taraf-";

/// What a service is told of the caller beside the request.
#[derive(Debug)]
pub(crate) struct Hop<'a> {
    /// The address of the other end, as text.
    pub(crate) peer: &'a HeaderValue,
    /// Whether the caller came by TLS.
    pub(crate) is_secure: bool,
    pub(crate) trust_forwarded: bool,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) trace: TraceContext,
}

/// Makes the head of a caller's request that of the request to a service. The key goes no further:
/// a service learns who calls, not with what.
pub(crate) fn request(headers: &mut HeaderMap, hop: &Hop<'_>) {
    // Before ours are put on: what `Connection` names must not take them off again.
    remove_hop_by_hop(headers);
    // What is expected is met here: the gateway itself says 100 when it reads the body.
    for name in [X_API_KEY, AUTHORIZATION, FORWARDED, EXPECT] {
        headers.remove(name);
    }
    if !hop.trust_forwarded {
        headers.remove(X_REAL_IP);
    }
    strip_ours(headers);
    let host = headers.remove(HOST);
    let forwarded_for = if hop.trust_forwarded {
        forwarded_for(forwarded_before(headers), hop.peer)
    } else {
        hop.peer.clone()
    };
    headers.insert(X_FORWARDED_FOR, forwarded_for);
    let scheme = if hop.is_secure { "https" } else { "http" };
    if !hop.trust_forwarded || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    if !hop.trust_forwarded || !headers.contains_key(X_FORWARDED_HOST) {
        headers.remove(X_FORWARDED_HOST);
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
    headers.insert(trace::REQUEST_ID, hop.request_id.clone());
    headers.insert(trace::TRACEPARENT, hop.trace.to_header());
    if let Some(caller) = hop.caller {
        insert_lines(headers, caller.told.lines());
    }
}

/// A header as a line of a head.
pub(crate) fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Puts lines that were written by [`write_line`] into a table.
pub(crate) fn insert_lines(headers: &mut HeaderMap, lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value
            .strip_prefix(b": ")
            .unwrap_or_default()
            .trim_ascii_end();
        let line = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = line {
            headers.insert(name, value);
        }
    }
}

/// What services are told of the caller's connection, as lines of a head.
pub(crate) fn lines_of(peer: &HeaderValue, is_secure: bool) -> Box<[u8]> {
    let mut lines = Vec::new();
    write_line(&mut lines, X_FORWARDED_FOR.as_str(), peer.as_bytes());
    let scheme = if is_secure { "https" } else { "http" };
    write_line(&mut lines, X_FORWARDED_PROTO.as_str(), scheme.as_bytes());
    lines.into()
}

/// Makes the head of a service's answer that of the answer to the caller.
pub(crate) fn answer(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    strip_ours(headers);
}

/// Whether a header of a caller's request goes on to the service, told by its name alone: what is put
/// on does not, nor what concerns one connection or proves who calls. Of what other proxies have said
/// nothing is believed here.
pub(crate) fn passes_to_service(name: &str) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    // By length first: most names are none of these.
    let is_of_the_hop = match name.len() {
        4 => is("host"),
        6 => is("expect"),
        9 => is("x-api-key") || is("forwarded") || is("x-real-ip"),
        11 => is("traceparent"),
        12 => is("x-request-id"),
        13 => is("authorization"),
        15 => is("x-forwarded-for"),
        16 => is("x-forwarded-host"),
        17 => is("x-forwarded-proto"),
        _other => false,
    };
    !is_of_the_hop && passes_to_caller(name)
}

/// The same of a service's answer.
pub(crate) fn passes_to_caller(name: &str) -> bool {
    let prefix = name.as_bytes().get(..OUR_PREFIX.len());
    let is_ours = prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(OUR_PREFIX.as_bytes()));
    !is_ours && !is_hop_by_hop(name)
}

fn strip_ours(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(OUR_PREFIX))
        .cloned()
        .collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Where a call comes from: the peer, or whom a trusted balancer names. That is the last address of
/// the list, which the balancer itself has added; what stands before it anybody may have written.
pub(crate) fn source(headers: &HeaderMap, peer: IpAddr, trust_forwarded: bool) -> IpAddr {
    let named = trust_forwarded
        .then(|| forwarded_before(headers).last()?.parse().ok())
        .flatten();
    named.unwrap_or(peer).to_canonical()
}

/// The addresses of `x-forwarded-for`, which may be given in several headers that are one list.
fn forwarded_before(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|address| !address.is_empty())
}

fn forwarded_for<'h>(before: impl Iterator<Item = &'h str>, peer: &'h HeaderValue) -> HeaderValue {
    let peer = peer.to_str().unwrap_or_default();
    let all: Vec<&str> = before.chain([peer]).collect();
    text(&all.join(", "))
}

/// A plan may be named with letters that a header cannot hold: those become `?`.
pub(crate) fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_not_visible| {
        let visible = text
            .chars()
            .map(|c| if c.is_ascii_graphic() { c } else { '?' });
        HeaderValue::try_from(visible.collect::<String>()).expect("visible ASCII fits a header")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pairs: &[(&'static str, &str)], trust_forwarded: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let hop = Hop {
            peer: &HeaderValue::from_static("192.0.2.7"),
            is_secure: false,
            trust_forwarded,
            caller: None,
            request_id: &HeaderValue::from_static("id"),
            trace: TraceContext::new(1, 2),
        };
        request(&mut headers, &hop);
        headers
    }

    #[test]
    fn credentials_and_what_names_a_caller_go_no_further() {
        let headers = passed(
            &[
                ("x-api-key", "k"),
                ("authorization", "Bearer k"),
                ("x-taraf-account", "acc_forged"),
                ("x-taraf-anything", "x"),
                ("forwarded", "for=1.1.1.1"),
                ("accept", "*/*"),
            ],
            false,
        );
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "accept",
            "traceparent",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_the_connection_header_names_is_of_this_hop() {
        let pairs = [
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("te", "gzip"),
        ];
        let headers = passed(&pairs, false);
        for name in ["connection", "x-secret", "te"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn forwarded_headers_are_believed_only_when_told_so() {
        let pairs = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "https"),
            ("host", "api.example.org"),
        ];
        let headers = passed(&pairs, false);
        assert_eq!(headers[X_FORWARDED_FOR], "192.0.2.7");
        assert_eq!(headers[X_FORWARDED_PROTO], "http");
        assert_eq!(headers[X_FORWARDED_HOST], "api.example.org");
        let headers = passed(&pairs, true);
        assert_eq!(headers[X_FORWARDED_FOR], "198.51.100.1, 192.0.2.7");
        assert_eq!(headers[X_FORWARDED_PROTO], "https");
    }

    #[test]
    fn several_forwarded_headers_are_one_list_of_which_the_last_is_believed() {
        let pairs = [
            ("x-forwarded-for", "203.0.113.9, 203.0.113.8"),
            ("x-forwarded-for", "198.51.100.1"),
        ];
        let headers = passed(&pairs, true);
        let all = "203.0.113.9, 203.0.113.8, 198.51.100.1, 192.0.2.7";
        assert_eq!(headers[X_FORWARDED_FOR], all);
        let mut headers = HeaderMap::new();
        let peer = "192.0.2.7".parse().unwrap();
        assert_eq!(source(&headers, peer, true), peer);
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        let caller: IpAddr = "198.51.100.1".parse().unwrap();
        assert_eq!(source(&headers, peer, true), caller);
        assert_eq!(source(&headers, peer, false), peer);
    }
}
