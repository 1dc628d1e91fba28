//! [pure] The state as bytes: written and read one key at a time, drawn in `docs/protocols/accounts-log.md`.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use taraf_base::Timestamp;
use taraf_log::machine::{DecodeError, Machine as _};
use taraf_log::snapshot::Reader;

use super::state::{Key, Registry};
use super::{AccountId, KeyHash, KeyId, Months};
use crate::quota::Plan;

/// The version that snapshots are written in today.
pub(super) const VERSION: u16 = 2;
/// Maps of everything, with what can be worked out from the rest.
const VERSION_MAPS: u16 = 1;
/// Bytes that the hash takes at once.
const HASHED_AT_ONCE: usize = 8 << 10;
/// No key is written in fewer bytes: its id, its hash and some small numbers.
const KEY_BYTES_MIN: usize = 56;

/// What comes first: the plans, how many accounts and keys there are, and what lines were charged.
type HeadV2 = (
    BTreeMap<String, Plan>,
    usize,
    usize,
    BTreeMap<KeyId, Months>,
);
/// Id, name, e-mail address, creation, and how many keys follow.
type AccountV2 = (AccountId, String, Option<String>, Timestamp, usize);
/// Id, first of its line if that is another, hash, number of the plan in the order of names, label,
/// creation, end, last day of use.
type KeyV2<L> = (
    KeyId,
    Option<KeyId>,
    KeyHash,
    usize,
    L,
    Timestamp,
    Option<Timestamp>,
    Option<u32>,
);

/// The first eight bytes of a hash over what [`write`] writes.
pub(super) fn hash(state: &Registry) -> u64 {
    #[derive(Debug)]
    struct Hashed(Sha256);

    impl Write for Hashed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut writer = io::BufWriter::with_capacity(HASHED_AT_ONCE, Hashed(Sha256::new()));
    write(state, &mut writer).expect("a hash takes all that is written");
    let hashed = writer.into_inner().expect("a hash takes all that is left");
    let digest = hashed.0.finalize();
    let first = digest.iter().take(8);
    first.fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Whether a snapshot that begins so has the version that is written today.
pub(super) fn is_current(head: &[u8]) -> bool {
    head.first_chunk() == Some(&VERSION.to_le_bytes())
}

/// Reads a snapshot of any version.
///
/// # Errors
/// When it is none that this program knows.
pub(super) fn read(from: &mut Reader<'_>) -> Result<Registry, DecodeError> {
    let mut version = [0; 2];
    let short = |_| malformed("an account snapshot without a version");
    from.read_exact(&mut version).map_err(short)?;
    match u16::from_le_bytes(version) {
        VERSION => read_keys(from),
        VERSION_MAPS => Ok(rmp_serde::from_read::<_, StateV1>(from)?.into_registry()),
        other => Err(malformed(&format!(
            "an account snapshot of version {other}"
        ))),
    }
}

/// Writes one, one key at a time.
///
/// # Errors
/// As `to` answers.
pub(super) fn write(state: &Registry, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(&VERSION.to_le_bytes())?;
    let accounts = state.accounts().count();
    put(
        to,
        &(&state.plans, accounts, state.key_count(), &state.usage),
    )?;
    let plans = by_name(state);
    for (id, account) in state.accounts() {
        let (name, email, keys) = (&account.name, &account.email, state.key_count_of(account));
        put(to, &(id, name, email, account.created, keys))?;
        for (number, row) in state.rows_of(account) {
            let id = row.id();
            let line = Some(state.keys.rows.line(id)).filter(|line| *line != id);
            let plan = plans.get(usize::from(row.plan)).copied().unwrap_or(0);
            let label = state.keys.label_of(number);
            let (ends, used) = (state.keys.rows.ends(id), state.keys.used(number));
            let key: KeyV2<&str> = (id, line, row.hash, plan, label, row.created(), ends, used);
            put(to, &key)?;
        }
    }
    Ok(())
}

/// Where the plans lie in the order of their names, by the numbers that rows have.
fn by_name(state: &Registry) -> Vec<usize> {
    let at = |name: &String| state.plans.keys().position(|known| known == name);
    let names = state.plan_names().iter();
    names.map(|name| at(name).unwrap_or(0)).collect()
}

fn put(to: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    rmp_serde::encode::write(to, value).map_err(io::Error::other)
}

fn read_keys(from: &mut Reader<'_>) -> Result<Registry, DecodeError> {
    // A damaged count must not ask for more memory than there are bytes.
    let keys_max = usize::try_from(from.left()).unwrap_or(usize::MAX) / KEY_BYTES_MIN;
    let mut reader = rmp_serde::Deserializer::new(from);
    let (plans, accounts, keys, usage) = HeadV2::deserialize(&mut reader)?;
    let mut state = Registry::default();
    for (name, plan) in plans {
        state.set_plan(&name, plan);
    }
    state.keys.reserve(keys.min(keys_max));
    for _ in 0..accounts {
        let (account, name, email, created, keys) = AccountV2::deserialize(&mut reader)?;
        state.add_account(account, name, email, created);
        state.reserve_keys_of(account, keys.min(keys_max));
        for _ in 0..keys {
            let (id, line, hash, plan, label, created, ends, last_used_day) =
                KeyV2::<String>::deserialize(&mut reader)?;
            let plan = state.plan_names().get(plan).cloned();
            let key = Key {
                account,
                line: line.unwrap_or(id),
                hash,
                plan: plan.ok_or_else(|| malformed("a key of an unknown plan"))?,
                label,
                created,
                ends,
                last_used_day,
            };
            state.add_key(id, &key);
        }
    }
    if state.key_count() != keys {
        return Err(malformed("an account snapshot with another number of keys"));
    }
    state.usage = usage;
    Ok(state)
}

/// The state as it was written before version 2: positional, maps in the order of their keys.
#[derive(Deserialize)]
struct StateV1 {
    plans: BTreeMap<String, Plan>,
    accounts: BTreeMap<AccountId, AccountV1>,
    keys: BTreeMap<KeyId, Key>,
    _by_name: IgnoredAny,
    _by_email: IgnoredAny,
    _by_hash: IgnoredAny,
    usage: BTreeMap<KeyId, Months>,
}

#[derive(Deserialize)]
struct AccountV1 {
    name: String,
    email: Option<String>,
    created: Timestamp,
    keys: Vec<KeyId>,
}

impl StateV1 {
    fn into_registry(self) -> Registry {
        let mut state = Registry::default();
        for (name, plan) in self.plans {
            state.set_plan(&name, plan);
        }
        state.keys.reserve(self.keys.len());
        for (id, account) in self.accounts {
            state.add_account(id, account.name, account.email, account.created);
            for id in account.keys {
                if let Some(key) = self.keys.get(&id) {
                    state.add_key(id, key);
                }
            }
        }
        state.usage = self.usage;
        state
    }
}

fn malformed(what: &str) -> DecodeError {
    DecodeError::Malformed(what.to_owned())
}

/// So that two states can be compared whatever the numbers of their rows.
impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot() == other.snapshot()
    }
}

impl Eq for Registry {}
