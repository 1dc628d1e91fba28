//! [pure] Heads of requests and answers, read where they lie.

use std::mem::MaybeUninit;

use super::Framing;

/// The most headers that are read in place. hyper's own limit is the same.
pub const HEADERS_MAX: usize = 100;

/// A header as it was written: its name in any case, its value without the blanks around it.
pub type Header<'b> = httparse::Header<'b>;

/// What is at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// The beginning of a head.
    Partial,
    /// A whole head, and what was made of it.
    Whole(T),
    /// No head that is read here. Another reader may know more, or say what is wrong.
    Strange,
}

/// The head of a request of HTTP/1.1.
#[derive(Debug)]
pub struct RequestHead<'h, 'b> {
    /// As it was written: methods know case.
    pub method: &'b str,
    /// The request target (RFC 9112 §3.2).
    pub target: &'b str,
    /// In their order.
    pub headers: &'h [Header<'b>],
    /// How many bytes it has, the empty line included.
    pub length: usize,
}

/// The head of an answer.
#[derive(Debug)]
pub struct AnswerHead<'h, 'b> {
    /// 100 to 999.
    pub status: u16,
    /// In their order.
    pub headers: &'h [Header<'b>],
    /// How many bytes it has, the empty line included.
    pub length: usize,
    /// Whether the connection stays open for another request (RFC 9112 §9.3).
    pub is_kept: bool,
    coding: Coding,
    body_length: Length,
}

/// Whether the empty line that ends a head may be among the bytes, of which the first `seen` were looked
/// at before. A head that comes byte by byte is read once, not once for each byte.
#[must_use]
pub fn may_be_whole(bytes: &[u8], seen: usize) -> bool {
    // The line may have begun in what was seen: CR LF CR LF, of which lenient readers need no CR.
    let fresh = bytes.get(seen.saturating_sub(3)..).unwrap_or_default();
    fresh.windows(2).any(|two| two == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n")
}

/// Reads the head of a request at the front of the bytes.
pub fn request<T>(bytes: &[u8], act: impl FnOnce(&RequestHead<'_, '_>) -> T) -> Found<T> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut []);
    match head.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Partial) => Found::Partial,
        Ok(httparse::Status::Complete(length)) => {
            let (Some(method), Some(target), Some(1)) = (head.method, head.path, head.version)
            else {
                return Found::Strange;
            };
            Found::Whole(act(&RequestHead {
                method,
                target,
                headers: head.headers,
                length,
            }))
        }
        Err(_not_http) => Found::Strange,
    }
}

/// Reads the head of an answer at the front of the bytes.
pub fn answer<T>(bytes: &[u8], act: impl FnOnce(&AnswerHead<'_, '_>) -> T) -> Found<T> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut head, bytes, &mut headers) {
        Ok(httparse::Status::Partial) => Found::Partial,
        Ok(httparse::Status::Complete(length)) => {
            let (Some(status @ 100..), Some(version)) = (head.code, head.version) else {
                return Found::Strange;
            };
            let told = Told::of(version, head.headers);
            Found::Whole(act(&AnswerHead {
                status,
                headers: head.headers,
                length,
                is_kept: told.is_kept,
                coding: told.coding,
                body_length: told.length,
            }))
        }
        Err(_not_http) => Found::Strange,
    }
}

/// What the headers of an answer say of its connection and of its length.
struct Told {
    is_kept: bool,
    coding: Coding,
    length: Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Chunked,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    None,
    Known(u64),
    /// It cannot be read, or there are two.
    Odd,
}

