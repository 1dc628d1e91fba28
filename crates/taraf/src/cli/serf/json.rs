//! JSON as Go lays it out for people.

use serde_json::Value;

/// Two spaces a level, and what means something to a browser written as its number.
pub(super) fn pretty(value: &Value) -> String {
    // These stand nowhere but in strings.
    format!("{value:#}")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_laid_out_as_by_go() {
        let value =
            json!({ "tags": { "x": "a<b&c>\"d" }, "none": null, "empty": {}, "acks": ["a"] });
        let expected = "{\n  \"tags\": {\n    \"x\": \"a\\u003cb\\u0026c\\u003e\\\"d\"\n  },\n  \"none\": null,\n  \
                        \"empty\": {},\n  \"acks\": [\n    \"a\"\n  ]\n}";
        assert_eq!(pretty(&value), expected);
    }
}
