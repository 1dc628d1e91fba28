//! [pure] Companies that were looked up and are in no register, searched by name.

use std::collections::{BTreeMap, VecDeque};

use super::record::Hit;
use crate::county;
use crate::cui::Cui;
use crate::register::Filter;
use crate::text::words;

/// Companies that are kept; the oldest make room.
const MAX_ENTRIES: usize = 50_000;

/// What can be found.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: BTreeMap<Cui, Entry>,
    /// In the order in which they came; those that were removed are still there.
    order: VecDeque<Cui>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    county: Option<String>,
    county_number: Option<u8>,
    is_struck_off: bool,
    words: Vec<String>,
}

/// What was found, best first.
#[derive(Debug)]
pub(crate) struct Matches<'a> {
    found: Vec<(usize, &'a str, Cui, &'a Entry)>,
}

impl Index {
    /// Adds a company, or replaces what was known of it.
    pub(crate) fn put(&mut self, cui: Cui, name: &str, county: Option<&str>, is_struck_off: bool) {
        let entry = Entry {
            name: name.to_owned(),
            county: county.map(str::to_owned),
            county_number: county.and_then(county::number),
            is_struck_off,
            words: words(name),
        };
        if self.entries.insert(cui, entry).is_none() {
            self.order.push_back(cui);
        }
        while self.order.len() > MAX_ENTRIES {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    /// The codes that can be found.
    pub(crate) fn codes(&self) -> Vec<Cui> {
        self.entries.keys().copied().collect()
    }

    /// Drops companies.
    pub(crate) fn remove(&mut self, codes: &[Cui]) {
        for cui in codes {
            self.entries.remove(cui);
        }
        let entries = &self.entries;
        self.order.retain(|cui| entries.contains_key(cui));
    }

    /// The companies that match.
    #[must_use]
    pub(crate) fn search(&self, filter: &Filter) -> Matches<'_> {
        let mut found: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| filter.include_struck_off || !entry.is_struck_off)
            .filter(|(_, entry)| filter.county.is_none() || entry.county_number == filter.county)
            .filter_map(|(cui, entry)| {
                let rank = if filter.code == Some(*cui) {
                    0
                } else {
                    rank(&filter.words, &entry.words)?
                };
                Some((rank, entry.name.as_str(), *cui, entry))
            })
            .collect();
        found.sort_by_key(|(rank, name, cui, _)| (*rank, *name, *cui));
        Matches { found }
    }
}

impl Matches<'_> {
    /// How many of each rank: the whole name or the code, the beginning of the name, words anywhere.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let of = |wanted| {
            self.found
                .iter()
                .filter(|(rank, ..)| *rank == wanted)
                .count()
        };
        [of(0), of(1), of(2)]
    }

    /// Hits of a rank from the `skip`th on.
    pub(crate) fn hits(&self, rank: usize, skip: usize, take: usize) -> Vec<Hit> {
        let of_rank = self.found.iter().filter(|(own, ..)| *own == rank);
        let page = of_rank.skip(skip).take(take);
        page.map(|(_, _, cui, entry)| hit(*cui, &entry.name, entry.county.as_deref()))
            .collect()
    }
}

pub(super) fn hit(cui: Cui, name: &str, county: Option<&str>) -> Hit {
    Hit {
        cif: cui.to_string(),
        denumire: name.to_owned(),
        judet: county.map(str::to_owned),
        url: format!("/api/companies/{cui}"),
    }
}

/// 0 for the whole name, 1 for its beginning, 2 for words anywhere; `None` when one is missing.
fn rank(wanted: &[String], name: &[String]) -> Option<usize> {
    let begins = |whole: &str, part: &str| whole.starts_with(part);
    let all = wanted
        .iter()
        .all(|part| name.iter().any(|word| begins(word, part)));
    if wanted.is_empty() || !all {
        return None;
    }
    let in_order = name.len() >= wanted.len()
        && wanted
            .iter()
            .zip(name)
            .all(|(part, word)| begins(word, part));
    Some(match in_order {
        true if wanted == name => 0,
        true => 1,
        false => 2,
    })
}

#[cfg(test)]
mod tests {
    use super::super::search::{Query, filter};
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        let rows = [
            (10_004, "ȘTEFĂNEȘTI S.R.L.", Some("Argeș"), false),
            (10_012, "EXEMPLU ALFA S.R.L.", Some("Sibiu"), false),
            (
                10_020,
                "ALFA EXEMPLU S.A.",
                Some("Municipiul București"),
                false,
            ),
            (10_039, "EXEMPLU BETA S.A.", Some("Sibiu"), true),
            (10_047, "\" CARDIOFORCE SRL", None, false),
        ];
        for (code, name, county, struck_off) in rows {
            index.put(Cui::from_number(code).unwrap(), name, county, struck_off);
        }
        index
    }

    fn check(query: &Query, expected: &[&str]) {
        let index = index();
        let matches = index.search(&filter(query));
        let hits = (0..3).flat_map(|rank| matches.hits(rank, 0, 100));
        let codes: Vec<_> = hits.map(|hit| hit.cif).collect();
        assert_eq!(codes, expected, "{query:?}");
        assert_eq!(matches.counts().iter().sum::<usize>(), expected.len());
    }

    fn text(text: &str) -> Query {
        Query {
            text: text.to_owned(),
            page: 1,
            ..Query::default()
        }
    }

    #[test]
    fn diacritics_case_and_dots_do_not_matter() {
        check(&text("stefanesti"), &["10004"]);
        check(&text("ŞTEFĂNEŞTI srl"), &["10004"]);
        check(&text("cardio"), &["10047"]);
    }

    #[test]
    fn a_name_that_begins_so_comes_first() {
        check(&text("exemplu"), &["10012", "10020"]);
        check(&text("alfa exemplu"), &["10020", "10012"]);
        check(&text("exemplu gamma"), &[]);
        check(&text(""), &[]);
        check(&text("10012"), &["10012"]);
    }

    #[test]
    fn county_and_struck_off_firms_are_a_choice() {
        let in_county = |county: &str, include_struck_off| Query {
            county: Some(county.to_owned()),
            include_struck_off,
            ..text("exemplu")
        };
        check(&in_county("SIBIU", false), &["10012"]);
        check(&in_county("sibiu", true), &["10012", "10039"]);
        check(&in_county("Bucuresti", false), &["10020"]);
        check(&in_county("Cluj", false), &[]);
        check(&in_county("Atlantida", false), &[]);
    }

    #[test]
    fn the_oldest_make_room_and_what_is_removed_is_gone() {
        let mut index = index();
        let codes = index.codes();
        index.remove(&codes[1..]);
        assert_eq!(index.codes(), codes[..1]);
        let more = (100_000..).filter_map(|number| Cui::from_number(number).ok());
        for cui in more.take(MAX_ENTRIES) {
            index.put(cui, "FIRMA", None, false);
        }
        assert_eq!(index.entries.len(), MAX_ENTRIES);
        assert!(!index.entries.contains_key(&codes[0]));
    }
}
