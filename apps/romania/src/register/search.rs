//! Search in a register by the words of a name, by county and by fiscal code.
//!
//! Firms lie in the order of their names, so a set of them is already sorted: an answer is the
//! intersection of sets, and of the firms themselves only those of one page are read.

use super::bitmap::Bitmap;
use super::build::cut;
use super::file::{Register, RegisterError};
use super::firm::Firm;
use super::format::COUNTY_MASK;
use super::postings::Posting;
use crate::cui::Cui;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Folded; each must begin a word of the name.
    pub(crate) words: Vec<String>,
    /// Or this code.
    pub(crate) code: Option<Cui>,
    /// Only firms of the county with this number.
    pub(crate) county: Option<u8>,
    /// Also firms that were struck off.
    pub(crate) include_struck_off: bool,
}

/// Everything that was found, by rank: the whole name or the code, the beginning of the name in
/// the order of the words, words anywhere. Within a rank by name.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    register: &'a Register,
    ranks: [Bitmap; 3],
}

impl Register {
    /// Finds firms.
    pub(crate) fn search(&self, filter: &Filter) -> Result<Found<'_>, RegisterError> {
        let firms = self.contents.firms;
        let mut ranks = match self.by_words(&filter.words)? {
            Some(ranks) => ranks,
            None => std::array::from_fn(|_| Bitmap::empty(firms)),
        };
        if let Some(place) = filter
            .code
            .map(|code| self.place_of(code))
            .transpose()?
            .flatten()
        {
            let [whole, begins, anywhere] = &mut ranks;
            whole.add(place);
            begins.remove(place);
            anywhere.remove(place);
        }
        let mut allowed = if filter.include_struck_off {
            self.listed.clone()
        } else {
            self.going.clone()
        };
        if let Some(county) = filter.county {
            allowed.keep(&self.of_county(county));
        }
        for rank in &mut ranks {
            rank.keep(&allowed);
        }
        Ok(Found {
            register: self,
            ranks,
        })
    }

    /// The ranks of those in whose names all words stand; nothing without words.
    fn by_words(&self, words: &[String]) -> Result<Option<[Bitmap; 3]>, RegisterError> {
        let mut all: Option<[Bitmap; 3]> = None;
        for (number, word) in words.iter().enumerate() {
            let mut word = word.clone();
            cut(&mut word);
            let is_last = number + 1 == words.len();
            let of_word = self.of_word(&word, number, is_last)?;
            match &mut all {
                None => all = Some(of_word),
                Some(all) => {
                    for (all, of_word) in all.iter_mut().zip(&of_word) {
                        all.keep(of_word);
                    }
                }
            }
        }
        Ok(all.map(|[whole, mut begins, mut anywhere]| {
            anywhere.drop_all(&begins);
            begins.drop_all(&whole);
            [whole, begins, anywhere]
        }))
    }

    /// The firms in whose names a word stands: as a whole word at its place, and at the end of the
    /// name if it is the last of the question; at its place; anywhere.
    fn of_word(
        &self,
        word: &str,
        place: usize,
        is_last: bool,
    ) -> Result<[Bitmap; 3], RegisterError> {
        let empty = || Bitmap::empty(self.contents.firms);
        let (mut whole, mut begins, mut anywhere) = (empty(), empty(), empty());
        self.postings(word, |posting: Posting, is_whole| {
            anywhere.add(posting.firm);
            if usize::from(posting.position) == place {
                begins.add(posting.firm);
                if is_whole && posting.is_last == is_last {
                    whole.add(posting.firm);
                }
            }
        })?;
        Ok([whole, begins, anywhere])
    }

    fn of_county(&self, county: u8) -> Bitmap {
        let mut firms = Bitmap::empty(self.contents.firms);
        for (firm, flags) in (0..).zip(&self.flags) {
            if flags & COUNTY_MASK == county {
                firms.add(firm);
            }
        }
        firms
    }
}

impl Found<'_> {
    /// How many of each rank.
    pub(crate) fn counts(&self) -> [usize; 3] {
        self.ranks.each_ref().map(Bitmap::len)
    }

    /// Firms of a rank from the `skip`th on.
    pub(crate) fn firms(
        &self,
        rank: usize,
        skip: usize,
        take: usize,
    ) -> Result<Vec<Firm>, RegisterError> {
        let Some(rank) = self.ranks.get(rank) else {
            return Ok(Vec::new());
        };
        let places = rank.iter(skip).take(take);
        places.map(|place| self.register.firm(place)).collect()
    }
}
