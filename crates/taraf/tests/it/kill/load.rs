//! The load: starts, looks at what was started before the last kill, keys, and calls that spend.

use std::time::{Duration, Instant};

use taraf_base::Rng;

use super::super::program::{Program, Site};
use super::client::{Client, Gone};
use super::keys;
use super::ledger::Ledger;

const STARTERS: u64 = 3;
const CHECKERS: u64 = 2;
pub(crate) const SPENDERS: usize = 2;
/// Starts of one starter in one round: what it acknowledges is looked at in the next.
const STARTS_MAX: u64 = 50;
/// Of so many runs that were found again, one is asked for by its key.
const ASK_AGAIN_EVERY: u64 = 10;

/// Where the program of one round answers.
#[derive(Debug)]
pub(crate) struct Door {
    gateway: String,
    operator: String,
    token: String,
    pub(crate) round: u64,
    seed: u64,
}

impl Door {
    pub(crate) fn gateway(&self) -> Client {
        Client::new(&self.gateway, None)
    }

    pub(crate) fn operator(&self) -> Client {
        Client::new(&self.operator, Some(&self.token))
    }

    /// Chances of one caller, the same for the same seed.
    pub(crate) fn chances(&self, caller: u64) -> Rng {
        Rng::new(self.seed ^ (caller << 32))
    }
}

/// A running program.
pub(crate) struct Target {
    pub(crate) program: Program,
    pub(crate) door: Door,
}

impl Target {
    pub(crate) fn new(site: &Site, program: Program, round: u64, seed: u64) -> Self {
        let door = Door {
            gateway: program.text("gateway").to_owned(),
            operator: program.text("operator").to_owned(),
            token: site.token(),
            round,
            seed,
        };
        Self { program, door }
    }
}

/// Loads the program for a time, then kills it in the middle of everything.
pub(crate) fn until_killed(target: Target, ledger: &Ledger, time: Duration) {
    let Target { program, door } = target;
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        for _ in 0..STARTERS {
            scope.spawn(|| start(&door, ledger));
        }
        for caller in 0..CHECKERS {
            let door = &door;
            scope.spawn(move || check(door, ledger, &mut door.chances(caller)));
        }
        for slot in 0..SPENDERS {
            let door = &door;
            scope.spawn(move || keys::spend(door, ledger, slot));
        }
        scope.spawn(|| keys::try_and_change(&door, ledger));
        while let Some(rest) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(rest);
        }
        program.kill_9();
    });
}

/// Starts runs; every other one waits for the end.
fn start(door: &Door, ledger: &Ledger) {
    let mut client = door.operator();
    for _ in 0..STARTS_MAX {
        let n = ledger.number();
        if start_one(&mut client, door, ledger, n).is_err() {
            ledger.lost_answer(n);
            return;
        }
    }
}

pub(crate) fn start_one(
    client: &mut Client,
    door: &Door,
    ledger: &Ledger,
    n: u64,
) -> Result<(), Gone> {
    let wait = if n.is_multiple_of(2) { "?wait=30s" } else { "" };
    let path = format!("/v1/flows/test/pay/runs{wait}");
    let (key, body) = (n.to_string(), format!("{{\"n\":{n}}}"));
    let answer = client.ask("POST", &path, &[("idempotency-key", &key)], &body)?;
    if !matches!(answer.status, 200 | 202) {
        ledger.find(format!("start {n} was answered {}", answer.text()));
        return Ok(());
    }
    let run = answer.json();
    let is_over = answer.status == 200;
    if is_over && !is_as_it_should_be(&run, n) {
        ledger.find(format!("start {n} ended so: {run}"));
    }
    ledger.started(n, run["id"].as_str().unwrap(), door.round, is_over);
    Ok(())
}

fn is_as_it_should_be(run: &serde_json::Value, n: u64) -> bool {
    run["status"] == "completed" && run["output"]["n"] == n && run["output"]["step"] == "credit"
}

/// Looks for what was acknowledged by the processes before.
fn check(door: &Door, ledger: &Ledger, chances: &mut Rng) {
    let mut client = door.operator();
    while let Some((n, id)) = ledger.to_check(door.round) {
        let is_asked_again = chances.below(ASK_AGAIN_EVERY) == 0;
        if check_one(&mut client, ledger, (n, &id), is_asked_again).is_err() {
            ledger.check_again(n);
            return;
        }
        ledger.checked(n, door.round);
    }
}

/// The run is there, ends as it should, has made each step once, and its key names it.
pub(crate) fn check_one(
    client: &mut Client,
    ledger: &Ledger,
    (n, id): (u64, &str),
    is_asked_again: bool,
) -> Result<(), Gone> {
    let answer = client.ask("GET", &format!("/v1/runs/{id}?wait=30s"), &[], "")?;
    if answer.status != 200 {
        ledger.find(format!("LOST: run {n}, {id}: {}", answer.text()));
        return Ok(());
    }
    let run = answer.json();
    if !is_as_it_should_be(&run, n) {
        ledger.find(format!("run {n} ended so: {run}"));
    }
    let journal = client
        .ask("GET", &format!("/v1/runs/{id}/journal"), &[], "")?
        .json();
    let none = Vec::new();
    let entries = journal["items"].as_array().unwrap_or(&none);
    for name in ["mark", "debit", "credit"] {
        let of = entries.iter().filter(|entry| entry["name"] == name);
        let of: Vec<&str> = of.filter_map(|entry| entry["event"].as_str()).collect();
        let ends = of
            .iter()
            .filter(|event| **event == "task-completed")
            .count();
        let begins = of.iter().filter(|event| **event == "entered").count();
        if (begins, ends) != (1, 1) {
            ledger.find(format!(
                "run {n}, {id}: the step {name} is recorded as {of:?}"
            ));
        }
    }
    if is_asked_again {
        let (key, body) = (n.to_string(), format!("{{\"n\":{n}}}"));
        let path = "/v1/flows/test/pay/runs";
        let answer = client.ask("POST", path, &[("idempotency-key", &key)], &body)?;
        if answer.json()["id"] != id {
            ledger.find(format!("TWICE: start {n} made {id} and {}", answer.text()));
        }
        ledger.counts(|counts| counts.asked_again += 1);
    }
    Ok(())
}
