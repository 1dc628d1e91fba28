//! [pure] Texts with places for the values of a call: `company-{cif}`, `{{` for a brace.

use crate::path::Pattern;

/// The longest text, filled.
const BYTES_MAX: usize = 8 << 10;

/// A text whose places are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// The number of a parameter of the route's path.
    Parameter(usize),
}

impl Text {
    /// Reads a text in which the parameters of `pattern` may be named.
    pub(crate) fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(twice) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = twice;
                continue;
            }
            let named = after.split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = named else {
                return Err(format!(
                    "`{text}` has a brace without its other; write `{brace}{brace}` for the brace itself"
                ));
            };
            let Some(number) = pattern.parameters().position(|known| known == name) else {
                return Err(format!(
                    "`{text}` names `{name}`, which the route's path does not have"
                ));
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Parameter(number));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// The text with the values of a call in its places; cut where it would grow beyond its limit.
    pub(crate) fn fill(&self, values: &[String]) -> String {
        let mut text = String::new();
        for part in &self.0 {
            let piece = match part {
                Part::Literal(literal) => literal.as_str(),
                Part::Parameter(number) => values.get(*number).map_or("", String::as_str),
            };
            if text.len() + piece.len() > BYTES_MAX {
                break;
            }
            text.push_str(piece);
        }
        text
    }

    /// Whether it is the same for every call.
    pub(crate) fn is_fixed(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_doubled_braces_are_braces() {
        let pattern = Pattern::parse("/x/{a}/{b}").unwrap();
        let values = ["1".to_owned(), "2".to_owned()];
        let check = |text: &str, expected: &str| {
            let parsed = Text::parse(text, &pattern).unwrap();
            assert_eq!(parsed.fill(&values), expected, "{text}");
        };
        check("plain", "plain");
        check("{b}-{a}", "2-1");
        check("{{{a}}}", "{1}");
        check("", "");
        for text in ["{c}", "{a", "a}", "{"] {
            assert!(Text::parse(text, &pattern).is_err(), "{text}");
        }
    }
}
