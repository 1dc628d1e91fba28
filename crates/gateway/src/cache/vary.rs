//! [pure] Which requests an answer fits: those whose headers are as `Vary` names them (RFC 9111 §4.1).

use http::HeaderMap;
use http::header::{HeaderName, VARY};

/// The most headers that an answer may depend on.
const NAMES_MAX: usize = 16;
/// What the gateway writes itself and differs from call to call.
const EVERY_CALL: [&str; 4] = [
    "x-request-id",
    "traceparent",
    "x-forwarded-for",
    "x-real-ip",
];

/// The headers that an answer depends on, and what the request had in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vary(Vec<(HeaderName, Vec<u8>)>);

impl Vary {
    /// What the answer depends on; nothing when no other request could fit it.
    pub(crate) fn of(answer: &HeaderMap, request: &HeaderMap) -> Option<Self> {
        let mut names: Vec<HeaderName> = Vec::new();
        for value in answer.get_all(VARY) {
            for name in value.to_str().ok()?.split(',').map(str::trim) {
                // A star is a name of headers too, and here it means all of them.
                if name == "*" {
                    return None;
                }
                let name = HeaderName::try_from(name).ok()?;
                if EVERY_CALL.contains(&name.as_str()) {
                    return None;
                }
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        let with_value = |name: HeaderName| {
            let value = value(request, &name);
            (name, value)
        };
        (names.len() <= NAMES_MAX).then(|| Self(names.into_iter().map(with_value).collect()))
    }

    /// Whether a request may have the answer.
    pub(crate) fn fits(&self, request: &HeaderMap) -> bool {
        self.0
            .iter()
            .all(|(name, kept)| value(request, name) == *kept)
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum()
    }
}

/// All values of a header as one list, without the space around commas.
fn value(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            if !list.is_empty() {
                list.push(b',');
            }
            list.extend_from_slice(member.trim_ascii());
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_answer_fits_requests_that_are_alike_in_what_it_names() {
        let request = headers(&[("accept", "a, b"), ("accept-language", "ro"), ("x", "1")]);
        let vary = Vary::of(
            &headers(&[("vary", "Accept"), ("vary", "accept-language, accept")]),
            &request,
        );
        let vary = vary.unwrap();
        assert!(vary.fits(&request));
        assert!(vary.fits(&headers(&[
            ("accept", "a"),
            ("accept", "b"),
            ("accept-language", "ro")
        ])));
        assert!(!vary.fits(&headers(&[("accept", "a,b"), ("accept-language", "en")])));
        assert!(!vary.fits(&headers(&[("accept", "a,b")])));
    }

    #[test]
    fn what_differs_in_every_call_fits_none() {
        for value in ["*", "x-request-id", "accept, traceparent", "a b"] {
            assert_eq!(
                Vary::of(&headers(&[("vary", value)]), &HeaderMap::new()),
                None,
                "{value}"
            );
        }
    }
}
