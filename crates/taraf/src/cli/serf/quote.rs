//! Values as Go shows them in programs: `"a\tb"`, `[]uint8{0x1, 0xff}`, `0x80`.

/// A text in quotes.
pub(super) fn text(text: &str) -> String {
    let inside: String = text.chars().map(escaped).collect();
    format!("\"{inside}\"")
}

fn escaped(character: char) -> String {
    let known = match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        control if control.is_ascii_control() => return format!("\\x{:02x}", u32::from(control)),
        control if control.is_control() => return format!("\\u{:04x}", u32::from(control)),
        other => return other.to_string(),
    };
    known.to_owned()
}

/// Bytes inside another value.
pub(super) fn bytes(bytes: &[u8]) -> String {
    format!("[]uint8{{{}}}", numbers(bytes))
}

/// Bytes that stand alone: Go has another name for the same type then.
pub(super) fn bytes_alone(bytes: &[u8]) -> String {
    format!("[]byte{{{}}}", numbers(bytes))
}

fn numbers(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().map(|byte| format!("{byte:#x}")).collect();
    numbers.join(", ")
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
