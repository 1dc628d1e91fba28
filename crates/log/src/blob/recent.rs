//! [pure] What was put while a collection looks for what may go, and so must not be collected.

use std::collections::BTreeSet;

use super::BlobId;

/// As many are remembered one by one; beyond, the collections under way take nothing.
const REMEMBERED_MAX: usize = 65_536;

/// Invariant: a blob that was put after a collection began is [spared](Recent::spares) by it. It holds
/// because a blob is noted before it is looked for in the store, and because nothing is spared by
/// halves: when too many are put, all are.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Collections under way.
    collections: usize,
    /// What was put since the first of them began.
    put: BTreeSet<BlobId>,
    has_forgotten: bool,
    /// Those for whom everything must stay.
    pub(super) holds: usize,
}

impl Recent {
    pub(super) const fn begin(&mut self) {
        self.collections = self.collections.saturating_add(1);
    }

    pub(super) fn end(&mut self) {
        self.collections = self.collections.saturating_sub(1);
        if self.collections == 0 {
            self.put.clear();
            self.has_forgotten = false;
        }
    }

    pub(super) fn note(&mut self, id: BlobId) {
        if self.collections == 0 {
            return;
        }
        if self.put.len() >= REMEMBERED_MAX {
            self.put.clear();
            self.has_forgotten = true;
        }
        self.put.insert(id);
    }

    pub(super) fn spares(&self, id: &BlobId) -> bool {
        self.holds > 0 || self.has_forgotten || self.put.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> BlobId {
        BlobId::of(&n.to_le_bytes())
    }

    #[test]
    fn what_is_put_during_a_collection_is_spared_by_it_and_not_by_the_next() {
        let mut recent = Recent::default();
        recent.note(id(1));
        recent.begin();
        recent.note(id(2));
        assert!(!recent.spares(&id(1)) && recent.spares(&id(2)));
        recent.begin();
        recent.end();
        assert!(recent.spares(&id(2)), "the first still goes on");
        recent.end();
        recent.begin();
        assert!(!recent.spares(&id(2)));
    }

    #[test]
    fn too_many_to_remember_spare_all() {
        let mut recent = Recent::default();
        recent.begin();
        for n in 0..=REMEMBERED_MAX {
            recent.note(id(n));
        }
        assert!(recent.put.len() <= REMEMBERED_MAX);
        assert!(recent.spares(&id(0)), "although it is forgotten");
        recent.end();
        assert!(!recent.spares(&id(0)));
    }
}
