//! A page of companies: those of the register and those that were looked up beside it.

use super::index::{Index, hit};
use super::record::Hit;
use crate::county;
use crate::cui::Cui;
use crate::register::{Filter, Found, Register, RegisterError};
use crate::text::words;

/// Hits a page.
pub(crate) const PAGE_SIZE: usize = 20;
/// More words in a question say nothing more.
const MAX_WORDS: usize = 10;
/// No county has this number, and no firm's county is not known by it.
const NO_SUCH_COUNTY: u8 = 63;

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
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// At most [`PAGE_SIZE`].
    pub(crate) hits: Vec<Hit>,
    /// On all pages.
    pub(crate) total: usize,
}

/// The question as it is compared.
pub(super) fn filter(query: &Query) -> Filter {
    let mut wanted = words(&query.text);
    wanted.truncate(MAX_WORDS);
    let county = query.county.as_deref();
    Filter {
        words: wanted,
        code: Cui::parse(&query.text).ok(),
        county: county.map(|name| county::number(name).unwrap_or(NO_SUCH_COUNTY)),
        include_struck_off: query.include_struck_off,
    }
}

/// A part of a page.
enum Part {
    Learned(Vec<Hit>),
    /// Of the register: rank, how many are passed over, how many are wanted.
    Register(usize, usize, usize),
}

/// Finds a page. Of one rank those that were looked up come first: they are newer than the
/// register. `learned` is asked once, briefly, so that a lock may stand behind it.
pub(super) fn page(
    query: &Query,
    register: Option<&Register>,
    learned: impl FnOnce(&mut dyn FnMut(&Index)),
) -> Result<Page, RegisterError> {
    let filter = filter(query);
    let found = register
        .map(|register| register.search(&filter))
        .transpose()?;
    let registered = found.as_ref().map_or([0; 3], Found::counts);
    let (mut parts, mut total) = (Vec::new(), 0);
    learned(&mut |index| {
        let matches = index.search(&filter);
        let mut passed_over = query.page.saturating_sub(1).saturating_mul(PAGE_SIZE);
        let mut wanted = PAGE_SIZE;
        for (rank, (learned, registered)) in
            matches.counts().into_iter().zip(registered).enumerate()
        {
            total += learned + registered;
            let (skip, take) = share(learned, &mut passed_over, &mut wanted);
            parts.push(Part::Learned(matches.hits(rank, skip, take)));
            let (skip, take) = share(registered, &mut passed_over, &mut wanted);
            parts.push(Part::Register(rank, skip, take));
        }
    });
    let mut hits = Vec::with_capacity(PAGE_SIZE);
    for part in parts {
        match (part, &found) {
            (Part::Learned(learned), _) => hits.extend(learned),
            (Part::Register(rank, skip, take), Some(found)) if take > 0 => {
                for firm in found.firms(rank, skip, take)? {
                    let cui = firm.cui().ok_or(RegisterError::Damaged("a firm"))?;
                    hits.push(hit(cui, &firm.name, firm.county_name()));
                }
            }
            (Part::Register(..), _) => {}
        }
    }
    Ok(Page { hits, total })
}

/// What a list of so many contributes to the page.
fn share(length: usize, passed_over: &mut usize, wanted: &mut usize) -> (usize, usize) {
    let skip = length.min(*passed_over);
    *passed_over -= skip;
    let take = (length - skip).min(*wanted);
    *wanted -= take;
    (skip, take)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cui(nth: usize) -> Cui {
        let mut valid = (1_000_u64..).filter_map(|number| Cui::from_number(number).ok());
        valid.nth(nth).unwrap()
    }

    #[test]
    fn pages_follow_each_other() {
        let mut index = Index::default();
        for nth in 0..50 {
            index.put(cui(nth), "FIRMA", None, false);
        }
        let page = |page| {
            let query = Query {
                text: "firma".to_owned(),
                page,
                ..Query::default()
            };
            super::page(&query, None, |ask| ask(&index)).unwrap()
        };
        assert_eq!((page(1).hits.len(), page(1).total), (20, 50));
        assert_eq!(page(3).hits.len(), 10);
        assert_eq!(page(4).hits.len(), 0);
        assert_eq!(page(usize::MAX).hits.len(), 0);
    }

    #[test]
    fn shares_fill_a_page_and_no_more() {
        let (mut passed_over, mut wanted) = (25, 20);
        assert_eq!(share(10, &mut passed_over, &mut wanted), (10, 0));
        assert_eq!(share(20, &mut passed_over, &mut wanted), (15, 5));
        assert_eq!(share(3, &mut passed_over, &mut wanted), (0, 3));
        assert_eq!(share(100, &mut passed_over, &mut wanted), (0, 12));
        assert_eq!((passed_over, wanted), (0, 0));
    }
}
