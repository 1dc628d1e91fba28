//! [pure] Spans of time: ISO 8601, maps, expressions; months and years by the calendar from a start.

use std::time::Duration;

use taraf_base::Timestamp;

use crate::data::Data;
use crate::expression::{Expression, ExpressionError, Scope};

/// A span of time: calendar months and an exact rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Whole months; a year is twelve.
    pub months: u32,
    /// The rest; a day is 24 hours.
    pub exact: Duration,
}

/// The text or map is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not ISO 8601.
    #[error("`{0}` is not an ISO 8601 duration such as PT5S or P1DT2H")]
    Text(String),
    /// Below zero.
    #[error("`{0}` is negative; a duration is not")]
    Negative(String),
}

/// Units of a duration's map, in milliseconds.
pub(crate) const UNITS: [(&str, u64); 5] = [
    ("days", 86_400_000),
    ("hours", 3_600_000),
    ("minutes", 60_000),
    ("seconds", 1_000),
    ("milliseconds", 1),
];

impl Span {
    /// Reads ISO 8601: `P1Y2M3W4DT5H6M7.8S`, with a decimal in the last unit.
    ///
    /// # Errors
    /// When the text is not of that form, or negative.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let error = || SpanError::Text(text.to_owned());
        if text.starts_with("-P") || text.contains("-") && text.starts_with('P') {
            return Err(SpanError::Negative(text.to_owned()));
        }
        let body = text.strip_prefix('P').ok_or_else(error)?;
        let (date, time) = match body.split_once('T') {
            Some((_, "")) => return Err(error()),
            Some((date, time)) => (date, time),
            None => (body, ""),
        };
        if date.is_empty() && time.is_empty() {
            return Err(error());
        }
        let mut span = Self::default();
        let date_units: &[(char, u64)] =
            &[('Y', 0), ('M', 0), ('W', 604_800_000), ('D', 86_400_000)];
        let time_units: &[(char, u64)] = &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)];
        let fraction = read(&mut span, date, date_units).ok_or_else(error)?;
        if fraction && !time.is_empty() {
            return Err(error());
        }
        read(&mut span, time, time_units).ok_or_else(error)?;
        Ok(span)
    }

    /// Reads a span from an evaluated value: ISO 8601 text or a map of units.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_data(data: &Data) -> Result<Self, SpanError> {
        let shown = || data.to_string().chars().take(60).collect::<String>();
        if let Some(text) = data.as_str() {
            return Self::parse(text.trim());
        }
        let entries = data.entries().filter(|entries| !entries.is_empty());
        let mut millis = 0_u64;
        for (name, value) in entries.ok_or_else(|| SpanError::Text(shown()))? {
            let unit = UNITS.iter().find(|(unit, _)| *unit == name);
            let (unit, count) = unit
                .zip(value.as_i64())
                .ok_or_else(|| SpanError::Text(shown()))?;
            let count = u64::try_from(count).map_err(|_negative| SpanError::Negative(shown()))?;
            millis = millis.saturating_add(count.saturating_mul(unit.1));
        }
        Ok(Self::exact(Duration::from_millis(millis)))
    }

    /// A span without months.
    #[must_use]
    pub fn exact(exact: Duration) -> Self {
        Self { months: 0, exact }
    }

    /// The instant at which it ends when it starts then: months by the calendar in UTC.
    #[must_use]
    pub fn end(&self, start: Timestamp) -> Timestamp {
        if self.months == 0 {
            return start.plus(self.exact);
        }
        let calendar = || -> Option<Timestamp> {
            let zoned = jiff::Timestamp::from_millisecond(start.as_millis()).ok()?;
            let zoned = zoned.to_zoned(jiff::tz::TimeZone::UTC);
            let months = jiff::Span::new().try_months(self.months).ok()?;
            let moved = zoned.checked_add(months).ok()?;
            Some(Timestamp::from_millis(moved.timestamp().as_millisecond()))
        };
        let later = calendar().unwrap_or(Timestamp::from_millis(i64::MAX));
        later.plus(self.exact)
    }

    /// Its length when it starts then.
    #[must_use]
    pub fn length_from(&self, start: Timestamp) -> Duration {
        self.end(start).since(start)
    }

    /// Its length with months of 30 days: for places without a start.
    #[must_use]
    pub fn approximate(&self) -> Duration {
        let month = Duration::from_secs(30 * 86_400);
        self.exact.saturating_add(month.saturating_mul(self.months))
    }
}

