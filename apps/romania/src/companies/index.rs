//! [pure] Search of companies by name, whatever the diacritics.

use std::collections::BTreeMap;

use super::record::Hit;
use crate::cui::Cui;
use crate::text::{fold, words};

/// Hits a page.
pub(crate) const PAGE_SIZE: usize = 20;
/// More words in a question say nothing more.
const MAX_WORDS: usize = 10;

/// What can be found.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: BTreeMap<Cui, Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    county: Option<String>,
    is_struck_off: bool,
    words: Vec<String>,
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    /// The beginning of each word must begin a word of the name, in any order; or a fiscal code.
    pub(crate) text: String,
    /// Only firms of this county.
    pub(crate) county: Option<String>,
    /// Also firms that were struck off.
    pub(crate) include_struck_off: bool,
    /// From 1.
    pub(crate) page: usize,
}

/// One page of what was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// At most [`PAGE_SIZE`].
    pub(crate) hits: Vec<Hit>,
    /// On all pages.
    pub(crate) total: usize,
}

impl Index {
    /// Adds a company, or replaces what was known of it.
    pub(crate) fn put(&mut self, cui: Cui, name: &str, county: Option<&str>, is_struck_off: bool) {
        let entry = Entry {
            name: name.to_owned(),
            county: county.map(str::to_owned),
            is_struck_off,
            words: words(name),
        };
        self.entries.insert(cui, entry);
    }

    /// How many companies can be found.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The page of companies that match, best first.
    #[must_use]
    pub(crate) fn search(&self, query: &Query) -> Page {
        let mut wanted = words(&query.text);
        wanted.truncate(MAX_WORDS);
        let county = query.county.as_deref().map(county_key);
        let code = Cui::parse(&query.text).ok();
        let mut found: Vec<(usize, &str, Cui, &Entry)> = self
            .entries
            .iter()
            .filter(|(_, entry)| query.include_struck_off || !entry.is_struck_off)
            .filter(|(_, entry)| {
                let place = || entry.county.as_deref().map(county_key);
                county.is_none() || place() == county
            })
            .filter_map(|(cui, entry)| {
                let rank = if code == Some(*cui) {
                    0
                } else {
                    rank(&wanted, &entry.words)?
                };
                Some((rank, entry.name.as_str(), *cui, entry))
            })
            .collect();
        found.sort_by_key(|(rank, name, cui, _)| (*rank, *name, *cui));
        let from = query.page.saturating_sub(1).saturating_mul(PAGE_SIZE);
        Page {
            total: found.len(),
            hits: found
                .iter()
                .skip(from)
                .take(PAGE_SIZE)
                .map(|(_, _, cui, entry)| hit(*cui, entry))
                .collect(),
        }
    }
}

fn hit(cui: Cui, entry: &Entry) -> Hit {
    Hit {
        cif: cui.to_string(),
        denumire: entry.name.clone(),
        judet: entry.county.clone(),
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

/// Bucharest is a county with and without its title.
fn county_key(name: &str) -> String {
    crate::county::named(name).map_or_else(|| fold(name), fold)
}

#[cfg(test)]
mod tests {
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
        let page = index().search(query);
        let codes: Vec<_> = page.hits.iter().map(|hit| hit.cif.as_str()).collect();
        assert_eq!(codes, expected, "{query:?}");
        assert_eq!(page.total, expected.len());
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
    }

    #[test]
    fn pages_follow_each_other() {
        let mut index = Index::default();
        for body in 1_000..1_050_u64 {
            let cui = (0..10).find_map(|digit| Cui::from_number(body * 10 + digit).ok());
            index.put(cui.unwrap(), "FIRMA", None, false);
        }
        let page = |page| {
            index.search(&Query {
                page,
                ..text("firma")
            })
        };
        assert_eq!((page(1).hits.len(), page(1).total), (20, 50));
        assert_eq!(page(3).hits.len(), 10);
        assert_eq!(page(4).hits.len(), 0);
        assert_eq!(page(usize::MAX).hits.len(), 0);
    }
}
