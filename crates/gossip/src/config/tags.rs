//! [pure] Tags as flags have them: `KEY=VALUE`.

use std::collections::BTreeMap;

/// A text is not `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid tag: '{0}'")]
pub struct InvalidTag(pub String);

/// Reads tags of the form `KEY=VALUE`; of one that comes twice the last counts.
///
/// # Errors
/// At the first that has another form, or no key.
pub fn parse_tags<T: AsRef<str>>(texts: &[T]) -> Result<BTreeMap<String, String>, InvalidTag> {
    let parse = |text: &T| {
        let text = text.as_ref();
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(InvalidTag(text.to_owned())),
        }
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_key_and_the_value_may_have_anything() {
        let tags = parse_tags(&["a=1", "b=", "c=x=y", "a=2"]).unwrap();
        let expected = [("a", "2"), ("b", ""), ("c", "x=y")];
        assert_eq!(
            tags,
            expected
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        );
        assert_eq!(
            parse_tags(&["x"]).unwrap_err().to_string(),
            "Invalid tag: 'x'"
        );
        assert_eq!(
            parse_tags(&["=x"]).unwrap_err().to_string(),
            "Invalid tag: '=x'"
        );
    }
}
