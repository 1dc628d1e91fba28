//! What people and operators are told of keys and usage.

use std::collections::BTreeMap;

use serde::Serialize;
use taraf_base::Timestamp;

use super::{Accounts, Error, MILLIS_PER_DAY};
use crate::quota::Month;
use crate::registry::{AccountId, Key, KeyId, Refusal, Registry};
use crate::usage::Standing;

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyView {
    /// The key.
    pub id: KeyId,
    /// Whose it is.
    pub account: String,
    /// The account's id.
    pub account_id: AccountId,
    /// Its plan.
    pub plan: String,
    /// What people call it.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// From then on it is refused; absent for a key that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Whether it is refused now.
    pub revoked: bool,
    /// The day of its last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// The key that it was rotated from, if it was: they share one quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotated_from: Option<KeyId>,
}

/// What an account used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountUsage {
    /// The account's name.
    pub account: String,
    /// The month, in UTC.
    pub month: String,
    /// When the next month begins.
    pub reset: Timestamp,
    /// Calls of all its keys this month.
    pub used: u64,
    /// Key by key; keys that were rotated are one, named by the newest.
    pub keys: Vec<KeyUsage>,
}

/// What a key and those it was rotated from used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyUsage {
    /// The newest key of the line.
    pub id: KeyId,
    /// What people call it.
    pub label: String,
    /// Its plan.
    pub plan: String,
    /// The plan's calls a month; null without a quota.
    pub limit: Option<u64>,
    /// Calls this month.
    pub used: u64,
    /// What is left; null without a quota.
    pub remaining: Option<u64>,
    /// Earlier months.
    pub history: Vec<MonthUsage>,
    /// Calls by route since this node's start; empty for a key that has not called, or is one of the
    /// many that are not told apart.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, u64>,
}

/// What was used in one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonthUsage {
    /// The month, as `2026-01`.
    pub month: String,
    /// Calls, including what a crash charged too much.
    pub used: u64,
}

impl Accounts {
    /// The keys of an account, or of all, oldest first, the ended ones too.
    ///
    /// # Errors
    /// When the log is not led here.
    pub async fn list_keys(&self, account: Option<&str>) -> Result<Vec<KeyView>, Error> {
        let (account, now) = (account.map(str::to_owned), self.now());
        let look = move |registry: &Registry| {
            let view = |(id, key): (KeyId, Key)| key_view(registry, id, &key, now);
            let mut keys: Vec<_> = match account {
                None => registry.keys().map(view).collect(),
                Some(name) => {
                    let owner = registry.account_named(&name).into_iter();
                    let ids = owner.flat_map(|(_, account)| registry.keys_of(account));
                    let keys = ids.filter_map(|id| Some((id, registry.key(id)?)));
                    keys.map(view).collect()
                }
            };
            keys.sort_by_key(|key| (key.created, key.id));
            keys
        };
        Ok(self.shared.replica.read(look).await?)
    }

    /// One key.
    ///
    /// # Errors
    /// When there is none, or the log is not led here.
    pub async fn key(&self, id: KeyId) -> Result<KeyView, Error> {
        let now = self.now();
        let look = move |registry: &Registry| {
            let key = registry.key(id)?;
            Some(key_view(registry, id, &key, now))
        };
        let found = self.shared.replica.read(look).await?;
        found.ok_or(Error::Refused(Refusal::UnknownKey(id)))
    }

    /// What an account used this month and before.
    ///
    /// # Errors
    /// When the log is not led here.
    pub async fn usage(&self, account: AccountId) -> Result<Option<AccountUsage>, Error> {
        let now = self.now();
        let month = Month::of(now);
        let look = move |registry: &Registry| {
            let owner = registry.account(account)?;
            let keys: Vec<_> = registry.keys_of(owner).collect();
            let lines = lines(registry, &keys, month);
            Some((owner.name.clone(), lines))
        };
        let Some((name, lines)) = self.shared.replica.read(look).await? else {
            return Ok(None);
        };
        let keys: Vec<_> = lines
            .into_iter()
            .map(|(line, usage)| self.with_unspent(line, usage))
            .collect();
        Ok(Some(AccountUsage {
            account: name,
            month: month.to_string(),
            reset: month.next().start(),
            used: keys.iter().map(|key| key.used).sum(),
            keys,
        }))
    }

    /// What one key's line used.
    ///
    /// # Errors
    /// When there is no such key, or the log is not led here.
    pub async fn key_usage(&self, id: KeyId) -> Result<KeyUsage, Error> {
        let month = Month::of(self.now());
        let look = move |registry: &Registry| {
            let line = registry.key(id)?.line;
            lines(registry, &[line, id], month).pop()
        };
        let found = self.shared.replica.read(look).await?;
        let (line, usage) = found.ok_or(Error::Refused(Refusal::UnknownKey(id)))?;
        Ok(self.with_unspent(line, usage))
    }

    /// Takes off what is charged and not spent yet, which only this process knows.
    fn with_unspent(&self, line: KeyId, mut usage: KeyUsage) -> KeyUsage {
        if let Some(meter) = self.shared.view.meter(line) {
            let standing: Standing = meter.standing(self.now(), self.now_ns());
            usage.used = standing.used;
            usage.remaining = standing.remaining;
        }
        usage.routes = self.shared.view.routes(usage.id);
        usage
    }
}

/// The lines of some keys with what was charged, each named by its newest key.
fn lines(registry: &Registry, keys: &[KeyId], month: Month) -> Vec<(KeyId, KeyUsage)> {
    let mut lines: Vec<(KeyId, KeyUsage)> = Vec::new();
    for id in keys {
        let Some(key) = registry.key(*id) else {
            continue;
        };
        let usage = line_usage(registry, *id, &key, month);
        match lines.iter_mut().find(|(line, _)| *line == key.line) {
            Some(known) => known.1 = usage,
            None => lines.push((key.line, usage)),
        }
    }
    lines
}

fn line_usage(registry: &Registry, id: KeyId, key: &Key, month: Month) -> KeyUsage {
    let used = registry.charged(key.line, month);
    let limit = registry
        .plan(&key.plan)
        .and_then(|plan| plan.quota_per_month);
    let history = registry
        .months(key.line)
        .filter(|(of, _)| *of < month)
        .map(|(of, usage)| MonthUsage {
            month: of.to_string(),
            used: usage.charged,
        })
        .collect();
    KeyUsage {
        id,
        label: key.label.clone(),
        plan: key.plan.clone(),
        limit,
        used,
        remaining: limit.map(|limit| limit.saturating_sub(used)),
        history,
        routes: BTreeMap::new(),
    }
}

fn key_view(registry: &Registry, id: KeyId, key: &Key, now: Timestamp) -> KeyView {
    let account = registry.account(key.account);
    KeyView {
        id,
        account: account
            .map(|account| account.name.clone())
            .unwrap_or_default(),
        account_id: key.account,
        plan: key.plan.clone(),
        label: key.label.clone(),
        created: key.created,
        ends: key.ends,
        revoked: key.is_ended(now),
        last_used: key.last_used_day.map(day),
        rotated_from: (key.line != id).then_some(key.line),
    }
}

/// As `2026-01-31`.
fn day(day: u32) -> String {
    let midnight = Timestamp::from_millis(i64::from(day) * MILLIS_PER_DAY);
    midnight.to_string().chars().take(10).collect()
}
