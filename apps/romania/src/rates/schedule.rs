//! [pure] When to ask the National Bank again, in Bucharest time.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::holidays::is_banking_day;

/// Shortly after this hour the day's fixing is published.
const FIXING_HOUR: i8 = 13;
/// Between two attempts while the fixing is awaited.
const POLL: Duration = Duration::from_secs(15 * 60);
/// A file that lags must not be asked for all night: the next banking day is early enough.
const LAST_POLL_HOUR: i8 = 20;

/// What is known when the next attempt is planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Day of the newest fixing at hand.
    pub(crate) newest: Option<Date>,
    /// When the bank was last asked, with or without success.
    pub(crate) asked: Option<Timestamp>,
}

/// The time zone of the bank.
#[must_use]
pub(crate) fn bucharest() -> TimeZone {
    TimeZone::get("Europe/Bucharest").expect("the time zone database is compiled in")
}

/// The day in Bucharest.
#[must_use]
pub(crate) fn today(now: Timestamp) -> Date {
    now.to_zoned(bucharest()).date()
}

/// The instant at which the bank is asked next, never before `now`.
#[must_use]
pub(crate) fn next_fetch(now: Timestamp, state: State) -> Timestamp {
    let earliest = match state.asked {
        Some(asked) => now.max(asked.saturating_add(POLL).unwrap_or(now)),
        None => now,
    };
    let Some(newest) = state.newest else {
        return earliest;
    };
    let today = today(earliest);
    let expected = last_expected(earliest);
    if newest < expected {
        // Today's is awaited in the afternoon; an older one is missing only until the bank was
        // asked since it was due.
        let due = fixing_time(expected);
        let asked_since = state.asked.is_some_and(|asked| asked >= due);
        let evening = earliest.to_zoned(bucharest()).hour() >= LAST_POLL_HOUR;
        if !asked_since || (expected == today && !evening) {
            return earliest;
        }
    }
    fixing_time(next_banking_day(expected)).max(earliest)
}

/// The day of the newest fixing that should be published by `now`.
fn last_expected(now: Timestamp) -> Date {
    let local = now.to_zoned(bucharest());
    let mut day = local.date();
    if now < fixing_time(day) {
        day = before(day);
    }
    while !is_banking_day(day) {
        day = before(day);
    }
    day
}

pub(crate) fn next_banking_day(after: Date) -> Date {
    let mut day = after.saturating_add(1.day());
    while !is_banking_day(day) && day < Date::MAX {
        day = day.saturating_add(1.day());
    }
    day
}

fn before(day: Date) -> Date {
    day.saturating_sub(1.day())
}

fn fixing_time(day: Date) -> Timestamp {
    // 13:00 exists once on every day: Bucharest changes its clocks at night.
    day.at(FIXING_HOUR, 0, 0, 0)
        .to_zoned(bucharest())
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn check(now: &str, newest: Option<Date>, asked: Option<&str>, expected: &str) {
        let state = State {
            newest,
            asked: asked.map(|asked| asked.parse().unwrap()),
        };
        let next = next_fetch(now.parse().unwrap(), state);
        assert_eq!(next.to_string(), expected, "{now} {state:?}");
    }

    #[test]
    fn with_nothing_at_hand_the_bank_is_asked_now_and_every_quarter_of_an_hour() {
        check("2026-11-22T03:00:00Z", None, None, "2026-11-22T03:00:00Z");
        let asked = Some("2026-11-22T03:00:00Z");
        check("2026-11-22T03:00:01Z", None, asked, "2026-11-22T03:15:00Z");
    }

    #[test]
    fn before_one_o_clock_yesterdays_fixing_is_enough() {
        // Wednesday; Bucharest is two hours ahead in winter, three in summer.
        let tuesday = Some(date(2026, 11, 24));
        check(
            "2026-11-25T08:00:00Z",
            tuesday,
            None,
            "2026-11-25T11:00:00Z",
        );
        let tuesday = Some(date(2026, 7, 7));
        check(
            "2026-07-08T08:00:00Z",
            tuesday,
            None,
            "2026-07-08T10:00:00Z",
        );
    }

    #[test]
    fn from_one_o_clock_the_bank_is_asked_until_the_days_fixing_is_there() {
        let tuesday = Some(date(2026, 11, 24));
        check(
            "2026-11-25T11:00:00Z",
            tuesday,
            None,
            "2026-11-25T11:00:00Z",
        );
        let asked = Some("2026-11-25T11:00:00Z");
        check(
            "2026-11-25T11:00:05Z",
            tuesday,
            asked,
            "2026-11-25T11:15:00Z",
        );
        let there = Some(date(2026, 11, 25));
        check("2026-11-25T11:16:00Z", there, asked, "2026-11-26T11:00:00Z");
    }

    #[test]
    fn a_day_without_fixing_is_given_up_in_the_evening() {
        let tuesday = Some(date(2026, 11, 24));
        let asked = Some("2026-11-25T18:00:00Z");
        check(
            "2026-11-25T18:00:01Z",
            tuesday,
            asked,
            "2026-11-26T11:00:00Z",
        );
    }

    #[test]
    fn weekends_and_holidays_are_skipped() {
        let friday = Some(date(2026, 11, 27));
        // 30 November and 1 December are holidays.
        check("2026-11-27T12:00:00Z", friday, None, "2026-12-02T11:00:00Z");
        // Good Friday to Easter Monday.
        let thursday = Some(date(2026, 4, 9));
        check(
            "2026-04-09T12:00:00Z",
            thursday,
            None,
            "2026-04-14T10:00:00Z",
        );
    }

    #[test]
    fn one_o_clock_moves_with_the_clocks() {
        // Summer time begins on 29 March 2026 and ends on 25 October 2026.
        let friday = Some(date(2026, 3, 27));
        check("2026-03-27T12:00:00Z", friday, None, "2026-03-30T10:00:00Z");
        check(
            "2026-03-27T10:59:59Z",
            Some(date(2026, 3, 26)),
            None,
            "2026-03-27T11:00:00Z",
        );
        let friday = Some(date(2026, 10, 23));
        check("2026-10-23T12:00:00Z", friday, None, "2026-10-26T11:00:00Z");
    }

    #[test]
    fn a_missed_day_is_caught_up_once() {
        let last_week = Some(date(2026, 11, 20));
        let now = "2026-11-26T04:00:00Z";
        check(now, last_week, None, now);
        let asked = Some(now);
        check(
            "2026-11-26T04:00:01Z",
            last_week,
            asked,
            "2026-11-26T11:00:00Z",
        );
    }

    #[test]
    fn the_next_attempt_is_never_in_the_past() {
        let start: Timestamp = "2025-12-20T00:00:00Z".parse().unwrap();
        for hours in 0..24 * 30 {
            let now = start + hours.hours();
            for newest in [None, Some(date(2025, 12, 19)), Some(today(now))] {
                assert!(
                    next_fetch(
                        now,
                        State {
                            newest,
                            asked: None
                        }
                    ) >= now
                );
            }
        }
    }
}
