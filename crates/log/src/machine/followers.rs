//! Who else reads a partition's records, and how far they are: the log is not trimmed before them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Position;

/// Those who follow the records of one partition, such as the archive. Clones share the list.
///
/// A follower that is stuck or forgotten must not hold the log until the disk is full: one that is
/// more than `lag_max` records behind is marked stale, holds nothing any more, and has to rebuild
/// what it keeps from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Followers(Arc<Mutex<Vec<Arc<Entry>>>>);

/// One that follows. Holds its records until it has advanced past them or is dropped.
#[derive(Debug)]
pub struct Follower {
    entry: Arc<Entry>,
    all: Followers,
}

#[derive(Debug)]
struct Entry {
    name: &'static str,
    seen: AtomicU64,
    is_stale: AtomicBool,
}

impl Followers {
    /// Registers a follower that has seen all records up to `seen`.
    #[must_use]
    pub fn register(&self, name: &'static str, seen: Position) -> Follower {
        let entry = Arc::new(Entry {
            name,
            seen: AtomicU64::new(seen.0),
            is_stale: AtomicBool::new(false),
        });
        self.lock().push(Arc::clone(&entry));
        Follower {
            entry,
            all: self.clone(),
        }
    }

    /// The first record that somebody still has to see; those too far behind `tail` are left out,
    /// and told so.
    pub(super) fn needed(&self, tail: Position, lag_max: u64) -> Position {
        let mut needed = Position::MAX;
        for entry in self.lock().iter() {
            let seen = entry.seen.load(Ordering::Acquire);
            if tail.0.saturating_sub(seen) <= lag_max && !entry.is_stale.load(Ordering::Acquire) {
                needed = needed.min(Position(seen).next());
            } else if !entry.is_stale.swap(true, Ordering::AcqRel) {
                let name = entry.name;
                tracing::error!(name, seen, %tail, "a follower is too far behind and holds nothing");
            }
        }
        needed
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// It has seen all records up to `seen`, durably: it will not ask for them again.
    pub fn advance(&self, seen: Position) {
        self.entry.seen.fetch_max(seen.0, Ordering::AcqRel);
    }

    /// Whether it was too far behind, so that records it has not seen may be gone.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.entry.is_stale.load(Ordering::Acquire)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        all.retain(|entry| !Arc::ptr_eq(entry, &self.entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_holds_until_it_advances_goes_or_is_too_slow() {
        let followers = Followers::default();
        let needed = |tail| followers.needed(Position(tail), 100);
        assert_eq!(needed(50), Position::MAX);
        let slow = followers.register("slow", Position(10));
        let quick = followers.register("quick", Position(40));
        assert_eq!(needed(50), Position(11));
        slow.advance(Position(20));
        slow.advance(Position(15));
        assert_eq!(needed(120), Position(21));
        assert_eq!(needed(121), Position(41), "too far behind");
        assert!(slow.is_stale() && !quick.is_stale());
        slow.advance(Position(121));
        assert_eq!(needed(121), Position(41), "what it missed may be gone");
        drop(quick);
        assert_eq!(needed(121), Position::MAX);
    }
}
