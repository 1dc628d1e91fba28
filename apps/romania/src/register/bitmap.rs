//! [pure] A set of firms, one bit each.

/// Firms by their place in the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    pub(super) fn empty(firms: u32) -> Self {
        let words = firms.div_ceil(64).try_into().unwrap_or(0);
        Self {
            words: vec![0; words],
        }
    }

    /// Adds a firm; one that cannot be there is left out.
    #[inline]
    pub(super) fn add(&mut self, firm: u32) {
        if let Some(word) = self.words.get_mut(place(firm)) {
            *word |= 1 << (firm % 64);
        }
    }

    pub(super) fn remove(&mut self, firm: u32) {
        if let Some(word) = self.words.get_mut(place(firm)) {
            *word &= !(1 << (firm % 64));
        }
    }

    /// Keeps what both have.
    pub(super) fn keep(&mut self, other: &Self) {
        for (own, other) in self.words.iter_mut().zip(&other.words) {
            *own &= other;
        }
    }

    /// Drops what the other has.
    pub(super) fn drop_all(&mut self, other: &Self) {
        for (own, other) in self.words.iter_mut().zip(&other.words) {
            *own &= !other;
        }
    }

    pub(super) fn len(&self) -> usize {
        let ones = self.words.iter().map(|word| word.count_ones());
        ones.map(|ones| usize::try_from(ones).unwrap_or(0)).sum()
    }

    /// Those from the `skip`th on, rising.
    pub(super) fn iter(&self, mut skip: usize) -> impl Iterator<Item = u32> {
        let mut words = self.words.iter();
        let mut number = 0_u32;
        let mut rest = 0_u64;
        std::iter::from_fn(move || {
            loop {
                if rest == 0 {
                    rest = *words.next()?;
                    number += 1;
                    let ones = usize::try_from(rest.count_ones()).unwrap_or(0);
                    // Whole words are skipped without looking at their bits.
                    if ones <= skip {
                        skip -= ones;
                        rest = 0;
                    }
                    continue;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                return Some((number - 1) * 64 + bit);
            }
        })
    }
}

fn place(firm: u32) -> usize {
    usize::try_from(firm / 64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bitmap(firms: &BTreeSet<u32>) -> Bitmap {
        let mut all = Bitmap::empty(500);
        for firm in firms {
            all.add(*firm);
        }
        all
    }

    proptest! {
        #[test]
        fn a_bitmap_is_a_set(
            one in prop::collection::btree_set(0_u32..500, 0..200),
            other in prop::collection::btree_set(0_u32..500, 0..200),
            skip in 0_usize..300,
        ) {
            let (first, second) = (bitmap(&one), bitmap(&other));
            prop_assert_eq!(first.len(), one.len());
            let rest: Vec<u32> = one.iter().copied().skip(skip).collect();
            prop_assert_eq!(first.iter(skip).collect::<Vec<_>>(), rest);
            let (mut both, mut without) = (first.clone(), first);
            both.keep(&second);
            without.drop_all(&second);
            let shared: BTreeSet<u32> = one.intersection(&other).copied().collect();
            prop_assert_eq!(both.iter(0).collect::<BTreeSet<_>>(), shared);
            let left: BTreeSet<u32> = one.difference(&other).copied().collect();
            prop_assert_eq!(without.iter(0).collect::<BTreeSet<_>>(), left);
        }
    }

    #[test]
    fn a_firm_beyond_the_end_is_not_there() {
        let mut all = Bitmap::empty(65);
        all.add(64);
        all.add(1_000_000);
        assert_eq!(all.iter(0).collect::<Vec<_>>(), [64]);
        all.remove(64);
        all.remove(1_000_000);
        assert_eq!(all.len(), 0);
    }
}
