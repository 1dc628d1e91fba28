//! API keys: how they are made, hashed, found without scanning, and read from a request.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use taraf_base::{Secret, Timestamp, random_bytes};

use crate::forward;
use crate::metrics::KeySeries;
use crate::registry::{AccountId, KeyHash, KeyId};
use crate::usage::Meter;

/// Where a call carries its key.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The letters of a key.
pub const KEY_CHARS: usize = 50;

/// 38 bytes are 51 letters of base 64, of which 50 are taken: 300 bits.
const KEY_RANDOM_BYTES: usize = 38;
/// A power of two, so that keys spread evenly.
const SHARDS: usize = 64;
const NEVER: i64 = i64::MAX;

/// Makes the text of a new key: 50 letters of the URL-safe base 64 alphabet.
#[must_use]
pub fn generate() -> Secret {
    let mut text = URL_SAFE_NO_PAD.encode(random_bytes::<KEY_RANDOM_BYTES>());
    text.truncate(KEY_CHARS);
    Secret::new(text)
}

/// Whether a text has the form of a key. A text that has not is refused unhashed.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let is_letter = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    text.len() == KEY_CHARS && text.bytes().all(is_letter)
}

/// Hashes a key for storing and finding.
///
/// One round of SHA-256 is enough: a slow hash defends what people choose, which can be guessed; 300
/// random bits cannot be, however fast the guesses. The pepper, which is not in the log, makes a
/// stolen log useless even for telling whether a given text is a key.
#[must_use]
pub fn hash(pepper: Option<&Secret>, text: &str) -> KeyHash {
    let mut hasher = Sha256::new();
    if let Some(pepper) = pepper {
        hasher.update(pepper.expose().as_bytes());
        hasher.update([0]);
    }
    hasher.update(text.as_bytes());
    KeyHash(hasher.finalize().into())
}

/// What stands for keys that cannot be read as one: it has not the form of a key.
const UNREADABLE: &str = "";

/// The key that a request shows: `x-api-key: KEY`, else `Authorization: Bearer KEY`. An empty header
/// shows none. One that is given twice or holds other bytes than visible ASCII shows a key that nobody
/// has: which of two counts must not depend on who reads them.
#[must_use]
pub fn shown(headers: &HeaderMap) -> Option<&str> {
    read(headers).unwrap_or(Some(UNREADABLE))
}

/// The same of the two headers' values, each given once at most.
#[must_use]
pub fn of<'h>(x_api_key: Option<&'h [u8]>, authorization: Option<&'h [u8]>) -> Option<&'h str> {
    one_of(x_api_key, authorization).unwrap_or(Some(UNREADABLE))
}

struct Unreadable;

fn read(headers: &HeaderMap) -> Result<Option<&str>, Unreadable> {
    one_of(only(headers, &X_API_KEY)?, only(headers, &AUTHORIZATION)?)
}

fn one_of<'h>(
    x_api_key: Option<&'h [u8]>,
    authorization: Option<&'h [u8]>,
) -> Result<Option<&'h str>, Unreadable> {
    if let Some(key) = text(x_api_key)? {
        return Ok(Some(key));
    }
    Ok(text(authorization)?
        .and_then(|credentials| credentials.split_once(' '))
        .filter(|(scheme, _key)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_scheme, key)| key.trim()))
}

/// The value of a header that is given once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Unreadable> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Unreadable);
    }
    Ok(value.map(HeaderValue::as_bytes))
}

fn text(value: Option<&[u8]>) -> Result<Option<&str>, Unreadable> {
    let is_visible = |value: &&[u8]| value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let Some(value) = value else {
        return Ok(None);
    };
    let visible = Some(value).filter(is_visible).ok_or(Unreadable)?;
    let text = std::str::from_utf8(visible)
        .map_err(|_not_visible| Unreadable)?
        .trim();
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// What the hot path knows of a key.
#[derive(Debug)]
pub struct Caller {
    /// The key.
    pub key: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// The account's name.
    pub account_name: Arc<str>,
    /// The plan's name.
    pub plan: Arc<str>,
    pub(crate) meter: Arc<Meter>,
    /// What services are told of it, made at its first call.
    pub(crate) told: Told,
    /// Its metrics, looked up at its first call.
    pub(crate) series: OnceLock<KeySeries>,
    hash: KeyHash,
    ends_ms: AtomicI64,
    last_used_day: AtomicU32,
}

/// Whose a key is.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: KeyId,
    pub(crate) account: AccountId,
    pub(crate) account_name: Arc<str>,
    pub(crate) plan: Arc<str>,
    pub(crate) hash: KeyHash,
}

/// What services are told of a caller: the lines of a head, which most calls are written with.
#[derive(Debug)]
pub(crate) struct Told(Box<[u8]>);

impl Told {
    fn new(account: AccountId, plan: &str, key: KeyId) -> Self {
        let (account, key) = (account.to_string(), key.to_string());
        let mut lines = Vec::new();
        for (name, value) in [
            (forward::X_ACCOUNT, account.as_str()),
            (forward::X_PLAN, plan),
            (forward::X_KEY_ID, &key),
        ] {
            let value = forward::text(value);
            forward::write_line(&mut lines, name.as_str(), value.as_bytes());
        }
        Self(lines.into())
    }