impl Told {
    /// Looks at each header once, at its length first: most are none of these.
    fn of(version: u8, headers: &[Header<'_>]) -> Self {
        let mut told = Self {
            is_kept: version >= 1,
            coding: Coding::None,
            length: Length::None,
        };
        let mut closes = false;
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            match header.name.len() {
                10 if is("connection") => {
                    for option in members(header.value) {
                        closes |= option.eq_ignore_ascii_case(b"close");
                        told.is_kept |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if is("content-length") => {
                    for length in members(header.value) {
                        told.length = told.length.and(number(length));
                    }
                }
                17 if is("transfer-encoding") => {
                    for coding in members(header.value) {
                        let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                        told.coding = match (told.coding, is_chunked) {
                            (Coding::None, true) => Coding::Chunked,
                            _two_or_another => Coding::Other,
                        };
                    }
                }
                _other => {}
            }
        }
        told.is_kept &= !closes;
        told
    }
}

impl Length {
    fn and(self, other: Option<u64>) -> Self {
        match (self, other) {
            (Self::None, Some(length)) => Self::Known(length),
            (Self::Known(known), Some(length)) if known == length => self,
            _odd => Self::Odd,
        }
    }
}

/// The members of a header's value that is a list (RFC 9110 §5.6.1).
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

impl AnswerHead<'_, '_> {
    /// Where the body ends (RFC 9112 §6.3); nothing when that cannot be told.
    #[must_use]
    pub const fn framing(&self, is_head: bool) -> Option<Framing> {
        if is_head || matches!(self.status, 100..200 | 204 | 304) {
            return Some(Framing::Length(0));
        }
        match (self.coding, self.body_length) {
            (Coding::Chunked, _) => Some(Framing::Chunked),
            (Coding::Other, _) | (Coding::None, Length::Odd) => None,
            (Coding::None, Length::Known(length)) => Some(Framing::Length(length)),
            (Coding::None, Length::None) => Some(Framing::UntilClose),
        }
    }

    /// Whether it says both how long its body is and that it has chunks. Only the chunks count, and
    /// the connection is of no more use: somebody before us may have read it otherwise.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.coding != Coding::None && self.body_length != Length::None
    }
}

/// A length: digits and nothing else (RFC 9110 §8.6).
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

impl RequestHead<'_, '_> {
    /// The length that the request's body has by a header of this value, as in [`AnswerHead::framing`].
    #[must_use]
    pub fn length_of(value: &[u8]) -> Option<u64> {
        number(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(text: &str, is_head: bool) -> Option<Framing> {
        match answer(text.as_bytes(), |head| head.framing(is_head)) {
            Found::Whole(framing) => framing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_head_is_read_where_it_lies() {
        let text = b"GET /a?b=1 HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\n\r\nbody";
        let found = request(text, |head| {
            assert_eq!((head.method, head.target), ("GET", "/a?b=1"));
            assert_eq!(head.headers[1].name, "X-Y");
            assert_eq!(head.headers[1].value, b"z");
            head.length
        });
        assert_eq!(found, Found::Whole(text.len() - 4));
        for end in 0..text.len() - 5 {
            assert_eq!(request(&text[..end], |_| ()), Found::Partial, "{end}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_noticed_wherever_the_pieces_are_cut() {
        for end in ["\r\n\r\n", "\n\n", "\n\r\n", "\r\n\n"] {
            let text = format!("GET / HTTP/1.1\r\nhost: a{end}");
            for seen in 0..text.len() {
                assert!(may_be_whole(text.as_bytes(), seen), "{text:?} {seen}");
                let part = &text.as_bytes()[..text.len() - 1];
                assert!(!may_be_whole(part, seen), "{text:?} {seen}");
            }
        }
    }

    #[test]
    fn what_is_not_read_here_is_strange() {
        for text in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\na b: c\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(request(text.as_bytes(), |_| ()), Found::Strange, "{text}");
        }
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(request(many.as_bytes(), |_| ()), Found::Strange);
    }

    #[test]
    fn the_end_of_a_body_is_told_as_rfc_9112_says() {
        let check = |headers: &str, expected| {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
            assert_eq!(framing(&text, false), expected, "{headers}");
        };
        check("", Some(Framing::UntilClose));
        check("Content-Length: 12\r\n", Some(Framing::Length(12)));
        check("content-length: 3, 3\r\n", Some(Framing::Length(3)));
        check("content-length: 3\r\ncontent-length: 4\r\n", None);
        check("content-length: +3\r\n", None);
        check("content-length: 99999999999999999999\r\n", None);
        check("transfer-encoding: Chunked\r\n", Some(Framing::Chunked));
        check("transfer-encoding: gzip, chunked\r\n", None);
        check("transfer-encoding: gzip\r\n", None);
        let both = "transfer-encoding: chunked\r\ncontent-length: 3\r\n";
        check(both, Some(Framing::Chunked));
        let is_ambiguous = |headers: &str| {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
            answer(text.as_bytes(), |head| (head.status, head.is_ambiguous()))
        };
        assert_eq!(is_ambiguous(both), Found::Whole((200, true)));
        assert_eq!(
            is_ambiguous("content-length: 3\r\n"),
            Found::Whole((200, false))
        );
    }

    #[test]
    fn answers_that_have_no_body_end_with_their_head() {
        let none = Some(Framing::Length(0));
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true),
            none
        );
        for status in [101, 204, 304] {
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 5\r\n\r\n");
            assert_eq!(framing(&text, false), none);
        }
    }

    #[test]
    fn connections_are_kept_as_version_and_header_say() {
        let check = |first: &str, headers: &str, expected| {
            let text = format!("{first} 200 OK\r\n{headers}\r\n");
            let found = answer(text.as_bytes(), |head| head.is_kept);
            assert_eq!(found, Found::Whole(expected), "{text}");
        };
        check("HTTP/1.1", "", true);
        check("HTTP/1.1", "Connection: x, Close\r\n", false);
        check("HTTP/1.0", "", false);
        check("HTTP/1.0", "connection: Keep-Alive\r\n", true);
        check("HTTP/1.0", "connection: keep-alive, close\r\n", false);
    }
}
