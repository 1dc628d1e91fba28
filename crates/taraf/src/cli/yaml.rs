//! [pure] JSON values written as YAML, for `--format yaml`.

use serde_json::Value;

/// The value as a YAML document. Text that YAML could read as anything else is quoted as JSON
/// quotes it, which YAML 1.2 reads the same way.
pub(crate) fn write(value: &Value) -> String {
    let mut text = String::new();
    put(&mut text, value, 0, Place::Top);
    text
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Top,
    AfterKey,
    AfterDash,
}

fn put(text: &mut String, value: &Value, indent: usize, place: Place) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut first_here = place == Place::AfterDash;
            if place == Place::AfterKey {
                text.push('\n');
            }
            for (name, member) in members {
                if !first_here {
                    text.push_str(&" ".repeat(indent));
                }
                first_here = false;
                text.push_str(&scalar(name));
                text.push(':');
                put(text, member, indent + 2, Place::AfterKey);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let mut first_here = place == Place::AfterDash;
            if place == Place::AfterKey {
                text.push('\n');
            }
            for item in items {
                if !first_here {
                    text.push_str(&" ".repeat(indent));
                }
                first_here = false;
                text.push_str("- ");
                put(text, item, indent + 2, Place::AfterDash);
            }
        }
        simple => {
            if place == Place::AfterKey {
                text.push(' ');
            }
            match simple {
                Value::String(string) => text.push_str(&scalar(string)),
                other => text.push_str(&other.to_string()),
            }
            text.push('\n');
        }
    }
}

fn scalar(string: &str) -> String {
    let reads_as_other = matches!(
        string.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "~" | "yes" | "no" | "on" | "off" | ".inf" | ".nan"
    ) || string.parse::<f64>().is_ok();
    let is_plain = string.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && string
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | ' '))
        && !string.ends_with(' ');
    if is_plain && !reads_as_other {
        string.to_owned()
    } else {
        Value::String(string.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_and_lists_are_laid_out_by_indentation() {
        let value = json!({
            "name": "company profile", "empty": {}, "none": [], "yes": "no",
            "list": [1, "two", {"a": null, "b": [true]}], "nested": {"x": 1.5},
        });
        assert_eq!(
            write(&value),
            "name: company profile\nempty: {}\nnone: []\n\"yes\": \"no\"\nlist:\n  - 1\n  - two\n  \
             - a: null\n    b:\n      - true\nnested:\n  x: 1.5\n"
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ -~]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{0,5}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn our_own_reader_reads_back_what_was_written(value in any_value()) {
            let text = write(&value);
            let node = taraf_flow::yaml::parse(&text).map_err(|error| {
                TestCaseError::fail(format!("{error:?} in:\n{text}"))
            })?;
            prop_assert_eq!(node.to_json(), value, "{}", text);
        }
    }
}
