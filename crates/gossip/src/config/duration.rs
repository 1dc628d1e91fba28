//! [pure] Lengths of time as Go writes and reads them: `300ms`, `1.5h`, `2h45m`.

use std::time::Duration;

/// A text is no length of time; the words are Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No number and unit, one after another.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that there is not.
    #[error("time: unknown unit {0:?} in duration {1:?}")]
    UnknownUnit(String, String),
    /// Less than nothing, which makes no sense for any setting.
    #[error("time: negative duration {0:?}")]
    Negative(String),
}

/// In nanoseconds. The two signs for micro are those that Go takes.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Go counts in 63 bits.
const NANOS_MAX: u128 = i64::MAX.unsigned_abs() as u128;

/// Reads a length of time.
///
/// # Errors
/// When it is none, or negative and not zero.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let invalid = || Error::Invalid(text.to_owned());
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut total) = (unsigned, 0_u128);
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let (nanos, after) = part(rest, text)?;
        total = total.saturating_add(nanos);
        if total > NANOS_MAX {
            return Err(invalid());
        }
        rest = after;
    }
    if is_negative && total > 0 {
        return Err(Error::Negative(text.to_owned()));
    }
    let nanos = u64::try_from(total).map_err(|_too_large| invalid())?;
    Ok(Duration::from_nanos(nanos))
}

/// A number and its unit, in nanoseconds, and what stands behind.
fn part<'a>(rest: &'a str, text: &str) -> Result<(u128, &'a str), Error> {
    let invalid = || Error::Invalid(text.to_owned());
    let end = |text: &str, is_in: fn(char) -> bool| {
        text.find(|character| !is_in(character))
            .unwrap_or(text.len())
    };
    let is_digit = |character: char| character.is_ascii_digit();
    let (whole, after) = rest.split_at(end(rest, is_digit));
    let (fraction, after) = match after.strip_prefix('.') {
        Some(behind) => behind.split_at(end(behind, is_digit)),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let is_unit = |character: char| character != '.' && !character.is_ascii_digit();
    let (unit, after) = after.split_at(end(after, is_unit));
    if unit.is_empty() {
        return Err(Error::MissingUnit(text.to_owned()));
    }
    let known = UNITS.into_iter().find(|(name, _)| *name == unit);
    let (_, nanos) = known.ok_or_else(|| Error::UnknownUnit(unit.to_owned(), text.to_owned()))?;
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_large| invalid())?
    };
    // What is less than a nanosecond is cut, so that more than eighteen digits change nothing.
    let digits = &fraction[..fraction.len().min(18)];
    let parts: u128 = if digits.is_empty() {
        0
    } else {
        digits.parse().map_err(|_large| invalid())?
    };
    let scale = 10_u128.pow(u32::try_from(digits.len()).unwrap_or(18));
    let nanos = whole
        .saturating_mul(nanos)
        .saturating_add(parts * nanos / scale);
    Ok((nanos, after))
}

/// Writes a length of time as Go does: `1m30s`, `1.5s`, `100ms`, `0s`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |unit: u128, name: &str| {
        let (whole, rest) = (nanos / unit, nanos % unit);
        if rest == 0 {
            return format!("{whole}{name}");
        }
        let width = unit.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        format!("{whole}.{}{name}", digits.trim_end_matches('0'))
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        _ => {
            let minutes = duration.as_secs() / 60;
            let seconds = Duration::new(duration.as_secs() % 60, duration.subsec_nanos());
            let seconds = match seconds.subsec_nanos() {
                0 => format!("{}s", seconds.as_secs()),
                rest => {
                    let digits = format!("{rest:09}");
                    format!("{}.{}s", seconds.as_secs(), digits.trim_end_matches('0'))
                }
            };
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_go_reads_them() {
        let check = |text: &str, nanos: u64| {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        };
        check("0", 0);
        check("0s", 0);
        check("5s", 5_000_000_000);
        check("+1.5h", 5_400_000_000_000);
        check("1h2m3.5s", 3_723_500_000_000);
        check(".5ms", 500_000);
        check("1.ms", 1_000_000);
        check("10µs", 10_000);
        check("7ns", 7);
        check("1.0000000001s", 1_000_000_000);
        check("2562047h47m16.854775807s", i64::MAX.unsigned_abs());
    }

    #[test]
    fn what_is_no_length_of_time_is_refused_in_gos_words() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        };
        check("", "time: invalid duration \"\"");
        check("x", "time: invalid duration \"x\"");
        check("5", "time: missing unit in duration \"5\"");
        check("5d", "time: unknown unit \"d\" in duration \"5d\"");
        check(".s", "time: invalid duration \".s\"");
        check("1s x", "time: unknown unit \"s x\" in duration \"1s x\"");
        check("3000000h", "time: invalid duration \"3000000h\"");
        check("-1s", "time: negative duration \"-1s\"");
    }

    #[test]
    fn lengths_of_time_are_written_as_go_writes_them() {
        let check = |nanos: u64, text: &str| assert_eq!(format(Duration::from_nanos(nanos)), text);
        check(0, "0s");
        check(7, "7ns");
        check(1_500, "1.5µs");
        check(2_000_000, "2ms");
        check(999_900_000, "999.9ms");
        check(1_000_000_000, "1s");
        check(1_500_000_000, "1.5s");
        check(90_000_000_000, "1m30s");
        check(3_600_000_000_000, "1h0m0s");
        check(3_600_500_000_000, "1h0m0.5s");
    }
}
