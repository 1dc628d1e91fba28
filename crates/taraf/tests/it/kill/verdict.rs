//! The end: everything that was acknowledged is looked for once more, and what the upstream saw is held against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::client::Client;
use super::keys::{BLOCK, State, try_line};
use super::ledger::Ledger;
use super::load::{Door, check_one, start_one};
use super::upstream::Seen;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<String>,
    effects: u64,
    /// Effects performed again by a later process, each in flight when an earlier one was killed.
    repeats: u64,
    lines: usize,
    counted: u64,
    charged: u64,
    /// The most that a line was charged too much, in blocks for each kill while it was used.
    excess_max: f64,
}

/// Asks again for every start whose answer was lost, then looks for everything once more.
pub(crate) fn settle(door: &Door, ledger: &Ledger) -> BTreeMap<String, u64> {
    let (mut operator, mut gateway) = (door.operator(), door.gateway());
    let alive = "nobody kills this program";
    for _ in 0..ledger.unanswered() {
        let n = ledger.number();
        start_one(&mut operator, door, ledger, n).expect(alive);
    }
    while let Some((n, id)) = ledger.to_check(door.round + 1) {
        check_one(&mut operator, ledger, (n, &id), true).expect(alive);
        ledger.checked(n, door.round);
    }
    let lines = ledger.open().lines.len();
    for line in 0..lines {
        try_line(&mut operator, &mut gateway, door, ledger, line).expect(alive);
    }
    list_keys(&mut operator, ledger);
    let mut charged = BTreeMap::new();
    for line in 0..lines {
        let (mark, id) = {
            let book = ledger.open();
            let line = &book.lines[line];
            (
                line.mark.clone(),
                line.keys.last().expect("its first").id.clone(),
            )
        };
        let path = format!("/v1/keys/{id}/usage");
        let answer = operator.ask("GET", &path, &[], "").expect(alive);
        let used = answer.json()["used"].as_u64();
        if used.is_none() {
            ledger.find(format!("LOST: the usage of key {id}: {}", answer.text()));
        }
        charged.insert(mark, used.unwrap_or_default());
    }
    charged
}

/// Every acknowledged key is listed once, as it was left, and no other but those whose answer was lost.
fn list_keys(operator: &mut Client, ledger: &Ledger) {
    let listed = operator
        .ask("GET", "/v1/keys", &[], "")
        .expect("it lives")
        .json();
    let mut by_account: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for key in listed["items"].as_array().unwrap() {
        by_account
            .entry(key["account"].as_str().unwrap())
            .or_default()
            .push(key);
    }
    let mut findings = Vec::new();
    for line in &ledger.open().lines {
        let found = by_account.remove(line.mark.as_str()).unwrap_or_default();
        for key in &line.keys {
            let same = found.iter().filter(|found| found["id"] == key.id.as_str());
            let is_dead = key.state == State::Dead;
            let same: Vec<_> = same.map(|found| found["revoked"] == is_dead).collect();
            if same != [true] {
                findings.push(format!(
                    "key {} of {} is listed as {same:?}",
                    key.id, line.mark
                ));
            }
        }
        let more = found.len() - line.keys.len().min(found.len());
        if more > line.unsure_rotations {
            findings.push(format!(
                "TWICE: {} has {more} keys that nobody was told",
                line.mark
            ));
        }
    }
    // Keys whose making was never answered: at most one of each account.
    for (account, keys) in by_account {
        if keys.len() > 1 {
            findings.push(format!(
                "TWICE: {account}, never acknowledged, has {} keys",
                keys.len()
            ));
        }
    }
    for finding in findings {
        ledger.find(finding);
    }
}

/// Holds what each process called against what was acknowledged.
pub(crate) fn reach(ledger: &Ledger, charged: &BTreeMap<String, u64>, seen: &[Seen]) -> Verdict {
    let mut verdict = Verdict::default();
    effects(&mut verdict, ledger, seen);
    usage(&mut verdict, ledger, charged, seen);
    verdict
        .findings
        .extend(std::mem::take(&mut ledger.open().findings));
    verdict
}

/// Step and number of a run: its effect keys, and the rounds in which it was called.
type Calls = BTreeMap<(String, u64), (Vec<String>, Vec<u64>)>;

