//! What ties the parts of one request together: `x-request-id` and W3C trace context.

use std::cell::RefCell;
use std::fmt;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, HeaderName as Name};
use taraf_base::{Rng, random_u64};

/// The header that names a request for people.
pub const REQUEST_ID: HeaderName = Name::from_static("x-request-id");

/// The header of W3C trace context.
pub const TRACEPARENT: HeaderName = Name::from_static("traceparent");

/// The bytes of its value (W3C Trace Context, level 1 §3.2).
pub const TRACEPARENT_BYTES: usize = 55;

/// Longest request id that is kept when a caller brings one.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Where a piece of work stands in a trace (W3C Trace Context, level 1 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace.
    pub trace_id: u128,
    /// This piece of work.
    pub span_id: u64,
    /// Bit 0: recorded by the caller.
    pub flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent`. `None` when it is not sound; then a new trace begins.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let version = bytes.get(0..2)?;
        // A later version may append members; version ff is forbidden.
        let length_fits = match version {
            b"00" => bytes.len() == 55,
            b"ff" => false,
            _later => bytes.len() == 55 || bytes.get(55) == Some(&b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|&at| bytes.get(at) == Some(&b'-'));
        if !length_fits || !dashes {
            return None;
        }
        hexadecimal(version)?;
        let context = Self {
            trace_id: hexadecimal(bytes.get(3..35)?)?,
            span_id: u64::try_from(hexadecimal(bytes.get(36..52)?)?).ok()?,
            flags: u8::try_from(hexadecimal(bytes.get(53..55)?)?).ok()?,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// The context in these headers.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
    }

    /// The beginning of a trace, from random numbers.
    #[must_use]
    pub fn new(trace_id: u128, span_id: u64) -> Self {
        Self {
            trace_id: trace_id.max(1),
            span_id: span_id.max(1),
            flags: 1,
        }
    }

    /// The context of work that this one causes.
    #[must_use]
    pub fn child(self, span_id: u64) -> Self {
        Self {
            span_id: span_id.max(1),
            ..self
        }
    }

    /// The header's value as it is written.
    #[must_use]
    pub fn to_bytes(self) -> [u8; TRACEPARENT_BYTES] {
        // Written by hand: each proxied call has one.
        let mut text = *b"00-................................-................-..";
        write_hexadecimal(&mut text[3..35], self.trace_id);
        write_hexadecimal(&mut text[36..52], self.span_id.into());
        write_hexadecimal(&mut text[53..55], self.flags.into());
        text
    }

    /// The header's value.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.to_bytes())
            .expect("hexadecimal digits and dashes fit a header")
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

/// A number for the id of a trace or a request, which must differ from others and need not be secret.
/// It comes from a generator of this thread that began with a number of the operating system, and
/// costs no system call.
#[must_use]
pub fn random_id() -> u128 {
    thread_local! {
        static RNG: RefCell<Rng> = RefCell::new(Rng::new(random_u64()));
    }
    RNG.with_borrow_mut(|rng| u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))
}

/// The same for a piece of work in a trace.
#[must_use]
pub fn random_span() -> u64 {
    let id = random_id();
    u64::try_from(id >> 64).unwrap_or(0)
}

/// Fills the text with the number's last digits.
fn write_hexadecimal(text: &mut [u8], mut number: u128) {
    for digit in text.iter_mut().rev() {
        let low = u8::try_from(number & 0xf).unwrap_or(0);
        *digit = if low < 10 {
            b'0' + low
        } else {
            b'a' + low - 10
        };
        number >>= 4;
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _other => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// The request id that the caller brought, when it is short and printable; otherwise one made from
/// the random number.
#[must_use]
pub fn request_id(headers: &HeaderMap, random: impl FnOnce() -> u128) -> HeaderValue {
    let brought = headers.get(REQUEST_ID).map(HeaderValue::as_bytes);
    request_id_or(brought, random)
}

/// The same of the header's value.
#[must_use]
pub fn request_id_or(brought: Option<&[u8]>, random: impl FnOnce() -> u128) -> HeaderValue {
    let is_sound = |value: &&[u8]| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
    };
    let brought = brought.filter(is_sound).map(HeaderValue::from_bytes);
    if let Some(Ok(brought)) = brought {
        return brought;
    }
    let mut text = [0; 32];
    write_hexadecimal(&mut text, random());
    HeaderValue::from_bytes(&text).expect("hexadecimal digits fit a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_within_and_between_threads() {
        let some = || (0..1000).map(|_| random_id()).collect::<Vec<_>>();
        let other = std::thread::spawn(some);
        let mut all = some();
        all.extend(other.join().unwrap());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2000);
    }

    const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_sound_context_is_continued() {
        let context = TraceContext::parse(SOUND).unwrap();
        assert_eq!(context.to_string(), SOUND);
        assert_eq!(context.to_header(), SOUND);
        let child = context.child(5);
        assert_eq!(child.trace_id, context.trace_id);
        assert_eq!(
            child.to_string(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000005-01"
        );
    }

    #[test]
    fn an_unsound_context_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
        let later = SOUND.replacen("00", "01", 1) + "-more";
        assert!(TraceContext::parse(&later).is_some());
    }

    #[test]
    fn a_request_id_is_kept_or_made() {
        let mut headers = HeaderMap::new();
        assert_eq!(request_id(&headers, || 7), format!("{:032x}", 7).as_str());
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(request_id(&headers, || 7), "abc-1");
        headers.insert(REQUEST_ID, HeaderValue::from_static("a b"));
        assert_ne!(request_id(&headers, || 7), "a b");
    }
}
