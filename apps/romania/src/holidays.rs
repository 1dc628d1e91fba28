//! [pure] Legal holidays (Labour Code, art. 139) and, from them, banking days.

use jiff::civil::{Date, Weekday};
use jiff::{Span, ToSpan};

/// Before the year in which the present law took its form nothing is answered.
const FIRST_YEAR: i16 = 2012;
/// The Julian computus below is right until 2099.
const LAST_YEAR: i16 = 2099;

const CHRISTMAS: &str = "Crăciunul";
const EASTER: &str = "Paștele";
const NEW_YEAR: &str = "Anul Nou";
const PENTECOST: &str = "Rusaliile";

/// One day off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holiday {
    /// The day.
    pub date: Date,
    /// Its names: two where two fall together.
    pub names: Vec<&'static str>,
}

/// The year's holidays in order; `None` outside 2012 to 2099.
#[must_use]
pub fn of_year(year: i16) -> Option<Vec<Holiday>> {
    if !(FIRST_YEAR..=LAST_YEAR).contains(&year) {
        return None;
    }
    let mut days: Vec<(Date, &'static str)> = fixed(year)
        .filter_map(|(month, day, name)| Some((Date::new(year, month, day).ok()?, name)))
        .collect();
    for (after, name) in movable(year) {
        days.push((orthodox_easter(year).checked_add(after).ok()?, name));
    }
    // Stable: of two holidays on one day the movable one, listed last, is named first.
    days.reverse();
    days.sort_by_key(|(date, _)| *date);
    let mut holidays: Vec<Holiday> = Vec::with_capacity(days.len());
    for (date, name) in days {
        match holidays.last_mut() {
            Some(last) if last.date == date => last.names.push(name),
            _ => holidays.push(Holiday {
                date,
                names: vec![name],
            }),
        }
    }
    Some(holidays)
}

/// A day on which banks work and exchange rates are published.
#[must_use]
pub fn is_banking_day(day: Date) -> bool {
    let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    !weekend && !of_year(day.year()).is_some_and(|all| all.iter().any(|one| one.date == day))
}

fn fixed(year: i16) -> impl Iterator<Item = (i8, i8, &'static str)> {
    // Since which year, month, day.
    [
        (0, 1, 1, NEW_YEAR),
        (0, 1, 2, NEW_YEAR),
        (2024, 1, 6, "Botezul Domnului - Boboteaza"),
        (2024, 1, 7, "Soborul Sfântului Proroc Ioan Botezătorul"),
        (2017, 1, 24, "Ziua Unirii Principatelor Române"),
        (0, 5, 1, "Ziua Muncii"),
        (2017, 6, 1, "Ziua Copilului"),
        (0, 8, 15, "Adormirea Maicii Domnului"),
        (
            0,
            11,
            30,
            "Sfântul Apostol Andrei, cel Întâi chemat, Ocrotitorul României",
        ),
        (0, 12, 1, "Ziua Națională a României"),
        (0, 12, 25, CHRISTMAS),
        (0, 12, 26, CHRISTMAS),
    ]
    .into_iter()
    .filter(move |(since, ..)| year >= *since)
    .map(|(_, month, day, name)| (month, day, name))
}

fn movable(year: i16) -> impl Iterator<Item = (Span, &'static str)> {
    [
        (2018, -2, "Vinerea Mare"),
        (0, 0, EASTER),
        (0, 1, EASTER),
        (0, 49, PENTECOST),
        (0, 50, PENTECOST),
    ]
    .into_iter()
    .filter(move |(since, ..)| year >= *since)
    .map(|(_, days, name)| (days.days(), name))
}

/// Julian computus, thirteen days later in our calendar (1900 to 2099).
fn orthodox_easter(year: i16) -> Date {
    let (a, b, c) = (year % 4, year % 7, year % 19);
    let d = (19 * c + 15) % 30;
    let e = (2 * a + 4 * b - d + 34) % 7;
    let (month, day) = ((d + e + 114) / 31, (d + e + 114) % 31 + 1);
    let julian = i8::try_from(month)
        .ok()
        .zip(i8::try_from(day).ok())
        .and_then(|(month, day)| Date::new(year, month, day).ok())
        .expect("the computus gives a day in March or April");
    julian
        .checked_add(13.days())
        .expect("thirteen days after April are in the same year")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn eleven_years_agree_with_the_published_lists() {
        let vectors = include_str!("../tests/fixtures/holidays/ro-2020-2030.csv");
        let mut reader = csv::Reader::from_reader(vectors.as_bytes());
        let expected: Vec<(String, String)> = reader
            .records()
            .map(|row| row.unwrap())
            .map(|row| (row[0].to_owned(), row[1].to_owned()))
            .collect();
        let computed: Vec<(String, String)> = (2020..=2030)
            .flat_map(|year| of_year(year).unwrap())
            .map(|holiday| (holiday.date.to_string(), holiday.names.join("; ")))
            .collect();
        assert_eq!(computed, expected);
    }

    #[test]
    fn easter_of_a_known_year() {
        assert_eq!(orthodox_easter(2026), date(2026, 4, 12));
        assert_eq!(orthodox_easter(2013), date(2013, 5, 5));
    }

    #[test]
    fn banks_rest_on_weekends_and_holidays() {
        assert!(is_banking_day(date(2026, 11, 27)));
        assert!(!is_banking_day(date(2026, 11, 28)));
        assert!(!is_banking_day(date(2026, 12, 1)));
        assert!(!is_banking_day(date(2026, 4, 10)));
    }

    #[test]
    fn years_without_a_rule_are_not_guessed() {
        assert_eq!(of_year(2011), None);
        assert_eq!(of_year(2100), None);
    }
}
