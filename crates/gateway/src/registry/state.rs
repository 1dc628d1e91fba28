//! [pure] The state that the account records add up to, and what can be asked of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;

use super::keys::Keys;
use super::rows::{Number, Row, Rows};
use super::{AccountId, KeyHash, KeyId, Months};
use crate::quota::{Month, Plan};

/// Usage of older months is forgotten.
pub const MONTHS_KEPT: usize = 24;

/// Everything that the gateway knows of accounts. Maps are ordered where their order is seen, so that
/// equal states have equal snapshots.
///
/// Invariant: each key's account, plan and line exist, each account has exactly the rows of its keys,
/// `by_name` and `by_email` have exactly the accounts; only `evolve` changes the state and it keeps
/// the maps together. Numbers of plans and accounts are never used again for others.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    pub(super) plans: BTreeMap<String, Plan>,
    plan_names: Vec<String>,
    accounts: BTreeMap<AccountId, Account>,
    account_ids: Vec<AccountId>,
    pub(super) keys: Keys,
    pub(super) by_name: BTreeMap<String, AccountId>,
    pub(super) by_email: BTreeMap<String, AccountId>,
    /// By the first key of a line: keys that were rotated share one quota.
    pub(super) usage: BTreeMap<KeyId, Months>,
}

/// Who has keys.
#[derive(Clone, Debug)]
pub struct Account {
    /// Unique.
    pub name: String,
    /// Unique, if there is one.
    pub email: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    number: u32,
    /// The rows of its keys, oldest first, the revoked ones too.
    keys: Vec<Number>,
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
    pub fn key(&self, id: KeyId) -> Option<Key> {
        let (_, key) = self.entry(self.keys.number(id)?)?;
        Some(key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The key with this hash.
    #[must_use]
    pub fn key_with(&self, hash: &KeyHash) -> Option<KeyId> {
        let number = self.keys.by_hash(hash)?;
        self.keys.rows.row(number).map(Row::id)
    }

    /// All keys by id.
    pub fn keys(&self) -> impl Iterator<Item = (KeyId, Key)> {
        let numbers = self.keys.by_id().into_iter();
        numbers.filter_map(|number| self.entry(number))
    }

    /// The keys of an account, oldest first, the revoked ones too.
    pub fn keys_of(&self, account: &Account) -> impl Iterator<Item = KeyId> {
        self.rows_of(account).map(|(_, row)| row.id())
    }

    pub(super) fn key_count_of(&self, account: &Account) -> usize {
        self.rows_of(account).count()
    }

    /// How many keys of an account have no end.
    pub(super) fn living(&self, account: AccountId) -> usize {
        let keys = self.accounts.get(&account).into_iter();
        let keys = keys.flat_map(|account| self.keys_of(account));
        keys.filter(|id| self.keys.rows.ends(*id).is_none()).count()
    }

    /// The rows of an account's keys with their numbers, oldest first.
    pub(super) fn rows_of(&self, account: &Account) -> impl Iterator<Item = (Number, &Row)> {
        let rows = &self.keys.rows;
        let numbers = account.keys.iter();
        numbers.filter_map(|number| Some((*number, rows.row(*number)?)))
    }

    /// The rows, for what reads them beside the machine.
    pub(crate) fn rows(&self) -> &Rows {
        &self.keys.rows
    }

    /// The names of plans by their numbers.
    pub(crate) fn plan_names(&self) -> &[String] {
        &self.plan_names
    }

    /// The ids of accounts by their numbers.
    pub(crate) fn account_ids(&self) -> &[AccountId] {
        &self.account_ids
    }

    pub(super) fn entry(&self, number: Number) -> Option<(KeyId, Key)> {
        let row = self.keys.rows.row(number)?;
        let id = row.id();
        let key = Key {
            account: at(&self.account_ids, row.account).copied()?,
            line: self.keys.rows.line(id),
            hash: row.hash,
            plan: self.plan_names.get(usize::from(row.plan)).cloned()?,
            label: self.keys.label_of(number).to_owned(),
            created: row.created(),
            ends: self.keys.rows.ends(id),
            last_used_day: self.keys.used(number),
        };
        Some((id, key))
    }

    pub(super) fn set_plan(&mut self, name: &str, plan: Plan) {
        if self.plans.insert(name.to_owned(), plan).is_none() {
            self.plan_names.push(name.to_owned());
        }
    }

    pub(super) fn add_account(
        &mut self,
        id: AccountId,
        name: String,
        email: Option<String>,
        at: Timestamp,
    ) {
        self.by_name.insert(name.clone(), id);
        if let Some(email) = &email {
            self.by_email.insert(email.clone(), id);
        }
        let number = u32::try_from(self.account_ids.len()).unwrap_or(u32::MAX);
        self.account_ids.push(id);
        let account = Account {
            name,
            email,
            created: at,
            number,
            keys: Vec::new(),
        };
        self.accounts.insert(id, account);
    }

    /// Makes room for an account's keys.
    pub(super) fn reserve_keys_of(&mut self, id: AccountId, keys: usize) {
        if let Some(account) = self.accounts.get_mut(&id) {
            account.keys.reserve_exact(keys);
        }
    }

    /// The number of a plan, as rows name it.
    pub(super) fn plan_number(&self, name: &str) -> Option<u16> {
        let plan = self.plan_names.iter().position(|known| known == name)?;
        u16::try_from(plan).ok()
    }

    /// Adds a key, if its account and plan are there.
    pub(super) fn add_key(&mut self, id: KeyId, key: &Key) {
        let plan = self.plan_number(&key.plan);
        let (Some(owner), Some(plan)) = (self.accounts.get_mut(&key.account), plan) else {
            return;
        };
        // Decided once: a record that names a known key fits nowhere.
        if self.keys.number(id).is_some() || self.keys.by_hash(&key.hash).is_some() {
            return;
        }
        let mut row = Row::new(id, key.hash, key.created);
        (row.account, row.plan) = (owner.number, plan);
        let number = self.keys.insert(row, &key.label);
        owner.keys.push(number);
        self.keys.rows.set_line(id, key.line);
        if let Some(ends) = key.ends {
            self.keys.rows.end(id, ends);
        }
        if let Some(day) = key.last_used_day {
            self.keys.use_on(number, day);
        }
    }

    pub(super) fn remove_key(&mut self, id: KeyId) {
        let Some(number) = self.keys.number(id) else {
            return;
        };
        let owner = self.owner(number);
        if let Some(account) = owner.and_then(|id| self.accounts.get_mut(&id)) {
            account.keys.retain(|known| *known != number);
        }
        self.keys.remove(number);
        self.usage.remove(&id);
    }

    /// Ended keys that may be forgotten: those whose end lies before `before`, but of a line whose
    /// other keys are still there not the first, which the quota is counted by.
    pub(super) fn forgettable(&self, before: Timestamp, most: usize) -> Vec<(KeyId, KeyHash)> {
        let ended = self.keys.rows.ending().filter(|(_, ends)| *ends < before);
        let free = ended.filter(|(id, _)| !self.has_followers(*id));
        let with_hash = free.filter_map(|(id, _)| {
            let row = self.keys.rows.row(self.keys.number(id)?)?;
            Some((id, row.hash))
        });
        with_hash.take(most).collect()
    }

    /// Whether other keys are of the line that this one began.
    fn has_followers(&self, id: KeyId) -> bool {
        let owner = self.keys.number(id).and_then(|number| self.owner(number));
        let account = owner.and_then(|owner| self.accounts.get(&owner));
        let mut keys = account
            .into_iter()
            .flat_map(|account| self.keys_of(account));
        keys.any(|other| other != id && self.keys.rows.line(other) == id)
    }

    fn owner(&self, number: Number) -> Option<AccountId> {
        let row = self.keys.rows.row(number)?;
        at(&self.account_ids, row.account).copied()
    }

    /// What a line was charged in a month.
    #[must_use]
    pub fn charged(&self, line: KeyId, month: Month) -> u64 {
        let usage = self.usage.get(&line).and_then(|months| months.get(&month));
        usage.map_or(0, |usage| usage.charged)
    }

    /// The lines that were ever charged, of those that are there.
    pub(crate) fn lines(&self) -> impl Iterator<Item = KeyId> {
        self.usage.keys().copied()
    }

    /// What a line was charged in all months that are kept, oldest first.
    pub fn months(&self, line: KeyId) -> impl Iterator<Item = (Month, Usage)> {
        let months = self.usage.get(&line).into_iter().flatten();
        months.map(|(month, usage)| (*month, *usage))
    }
}

fn at<T>(list: &[T], number: u32) -> Option<&T> {
    list.get(usize::try_from(number).ok()?)
}
