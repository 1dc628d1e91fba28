//! Paths and patterns: what is read, what is refused, and that nothing reaches beyond its place.

use proptest::prelude::*;

use super::*;

fn read(path: &str) -> Result<Vec<String>, PathError> {
    let segments = Segments::read(path)?;
    Ok(segments
        .as_slice()
        .iter()
        .map(ToString::to_string)
        .collect())
}

#[test]
fn a_trailing_slash_does_not_count() {
    assert_eq!(read("/api/exchange/"), read("/api/exchange"));
    assert_eq!(read("/").unwrap(), Vec::<String>::new());
    assert_eq!(read("").unwrap(), Vec::<String>::new());
}

#[test]
fn segments_are_decoded_once() {
    assert_eq!(read("/a%20b/%C8%99").unwrap(), ["a b", "ș"]);
    assert_eq!(read("/%2525").unwrap(), ["%25"]);
    assert_eq!(read("/a+b").unwrap(), ["a+b"]);
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    for path in [
        "/..",
        "/a/../b",
        "/%2e%2E/b",
        "/.",
        "/a/./b",
        "//",
        "/a//b",
        "/a//",
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a%00",
        "/a%0d%0a",
        "/%2e%2e%2f",
    ] {
        assert_eq!(read(path), Err(PathError::Segment), "{path}");
    }
    for path in ["/%", "/%2", "/%zz", "/a%f", "/%ff", "/%C8"] {
        assert_eq!(read(path), Err(PathError::Encoding), "{path}");
    }
    assert_eq!(
        read(&"/a".repeat(SEGMENTS_MAX + 1)),
        Err(PathError::TooLong)
    );
    assert_eq!(
        read(&"a".repeat(PATH_BYTES_MAX + 1)),
        Err(PathError::TooLong)
    );
    assert!(read(&"/a".repeat(SEGMENTS_MAX)).is_ok());
}

#[test]
fn a_pattern_that_is_none_says_why() {
    let check = |text: &str| Pattern::parse(text).unwrap_err();
    assert!(matches!(check("api"), PatternError::Relative(_)));
    assert!(matches!(check("/a/{b"), PatternError::Parameter { .. }));
    assert!(matches!(check("/a/{}"), PatternError::Parameter { .. }));
    assert!(matches!(check("/a/{b-c}"), PatternError::Parameter { .. }));
    assert!(matches!(check("/a/x{b}"), PatternError::Parameter { .. }));
    assert!(matches!(check("/a/{...}"), PatternError::Parameter { .. }));
    assert!(matches!(check("/{a...}/b"), PatternError::AfterTail(_)));
    assert!(matches!(check("/{a}/{a}"), PatternError::Twice { .. }));
    assert!(matches!(check("/a/../b"), PatternError::Literal { .. }));
    assert!(matches!(check("/a//b"), PatternError::Literal { .. }));
}

#[test]
fn a_value_never_reaches_beyond_its_segment() {
    let pattern = Pattern::parse("/v1/{a}/x/{rest...}").unwrap();
    let filled = pattern.fill(|name| if name == "a" { "../ș?#" } else { "b/c d" });
    assert_eq!(filled, "/v1/..%2F%C8%99%3F%23/x/b/c%20d");
}

proptest! {
    #[test]
    fn no_path_makes_the_reader_panic(path in "\\PC{0,60}") {
        let _either = Segments::read(&path);
        let _either = Pattern::parse(&path);
    }

    #[test]
    fn the_canonical_spelling_reads_the_same(path in "(/([a-z%ș .+:@]|%[0-9A-F]{2}){1,6}){0,5}/?") {
        if let Ok(segments) = Segments::read(&path) {
            let canonical = segments.canonical();
            let again = Segments::read(&canonical).unwrap();
            prop_assert_eq!(again.as_slice(), segments.as_slice());
        }
    }
}
