//! [pure] Where calls go: literal addresses, URI templates, expressions.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::auth::Authentication;
use crate::data::Data;
use crate::expression::{Expression, ExpressionError, Scope};

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An address and how the caller proves who it is.
#[derive(Debug)]
pub struct Endpoint {
    /// Where.
    pub uri: Uri,
    /// How the caller proves who it is.
    pub authentication: Option<Arc<Authentication>>,
}

/// An address as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Uri {
    /// Text in which `{name}` stands for members of the input.
    Template(UriTemplate),
    /// An expression; it is not treated as a template.
    Expression(Expression),
}

impl Uri {
    /// The address for that input.
    ///
    /// # Errors
    /// When the expression fails or gives no text, or a member of the template has no form in a URI.
    pub fn eval(&self, input: &Data, scope: &Scope) -> Result<String, ExpressionError> {
        match self {
            Self::Template(template) => template.eval(input),
            Self::Expression(expression) => {
                let value = expression.eval(input, scope)?;
                value.as_str().ok_or_else(|| ExpressionError::Type {
                    wanted: "a URI",
                    found: value.to_string().chars().take(40).collect(),
                })
            }
        }
    }
}

/// Text in which `{name}` stands for a member of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    parts: Vec<(String, Option<String>)>,
}

impl UriTemplate {
    /// Reads a template; the error says at which byte it is broken.
    ///
    /// # Errors
    /// When a brace is left open, closed twice, or holds nothing.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut parts = Vec::new();
        let mut rest = text;
        let at = |rest: &str| text.len() - rest.len();
        loop {
            let Some(open) = rest.find(['{', '}']) else {
                parts.push((rest.to_owned(), None));
                return Ok(Self { parts });
            };
            let (literal, tail) = rest.split_at(open);
            let Some(inside) = tail.strip_prefix('{') else {
                return Err(at(tail));
            };
            let (name, after) = inside.split_once('}').ok_or_else(|| at(tail))?;
            if name.is_empty() || name.contains('{') {
                return Err(at(tail));
            }
            parts.push((literal.to_owned(), Some(name.to_owned())));
            rest = after;
        }
    }

    /// The text with the members of that input in it, percent-encoded; absent and null ones are empty.
    ///
    /// # Errors
    /// When a member is an object or array.
    pub fn eval(&self, input: &Data) -> Result<String, ExpressionError> {
        let mut uri = String::new();
        for (literal, name) in &self.parts {
            uri.push_str(literal);
            let Some(name) = name else { continue };
            let value = input.get(name).unwrap_or_default();
            if value.is_object() || value.is_array() {
                return Err(ExpressionError::UriMember(name.clone()));
            }
            let text = match value.as_str() {
                Some(text) => text,
                None if value.is_null() => String::new(),
                None => value.to_string(),
            };
            uri.extend(utf8_percent_encode(&text, RESERVED));
        }
        Ok(uri)
    }

    /// The text, when nothing is replaced in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<String> {
        let parts = self.parts.iter();
        self.is_literal()
            .then(|| parts.map(|(literal, _)| literal.as_str()).collect())
    }

    /// Whether nothing is replaced in it.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|(_, name)| name.is_none())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(template: &str, expected: Option<&str>) {
        let input = json!({"id": 7, "a.b": "x y/ă", "none": null, "o": {}, "t": true});
        let made = UriTemplate::parse(template).map(|template| template.eval(&input.into()));
        assert_eq!(
            made.ok().and_then(Result::ok).as_deref(),
            expected,
            "{template}"
        );
    }

    #[test]
    fn members_are_put_in_encoded() {
        check("http://h/pets/{id}", Some("http://h/pets/7"));
        check("/{a.b}/{t}", Some("/x%20y%2F%C4%83/true"));
        check("/{none}/{absent}/", Some("///"));
        check("/plain", Some("/plain"));
        check("/{o}", None);
    }

    #[test]
    fn broken_templates_are_refused() {
        for template in ["{", "a}b", "{}", "{a{b}}", "{a"] {
            assert!(UriTemplate::parse(template).is_err(), "{template}");
        }
    }
}
