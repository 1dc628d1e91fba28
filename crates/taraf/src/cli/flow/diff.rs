//! [pure] Where two JSON values part, for the cases of flows.

use serde_json::Value;

/// More differences than this are counted only.
const SHOWN_MAX: usize = 20;
const VALUE_CHARS_MAX: usize = 160;

/// How strictly the actual value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Equal: numbers by value, order of members ignored.
    Equal,
    /// Objects may have more members than expected; lists may not have more items.
    Contains,
}

/// One line a difference, each with its JSON Pointer; none when the value is as expected.
pub(super) fn compare(expected: &Value, actual: &Value, mode: Mode) -> Vec<String> {
    let mut lines = Vec::new();
    walk(expected, actual, mode, "", &mut lines);
    if lines.len() > SHOWN_MAX {
        let more = lines.len() - SHOWN_MAX;
        lines.truncate(SHOWN_MAX);
        lines.push(format!("… and {more} more differences"));
    }
    lines
}

fn walk(expected: &Value, actual: &Value, mode: Mode, pointer: &str, lines: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(members)) => {
            for (name, value) in wanted {
                let pointer = child(pointer, name);
                match members.get(name) {
                    Some(member) => walk(value, member, mode, &pointer, lines),
                    None => lines.push(format!("{pointer}: missing, expected {}", short(value))),
                }
            }
            if mode == Mode::Equal {
                let extra = members
                    .iter()
                    .filter(|(name, _)| !wanted.contains_key(*name));
                for (name, value) in extra {
                    let pointer = child(pointer, name);
                    lines.push(format!("{pointer}: not expected, is {}", short(value)));
                }
            }
        }
        (Value::Array(wanted), Value::Array(items)) => {
            for (at, (value, item)) in wanted.iter().zip(items).enumerate() {
                walk(value, item, mode, &child(pointer, &at.to_string()), lines);
            }
            if wanted.len() != items.len() {
                let (wanted, items) = (wanted.len(), items.len());
                let place = place(pointer);
                lines.push(format!("{place}: expected {wanted} items, are {items}"));
            }
        }
        (expected, actual) if is_same(expected, actual) => {}
        (expected, actual) => lines.push(format!(
            "{}: expected {}, is {}",
            place(pointer),
            short(expected),
            short(actual)
        )),
    }
}

fn is_same(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a))
        }
        (a, b) => a == b,
    }
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() {
        "(whole)"
    } else {
        pointer
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    let mut cut: String = text.chars().take(VALUE_CHARS_MAX).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(expected: &Value, actual: &Value, mode: Mode, lines: &[&str]) {
        assert_eq!(
            compare(expected, actual, mode),
            lines,
            "{expected} {actual}"
        );
    }

    #[test]
    fn equal_values_have_no_difference() {
        let one = json!({"a": 1, "b": [1.0, {"c": null}]});
        let same = json!({"b": [1, {"c": null}], "a": 1.0});
        check(&one, &same, Mode::Equal, &[]);
    }

    #[test]
    fn each_difference_names_its_place() {
        check(
            &json!({"a": 1, "b": [1, 2], "c/d": true}),
            &json!({"a": 2, "b": [1], "x": 0}),
            Mode::Equal,
            &[
                "/a: expected 1, is 2",
                "/b: expected 2 items, are 1",
                "/c~1d: missing, expected true",
                "/x: not expected, is 0",
            ],
        );
        check(
            &json!(1),
            &json!("1"),
            Mode::Equal,
            &["(whole): expected 1, is \"1\""],
        );
    }

    #[test]
    fn what_is_contained_may_have_more_around_it() {
        let wide = json!({"a": {"b": 1, "c": 2}, "d": 3});
        check(&json!({"a": {"b": 1}}), &wide, Mode::Contains, &[]);
        check(
            &json!({"a": {"b": 2}}),
            &wide,
            Mode::Contains,
            &["/a/b: expected 2, is 1"],
        );
    }
}
