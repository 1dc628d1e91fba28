//! [pure] What headers say of the connection: those that concern one alone and are not passed on
//! (RFC 9110 §7.6.1), and whether a body is a stream without an end.

use http::HeaderMap;
use http::header::{
    CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

// Not a constant: that would be made anew for each header that is looked at.
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Whether a header of this name concerns one connection alone.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    let is = |known: &HeaderName| name.eq_ignore_ascii_case(known.as_str());
    // By length first: most names are none of these.
    match name.len() {
        2 => is(&TE),
        7 => is(&UPGRADE),
        10 => is(&CONNECTION) || is(&KEEP_ALIVE),
        16 => is(&PROXY_CONNECTION),
        17 => is(&TRANSFER_ENCODING),
        18 => is(&PROXY_AUTHENTICATE),
        19 => is(&PROXY_AUTHORIZATION),
        _other => false,
    }
}

/// Removes the headers that concern one connection alone, and those that `Connection` names. Of `te`
/// the wish for trailers stays, with the connection option that goes with it (RFC 9110 §10.1.4):
/// trailers pass through.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most heads have none of them, and one look at each header is cheaper than a look-up of each name.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let wants_trailers = wants_trailers(headers);
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Whether the caller takes fields behind the body (RFC 9110 §10.1.4).
fn wants_trailers(headers: &HeaderMap) -> bool {
    let mut codings = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Whether the body goes on for as long as there is something to tell, by its media type.
#[must_use]
pub fn is_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| is_stream_type(media_type.as_bytes()))
}

/// The same by the media type itself.
#[must_use]
pub fn is_stream_type(media_type: &[u8]) -> bool {
    media_type.starts_with(b"text/event-stream") || media_type.starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_headers_and_those_they_name_are_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("x-kept", "2"),
            ("host", "a"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-kept", "host"]);
    }

    #[test]
    fn names_are_known_in_any_case() {
        for name in &HOP_BY_HOP {
            assert!(is_hop_by_hop(&name.as_str().to_uppercase()), "{name}");
        }
        assert!(!is_hop_by_hop("date"));
    }

    #[test]
    fn the_wish_for_trailers_is_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "TE, close"), ("te", "gzip, Trailers")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers[TE], "trailers");
        assert_eq!(headers[CONNECTION], "te");
        assert_eq!(headers.len(), 2);
    }
}
