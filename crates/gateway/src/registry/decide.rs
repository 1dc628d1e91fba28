//! [pure] What follows from an input: record events and a reply, or a refusal and nothing.

use std::collections::BTreeSet;

use taraf_base::Timestamp;

use super::{
    ACCOUNTS_MAX, AccountId, Event, FORGOTTEN_MAX, Input, KEYS_PER_ACCOUNT_MAX, KeyHash, KeyId,
    NewKey, PLANS_MAX, RETURNS_MAX, Refusal, Registry, Reply, TEXT_BYTES_MAX,
};
use crate::quota::{Month, Plan};

type Decided = Result<(Vec<Event>, Reply), Refusal>;

pub(super) fn decide(state: &Registry, input: Input, now: Timestamp) -> Decided {
    match input {
        Input::SetPlan { name, plan } => set_plan(state, name, plan),
        Input::CreateAccount { id, name, email } => create_account(state, id, name, email),
        Input::CreateKey {
            account,
            name,
            email,
            key,
        } => create_key(state, account, name, email, key),
        Input::Rotate {
            id,
            new,
            hash,
            overlap_until,
        } => rotate(state, id, (new, hash), overlap_until, now),
        Input::Revoke { id } => revoke(state, id, now),
        Input::Label { id, label } => relabel(state, id, label),
        Input::Reserve { line, month, units } => reserve(state, line, month, units),
        Input::Return { line, month, units } => give_back(state, line, month, units),
        Input::ReturnMany { units } => give_back_many(state, units),
        Input::Used { id, day } => used(state, id, day),
        Input::Forget { before } => forget(state, before),
    }
}

fn set_plan(state: &Registry, name: String, plan: Plan) -> Decided {
    let name = text("the plan's name", name)?;
    if plan.rate_per_second == 0 || plan.burst == 0 {
        return Err(Refusal::Plan);
    }
    match state.plans.get(&name) {
        Some(known) if *known == plan => return Ok((Vec::new(), Reply::Done)),
        None if state.plans.len() >= PLANS_MAX => return Err(Refusal::TooMany("plans")),
        Some(_) | None => {}
    }
    Ok((vec![Event::PlanSet { name, plan }], Reply::Done))
}

fn create_account(state: &Registry, id: AccountId, name: String, email: Option<String>) -> Decided {
    if state.by_name.contains_key(&name) {
        return Err(Refusal::KnownAccount(name));
    }
    let event = new_account(state, id, name, email)?;
    Ok((vec![event], Reply::Account(id)))
}

fn new_account(
    state: &Registry,
    id: AccountId,
    name: String,
    email: Option<String>,
) -> Result<Event, Refusal> {
    if state.by_name.len() >= ACCOUNTS_MAX {
        return Err(Refusal::TooMany("accounts"));
    }
    // Ids are drawn from 128 bits: one that is taken comes from a faulty caller.
    if state.account(id).is_some() {
        return Err(Refusal::KnownAccount(name));
    }
    let name = text("the account's name", name)?;
    let email = email
        .map(|email| text("the e-mail address", email))
        .transpose()?;
    if email
        .as_ref()
        .is_some_and(|email| state.by_email.contains_key(email))
    {
        return Err(Refusal::KnownEmail);
    }
    Ok(Event::AccountCreated { id, name, email })
}

fn create_key(
    state: &Registry,
    fresh: AccountId,
    name: String,
    email: Option<String>,
    key: NewKey,
) -> Decided {
    if !state.plans.contains_key(&key.plan) {
        return Err(Refusal::UnknownPlan(key.plan));
    }
    let mut events = Vec::new();
    let account = match state.by_name.get(&name) {
        // Registration makes accounts; who registers twice is told so and gets no second key.
        Some(_) if email.is_some() => return Err(Refusal::KnownEmail),
        Some(id) => *id,
        None => {
            events.push(new_account(state, fresh, name, email)?);
            fresh
        }
    };
    if let Some(known) = state.key_with(&key.hash) {
        return same_key(state, known, account);
    }
    if state.key(key.id).is_some() {
        return Err(Refusal::KnownKey);
    }
    room_for_a_key(state, account)?;
    let label = optional_text("the label", key.label)?;
    let reply = Reply::Key {
        id: key.id,
        account,
        plan: key.plan.clone(),
    };
    events.push(Event::KeyCreated {
        id: key.id,
        account,
        line: key.id,
        hash: key.hash,
        plan: key.plan,
        label,
    });
    Ok((events, reply))
}

/// A key made again with the same text: the same key, if it is the same account's and lives.
fn same_key(state: &Registry, id: KeyId, account: AccountId) -> Decided {
    match state.key(id) {
        Some(key) if key.ends.is_some() => Err(Refusal::RevokedKey(id)),
        Some(key) if key.account == account => {
            let plan = key.plan;
            Ok((Vec::new(), Reply::Key { id, account, plan }))
        }
        Some(_) | None => Err(Refusal::KnownKey),
    }
}

