//! [pure] Paths: how a request's path is read, and the patterns that routes are written in.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest path, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 4_096;
/// The most segments of a path.
pub(crate) const SEGMENTS_MAX: usize = 32;
/// What a segment needs no encoding for: RFC 3986 §2.3 (unreserved), and of the sub-delimiters and
/// `:` `@`, which a segment may hold, all.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A request's path, split and decoded once, so that nothing behind it reads it differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments<'a>(Vec<Cow<'a, str>>);

/// The path is not one that can be read in a single way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than [`PATH_BYTES_MAX`] or deeper than [`SEGMENTS_MAX`].
    #[error("the path is too long")]
    TooLong,
    /// A `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the path is not percent-encoded UTF-8")]
    Encoding,
    /// A segment that names another place: empty, `.`, `..`, or with a slash, backslash or control
    /// character in it, written plainly or encoded.
    #[error(
        "the path has a segment that is empty, `.`, `..`, or holds a slash or control character"
    )]
    Segment,
}

impl<'a> Segments<'a> {
    /// Splits at slashes, then decodes each segment. One trailing slash does not count.
    ///
    /// # Errors
    /// [`PathError`] for what a service could read in another way than the gateway did.
    pub fn read(path: &'a str) -> Result<Self, PathError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = Vec::new();
        for raw in path.split('/') {
            if segments.len() == SEGMENTS_MAX {
                return Err(PathError::TooLong);
            }
            segments.push(segment(raw)?);
        }
        Ok(Self(segments))
    }

    /// The decoded segments.
    #[must_use]
    pub fn as_slice(&self) -> &[Cow<'a, str>] {
        &self.0
    }

    /// The same path in its one canonical spelling.
    #[must_use]
    pub fn canonical(&self) -> String {
        let length = self.0.iter().map(|segment| segment.len() + 1).sum();
        let mut path = String::with_capacity(length);
        for segment in &self.0 {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        if path.is_empty() {
            path.push('/');
        }
        path
    }
}

fn segment(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if !is_encoded_well(raw.as_bytes()) {
        return Err(PathError::Encoding);
    }
    let text = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_not_utf8| PathError::Encoding)?;
    let is_other_place = matches!(text.as_ref(), "" | "." | "..");
    let is_hiding = |c: char| c == '/' || c == '\\' || c.is_control();
    if is_other_place || text.contains(is_hiding) {
        return Err(PathError::Segment);
    }
    Ok(text)
}

fn is_encoded_well(raw: &[u8]) -> bool {
    raw.iter().enumerate().all(|(at, byte)| {
        let digit = |offset: usize| raw.get(at + offset).is_some_and(u8::is_ascii_hexdigit);
        *byte != b'%' || (digit(1) && digit(2))
    })
}

/// One part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Any one segment, by this name.
    Parameter(String),
    /// One segment or more, by this name; only at the end.
    Tail(String),
}

/// `/api/companies/{cif}` or `/files/{rest...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Segment>);

/// The text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A pattern begins with a slash.
    #[error("`{0}` does not begin with a slash")]
    Relative(String),
    /// A literal must be readable as a path.
    #[error("`{text}` has the part `{part}`: {reason}")]
    Literal {
        /// The pattern.
        text: String,
        /// The part.
        part: String,
        /// Why.
        #[source]
        reason: PathError,
    },
    /// A brace out of place, or a parameter's name with other letters than `a-z A-Z 0-9 _`.
    #[error(
        "`{text}` has the part `{part}`, which is neither text nor `{{name}}` nor `{{name...}}`"
    )]
    Parameter {
        /// The pattern.
        text: String,
        /// The part.
        part: String,
    },
    /// A tail takes all that follows.
    #[error("`{0}` goes on after its tail")]
    AfterTail(String),
    /// A name stands for one value.
    #[error("`{text}` names `{name}` twice")]
    Twice {
        /// The pattern.
        text: String,
        /// The parameter.
        name: String,
    },
    /// Longer than any path.
    #[error("a pattern has more than {SEGMENTS_MAX} parts or {PATH_BYTES_MAX} bytes")]
    TooLong,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(PatternError::Relative(text.to_owned()));
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments: Vec<Segment> = Vec::new();
        for part in path.split('/').filter(|_| !path.is_empty()) {
            if segments.len() == SEGMENTS_MAX {
                return Err(PatternError::TooLong);
            }
            if matches!(segments.last(), Some(Segment::Tail(_))) {
                return Err(PatternError::AfterTail(text.to_owned()));
            }
            let segment = Segment::parse(text, part)?;
            if let Some(name) = segment.name()
                && segments.iter().any(|known| known.name() == Some(name))
            {
                return Err(PatternError::Twice {
                    text: text.to_owned(),
                    name: name.to_owned(),
                });
            }
            segments.push(segment);
        }
        Ok(Self(segments))
    }

    /// The parts.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The names of the parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Segment::name)
    }

    /// The parameters' values in a path that fits; a tail's segments are joined by slashes.
    #[must_use]
    pub fn capture(&self, path: &[Cow<'_, str>]) -> Vec<String> {
        let mut values = Vec::new();
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Literal(_) => {}
                Segment::Parameter(_) => {
                    values.push(path.get(at).map(ToString::to_string).unwrap_or_default());
                }
                Segment::Tail(_) => values.push(path.get(at..).unwrap_or_default().join("/")),
            }
        }
        values
    }

    /// The path with values in place of parameters. A value is encoded as one segment, a tail's as
    /// its segments, so that no value reaches beyond its place.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> &'v str) -> String {
        let mut path = String::new();
        for segment in &self.0 {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.extend(utf8_percent_encode(text, SEGMENT)),
                Segment::Parameter(name) => path.extend(utf8_percent_encode(value(name), SEGMENT)),
                Segment::Tail(name) => {
                    for (at, part) in value(name).split('/').enumerate() {
                        if at > 0 {
                            path.push('/');
                        }
                        path.extend(utf8_percent_encode(part, SEGMENT));
                    }
                }
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        path
    }
}

impl Segment {
    fn parse(text: &str, part: &str) -> Result<Self, PatternError> {
        let inner = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        if let Some(inner) = inner {
            let (name, is_tail) = match inner.strip_suffix("...") {
                Some(name) => (name, true),
                None => (inner, false),
            };
            let is_name =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return match (is_name, is_tail) {
                (true, true) => Ok(Self::Tail(name.to_owned())),
                (true, false) => Ok(Self::Parameter(name.to_owned())),
                (false, _) => Err(not_a_part(text, part)),
            };
        }
        if part.contains(['{', '}']) {
            return Err(not_a_part(text, part));
        }
        match segment(part) {
            Ok(literal) => Ok(Self::Literal(literal.into_owned())),
            Err(reason) => Err(PatternError::Literal {
                text: text.to_owned(),
                part: part.to_owned(),
                reason,
            }),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Tail(name) => Some(name),
        }
    }
}

fn not_a_part(text: &str, part: &str) -> PatternError {
    PatternError::Parameter {
        text: text.to_owned(),
        part: part.to_owned(),
    }
}

#[cfg(test)]
mod tests;
