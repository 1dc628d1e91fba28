//! [pure] The state that the account records add up to, and what can be asked of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;

use super::{AccountId, KeyHash, KeyId, Months};
use crate::quota::{Month, Plan};

/// Usage of older months is forgotten.
pub const MONTHS_KEPT: usize = 24;

/// Everything that the gateway knows of accounts. Maps are ordered, so that equal states have equal
/// snapshots.
///
/// Invariant: each key's account and line exist, `by_hash` has exactly the keys, `by_name` and
/// `by_email` exactly the accounts; only `evolve` changes the state and it keeps the maps together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    pub(super) plans: BTreeMap<String, Plan>,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) keys: BTreeMap<KeyId, Key>,
    pub(super) by_name: BTreeMap<String, AccountId>,
    pub(super) by_email: BTreeMap<String, AccountId>,
    pub(super) by_hash: BTreeMap<KeyHash, KeyId>,
    /// By the first key of a line: keys that were rotated share one quota.
    pub(super) usage: BTreeMap<KeyId, Months>,
}

/// Who has keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Unique.
    pub name: String,
    /// Unique, if there is one.
    pub email: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Its keys, oldest first, the revoked ones too.
    pub keys: Vec<KeyId>,
}

/// One API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Whose it is.
    pub account: AccountId,
    /// The first key of its line: it was rotated from that one, or is it.
    pub line: KeyId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// The name of its plan.
    pub plan: String,
    /// What people call it.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// From then on it is refused.
    pub ends: Option<Timestamp>,
    /// The last day of use, in days since 1970-01-01.
    pub last_used_day: Option<u32>,
}

impl Key {
    /// Whether it is refused at `now`.
    #[must_use]
    pub fn is_ended(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

/// What one line was charged in one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Units reserved and not returned.
    pub charged: u64,
}

impl Registry {
    /// A plan by name.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.get(name)
    }

    /// All plans by name.
    pub fn plans(&self) -> impl Iterator<Item = (&str, &Plan)> {
        self.plans.iter().map(|(name, plan)| (name.as_str(), plan))
    }

    /// An account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// An account by name.
    #[must_use]
    pub fn account_named(&self, name: &str) -> Option<(AccountId, &Account)> {
        let id = *self.by_name.get(name)?;
        Some((id, self.accounts.get(&id)?))
    }

    /// All accounts by id.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        self.accounts.iter().map(|(id, account)| (*id, account))
    }

    /// A key.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(&id)
    }

    /// All keys by id.
    pub fn keys(&self) -> impl Iterator<Item = (KeyId, &Key)> {
        self.keys.iter().map(|(id, key)| (*id, key))
    }

    /// What a line was charged in a month.
    #[must_use]
    pub fn charged(&self, line: KeyId, month: Month) -> u64 {
        let usage = self.usage.get(&line).and_then(|months| months.get(&month));
        usage.map_or(0, |usage| usage.charged)
    }

    /// What a line was charged in all months that are kept, oldest first.
    pub fn months(&self, line: KeyId) -> impl Iterator<Item = (Month, Usage)> {
        let months = self.usage.get(&line).into_iter().flatten();
        months.map(|(month, usage)| (*month, *usage))
    }
}
