//! [pure] What a record event changes. Total: an event that does not fit changes nothing.

use taraf_base::Timestamp;

use super::state::MONTHS_KEPT;
use super::{Account, Event, Key, KeyId, Registry};
use crate::quota::Month;

pub(super) fn evolve(state: &mut Registry, event: &Event, at: Timestamp) {
    match event {
        Event::PlanSet { name, plan } => {
            state.plans.insert(name.clone(), plan.clone());
        }
        Event::AccountCreated { id, name, email } => {
            state.by_name.insert(name.clone(), *id);
            if let Some(email) = email {
                state.by_email.insert(email.clone(), *id);
            }
            let account = Account {
                name: name.clone(),
                email: email.clone(),
                created: at,
                keys: Vec::new(),
            };
            state.accounts.insert(*id, account);
        }
        Event::KeyCreated { .. } => key_created(state, event, at),
        Event::KeyEnds { id, ends } => change_key(state, *id, |key| key.ends = Some(*ends)),
        Event::KeyLabelled { id, label } => {
            change_key(state, *id, |key| key.label.clone_from(label));
        }
        Event::KeyUsed { id, day } => change_key(state, *id, |key| key.last_used_day = Some(*day)),
        Event::UnitsReserved { line, month, units } => {
            charge(state, *line, *month, |charged| {
                charged.saturating_add(*units)
            });
        }
        Event::UnitsReturned { line, month, units } => {
            charge(state, *line, *month, |charged| {
                charged.saturating_sub(*units)
            });
        }
    }
}

fn key_created(state: &mut Registry, event: &Event, at: Timestamp) {
    let Event::KeyCreated {
        id,
        account,
        line,
        hash,
        plan,
        label,
    } = event
    else {
        return;
    };
    let Some(owner) = state.accounts.get_mut(account) else {
        return;
    };
    owner.keys.push(*id);
    state.by_hash.insert(*hash, *id);
    let key = Key {
        account: *account,
        line: *line,
        hash: *hash,
        plan: plan.clone(),
        label: label.clone(),
        created: at,
        ends: None,
        last_used_day: None,
    };
    state.keys.insert(*id, key);
}

fn change_key(state: &mut Registry, id: KeyId, change: impl FnOnce(&mut Key)) {
    if let Some(key) = state.keys.get_mut(&id) {
        change(key);
    }
}

fn charge(state: &mut Registry, line: KeyId, month: Month, change: impl FnOnce(u64) -> u64) {
    if !state.keys.contains_key(&line) {
        return;
    }
    let months = state.usage.entry(line).or_default();
    let usage = months.entry(month).or_default();
    usage.charged = change(usage.charged);
    while months.len() > MONTHS_KEPT {
        months.pop_first();
    }
}
