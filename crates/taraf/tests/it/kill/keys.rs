//! Keys: made, rotated, revoked, tried after each kill, and spent through the gateway.

use std::collections::BTreeSet;

use taraf_base::Rng;

use super::client::{Answer, Client, Gone};
use super::ledger::Ledger;
use super::load::Door;

/// Calls a month of every key.
pub(crate) const QUOTA: u64 = 2_000;
/// What is reserved at a time: a hundredth of the quota.
pub(crate) const BLOCK: u64 = QUOTA / 100;
/// Keys made, rotated or revoked in one round at most.
const CHANGES_MAX: u64 = 6;
/// Calls of one spender in one round at most.
const CALLS_MAX: u64 = 100;
/// Keys tried in each round beside those that were changed in the last.
const TRIES: u64 = 3;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Live,
    Dead,
    /// It was being rotated or revoked when the answer was lost.
    Unsure,
}

/// A key that was acknowledged.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) state: State,
}

/// A key and those that it was rotated into; they share one quota.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its account's name, and what the upstream counts its calls under.
    pub(crate) mark: String,
    pub(crate) keys: Vec<Key>,
    /// Rotations whose answer was lost: each may have made a key that nobody was told.
    pub(crate) unsure_rotations: usize,
    /// Rounds in which it was used: each may have lost what was left of a block.
    pub(crate) used_in: BTreeSet<u64>,
    /// Calls that were answered by the upstream.
    pub(crate) answered: u64,
    /// The spender that uses it, until its quota is used up.
    slot: Option<usize>,
    /// Whether its keys were tried since their last change.
    is_tried: bool,
}

/// Calls with one key after the other, each until its quota is used up.
pub(crate) fn spend(door: &Door, ledger: &Ledger, slot: usize) {
    let (mut operator, mut gateway) = (door.operator(), door.gateway());
    for _ in 0..CALLS_MAX {
        let mine = |line: &Line| line.slot == Some(slot);
        let known = ledger.open().lines.iter().position(mine);
        let line = match known {
            Some(line) => line,
            None => match create(&mut operator, door, ledger, Some(slot)) {
                Ok(line) => line,
                Err(Gone) => return,
            },
        };
        match call(&mut gateway, door, ledger, (line, 0)) {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) if answer.status == 429 => ledger.open().lines[line].slot = None,
            Ok(answer) => ledger.find(format!("a call was answered {}", answer.text())),
            Err(Gone) => return,
        }
    }
}

/// Makes a key on an account of its own.
fn create(
    client: &mut Client,
    door: &Door,
    ledger: &Ledger,
    slot: Option<usize>,
) -> Result<usize, Gone> {
    let caller = slot.map_or_else(|| "k".to_owned(), |slot| format!("s{slot}"));
    let mark = {
        let book = ledger.open();
        format!("{caller}-{}-{}", door.round, book.lines.len())
    };
    let body = format!("{{\"account\":\"{mark}\"}}");
    let answer = client.ask("POST", "/v1/keys", &[], &body)?;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let mut book = ledger.open();
    book.counts.created += 1;
    book.lines.push(Line {
        mark,
        keys: vec![key(&answer)],
        unsure_rotations: 0,
        used_in: BTreeSet::new(),
        answered: 0,
        slot,
        is_tried: false,
    });
    Ok(book.lines.len() - 1)
}

fn key(answer: &Answer) -> Key {
    let made = answer.json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    Key {
        id: text("id"),
        secret: text("key"),
        state: State::Live,
    }
}

/// One call through the gateway with the key of a line.
fn call(
    gateway: &mut Client,
    door: &Door,
    ledger: &Ledger,
    (line, key): (usize, usize),
) -> Result<Answer, Gone> {
    let (path, secret) = {
        let mut book = ledger.open();
        let line = &mut book.lines[line];
        line.used_in.insert(door.round);
        let path = format!("/api/validate/cif/{}", line.mark);
        (path, line.keys[key].secret.clone())
    };
    let answer = gateway.ask("GET", &path, &[("x-api-key", &secret)], "")?;
    if answer.status == 200 {
        let mut book = ledger.open();
        book.lines[line].answered += 1;
        book.counts.spent += 1;
    }
    Ok(answer)
}

/// Tries the keys that were changed before the last kill and some others, then changes some.
pub(crate) fn try_and_change(door: &Door, ledger: &Ledger) {
    let (mut operator, mut gateway) = (door.operator(), door.gateway());
    let mut chances = door.chances(1 << 16);
    // The program is gone, as it had to be.
    let _gone = try_some(&mut operator, &mut gateway, door, ledger, &mut chances)
        .and_then(|()| change_some(&mut operator, door, ledger, &mut chances));
}

