//! [pure] All fixings at hand, and the rules by which a day finds its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde::Deserialize;

use super::feed::{Cube, Currency};
use crate::source::Provenance;

/// The first fixing of the new leu.
pub(crate) const FIRST_DAY: Date = date(2005, 1, 3);
/// The longest time without a fixing is about five days; when more are missing, the archive has a
/// hole, and an old rate would be a wrong one.
const MAX_GAP_DAYS: i64 = 10;

/// Which fixing a day finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rule {
    /// The last one on or before the day.
    #[default]
    Day,
    /// The last one published before the day (Fiscal Code, art. 290).
    Tax,
}

/// A fixing and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Fixing {
    /// The rates.
    pub(crate) cube: Arc<Cube>,
    /// Where they come from.
    pub(crate) provenance: Provenance,
}

impl Fixing {
    /// Whether this rate is made up.
    #[must_use]
    pub(crate) fn is_sample(&self, currency: Currency) -> bool {
        let day = self.cube.date.to_string();
        self.provenance.is_sample(&day) || self.provenance.is_sample(&format!("{day}/{currency}"))
    }
}

/// All fixings at hand.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    fixings: BTreeMap<Date, Fixing>,
}

impl Archive {
    /// Adds fixings; a day that is there already is replaced.
    pub(crate) fn add(&mut self, cubes: Vec<Cube>, provenance: &Provenance) {
        for cube in cubes {
            let fixing = Fixing {
                provenance: provenance.clone(),
                cube: Arc::new(cube),
            };
            self.fixings.insert(fixing.cube.date, fixing);
        }
    }

    /// The fixings of a year.
    pub(crate) fn year(&self, year: i16) -> impl Iterator<Item = &Fixing> {
        let of_year = move |(date, _): &(&Date, &Fixing)| date.year() == year;
        self.fixings
            .iter()
            .filter(of_year)
            .map(|(_, fixing)| fixing)
    }

    /// The last fixing of all.
    #[must_use]
    pub(crate) fn newest(&self) -> Option<&Fixing> {
        self.fixings.last_key_value().map(|(_, fixing)| fixing)
    }

    /// The fixing for a day by a rule, unless it is so old that some must be missing in between.
    #[must_use]
    pub(crate) fn find(&self, day: Date, rule: Rule) -> Option<&Fixing> {
        let last = last_day(day, rule);
        let (date, fixing) = self.fixings.range(..=last).next_back()?;
        (*date >= last.saturating_sub(MAX_GAP_DAYS.days())).then_some(fixing)
    }
}

/// The last day whose fixing may answer for `day`.
#[must_use]
pub(crate) fn last_day(day: Date, rule: Rule) -> Date {
    match rule {
        Rule::Day => day,
        Rule::Tax => day.saturating_sub(1.day()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let mut archive = Archive::default();
        let days = [date(2017, 8, 1), date(2017, 8, 3), date(2019, 12, 31)];
        let cubes = days.map(|date| Cube {
            date,
            rates: Vec::new(),
        });
        archive.add(cubes.into(), &Provenance::default());
        archive
    }

    fn check(day: Date, rule: Rule, expected: Option<Date>) {
        let found = archive().find(day, rule).map(|fixing| fixing.cube.date);
        assert_eq!(found, expected, "{day} {rule:?}");
    }

    #[test]
    fn a_day_finds_the_last_fixing_up_to_it() {
        check(date(2017, 8, 1), Rule::Day, Some(date(2017, 8, 1)));
        check(date(2017, 8, 2), Rule::Day, Some(date(2017, 8, 1)));
        check(date(2017, 8, 6), Rule::Day, Some(date(2017, 8, 3)));
        check(date(2020, 1, 2), Rule::Day, Some(date(2019, 12, 31)));
        check(date(2017, 7, 31), Rule::Day, None);
    }

    #[test]
    fn the_tax_rule_finds_the_one_published_before() {
        check(date(2017, 8, 3), Rule::Tax, Some(date(2017, 8, 1)));
        check(date(2017, 8, 4), Rule::Tax, Some(date(2017, 8, 3)));
        check(date(2017, 8, 1), Rule::Tax, None);
    }

    #[test]
    fn a_fixing_from_before_a_hole_is_not_an_answer() {
        check(date(2017, 8, 13), Rule::Day, Some(date(2017, 8, 3)));
        check(date(2017, 8, 14), Rule::Day, None);
        check(date(2019, 12, 31), Rule::Tax, None);
    }
}
