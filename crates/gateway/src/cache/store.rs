//! The kept answers, within a limit of memory: what was not used for the longest time goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::{Config, Freshness, Vary};
use crate::registry::KeyId;

/// A power of two, so that keys spread evenly.
const SHARDS: usize = 16;
/// About what an entry costs beside its parts: nodes of the maps, the answer itself.
const ENTRY_OVERHEAD: usize = 512;
/// The most answers to one request that differ in `Vary` or in whom they are for.
const VARIANTS_MAX: usize = 64;

/// What an answer is the answer to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The path in its canonical spelling.
    pub(crate) path: Arc<str>,
    /// As it came: another order may be another question.
    pub(crate) query: Option<Arc<str>>,
}

/// A kept answer.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) vary: Vary,
    /// Whom it is for; nothing when it is for all.
    pub(crate) owner: Option<KeyId>,
    /// What the route was when it was kept: a changed route's answers are none of the new one's.
    pub(crate) route: u64,
    pub(crate) freshness: Freshness,
    /// When it came.
    pub(crate) since: Instant,
}

/// All kept answers.
///
/// Invariant: the bytes of each shard are at most its part of the limit, because what is put in pushes
/// out others before the lock is given back.
#[derive(Debug)]
pub(crate) struct Store {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_bytes: usize,
    entry_bytes: usize,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Key, Entry>,
    /// By the number of the last use.
    uses: BTreeMap<u64, Key>,
    /// All keys of a path, to forget them together.
    queries: HashMap<Arc<str>, Vec<Key>>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    variants: Vec<Arc<Kept>>,
    used: u64,
    bytes: usize,
}

