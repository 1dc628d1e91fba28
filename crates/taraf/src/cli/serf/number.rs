//! Whole numbers as Go reads them in flags: `255`, `-1`, `0xff`, `0b11`, `0o17`, `017`, `1_000`.

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    Syntax,
    Range,
}

pub(super) fn parse(text: &str) -> Result<i64, Error> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let is_spaced =
        digits.ends_with('_') || digits.contains("__") || (radix == 10 && digits.starts_with('_'));
    let digits: String = digits.chars().filter(|digit| *digit != '_').collect();
    if digits.is_empty() || is_spaced || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Error::Syntax);
    }
    let size = i128::from_str_radix(&digits, radix).map_err(|_too_long| Error::Range)?;
    let number = if is_negative { -size } else { size };
    i64::try_from(number).map_err(|_too_large| Error::Range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let check =
            |text: &str, expected: Result<i64, Error>| assert_eq!(parse(text), expected, "{text}");
        check("0", Ok(0));
        check("255", Ok(255));
        check("-1", Ok(-1));
        check("+1", Ok(1));
        check("0xFF", Ok(255));
        check("0b11", Ok(3));
        check("0o17", Ok(15));
        check("017", Ok(15));
        check("1_000", Ok(1000));
        check("0x_f", Ok(15));
        check("-9223372036854775808", Ok(i64::MIN));
        check("9223372036854775808", Err(Error::Range));
        for text in ["", "-", "x", "1.5", "08", "0x", "_1", "1_", "1__0", " 1"] {
            check(text, Err(Error::Syntax));
        }
    }
}
