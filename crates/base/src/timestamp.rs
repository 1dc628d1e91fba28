//! Instants on the wall clock, in milliseconds; the one place that reads the clock.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Serialised as an RFC 3339 string where people read it and as an integer elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 instant.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an instant such as 2026-01-31T12:00:00Z")]
pub struct ParseTimestampError {
    text: String,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// What the machine's clock says. Drivers call this; cores are given the time.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The instant that many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The instant that much later; the latest possible one on overflow.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The time that passed since `earlier`; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            // Outside jiff's years -9999 to 9999 only a number is left to show.
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|instant| Self(instant.as_millisecond()))
            .map_err(|_not_rfc3339| ParseTimestampError {
                text: text.to_owned(),
            })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_printed_with_milliseconds_and_read_back() {
        let instant = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(instant.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(instant.to_string().parse::<Timestamp>().unwrap(), instant);
        assert_eq!(
            "2023-11-15T00:13:20.123+02:00"
                .parse::<Timestamp>()
                .unwrap(),
            instant
        );
    }

    #[test]
    fn a_text_that_is_no_instant_is_named_in_the_error() {
        let error = "yesterday".parse::<Timestamp>().unwrap_err();
        assert!(error.to_string().contains("`yesterday`"));
    }

    #[test]
    fn arithmetic_saturates() {
        let instant = Timestamp::from_millis(1_000);
        assert_eq!(instant.plus(Duration::from_secs(1)).as_millis(), 2_000);
        assert_eq!(instant.plus(Duration::MAX).as_millis(), i64::MAX);
        assert_eq!(Timestamp::EPOCH.since(instant), Duration::ZERO);
        assert_eq!(instant.since(Timestamp::EPOCH), Duration::from_secs(1));
    }

    #[test]
    fn people_read_text_and_machines_numbers() {
        let instant = Timestamp::from_millis(0);
        assert_eq!(
            serde_json::to_string(&instant).unwrap(),
            "\"1970-01-01T00:00:00.000Z\""
        );
        let back: Timestamp = serde_json::from_str("\"1970-01-01T00:00:00Z\"").unwrap();
        assert_eq!(back, instant);
    }
}
