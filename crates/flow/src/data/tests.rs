//! Documents: what is read, what is refused, what is kept.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Data, DataError> {
    Data::from_bytes(text.to_owned().into())
}

#[test]
fn json_is_read_as_serde_reads_it() {
    for text in [
        "null",
        " [1, 2.5, -3e2, true, false] ",
        r#"{"a": {"b": ["\u0041\n\"\\\/", "ă", "\ud83d\ude00"]}, "c": ""}"#,
        "12345678901234567890",
    ] {
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text).unwrap().to_json(), expected, "{text}");
        assert_eq!(Data::from_json(&expected), read(text).unwrap(), "{text}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let long = "1".repeat(MAX_DIGITS + 1);
    for text in [
        "", "nul", "[1,]", "{\"a\"}", "{a:1}", "01", "1.", "+1", "NaN", "\"\n\"", "1 2", "1e999",
        "\"\\x\"", &long,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    assert_eq!(read(&"[".repeat(100_000)), Err(DataError::TooDeep));
}

#[test]
fn the_text_of_decimals_and_large_integers_is_kept() {
    let text = "[1.10,123456789012345678901234567890]";
    let data = read(text).unwrap();
    let again = Data::from_value(data.value().clone());
    assert_eq!(again.to_string(), text);
}

#[test]
fn members_are_found() {
    let data = Data::from(json!({"a": {"b": [1, "x", true]}}));
    let items = data.get("a").unwrap().get("b").unwrap().items().unwrap();
    assert_eq!(items[0].as_i64(), Some(1));
    assert_eq!(items[1].as_str().as_deref(), Some("x"));
    assert_eq!(items[2].as_bool(), Some(true));
    assert_eq!(data.get("z"), None);
}

#[test]
fn people_see_json_and_machines_bytes() {
    let data = Data::from(json!({"a": [1]}));
    let text = serde_json::to_string(&data).unwrap();
    assert_eq!(text, r#"{"a":[1]}"#);
    assert_eq!(serde_json::from_str::<Data>(&text).unwrap(), data);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,60}") {
        let _either = read(&text);
    }

    #[test]
    fn strings_survive_writing(string in ".{0,40}") {
        let data = Data::string(&string);
        let again = Data::from_bytes(data.as_bytes().clone()).unwrap();
        prop_assert_eq!(again.as_str(), Some(string));
    }
}
