//! [pure] What a request is, as far as that is told by its head: one for here or not, and what of it
//! concerns the gateway.

use http::Method;
use taraf_service::wire::RequestHead;

use crate::config::Limits;

/// A request that can be read here, and how long it is.
pub(super) struct Shape {
    pub(super) method: Method,
    /// The bytes of the head and of the body.
    pub(super) head: usize,
    pub(super) body: usize,
    /// Whether the caller wants no other call on this connection.
    pub(super) is_last: bool,
}

impl Shape {
    /// Nothing for what needs more than is known here: other protocols, codings, expectations, what is
    /// given twice, what is refused in any case.
    pub(super) fn of(head: &RequestHead<'_, '_>, limits: &Limits) -> Option<Self> {
        let is_too_much = head.target.len() > limits.uri_bytes
            || head.headers.len() > limits.headers
            || head.length > limits.header_bytes;
        if !head.target.starts_with('/') || is_too_much {
            return None;
        }
        let method = Method::from_bytes(head.method.as_bytes()).ok()?;
        if method == Method::CONNECT {
            return None;
        }
        let (mut body, mut hosts, mut is_last) = (None, 0, false);
        for header in head.headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            // By length first: most names are none of these.
            match header.name.len() {
                2 if is("te") => return None,
                4 if is("host") => hosts += 1,
                6 if is("expect") => return None,
                7 if is("upgrade") || is("trailer") => return None,
                10 if is("connection") => {
                    let value = header.value.trim_ascii();
                    is_last |= value.eq_ignore_ascii_case(b"close");
                    if !is_last && !value.eq_ignore_ascii_case(b"keep-alive") {
                        return None;
                    }
                }
                14 if is("content-length") => {
                    let length = RequestHead::length_of(header.value)?;
                    if body.replace(usize::try_from(length).ok()?).is_some() {
                        return None;
                    }
                }
                17 if is("transfer-encoding") => return None,
                _other => {}
            }
        }
        let body = body.unwrap_or(0);
        head.length.checked_add(body)?;
        (hosts == 1).then_some(Self {
            method,
            head: head.length,
            body,
            is_last,
        })
    }

    /// The bytes of all of it.
    pub(super) const fn length(&self) -> usize {
        self.head + self.body
    }
}

/// What of a head the gateway looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks<'b> {
    pub(crate) host: Option<&'b [u8]>,
    pub(crate) api_key: Option<&'b [u8]>,
    pub(crate) authorization: Option<&'b [u8]>,
    pub(crate) request_id: Option<&'b [u8]>,
    pub(crate) traceparent: Option<&'b [u8]>,
    /// Which of several counts must not depend on who reads them: such a request takes the ordinary
    /// way.
    pub(crate) has_twice: bool,
}

impl<'b> Marks<'b> {
    pub(super) fn of(head: &RequestHead<'_, 'b>) -> Self {
        let mut marks = Self::default();
        for header in head.headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let mark = match header.name.len() {
                4 if is("host") => &mut marks.host,
                9 if is("x-api-key") => &mut marks.api_key,
                11 if is("traceparent") => &mut marks.traceparent,
                12 if is("x-request-id") => &mut marks.request_id,
                13 if is("authorization") => &mut marks.authorization,
                _other => continue,
            };
            marks.has_twice |= mark.replace(header.value).is_some();
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use taraf_service::wire::{self, Found};

    use super::*;

    fn shape(text: &str) -> Option<Shape> {
        match wire::request(text.as_bytes(), |head| Shape::of(head, &Limits::default())) {
            Found::Whole(shape) => shape,
            Found::Partial | Found::Strange => panic!("{text}"),
        }
    }

    #[test]
    fn a_plain_request_has_a_length() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n";
        let shape = shape(text).unwrap();
        assert_eq!((shape.head, shape.body), (text.len(), 5));
        assert!(shape.is_last);
        assert_eq!(shape.method, Method::POST);
    }

    #[test]
    fn what_needs_more_is_left_to_others() {
        for (first, headers) in [
            ("GET /", ""),
            ("GET /", "host: a\r\nhost: a\r\n"),
            ("CONNECT a:1", "host: a\r\n"),
            ("OPTIONS *", "host: a\r\n"),
            ("GET http://a/", "host: a\r\n"),
            ("GET /", "host: a\r\nupgrade: websocket\r\n"),
            ("GET /", "host: a\r\nconnection: upgrade\r\n"),
            ("GET /", "host: a\r\nte: trailers\r\n"),
            ("POST /", "host: a\r\nexpect: 100-continue\r\n"),
            ("POST /", "host: a\r\ntransfer-encoding: chunked\r\n"),
            (
                "POST /",
                "host: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n",
            ),
            ("POST /", "host: a\r\ncontent-length: +1\r\n"),
            (
                "POST /",
                "host: a\r\ncontent-length: 18446744073709551615\r\n",
            ),
        ] {
            let text = format!("{first} HTTP/1.1\r\n{headers}\r\n");
            assert!(shape(&text).is_none(), "{text}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(9 << 10));
        assert!(shape(&long).is_none());
    }

    #[test]
    fn marks_that_are_given_twice_are_told() {
        let read = |text: &str| {
            let found = wire::request(text.as_bytes(), |head| {
                let marks = Marks::of(head);
                (marks.has_twice, marks.api_key.map(<[u8]>::to_vec))
            });
            match found {
                Found::Whole(marks) => marks,
                Found::Partial | Found::Strange => panic!("{text}"),
            }
        };
        let once = read("GET / HTTP/1.1\r\nhost: a\r\nX-API-Key: k\r\n\r\n");
        assert_eq!(once, (false, Some(b"k".to_vec())));
        let twice = read("GET / HTTP/1.1\r\nhost: a\r\nx-api-key: k\r\nx-api-key: k\r\n\r\n");
        assert!(twice.0);
    }
}
