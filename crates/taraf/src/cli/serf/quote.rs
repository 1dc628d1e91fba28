//! Values as Go shows them in programs: `"a\tb"`, `[]uint8{0x1, 0xff}`, `0x80`.

/// A text in quotes.
pub(super) fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Bytes, or none.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().map(|byte| format!("{byte:#x}")).collect();
    format!("[]uint8{{{}}}", numbers.join(", "))
}

/// A number as it comes out of msgpack: those that fit into its first byte have a sign in Go and are shown in
/// decimal, others have none and are shown in hexadecimal.
pub(super) fn number(number: impl Into<u64>) -> String {
    match number.into() {
        small @ 0..=0x7f => small.to_string(),
        large => format!("{large:#x}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_shown_as_go_shows_them() {
        assert_eq!(super::text("z\"z\t\u{1}\\é"), "\"z\\\"z\\t\\x01\\\\é\"");
        assert_eq!(super::bytes(&[0x7f, 0, 2]), "[]uint8{0x7f, 0x0, 0x2}");
        assert_eq!(super::bytes(&[]), "[]uint8{}");
        assert_eq!(super::number(5_u64), "5");
        assert_eq!(super::number(7946_u64), "0x1f0a");
    }
}