/// Reads numbers with units in their order; says whether the last had a fraction.
fn read(span: &mut Span, text: &str, units: &[(char, u64)]) -> Option<bool> {
    let mut rest = text;
    let mut units = units.iter();
    let mut fraction = false;
    while !rest.is_empty() {
        if fraction {
            return None;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',')?;
        let (number, tail) = rest.split_at(end);
        let letter = tail.chars().next()?;
        let (_, millis) = units.find(|(unit, _)| *unit == letter)?;
        let (whole, part) = number.split_once(['.', ',']).unwrap_or((number, ""));
        fraction = number.len() != whole.len();
        if fraction && part.is_empty() {
            return None;
        }
        let count: u64 = whole.parse().ok()?;
        if *millis == 0 {
            if fraction {
                return None;
            }
            let months = count.checked_mul(if letter == 'Y' { 12 } else { 1 })?;
            span.months = span.months.checked_add(u32::try_from(months).ok()?)?;
        } else {
            let whole = Duration::from_millis(count.checked_mul(*millis)?);
            let digits: String = part.chars().chain("000000000".chars()).take(9).collect();
            let billionths: u64 = digits.parse().ok()?;
            let nanos = u128::from(billionths) * u128::from(*millis) / 1_000;
            let part = Duration::from_nanos(u64::try_from(nanos).ok()?);
            span.exact = span.exact.checked_add(whole)?.checked_add(part)?;
        }
        rest = tail.get(1..)?;
    }
    Some(fraction)
}

/// A span as a definition gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeSpan {
    /// Known when the definition is read.
    Fixed(Span),
    /// Known when it is evaluated.
    Expression(Expression),
}

impl TimeSpan {
    /// The span for that input.
    ///
    /// # Errors
    /// When the expression fails or gives no duration.
    pub fn eval(&self, input: &Data, scope: &Scope) -> Result<Span, ExpressionError> {
        match self {
            Self::Fixed(span) => Ok(*span),
            Self::Expression(expression) => {
                let value = expression.eval(input, scope)?;
                Span::from_data(&value).map_err(|error| ExpressionError::Raised(error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn millis(text: &str) -> Option<u128> {
        let span = Span::parse(text).ok()?;
        Some(span.approximate().as_millis())
    }

    #[test]
    fn iso_8601_is_read() {
        assert_eq!(millis("PT5S"), Some(5_000));
        assert_eq!(millis("P1DT2H"), Some(93_600_000));
        assert_eq!(millis("PT0.25S"), Some(250));
        assert_eq!(millis("PT1,5H"), Some(5_400_000));
        assert_eq!(millis("P2W"), Some(14 * 86_400_000));
        assert_eq!(millis("P0.5D"), Some(43_200_000));
        for text in [
            "", "P", "PT", "5s", "P1S", "PT1D", "PT1S1M", "-PT1S", "PT-1S", "PT.5S", "P1.5Y",
            "PT1.5H1M",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn months_and_years_are_counted_by_the_calendar() {
        let from = |text: &str| text.parse::<Timestamp>().unwrap();
        let end = |span: &str, start: &str| Span::parse(span).unwrap().end(from(start)).to_string();
        assert_eq!(
            end("P1M", "2024-01-31T10:00:00Z"),
            "2024-02-29T10:00:00.000Z"
        );
        assert_eq!(
            end("P1Y", "2024-02-29T00:00:00Z"),
            "2025-02-28T00:00:00.000Z"
        );
        assert_eq!(
            end("P1MT1H", "2025-01-01T00:00:00Z"),
            "2025-02-01T01:00:00.000Z"
        );
    }

    #[test]
    fn maps_are_read() {
        let read = |json: serde_json::Value| Span::from_data(&json.into()).map(|s| s.exact);
        assert_eq!(
            read(json!({"minutes": 1, "seconds": 30})),
            Ok(Duration::from_secs(90))
        );
        assert!(read(json!({"seconds": -1})).is_err());
        assert!(read(json!({})).is_err());
        assert!(read(json!({"weeks": 1})).is_err());
        assert_eq!(read(json!("PT2S")), Ok(Duration::from_secs(2)));
    }
}
