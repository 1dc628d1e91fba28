//! [pure] The heads of requests and answers on their way through: what is taken off, what is put on.

use core::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONNECTION, FORWARDED, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use taraf_service::trace;

use crate::auth::api_key::{Caller, X_API_KEY};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_ACCOUNT: HeaderName = HeaderName::from_static("x-taraf-account");
const X_PLAN: HeaderName = HeaderName::from_static("x-taraf-plan");
const X_KEY_ID: HeaderName = HeaderName::from_static("x-taraf-key-id");
const OUR_PREFIX: &str = "x-taraf-";

/// What holds for one connection only (RFC 9110 §7.6.1, RFC 2616 §13.5.1 for the older names).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What a service is told of the caller beside the request.
#[derive(Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) trust_forwarded: bool,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) traceparent: HeaderValue,
}

/// Makes the head of a caller's request that of the request to a service. The key goes no further:
/// a service learns who calls, not with what.
pub(crate) fn request(headers: &mut HeaderMap, hop: Hop<'_>) {
    strip_hop(headers);
    for name in [X_API_KEY, AUTHORIZATION, FORWARDED] {
        headers.remove(name);
    }
    strip_ours(headers);
    let host = headers.remove(HOST);
    let before = hop
        .trust_forwarded
        .then(|| headers.get(X_FORWARDED_FOR).cloned())
        .flatten();
    headers.insert(
        X_FORWARDED_FOR,
        forwarded_for(before.as_ref(), hop.peer.ip()),
    );
    if !hop.trust_forwarded || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if !hop.trust_forwarded || !headers.contains_key(X_FORWARDED_HOST) {
        headers.remove(X_FORWARDED_HOST);
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
    headers.insert(trace::REQUEST_ID, hop.request_id.clone());
    headers.insert(trace::TRACEPARENT, hop.traceparent);
    if let Some(caller) = hop.caller {
        headers.insert(X_ACCOUNT, text(&caller.account.to_string()));
        headers.insert(X_PLAN, text(&caller.plan));
        headers.insert(X_KEY_ID, text(&caller.key.to_string()));
    }
}

/// Makes the head of a service's answer that of the answer to the caller.
pub(crate) fn answer(headers: &mut HeaderMap) {
    strip_hop(headers);
    strip_ours(headers);
}

fn strip_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
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

fn forwarded_for(before: Option<&HeaderValue>, peer: IpAddr) -> HeaderValue {
    let peer = peer.to_canonical();
    let before = before.and_then(|value| value.to_str().ok());
    text(&before.map_or_else(|| peer.to_string(), |before| format!("{before}, {peer}")))
}

/// A plan may be named with letters that a header cannot hold: those become `?`.
fn text(text: &str) -> HeaderValue {
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
            peer: "192.0.2.7:1".parse().unwrap(),
            trust_forwarded,
            caller: None,
            request_id: &HeaderValue::from_static("id"),
            traceparent: HeaderValue::from_static("trace"),
        };
        request(&mut headers, hop);
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
            ("te", "trailers"),
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
}
