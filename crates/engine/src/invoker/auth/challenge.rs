//! [pure] `WWW-Authenticate` and its kin: schemes with their parameters (RFC 9110 §11).
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Parameters of one challenge at most; more are not read.
const PARAMS_MAX: usize = 32;

/// What a server asks for by one scheme.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case.
    pub(super) scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value, whatever the case of its name.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let mut found = self.params.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// All challenges of one header. What cannot be read ends the reading.
pub(super) fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(rest);
        if name.is_empty() {
            return found;
        }
        let value = after.trim_start().strip_prefix('=').map(str::trim_start);
        match (value, found.last_mut()) {
            (Some(value), Some(challenge)) if !value.starts_with('=') => {
                let Some((value, after)) = value_of(value) else {
                    return found;
                };
                if challenge.params.len() < PARAMS_MAX {
                    challenge.params.push((name.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            // A scheme, or a token68, which no scheme of ours has.
            _ => {
                found.push(Challenge {
                    scheme: name.to_ascii_lowercase(),
                    params: Vec::new(),
                });
                rest = after.trim_start_matches('=');
            }
        }
    }
}

/// `Authentication-Info` has parameters without a scheme.
pub(super) fn parameters(header: &str) -> Challenge {
    let mut read = challenges(&format!("info {header}"));
    if read.is_empty() {
        return Challenge::default();
    }
    read.swap_remove(0)
}

fn token(text: &str) -> (&str, &str) {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c));
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_schemes_with_parameters_in_one_header_are_read() {
        let header = r#"Basic realm="a, \"b\"", Negotiate YWJj==, DIGEST qop="auth, auth-int" , nonce=abc,stale = TRUE"#;
        let found = challenges(header);
        let schemes: Vec<_> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["basic", "negotiate", "ywjj", "digest"]);
        let of = |n: usize, name: &str| found.get(n).and_then(|one| one.param(name));
        assert_eq!(of(0, "realm"), Some("a, \"b\""));
        assert_eq!(of(3, "qop"), Some("auth, auth-int"));
        assert_eq!(of(3, "nonce"), Some("abc"));
        assert_eq!(of(3, "stale"), Some("TRUE"));
        assert_eq!(of(3, "opaque"), None);
        assert_eq!(
            parameters("nextnonce=\"n\", nc=1").param("nextnonce"),
            Some("n")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_an_end(text in "[a-c=,\" \\\\é]{0,40}") {
            let _read = challenges(&text);
        }
    }
}
