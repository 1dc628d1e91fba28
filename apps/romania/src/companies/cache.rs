//! [pure] Answers with their ages, at most so many; the oldest make room.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use taraf_base::Timestamp;

/// Values by key, each with the instant at which it was fetched.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    entries: HashMap<K, (Timestamp, V)>,
    /// In the order of writing; a key written again is there again, and its older place is void.
    order: VecDeque<(K, Timestamp)>,
    max: usize,
}

impl<K: Copy + Eq + Hash, V> Cache<K, V> {
    /// A cache of at most `max` values.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            max,
        }
    }

    /// The value, when it is not older than that.
    pub(crate) fn get(&self, key: K, now: Timestamp, age: Duration) -> Option<&V> {
        let (fetched, value) = self.entries.get(&key)?;
        (now.since(*fetched) <= age).then_some(value)
    }

    /// Keeps a value fetched now.
    pub(crate) fn put(&mut self, key: K, value: V, now: Timestamp) {
        self.entries.insert(key, (now, value));
        self.order.push_back((key, now));
        // Twice as many places as values: written again at most once on average, or swept here.
        while self.entries.len() > self.max || self.order.len() > 2 * self.max {
            let Some((oldest, written)) = self.order.pop_front() else {
                return;
            };
            let is_void = self
                .entries
                .get(&oldest)
                .is_none_or(|(fetched, _)| *fetched != written);
            if !is_void {
                self.entries.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_value_is_answered_up_to_its_age() {
        let mut cache = Cache::new(10);
        cache.put(1, "one", at(0));
        assert_eq!(cache.get(1, at(5), Duration::from_secs(5)), Some(&"one"));
        assert_eq!(cache.get(1, at(6), Duration::from_secs(5)), None);
        assert_eq!(cache.get(2, at(0), Duration::from_secs(5)), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut cache = Cache::new(2);
        cache.put(1, "one", at(0));
        cache.put(2, "two", at(1));
        cache.put(1, "one again", at(2));
        cache.put(3, "three", at(3));
        let age = Duration::from_secs(100);
        assert_eq!(cache.get(1, at(4), age), Some(&"one again"));
        assert_eq!(cache.get(2, at(4), age), None);
        assert_eq!(cache.get(3, at(4), age), Some(&"three"));
        for second in 10..100 {
            cache.put(1, "same", at(second));
            assert!(cache.order.len() <= 4);
        }
    }
}
