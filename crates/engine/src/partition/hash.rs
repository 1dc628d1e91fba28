//! [pure] The hash of a partition's state: a sum over its runs, of which only those that changed since the
//! last time are hashed again.

use std::collections::{BTreeMap, BTreeSet};

use crate::RunId;

/// How the hash is made. It counts up whenever the bytes of an equal run, or what is made of them, change:
/// what was hashed in another way is not compared.
pub(super) const WAY: u16 = 1;

/// What is known of the hash.
///
/// Invariant: `sum` is the sum of `known`, and each run of the partition is in `known` or in `changed`.
/// A run in `known` has not changed since it was hashed.
#[derive(Clone, Debug, Default)]
pub(super) struct StateHash {
    sum: u64,
    known: BTreeMap<RunId, u64>,
    changed: BTreeSet<RunId>,
    /// The run that changed last: its events mostly come together.
    last: Option<RunId>,
}

impl StateHash {
    /// A run is gone.
    pub(super) fn gone(&mut self, run: RunId) {
        self.changed(run);
        self.changed.remove(&run);
        self.last = None;
    }

    /// A run is new or has changed.
    pub(super) fn changed(&mut self, run: RunId) {
        if self.last == Some(run) {
            return;
        }
        self.last = Some(run);
        if let Some(hash) = self.known.remove(&run) {
            self.sum = self.sum.wrapping_sub(hash);
        }
        self.changed.insert(run);
    }

    /// A run is new, and this is the digest of its bytes.
    pub(super) fn knows(&mut self, run: RunId, hash: u64) {
        self.changed(run);
        self.last = None;
        self.changed.remove(&run);
        self.sum = self.sum.wrapping_add(hash);
        self.known.insert(run, hash);
    }

    /// The sum, with all that changed. `bytes` are those of a run that is there; equal runs have equal
    /// ones.
    pub(super) fn sum(&mut self, bytes: impl Fn(RunId) -> Option<Vec<u8>>) -> u64 {
        self.last = None;
        for run in std::mem::take(&mut self.changed) {
            if let Some(bytes) = bytes(run) {
                let hash = digest(run.get(), &bytes);
                self.sum = self.sum.wrapping_add(hash);
                self.known.insert(run, hash);
            }
        }
        self.sum
    }
}

/// A hash of bytes that belong to somebody: eight at a time, each step mixed well, the same on every
/// machine and build.
pub(super) fn digest(subject: u128, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| {
        let mixed = (hash ^ word).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 29)
    };
    let mut hash = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let subject = subject.to_le_bytes();
    let (words, rest) = bytes.as_chunks::<8>();
    for word in subject.as_chunks::<8>().0.iter().chain(words) {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut whole = [0; 8];
        for (place, byte) in whole.iter_mut().zip(rest) {
            *place = *byte;
        }
        hash = mix(hash, u64::from_le_bytes(whole));
    }
    mix(hash, hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> RunId {
        RunId::new(n)
    }

    #[test]
    fn only_what_changed_is_asked_for_and_the_sum_is_that_of_all() {
        let mut hash = StateHash::default();
        let bytes = |run: RunId| (run.get() < 10).then(|| vec![1; 100]);
        for n in [3, 1, 20, 2] {
            hash.changed(id(n));
        }
        let three = hash.sum(bytes);
        let again = hash.sum(|_run| panic!("nothing changed"));
        assert_eq!(three, again);
        let mut other = StateHash::default();
        for n in [2, 3, 1] {
            other.changed(id(n));
        }
        assert_eq!(other.sum(bytes), three, "in whatever order");
        hash.gone(id(2));
        let two = hash.sum(bytes);
        assert_ne!(two, three);
        hash.changed(id(2));
        hash.changed(id(2));
        assert_eq!(hash.sum(bytes), three, "and back");
    }

    #[test]
    fn every_byte_its_place_and_its_owner_count() {
        let bytes: Vec<u8> = (0..67).collect();
        let whole = digest(1, &bytes);
        assert_eq!(whole, 0xF191_CCB4_61D5_25DD, "for ever");
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(digest(1, &other), whole, "{at}");
        }
        assert_ne!(digest(2, &bytes), whole);
        assert_ne!(digest(1, &bytes[..66]), whole);
        let mut longer = bytes;
        longer.push(0);
        assert_ne!(digest(1, &longer), whole);
    }
}