impl Store {
    pub(crate) fn new(config: &Config) -> Self {
        let shard_bytes = config.bytes / SHARDS;
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_bytes,
            entry_bytes: config.entry_bytes.min(shard_bytes),
        }
    }

    /// The largest body that may be kept.
    pub(crate) fn body_bytes_max(&self) -> usize {
        self.entry_bytes
    }

    /// The newest answer that fits a request of `owner`.
    pub(crate) fn find(
        &self,
        key: &Key,
        route: u64,
        owner: Option<KeyId>,
        request: &HeaderMap,
    ) -> Option<Arc<Kept>> {
        let shard = &mut *self.shard(key);
        let entry = shard.entries.get_mut(key)?;
        let fitting = entry.variants.iter().rev().find(|kept| {
            let is_for = kept.owner.is_none() || kept.owner == owner;
            is_for && kept.route == route && kept.vary.fits(request)
        });
        let found = Arc::clone(fitting?);
        shard.clock += 1;
        shard.uses.remove(&entry.used);
        entry.used = shard.clock;
        shard.uses.insert(entry.used, key.clone());
        Some(found)
    }

    /// Keeps an answer in place of the one that fits the same requests. False when it is too large.
    pub(crate) fn put(&self, key: &Key, kept: Arc<Kept>) -> bool {
        if kept.bytes(key) > self.shard_bytes || kept.body.len() > self.entry_bytes {
            return false;
        }
        let shard = &mut *self.shard(key);
        let mut variants = shard
            .take(key)
            .map_or_else(Vec::new, |entry| entry.variants);
        variants.retain(|old| {
            old.route == kept.route && !(old.owner == kept.owner && old.vary == kept.vary)
        });
        if variants.len() >= VARIANTS_MAX {
            variants.remove(0);
        }
        variants.push(kept);
        // All of one key must fit beside nothing else: the oldest go.
        let size = |variants: &[Arc<Kept>]| variants.iter().map(|kept| kept.bytes(key)).sum();
        let mut bytes: usize = size(&variants);
        while bytes > self.shard_bytes && variants.len() > 1 {
            variants.remove(0);
            bytes = size(&variants);
        }
        shard.make_room(self.shard_bytes - bytes);
        shard.insert(key, variants, bytes);
        true
    }

    /// Forgets all answers of a path, whatever their query (RFC 9111 §4.4).
    pub(crate) fn forget(&self, path: &str) {
        let path: Arc<str> = path.into();
        let mut shard = self.shard(&Key {
            path: Arc::clone(&path),
            query: None,
        });
        for key in shard.queries.get(&path).cloned().unwrap_or_default() {
            drop(shard.take(&key));
        }
    }

    /// Answers and bytes that are kept now.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(count, bytes), shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let variants: usize = shard
                .entries
                .values()
                .map(|entry| entry.variants.len())
                .sum();
            (count + variants, bytes + shard.bytes)
        })
    }

    /// By the path alone, so that all of a path are together.
    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(&key.path).to_le_bytes();
        let shard = &self.shards[usize::from(hash[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn take(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.uses.remove(&entry.used);
        self.bytes -= entry.bytes;
        if let Some(keys) = self.queries.get_mut(&key.path) {
            keys.retain(|known| known != key);
            if keys.is_empty() {
                self.queries.remove(&key.path);
            }
        }
        Some(entry)
    }

    fn insert(&mut self, key: &Key, variants: Vec<Arc<Kept>>, bytes: usize) {
        self.clock += 1;
        let entry = Entry {
            variants,
            used: self.clock,
            bytes,
        };
        self.bytes += bytes;
        self.uses.insert(entry.used, key.clone());
        self.queries
            .entry(Arc::clone(&key.path))
            .or_default()
            .push(key.clone());
        self.entries.insert(key.clone(), entry);
    }

    fn make_room(&mut self, limit: usize) {
        while self.bytes > limit {
            let Some((_, oldest)) = self.uses.pop_first() else {
                return;
            };
            drop(self.take(&oldest));
        }
    }
}

impl Kept {
    fn bytes(&self, key: &Key) -> usize {
        let heads = self.headers.iter();
        let heads: usize = heads
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        // The key stands in three maps, its texts once.
        let key = key.path.len() + key.query.as_ref().map_or(0, |query| query.len());
        ENTRY_OVERHEAD + heads + self.body.len() + self.vary.bytes() + key
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::{CACHE_CONTROL, HeaderValue};

    use super::super::{Directives, Plan, Received};
    use super::*;

    fn key(path: &str, query: Option<&str>) -> Key {
        Key {
            path: path.into(),
            query: query.map(Into::into),
        }
    }

    fn kept(body: usize, owner: Option<u128>, language: &str) -> Arc<Kept> {
        let answer = HeaderMap::from_iter([
            (CACHE_CONTROL, HeaderValue::from_static("max-age=60")),
            (
                http::header::VARY,
                HeaderValue::from_static("accept-language"),
            ),
        ]);
        let received = Received {
            status: StatusCode::OK,
            headers: &answer,
            delay: Duration::ZERO,
            now: taraf_base::Timestamp::from_millis(0),
        };
        let freshness = Freshness::of(&received, &Directives::default(), &Plan::default());
        Arc::new(Kept {
            status: StatusCode::OK,
            vary: Vary::of(&answer, &asking(language)).unwrap(),
            headers: answer.clone(),
            body: vec![b'x'; body].into(),
            owner: owner.map(KeyId::new),
            route: 1,
            freshness: freshness.unwrap(),
            since: Instant::now(),
        })
    }

    fn asking(language: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::ACCEPT_LANGUAGE, language.parse().unwrap())])
    }

    #[test]
    fn an_answer_is_for_whom_it_was_and_for_what_was_asked() {
        let store = Store::new(&Config::default());
        let at = key("/a", Some("q=1"));
        assert!(store.put(&at, kept(10, Some(7), "ro")));
        let find = |key: &Key, route, owner: Option<u128>, language| {
            store
                .find(key, route, owner.map(KeyId::new), &asking(language))
                .is_some()
        };
        assert!(find(&at, 1, Some(7), "ro"));
        assert!(!find(&at, 1, Some(8), "ro"));
        assert!(!find(&at, 1, None, "ro"));
        assert!(!find(&at, 1, Some(7), "en"));
        assert!(!find(&at, 2, Some(7), "ro"));
        assert!(!find(&key("/a", None), 1, Some(7), "ro"));
        assert!(store.put(&at, kept(10, None, "ro")));
        assert!(find(&at, 1, Some(8), "ro"));
        assert_eq!(store.size().0, 2);
        store.put(&key("/a", None), kept(10, None, "ro"));
        store.forget("/a");
        assert_eq!(store.size(), (0, 0));
    }

    #[test]
    fn memory_stays_within_its_limit_and_the_oldest_goes() {
        let config = Config {
            bytes: SHARDS * 8 * 1024,
            entry_bytes: 4 * 1024,
        };
        let store = Store::new(&config);
        assert!(!store.put(&key("/large", None), kept(4 * 1024 + 1, None, "ro")));
        // All queries of a path are in one shard: its limit is what counts here.
        for at in 0..100 {
            assert!(store.put(&key("/a", Some(&at.to_string())), kept(1_024, None, "ro")));
            let first = store.find(&key("/a", Some("0")), 1, None, &asking("ro"));
            assert!(first.is_some(), "{at}: used again and again, it stays");
            assert!(store.size().1 <= 8 * 1024);
        }
        assert!(
            store
                .find(&key("/a", Some("1")), 1, None, &asking("ro"))
                .is_none()
        );
        assert!(
            store
                .find(&key("/a", Some("99")), 1, None, &asking("ro"))
                .is_some()
        );
        for owner in 0..200 {
            store.put(&key("/b", None), kept(100, Some(owner), "ro"));
        }
        assert!(store.size().1 <= config.bytes);
    }
}
