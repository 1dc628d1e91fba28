//! Blobs in memory, for `:memory:` nodes and tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::recent::Recent;
use super::{BlobId, Collected, Error};

/// Blobs in memory.
#[derive(Default)]
pub(super) struct MemoryBlobs {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blobs: BTreeMap<BlobId, Bytes>,
    recent: Recent,
}

impl MemoryBlobs {
    pub(super) fn put(&self, id: BlobId, bytes: Bytes) {
        let mut state = self.lock();
        state.recent.note(id);
        state.blobs.entry(id).or_insert(bytes);
    }

    pub(super) fn get(&self, id: &BlobId) -> Result<Bytes, Error> {
        let found = self.lock().blobs.get(id).cloned();
        found.ok_or(Error::Missing(*id))
    }

    pub(super) fn collect(&self, is_named: &mut dyn FnMut(&BlobId) -> bool) -> Collected {
        let mut collected = Collected::default();
        let ids: Vec<BlobId> = self.lock().blobs.keys().copied().collect();
        for id in ids {
            let is_named = is_named(&id);
            let mut state = self.lock();
            let keep = is_named || state.recent.spares(&id);
            if !keep {
                state.blobs.remove(&id);
            }
            collected.count(&id, keep);
        }
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
