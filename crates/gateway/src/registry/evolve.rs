//! [pure] What a record event changes. Total: an event that does not fit changes nothing.

use taraf_base::Timestamp;

use super::keys::Keys;
use super::rows::Number;
use super::state::MONTHS_KEPT;
use super::{Event, Key, KeyId, Registry};
use crate::quota::Month;

pub(super) fn evolve(state: &mut Registry, event: &Event, at: Timestamp) {
    match event {
        Event::PlanSet { name, plan } => state.set_plan(name, plan.clone()),
        Event::AccountCreated { id, name, email } => {
            state.add_account(*id, name.clone(), email.clone(), at);
        }
        Event::KeyCreated { .. } => key_created(state, event, at),
        Event::KeyEnds { id, ends } => change(state, *id, |keys, _| keys.rows.end(*id, *ends)),
        Event::KeyLabelled { id, label } => {
            change(state, *id, |keys, number| keys.label(number, label));
        }
        Event::KeyUsed { id, day } => change(state, *id, |keys, number| keys.use_on(number, *day)),
        Event::KeyRemoved { id, hash: _ } => state.remove_key(*id),
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
    state.add_key(*id, &key);
}

fn change(state: &mut Registry, id: KeyId, change: impl FnOnce(&mut Keys, Number)) {
    if let Some(number) = state.keys.number(id) {
        change(&mut state.keys, number);
    }
}

fn charge(state: &mut Registry, line: KeyId, month: Month, change: impl FnOnce(u64) -> u64) {
    if state.keys.number(line).is_none() {
        return;
    }
    let months = state.usage.entry(line).or_default();
    let usage = months.entry(month).or_default();
    usage.charged = change(usage.charged);
    while months.len() > MONTHS_KEPT {
        months.pop_first();
    }
}
