//! [pure] `Cache-Control` of requests and answers (RFC 9111 §5.2, RFC 5861).

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

/// The longest time that counts: a number that is larger means this (RFC 9111 §1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// What a message says of being kept. Of two that contradict each other the stricter counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) flags: Flags,
    pub(crate) max_age: Option<Duration>,
    pub(crate) s_maxage: Option<Duration>,
    pub(crate) min_fresh: Option<Duration>,
    /// Of a request: how stale an answer may be.
    pub(crate) max_stale: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
}

/// Directives without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a directive of its own, present or absent"
)]
pub(crate) struct Flags {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) is_private: bool,
    pub(crate) is_public: bool,
    /// `must-revalidate`, and what means the same to a shared cache.
    pub(crate) must_revalidate: bool,
    pub(crate) only_if_cached: bool,
}

impl Directives {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        let mut is_there = false;
        for value in headers.get_all(CACHE_CONTROL) {
            is_there = true;
            for directive in split(&String::from_utf8_lossy(value.as_bytes())) {
                read.take(directive);
            }
        }
        // RFC 9111 §5.4: only for want of the other.
        if !is_there && let Some(pragma) = headers.get(PRAGMA) {
            read.flags.no_cache = pragma.as_bytes().eq_ignore_ascii_case(b"no-cache");
        }
        // RFC 9111 §5.2.2.10: to a shared cache it says `proxy-revalidate` too.
        read.flags.must_revalidate |= read.s_maxage.is_some();
        read
    }

    fn take(&mut self, directive: &str) {
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim().trim_matches('"'))),
            None => (directive, None),
        };
        let flags = &mut self.flags;
        match name.to_ascii_lowercase().as_str() {
            "no-store" => flags.no_store = true,
            // A list of fields after it is read as all of the answer, which is stricter.
            "no-cache" => flags.no_cache = true,
            "private" => flags.is_private = true,
            "public" => flags.is_public = true,
            "must-revalidate" | "proxy-revalidate" => flags.must_revalidate = true,
            "only-if-cached" => flags.only_if_cached = true,
            "max-age" => least(&mut self.max_age, value),
            "s-maxage" => least(&mut self.s_maxage, value),
            "min-fresh" => self.min_fresh = self.min_fresh.max(Some(seconds(value))),
            "max-stale" if value.is_none() => {
                let any = Duration::from_secs(SECONDS_MAX);
                self.max_stale = Some(self.max_stale.unwrap_or(any));
            }
            "max-stale" => least(&mut self.max_stale, value),
            "stale-while-revalidate" => least(&mut self.stale_while_revalidate, value),
            "stale-if-error" => least(&mut self.stale_if_error, value),
            _unknown => {}
        }
    }
}

fn least(known: &mut Option<Duration>, value: Option<&str>) {
    let new = seconds(value);
    *known = Some(known.map_or(new, |known| known.min(new)));
}

/// What is no number means that the answer is stale at once (RFC 9111 §4.2.1).
fn seconds(value: Option<&str>) -> Duration {
    let digits = value.unwrap_or_default();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number {
        digits.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX)
    } else {
        0
    };
    Duration::from_secs(number)
}

/// The members of a list; commas within quotes part nothing.
fn split(list: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let members = list.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    members
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Directives {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, value.parse().unwrap());
        }
        Directives::read(&headers)
    }

    const fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn directives_are_read_whatever_their_case_and_place() {
        let all = read(&["Public , MAX-AGE=60", "s-maxage=\"30\", stale-if-error=9"]);
        assert!(all.flags.is_public && all.flags.must_revalidate);
        assert_eq!((all.max_age, all.s_maxage), (secs(60), secs(30)));
        assert_eq!(all.stale_if_error, secs(9));
        let quoted = read(&["private=\"a, no-store\", no-cache=\"b\""]);
        assert!(quoted.flags.is_private && quoted.flags.no_cache && !quoted.flags.no_store);
    }

    #[test]
    fn the_stricter_of_two_counts_and_nonsense_is_stale() {
        assert_eq!(read(&["max-age=60", "max-age=5"]).max_age, secs(5));
        for odd in [
            "max-age=soon",
            "max-age",
            "max-age=-1",
            "max-age=1.5",
            "max-age=",
        ] {
            assert_eq!(read(&[odd]).max_age, secs(0), "{odd}");
        }
        assert_eq!(
            read(&["max-age=99999999999999999999"]).max_age,
            secs(SECONDS_MAX)
        );
        assert_eq!(read(&["max-stale"]).max_stale, secs(SECONDS_MAX));
        assert_eq!(read(&["max-stale, max-stale=3"]).max_stale, secs(3));
    }

    #[test]
    fn pragma_counts_for_want_of_the_other() {
        let mut headers = HeaderMap::from_iter([(PRAGMA, "no-cache".parse().unwrap())]);
        assert!(Directives::read(&headers).flags.no_cache);
        headers.insert(CACHE_CONTROL, "max-age=1".parse().unwrap());
        assert!(!Directives::read(&headers).flags.no_cache);
    }
}