fn room_for_a_key(state: &Registry, account: AccountId) -> Result<(), Refusal> {
    if state.living(account) >= KEYS_PER_ACCOUNT_MAX {
        return Err(Refusal::TooMany("keys of this account"));
    }
    Ok(())
}

fn rotate(
    state: &Registry,
    id: KeyId,
    (new, hash): (KeyId, KeyHash),
    overlap_until: Timestamp,
    now: Timestamp,
) -> Decided {
    let old = state.key(id).ok_or(Refusal::UnknownKey(id))?;
    // A key that is already on its way out has its successor.
    if old.ends.is_some() {
        return Err(Refusal::RevokedKey(id));
    }
    if state.key_with(&hash).is_some() || state.key(new).is_some() {
        return Err(Refusal::KnownKey);
    }
    // The old key has its end now, so that the account has no more keys than before.
    let created = Event::KeyCreated {
        id: new,
        account: old.account,
        line: old.line,
        hash,
        plan: old.plan.clone(),
        label: old.label.clone(),
    };
    let ends = overlap_until.max(now);
    let reply = Reply::Key {
        id: new,
        account: old.account,
        plan: old.plan,
    };
    Ok((vec![created, Event::KeyEnds { id, ends }], reply))
}

fn revoke(state: &Registry, id: KeyId, now: Timestamp) -> Decided {
    let key = state.key(id).ok_or(Refusal::UnknownKey(id))?;
    if key.is_ended(now) {
        return Ok((Vec::new(), Reply::Done));
    }
    Ok((vec![Event::KeyEnds { id, ends: now }], Reply::Done))
}

fn relabel(state: &Registry, id: KeyId, label: String) -> Decided {
    let key = state.key(id).ok_or(Refusal::UnknownKey(id))?;
    let label = optional_text("the label", label)?;
    if key.label == label {
        return Ok((Vec::new(), Reply::Done));
    }
    Ok((vec![Event::KeyLabelled { id, label }], Reply::Done))
}

fn reserve(state: &Registry, line: KeyId, month: Month, units: u64) -> Decided {
    let key = state.key(line).ok_or(Refusal::UnknownKey(line))?;
    let plan = state
        .plans
        .get(&key.plan)
        .ok_or_else(|| Refusal::UnknownPlan(key.plan.clone()))?;
    let charged = state.charged(line, month);
    let left = plan
        .quota_per_month
        .map_or(u64::MAX, |quota| quota)
        .saturating_sub(charged);
    let units = units.min(left);
    let reply = Reply::Granted {
        units,
        charged: charged.saturating_add(units),
    };
    if units == 0 {
        return Ok((Vec::new(), reply));
    }
    Ok((vec![Event::UnitsReserved { line, month, units }], reply))
}

fn give_back(state: &Registry, line: KeyId, month: Month, units: u64) -> Decided {
    let units = units.min(state.charged(line, month));
    if units == 0 {
        return Ok((Vec::new(), Reply::Done));
    }
    Ok((
        vec![Event::UnitsReturned { line, month, units }],
        Reply::Done,
    ))
}

/// Units of a line and a month twice would be looked at as they were before.
fn give_back_many(state: &Registry, units: Vec<(KeyId, Month, u64)>) -> Decided {
    let mut events = Vec::with_capacity(units.len());
    let mut seen = BTreeSet::new();
    for (line, month, units) in units.into_iter().take(RETURNS_MAX) {
        let units = units.min(state.charged(line, month));
        if units > 0 && seen.insert((line, month)) {
            events.push(Event::UnitsReturned { line, month, units });
        }
    }
    Ok((events, Reply::Done))
}

fn forget(state: &Registry, before: Timestamp) -> Decided {
    let keys = state.forgettable(before, FORGOTTEN_MAX);
    let count = keys.len();
    let events = keys
        .into_iter()
        .map(|(id, hash)| Event::KeyRemoved { id, hash });
    Ok((events.collect(), Reply::Forgotten(count)))
}

fn used(state: &Registry, id: KeyId, day: u32) -> Decided {
    let key = state.key(id).ok_or(Refusal::UnknownKey(id))?;
    if key.last_used_day >= Some(day) {
        return Ok((Vec::new(), Reply::Done));
    }
    Ok((vec![Event::KeyUsed { id, day }], Reply::Done))
}

fn text(what: &'static str, text: String) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::Text { what });
    }
    optional_text(what, text)
}

fn optional_text(what: &'static str, text: String) -> Result<String, Refusal> {
    if text.len() > TEXT_BYTES_MAX || text.contains(char::is_control) {
        return Err(Refusal::Text { what });
    }
    Ok(text)
}