fn effects(verdict: &mut Verdict, ledger: &Ledger, seen: &[Seen]) {
    let mut calls = Calls::new();
    for process in seen {
        for (step, keys) in &process.effects {
            let (all, rounds) = calls.entry(step.clone()).or_default();
            for (key, count) in keys {
                if !all.contains(key) {
                    all.push(key.clone());
                }
                if *count > 1 {
                    let text = format!("REPEATED: {step:?}, {count} times by one process");
                    verdict.findings.push(text);
                }
            }
            rounds.push(process.round);
        }
    }
    let book = ledger.open();
    for (step, (keys, rounds)) in &calls {
        verdict.effects += 1;
        verdict.repeats += rounds.len() as u64 - 1;
        if keys.len() > 1 {
            verdict
                .findings
                .push(format!("TWICE: {step:?} has the effect keys {keys:?}"));
        }
        // The outcome is durable before the next step calls, and before the end is told.
        let next = calls
            .get(&("credit".to_owned(), step.1))
            .filter(|_| step.0 == "debit");
        let next = next.and_then(|(_, rounds)| rounds.first().copied());
        let ended = book.runs.get(&step.1).and_then(|run| run.ended);
        let last = rounds.last().copied().unwrap_or_default();
        if let Some(over) = next.into_iter().chain(ended).min()
            && last > over
        {
            let text = format!("REPEATED: {step:?} in rounds {rounds:?}, though over in {over}");
            verdict.findings.push(text);
        }
    }
    for (n, run) in &book.runs {
        for step in ["debit", "credit"] {
            if !calls.contains_key(&(step.to_owned(), *n)) {
                verdict
                    .findings
                    .push(format!("run {n}, {}: {step} was never called", run.id));
            }
        }
    }
}

fn usage(verdict: &mut Verdict, ledger: &Ledger, charged: &BTreeMap<String, u64>, seen: &[Seen]) {
    for line in &ledger.open().lines {
        let of_each = seen
            .iter()
            .filter_map(|process| process.spent.get(&line.mark));
        let counted: u64 = of_each.sum();
        let charged = charged[&line.mark];
        verdict.lines += 1;
        verdict.counted += counted;
        verdict.charged += charged;
        if charged < counted || counted < line.answered {
            verdict.findings.push(format!(
                "LOST: {} was charged {charged}, the upstream counted {counted}, {} were answered",
                line.mark, line.answered
            ));
        }
        let kills = u32::try_from(line.used_in.len()).unwrap();
        let excess = u32::try_from(charged.saturating_sub(counted)).unwrap();
        let blocks = f64::from(excess) / BLOCK as f64 / f64::from(kills.max(1));
        verdict.excess_max = verdict.excess_max.max(blocks);
        if u64::from(excess) > BLOCK * u64::from(kills) {
            verdict.findings.push(format!(
                "{} was charged {excess} too much, more than {kills} blocks of {BLOCK}",
                line.mark
            ));
        }
    }
}

impl Verdict {
    /// The counts, for people.
    pub(crate) fn table(&self, ledger: &Ledger) -> String {
        let book = ledger.open();
        let counts = &book.counts;
        let is = |word: &str| {
            self.findings
                .iter()
                .filter(|text| text.starts_with(word))
                .count()
        };
        let rows = [
            ("rounds, each ended by `kill -9`", counts.rounds.to_string()),
            (
                "of them while the program was starting",
                counts.early.to_string(),
            ),
            (
                "the slowest start, to the ready line",
                format!("{} ms", counts.slowest_start.as_millis()),
            ),
            ("acknowledged starts", book.runs.len().to_string()),
            (
                "found again after a kill, with the right output and each step once",
                counts.checked.to_string(),
            ),
            (
                "starts sent again with their key, answered with the same run",
                counts.asked_again.to_string(),
            ),
            ("calls made by runs", self.effects.to_string()),
            (
                "of them made again by a later process, in flight at the kill",
                self.repeats.to_string(),
            ),
            (
                "keys made, rotated, revoked",
                format!("{}, {}, {}", counts.created, counts.rotated, counts.revoked),
            ),
            ("keys tried after a kill", counts.tried.to_string()),
            (
                "calls spent through the gateway, as the upstream counted",
                self.counted.to_string(),
            ),
            ("charged for them", self.charged.to_string()),
            (
                "the most charged too much, in blocks a kill",
                format!("{:.2}", self.excess_max),
            ),
            (
                "**acknowledged runs, steps, keys or calls lost**",
                is("LOST").to_string(),
            ),
            (
                "**runs, steps or keys there twice**",
                is("TWICE").to_string(),
            ),
            (
                "**effects repeated that were not in flight**",
                is("REPEATED").to_string(),
            ),
            ("**findings of any kind**", self.findings.len().to_string()),
        ];
        let mut table = "| what | count |\n|---|---|\n".to_owned();
        for (what, count) in rows {
            writeln!(table, "| {what} | {count} |").unwrap();
        }
        table
    }

    #[track_caller]
    pub(crate) fn assert(&self) {
        assert!(self.findings.is_empty(), "{}", self.findings.join("\n"));
    }
}
