//! Blobs in memory, for `:memory:` nodes and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::recent::Recent;
use super::{BlobId, Collected, Error};

/// Blobs in memory.
pub(super) struct MemoryBlobs {
    state: Mutex<State>,
}

struct State {
    blobs: BTreeMap<BlobId, Bytes>,
    recent: Recent,
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                blobs: BTreeMap::new(),
                recent: Recent::new(),
            }),
        }
    }
}

impl MemoryBlobs {
    pub(super) fn put(&self, bytes: Bytes) -> BlobId {
        let id = BlobId::of(&bytes);
        let mut state = self.lock();
        state.recent.note(id);
        state.blobs.entry(id).or_insert(bytes);
        id
    }

    pub(super) fn get(&self, id: &BlobId) -> Result<Bytes, Error> {
        let found = self.lock().blobs.get(id).cloned();
        found.ok_or(Error::Missing(*id))
    }

    pub(super) fn collect(&self, live: &BTreeSet<BlobId>, older_than: Duration) -> Collected {
        let mut collected = Collected::default();
        let mut state = self.lock();
        let State { blobs, recent } = &mut *state;
        blobs.retain(|id, _| {
            let keep = live.contains(id) || recent.is_young(id, older_than);
            collected.count(id, keep);
            keep
        });
        recent.prune(older_than);
        collected
    }

    pub(super) fn with_recent<T>(&self, f: impl FnOnce(&mut Recent) -> T) -> T {
        f(&mut self.lock().recent)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collected {
    pub(super) fn count(&mut self, id: &BlobId, is_kept: bool) {
        let (number, bytes) = if is_kept {
            (&mut self.kept, &mut self.kept_bytes)
        } else {
            (&mut self.removed, &mut self.removed_bytes)
        };
        *number = number.saturating_add(1);
        *bytes = bytes.saturating_add(id.len);
    }
}
