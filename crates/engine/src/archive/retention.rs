//! [pure] How long finished runs are kept, and the months that their files are named after.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use taraf_base::Timestamp;

/// A calendar month, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Month {
    year: u16,
    month: u8,
}

impl Month {
    /// The month with this number, from 1 to 12.
    pub(super) fn new(year: u16, month: u8) -> Option<Self> {
        (1..=12).contains(&month).then_some(Self { year, month })
    }

    /// The month of an instant.
    pub(super) fn of(at: Timestamp) -> Self {
        let (year, month) = civil(at.as_millis().div_euclid(DAY_MILLIS));
        Self { year, month }
    }

    /// Its year and number.
    pub(super) const fn parts(self) -> (u16, u8) {
        (self.year, self.month)
    }

    /// The month of a file named `history-YYYY-MM.EXTENSION`.
    pub(super) fn of_file(name: &str, extension: &str) -> Option<Self> {
        let stem = name.strip_prefix("history-")?.strip_suffix(extension)?;
        let (year, month) = stem.strip_suffix('.')?.split_once('-')?;
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        Self::new(year, month).filter(|month| format!("history-{month}.{extension}") == name)
    }

    /// The first instant after it.
    pub(super) fn end(self) -> Timestamp {
        let (year, month) = match self.month {
            12 => (self.year.saturating_add(1), 1),
            month => (self.year, month.saturating_add(1)),
        };
        Timestamp::from_millis(days(year, month).saturating_mul(DAY_MILLIS))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

const DAY_MILLIS: i64 = 24 * 3_600 * 1_000;

/// Year and month of a day counted from 1970-01-01 (H. Hinnant, "chrono-compatible low-level date
/// algorithms"). Years before 1 and after 65535 do not occur in records.
fn civil(day: i64) -> (u16, u8) {
    let shifted = day.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year + era.saturating_mul(400) + i64::from(month <= 2);
    (
        u16::try_from(year).unwrap_or(u16::MAX),
        u8::try_from(month).unwrap_or(1),
    )
}

/// Days from 1970-01-01 to the first of a month; the inverse of [`civil`].
fn days(year: u16, month: u8) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted_month = (i64::from(month) + 9) % 12;
    let of_year = (153 * shifted_month + 2) / 5;
    let day = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + day - 719_468
}

/// How long finished runs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Those of flows that say nothing.
    pub(crate) default: Duration,
    /// By namespace and name of the flow.
    pub(crate) flows: BTreeMap<(String, String), Duration>,
}

impl Retention {
    /// The instant before which ended runs of a flow are no longer kept.
    pub(super) fn cutoff(&self, namespace: &str, name: &str, now: Timestamp) -> Timestamp {
        let flow = (namespace.to_owned(), name.to_owned());
        let kept = self.flows.get(&flow).copied().unwrap_or(self.default);
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(at: &str, month: &str, end: &str) {
        let found = Month::of(at.parse().unwrap());
        assert_eq!(found.to_string(), month);
        assert_eq!(found.end(), end.parse().unwrap());
        let file = format!("history-{month}.pack");
        assert_eq!(Month::of_file(&file, "pack"), Some(found));
    }

    #[test]
    fn an_instant_has_a_month_and_a_month_an_end() {
        check("1970-01-01T00:00:00Z", "1970-01", "1970-02-01T00:00:00Z");
        check(
            "2024-02-29T23:59:59.999Z",
            "2024-02",
            "2024-03-01T00:00:00Z",
        );
        check("2026-11-23T01:53:09Z", "2026-11", "2026-12-01T00:00:00Z");
        check(
            "2026-12-31T23:59:59.999Z",
            "2026-12",
            "2027-01-01T00:00:00Z",
        );
        check("2100-03-01T00:00:00Z", "2100-03", "2100-04-01T00:00:00Z");
    }

    #[test]
    fn other_files_have_no_month() {
        for name in [
            "history-2026-13.pack",
            "history-2026-1.pack",
            "x",
            "history-2026-01.db",
        ] {
            assert_eq!(Month::of_file(name, "pack"), None, "{name}");
        }
    }
}