    pub(crate) const fn lines(&self) -> &[u8] {
        &self.0
    }
}

impl Caller {
    pub(crate) fn new(identity: Identity, meter: Arc<Meter>) -> Self {
        let Identity {
            key,
            account,
            account_name,
            plan,
            hash,
        } = identity;
        Self {
            key,
            account,
            account_name,
            told: Told::new(account, &plan, key),
            plan,
            meter,
            series: OnceLock::new(),
            hash,
            ends_ms: AtomicI64::new(NEVER),
            // The day that is recorded already is written at most once more.
            last_used_day: AtomicU32::new(0),
        }
    }

    pub(crate) fn end(&self, ends: Timestamp) {
        self.ends_ms.store(ends.as_millis(), Ordering::Release);
    }

    /// Notes a day of use; true when it is a new one.
    pub(crate) fn used_on(&self, day: u32) -> bool {
        // Looking first keeps the cache line shared: it changes once a day.
        self.last_used_day.load(Ordering::Relaxed) < day
            && self.last_used_day.fetch_max(day, Ordering::Relaxed) < day
    }

    pub(crate) fn is_ended(&self, now: Timestamp) -> bool {
        self.ends_ms.load(Ordering::Acquire) <= now.as_millis()
    }
}

/// The keys that call, by hash. A lookup takes one of 64 read locks for the time of a map access; writers
/// (the first call of a key) hold one for as long.
#[derive(Debug)]
pub struct KeyTable {
    // By the first bytes of the hash, which are spread evenly; the whole is compared in constant time.
    shards: [RwLock<HashTable<Arc<Caller>>>; SHARDS],
}

impl Default for KeyTable {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
        }
    }
}

impl KeyTable {
    /// The caller with this hash, whether or not the key has ended.
    #[must_use]
    pub fn find(&self, hash: &KeyHash) -> Option<Arc<Caller>> {
        let shard = self.shard(hash).read();
        let shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard
            .find(index(hash), |caller| is_same(caller, hash))
            .cloned()
    }

    pub(crate) fn insert(&self, caller: Arc<Caller>) {
        let hash = caller.hash;
        let mut shard = self
            .shard(&hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match shard.entry(
            index(&hash),
            |known| is_same(known, &hash),
            |known| index(&known.hash),
        ) {
            Entry::Occupied(mut known) => *known.get_mut() = caller,
            Entry::Vacant(free) => drop(free.insert(caller)),
        }
    }

    pub(crate) fn remove(&self, caller: &Caller) {
        let shard = self.shard(&caller.hash).write();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        let hash = &caller.hash;
        if let Ok(known) = shard.find_entry(index(hash), |known| is_same(known, hash)) {
            known.remove();
        }
    }

    fn shard(&self, hash: &KeyHash) -> &RwLock<HashTable<Arc<Caller>>> {
        &self.shards[usize::from(hash.0[31]) % SHARDS]
    }
}

fn index(hash: &KeyHash) -> u64 {
    let mut index = [0; 8];
    index.copy_from_slice(&hash.0[..8]);
    u64::from_le_bytes(index)
}

fn is_same(caller: &Caller, hash: &KeyHash) -> bool {
    caller.hash.0.ct_eq(&hash.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_fifty_url_safe_letters_and_never_the_same() {
        let (a, b) = (generate(), generate());
        assert!(is_well_formed(a.expose()), "{}", a.expose());
        assert_ne!(a.expose(), b.expose());
    }

    #[test]
    fn other_texts_are_no_keys() {
        let key = generate();
        let key = key.expose();
        for text in [
            "",
            &key[1..],
            &format!("{key}a"),
            &key.replace(&key[..1], "+"),
        ] {
            assert!(!is_well_formed(text), "{text}");
        }
    }

    #[test]
    fn the_pepper_changes_the_hash() {
        let pepper = Secret::new("salt and".to_owned());
        assert_eq!(hash(None, "k"), hash(None, "k"));
        assert_ne!(hash(None, "k"), hash(Some(&pepper), "k"));
    }

    #[test]
    fn a_key_is_read_from_either_header() {
        let check = |pairs: &[(&'static str, &'static str)], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(shown(&headers), expected, "{pairs:?}");
        };
        check(&[("x-api-key", "abc")], Some("abc"));
        check(&[("authorization", "Bearer abc")], Some("abc"));
        check(&[("authorization", "bearer  abc ")], Some("abc"));
        check(&[("authorization", "Basic abc")], None);
        check(
            &[("x-api-key", "one"), ("authorization", "Bearer two")],
            Some("one"),
        );
        check(&[], None);
        check(&[("x-api-key", " ")], None);
        check(
            &[("x-api-key", ""), ("authorization", "Bearer two")],
            Some("two"),
        );
        // Shown, and nobody's.
        check(&[("x-api-key", "cheie-ș")], Some(""));
        check(&[("x-api-key", "a"), ("x-api-key", "b")], Some(""));
        check(&[("authorization", "Bearer ș")], Some(""));
    }
}
