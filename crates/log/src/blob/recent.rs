//! What was put lately, and so must not be collected although nothing names it yet.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::BlobId;

/// As many are remembered one by one; beyond, all blobs count as young for a while.
const REMEMBERED_MAX: usize = 65_536;

/// Invariant: a blob that was put less than `older_than` ago is [young](Recent::is_young). It holds
/// because a blob is noted before it is looked for in the store, and because forgetting single
/// blobs makes all of them young.
pub(super) struct Recent {
    /// All blobs count as put at this time at least.
    since: Instant,
    put: BTreeMap<BlobId, Instant>,
    /// Those for whom everything must stay, as young as it is.
    pub(super) holds: usize,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            put: BTreeMap::new(),
            holds: 0,
        }
    }

    pub(super) fn note(&mut self, id: BlobId) {
        let now = Instant::now();
        if self.put.len() >= REMEMBERED_MAX {
            self.put.clear();
            self.since = now;
        }
        self.put.insert(id, now);
    }

    pub(super) fn is_young(&self, id: &BlobId, older_than: Duration) -> bool {
        let put = self.put.get(id).copied().unwrap_or(self.since);
        self.holds > 0 || put.max(self.since).elapsed() < older_than
    }

    /// Forgets what no collection with this age would spare any more.
    pub(super) fn prune(&mut self, older_than: Duration) {
        self.put.retain(|_, put| put.elapsed() < older_than);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(60);

    fn id(n: usize) -> BlobId {
        BlobId::of(&n.to_le_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_put_is_young_for_its_time_and_the_unknown_since_the_start() {
        let mut recent = Recent::new();
        assert!(recent.is_young(&id(1), AGE));
        tokio::time::advance(AGE).await;
        assert!(!recent.is_young(&id(1), AGE));
        recent.note(id(1));
        assert!(recent.is_young(&id(1), AGE) && !recent.is_young(&id(2), AGE));
        tokio::time::advance(AGE).await;
        recent.prune(AGE);
        assert!(!recent.is_young(&id(1), AGE));
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_to_remember_make_all_of_them_young() {
        let mut recent = Recent::new();
        tokio::time::advance(AGE).await;
        for n in 0..=REMEMBERED_MAX {
            recent.note(id(n));
        }
        assert!(recent.put.len() <= REMEMBERED_MAX);
        assert!(recent.is_young(&id(0), AGE), "although it is forgotten");
        tokio::time::advance(AGE).await;
        assert!(!recent.is_young(&id(0), AGE));
    }
}
