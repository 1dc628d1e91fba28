//! [pure] What is known of companies: the last answers with their ages, and those that no register
//! has, to be searched.

use std::time::Duration;

use taraf_base::Timestamp;

use super::anaf::Lookup;
use super::cache::Cache;
use super::index::Index;
use super::record::{Company, Meta};
use crate::cui::Cui;

/// Companies kept in memory, some 2 KB each.
const MAX_COMPANIES: usize = 50_000;

/// What is known.
#[derive(Debug)]
pub(crate) struct Store {
    companies: Cache<Cui, Option<Company>>,
    /// Those that the register does not have.
    pub(crate) index: Index,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            companies: Cache::new(MAX_COMPANIES),
            index: Index::default(),
        }
    }

    /// The last answer about a code when it is young enough: a company, or that there is none.
    #[expect(
        clippy::option_option,
        reason = "not asked lately and not found are two answers"
    )]
    pub(crate) fn fresh(
        &self,
        cui: Cui,
        now: Timestamp,
        known_age: Duration,
        unknown_age: Duration,
    ) -> Option<Option<Company>> {
        match self.companies.get(cui, now, known_age.max(unknown_age))? {
            Some(_) => self.companies.get(cui, now, known_age).cloned(),
            None => self.companies.get(cui, now, unknown_age).cloned(),
        }
    }

    /// A company that was known, marked as stale.
    pub(crate) fn stale(&self, cui: Cui, now: Timestamp, age: Duration) -> Option<Company> {
        let mut company = self.companies.get(cui, now, age)?.clone()?;
        company.meta.marks.stale = true;
        Some(company)
    }

    /// Keeps an answer, and completes it with when each company was first seen different. Those in
    /// `registered` are found in the register already.
    pub(crate) fn learn(&mut self, lookup: &mut Lookup, registered: &[Cui], now: Timestamp) {
        for (cui, company) in &mut lookup.found {
            let before = self.companies.get(*cui, now, Duration::MAX);
            if let Some(Some(before)) = before {
                company.meta.last_changed_at = if same(before, company) {
                    before.meta.last_changed_at.clone()
                } else {
                    Some(company.meta.updated_at.clone())
                };
            }
            let county = company.judet.as_deref();
            if !registered.contains(cui) {
                self.index
                    .put(*cui, &company.denumire, county, company.radiata);
            }
            self.companies.put(*cui, Some(company.clone()), now);
        }
        for cui in &lookup.not_found {
            self.companies.put(*cui, None, now);
        }
    }
}

/// Whether two answers say the same but for their own circumstances.
fn same(one: &Company, other: &Company) -> bool {
    let bare = |company: &Company| {
        let mut bare = company.clone();
        bare.meta = Meta {
            inactive: company.meta.inactive,
            ..Meta::default()
        };
        bare
    };
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::super::anaf;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn lookup(at: &str) -> Lookup {
        let bytes = include_bytes!("../../tests/fixtures/anaf/v9-response-1.json");
        let cui = Cui::from_number(38_744_563).unwrap();
        anaf::read_lookup(bytes, &[cui], at).unwrap()
    }

    #[test]
    fn known_and_unknown_codes_have_their_own_ages() {
        let mut store = Store::new();
        let (known, unknown) = (38_744_563, 990_000_048);
        let [known, unknown] = [known, unknown].map(|code| Cui::from_number(code).unwrap());
        let begin = Timestamp::EPOCH;
        let mut answer = lookup("then");
        answer.not_found.push(unknown);
        store.learn(&mut answer, &[known], begin);
        assert!(store.index.codes().is_empty());
        let at = |hours: u32, cui| store.fresh(cui, begin.plus(HOUR * hours), HOUR * 24, HOUR);
        assert!(at(24, known).is_some_and(|answer| answer.is_some()));
        assert!(at(25, known).is_none());
        assert_eq!(at(1, unknown), Some(None));
        assert_eq!(at(2, unknown), None);
        let stale = store
            .stale(known, begin.plus(HOUR * 25), HOUR * 48)
            .unwrap();
        assert!(stale.meta.marks.stale);
        assert_eq!(store.stale(unknown, begin, HOUR), None);
    }

    #[test]
    fn a_change_is_dated_when_it_is_first_seen() {
        let mut store = Store::new();
        for (at, name, expected) in [
            ("1", "A", None),
            ("2", "A", None),
            ("3", "B", Some("3")),
            ("4", "B", Some("3")),
        ] {
            let mut answer = lookup(at);
            answer.found[0].1.denumire = name.to_owned();
            store.learn(&mut answer, &[], Timestamp::EPOCH);
            assert_eq!(store.index.codes().len(), 1);
            let changed = answer.found[0].1.meta.last_changed_at.as_deref();
            assert_eq!(changed, expected, "{at}");
        }
    }
}
