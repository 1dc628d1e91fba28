//! What the program has said, so that it can be held to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::keys::Line;

/// Findings that are kept; the first say enough.
const FINDINGS_MAX: usize = 20;

/// A start that was acknowledged.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    /// The round in which it was acknowledged.
    pub(crate) told: u64,
    /// The first round in which its end was told.
    pub(crate) ended: Option<u64>,
}

/// What was done and seen, for the report.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rounds: u64,
    /// Rounds whose program was killed while it was starting.
    pub(crate) early: u64,
    /// Runs found whole after a kill.
    pub(crate) checked: u64,
    /// Starts sent again with their key.
    pub(crate) asked_again: u64,
    pub(crate) created: u64,
    pub(crate) rotated: u64,
    pub(crate) revoked: u64,
    /// Keys tried after a kill.
    pub(crate) tried: u64,
    /// Calls through the gateway that were answered.
    pub(crate) spent: u64,
    /// From a start after a kill to the ready line, at most.
    pub(crate) slowest_start: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    last: u64,
    /// Numbers whose start was sent and not answered.
    unanswered: Vec<u64>,
    pub(crate) runs: BTreeMap<u64, Run>,
    /// Acknowledged and not found again after a kill yet.
    unchecked: VecDeque<u64>,
    pub(crate) lines: Vec<Line>,
    pub(crate) counts: Counts,
    pub(crate) findings: Vec<String>,
}

/// Shared by all callers.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

impl Ledger {
    pub(crate) fn open(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    pub(crate) fn counts(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.open().counts);
    }

    /// Something is not as the program said.
    pub(crate) fn find(&self, what: String) {
        let mut book = self.open();
        if book.findings.len() < FINDINGS_MAX {
            book.findings.push(what);
        }
    }

    /// A number to start a run with: one whose answer was lost, or a new one. It counts as
    /// unanswered until [`Ledger::started`].
    pub(crate) fn number(&self) -> u64 {
        let mut book = self.open();
        if let Some(n) = book.unanswered.pop() {
            return n;
        }
        book.last += 1;
        book.last
    }

    /// Starts whose answer was lost.
    pub(crate) fn unanswered(&self) -> usize {
        self.open().unanswered.len()
    }

    pub(crate) fn lost_answer(&self, n: u64) {
        self.open().unanswered.push(n);
    }

    /// A start was acknowledged; `is_over` when its end was told with it.
    pub(crate) fn started(&self, n: u64, id: &str, round: u64, is_over: bool) {
        let mut book = self.open();
        let ended = is_over.then_some(round);
        let run = Run {
            id: id.to_owned(),
            told: round,
            ended,
        };
        book.runs.insert(n, run);
        book.unchecked.push_back(n);
    }

    /// The next run that was acknowledged before this round and not looked for since.
    pub(crate) fn to_check(&self, round: u64) -> Option<(u64, String)> {
        let mut book = self.open();
        let n = *book.unchecked.front()?;
        let run = &book.runs[&n];
        if run.told >= round {
            return None;
        }
        let found = (n, run.id.clone());
        book.unchecked.pop_front();
        Some(found)
    }

    pub(crate) fn check_again(&self, n: u64) {
        self.open().unchecked.push_front(n);
    }

    pub(crate) fn checked(&self, n: u64, round: u64) {
        let mut book = self.open();
        book.counts.checked += 1;
        let run = book.runs.get_mut(&n).expect("it was acknowledged");
        run.ended = Some(run.ended.map_or(round, |ended| ended.min(round)));
    }

    /// How far it is, in a line.
    pub(crate) fn line(&self) -> String {
        let book = self.open();
        format!(
            "{} runs, {} found again, {} keys, {} calls, slowest start {} ms, {} findings",
            book.runs.len(),
            book.counts.checked,
            book.counts.created + book.counts.rotated,
            book.counts.spent,
            book.counts.slowest_start.as_millis(),
            book.findings.len(),
        )
    }
}
