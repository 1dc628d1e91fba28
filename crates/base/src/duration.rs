//! [pure] Lengths of time as people write them: `250ms`, `1m30s`, `2h`, `1d`, or ISO 8601 `PT5S`.

use std::fmt::Write as _;
use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// The text is not a length of time.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a duration such as 250ms, 5s, 1m30s, 2h, 1d or PT5S")]
pub struct Error {
    text: String,
}

/// Reads a duration: numbers with the units `ms`, `s`, `m`, `h`, `d`, or ISO 8601 without months
/// and years, whose length the calendar decides.
///
/// # Errors
/// When the text is neither.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let error = || Error {
        text: text.to_owned(),
    };
    if text.starts_with(['P', 'p']) {
        let span: jiff::Span = text.parse().map_err(|_not_iso| error())?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err(error());
        }
        let exact = span
            .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
            .map_err(|_out_of_range| error())?;
        return Duration::try_from(exact).map_err(|_negative| error());
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let number: u64 = rest[..digits].parse().map_err(|_empty_or_large| error())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (_, millis) = UNITS
            .into_iter()
            .find(|(unit, _)| *unit == &rest[..letters])
            .ok_or_else(error)?;
        total = number
            .checked_mul(millis)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(error)?;
        rest = &rest[letters..];
    }
    if text.is_empty() {
        Err(error())
    } else {
        Ok(Duration::from_millis(total))
    }
}

/// Writes a duration in the form that [`parse`] reads, to the millisecond.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis) in UNITS.into_iter().rev() {
        if left >= millis {
            write!(text, "{}{unit}", left / millis).expect("a string takes all that is written");
            left %= millis;
        }
    }
    text
}

/// For fields: `#[serde(with = "taraf_base::duration::serde")]`.
pub mod serde {
    use std::time::Duration;

    use ::serde::{Deserialize as _, Deserializer, Serializer, de};

    /// Writes the duration as text.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::format(*duration))
    }

    /// Reads the duration from text.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        super::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, millis: u64) {
        assert_eq!(
            parse(text).unwrap(),
            Duration::from_millis(millis),
            "{text}"
        );
    }

    #[test]
    fn both_notations_are_read() {
        check("250ms", 250);
        check("5s", 5_000);
        check("1m30s", 90_000);
        check("2h", 7_200_000);
        check("1d", 86_400_000);
        check("0s", 0);
        check("PT5S", 5_000);
        check("PT0.25S", 250);
        check("P1DT2H", 93_600_000);
    }

    #[test]
    fn what_is_no_duration_is_refused_by_name() {
        for text in [
            "",
            "5",
            "s",
            "5x",
            "-5s",
            "5s!",
            "P1Y",
            "P1M",
            "-PT5S",
            "99999999999999999999s",
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{text}`")),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..=u64::MAX / 2) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,40}") {
            let _either = parse(&text);
        }
    }
}