fn try_some(
    operator: &mut Client,
    gateway: &mut Client,
    door: &Door,
    ledger: &Ledger,
    chances: &mut Rng,
) -> Result<(), Gone> {
    let mut some: BTreeSet<usize> = {
        let book = ledger.open();
        let lines = book.lines.iter().enumerate();
        let changed = |line: &Line| line.slot.is_none() && !line.is_tried;
        lines
            .filter(|(_, line)| changed(line))
            .map(|(index, _)| index)
            .collect()
    };
    let count = ledger.open().lines.len() as u64;
    for _ in 0..TRIES.min(count) {
        some.insert(usize::try_from(chances.below(count)).unwrap());
    }
    for line in some {
        try_line(operator, gateway, door, ledger, line)?;
    }
    Ok(())
}

/// Every key of a line: a live one is let through, a dead one is not, an unsure one is revoked.
pub(crate) fn try_line(
    operator: &mut Client,
    gateway: &mut Client,
    door: &Door,
    ledger: &Ledger,
    line: usize,
) -> Result<(), Gone> {
    let states: Vec<(String, State)> = {
        let book = ledger.open();
        let keys = book.lines[line].keys.iter();
        keys.map(|key| (key.id.clone(), key.state)).collect()
    };
    for (key, (id, state)) in states.into_iter().enumerate() {
        if state == State::Unsure {
            revoke(operator, ledger, (line, key), &id)?;
        }
        let answer = call(gateway, door, ledger, (line, key))?;
        ledger.counts(|counts| counts.tried += 1);
        let is_right = match state {
            // Its quota may be used up.
            State::Live => matches!(answer.status, 200 | 429),
            State::Dead | State::Unsure => answer.status == 403,
        };
        if !is_right {
            ledger.find(format!(
                "key {id}, which is {state:?}, was answered {}",
                answer.text()
            ));
        }
    }
    ledger.open().lines[line].is_tried = true;
    Ok(())
}

fn change_some(
    client: &mut Client,
    door: &Door,
    ledger: &Ledger,
    chances: &mut Rng,
) -> Result<(), Gone> {
    for _ in 0..CHANGES_MAX {
        let live: Vec<(usize, usize)> = {
            let book = ledger.open();
            let lines = book.lines.iter().enumerate();
            let own = lines.filter(|(_, line)| line.mark.starts_with('k'));
            let last = own.map(|(index, line)| (index, line.keys.len() - 1, line));
            last.filter(|(_, key, line)| line.keys[*key].state == State::Live)
                .map(|(index, key, _)| (index, key))
                .collect()
        };
        let which = usize::try_from(chances.below(live.len().max(1) as u64)).unwrap();
        match (chances.below(5), live.get(which)) {
            (0 | 1, _) | (_, None) => {
                create(client, door, ledger, None)?;
            }
            (2 | 3, Some((line, key))) => rotate(client, ledger, (*line, *key))?,
            (_, Some((line, key))) => {
                let id = begin(ledger, (*line, *key));
                revoke(client, ledger, (*line, *key), &id)?;
            }
        }
    }
    Ok(())
}

/// From now on until the answer nobody knows how the key stands.
fn begin(ledger: &Ledger, (line, key): (usize, usize)) -> String {
    let mut book = ledger.open();
    let line = &mut book.lines[line];
    line.is_tried = false;
    line.keys[key].state = State::Unsure;
    line.keys[key].id.clone()
}

fn rotate(client: &mut Client, ledger: &Ledger, place: (usize, usize)) -> Result<(), Gone> {
    let id = begin(ledger, place);
    ledger.open().lines[place.0].unsure_rotations += 1;
    let answer = client.ask(
        "POST",
        &format!("/v1/keys/{id}/rotate"),
        &[],
        "{\"overlap\":\"0s\"}",
    )?;
    if answer.status != 201 {
        let text = answer.text();
        ledger.find(format!("LOST: key {id} could not be rotated: {text}"));
        return Ok(());
    }
    let mut book = ledger.open();
    book.counts.rotated += 1;
    let line = &mut book.lines[place.0];
    line.unsure_rotations -= 1;
    line.keys[place.1].state = State::Dead;
    line.keys.push(key(&answer));
    Ok(())
}

fn revoke(
    client: &mut Client,
    ledger: &Ledger,
    (line, key): (usize, usize),
    id: &str,
) -> Result<(), Gone> {
    let answer = client.ask("DELETE", &format!("/v1/keys/{id}"), &[], "")?;
    if answer.status != 204 {
        ledger.find(format!(
            "LOST: key {id} could not be revoked: {}",
            answer.text()
        ));
    }
    let mut book = ledger.open();
    book.counts.revoked += 1;
    book.lines[line].keys[key].state = State::Dead;
    Ok(())
}
