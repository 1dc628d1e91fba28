//! [pure] Recorded events as users read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::Data;

use super::event::{BranchOutcome, Given, Outcome, What};
use crate::view::JournalEntry;

/// The steps that are open at a place in a journal: later entries name them by number alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Open(BTreeMap<u32, Told>);

/// A step, as later entries of its run are told about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    task: Arc<str>,
    iteration: Arc<str>,
    attempt: u32,
}

impl Open {
    /// Passes an entry without telling it.
    pub(crate) fn follow(&mut self, what: &What) {
        self.begin(what);
        self.end(what);
    }

    /// Tells an entry, which has that number in its journal.
    pub(crate) fn tell(&mut self, n: u64, at: Timestamp, what: &What) -> JournalEntry {
        self.begin(what);
        let entry = entry(n, at, what, &self.0);
        self.end(what);
        entry
    }

    fn begin(&mut self, what: &What) {
        if let What::Entered(entered) = what {
            let told = Told {
                task: Arc::clone(&entered.task),
                iteration: Arc::clone(&entered.iteration),
                attempt: entered.attempt,
            };
            self.0.insert(entered.step, told);
        }
        if let What::Retried { step, attempt, .. } = what
            && let Some(told) = self.0.get_mut(step)
        {
            told.attempt = *attempt;
        }
    }

    fn end(&mut self, what: &What) {
        if let What::TaskCompleted { step, .. }
        | What::TaskFaulted { step, .. }
        | What::TaskCancelled { step } = what
        {
            self.0.remove(step);
        }
    }
}

fn entry(n: u64, at: Timestamp, what: &What, steps: &BTreeMap<u32, Told>) -> JournalEntry {
    let told = what.step().and_then(|step| steps.get(&step));
    let mut entry = JournalEntry {
        n,
        at,
        event: what.name(),
        task: told.map(|told| told.task.as_ref().to_owned()),
        name: None,
        iteration: told
            .map(|told| told.iteration.as_ref().to_owned())
            .filter(|i| !i.is_empty()),
        attempt: told.map(|told| told.attempt),
        data: None,
        payload: None,
        error: None,
        until: None,
    };
    if let What::Skipped { task, .. } = what {
        entry.task = Some(task.as_ref().to_owned());
    }
    entry.name = entry
        .task
        .as_deref()
        .and_then(|task| task.rsplit('/').next())
        .map(str::to_owned);
    detail(&mut entry, what);
    entry
}

fn detail(entry: &mut JournalEntry, what: &What) {
    let given = |given: &Given| match given {
        Given::Data(data) => Some(data.clone()),
        Given::Input | Given::Lane(_) | Given::Answer => None,
    };
    match what {
        What::Started(begun) => {
            entry.data = Some(begun.raw.clone());
            entry.until = begun.deadline;
        }
        What::Entered(entered) => {
            entry.data.clone_from(&entered.input);
            entry.until = entered.deadline;
        }
        What::Looped { items, .. } => entry.data = Some(Data::array(items.iter().cloned())),
        What::Iterated { input, .. } => entry.data = given(input),
        What::Scheduled { request, .. } => entry.data = Some(request.clone()),
        What::Answered {
            outcome: Outcome::Ok(data),
            ..
        } => entry.data = Some(data.clone()),
        What::Answered {
            outcome: Outcome::Err(error) | Outcome::Unsent(error),
            ..
        }
        | What::Joined {
            outcome: BranchOutcome::Faulted(error),
            ..
        }
        | What::TaskFaulted { error, .. }
        | What::Faulted { error } => entry.error = Some(error.clone()),
        What::Waiting { until, .. } => entry.until = Some(*until),
        What::Caught(caught) => {
            entry.error = Some(caught.error.clone());
            entry.until = caught.retry;
        }
        What::Retried { until, .. } => entry.until = *until,
        What::TaskCompleted { output, .. } => entry.data = given(output),
        What::Completed { output } => entry.data = Some(output.clone()),
        What::Cancelled { why } => entry.data = Some(Data::string(why)),
        What::Joined { .. }
        | What::Skipped { .. }
        | What::TaskCancelled { .. }
        | What::Paused { .. }
        | What::Suspended
        | What::Resumed { .. }
        | What::Removed
        | What::Moved => {}
    }
}

impl What {
    /// The step that it is about.
    #[must_use]
    pub const fn step(&self) -> Option<u32> {
        match self {
            Self::Entered(entered) => Some(entered.step),
            Self::Caught(caught) => Some(caught.step),
            Self::Looped { step, .. }
            | Self::Iterated { step, .. }
            | Self::Scheduled { step, .. }
            | Self::Answered { step, .. }
            | Self::Waiting { step, .. }
            | Self::Joined { step, .. }
            | Self::Retried { step, .. }
            | Self::TaskCompleted { step, .. }
            | Self::TaskFaulted { step, .. }
            | Self::TaskCancelled { step } => Some(*step),
            Self::Started(_)
            | Self::Skipped { .. }
            | Self::Paused { .. }
            | Self::Suspended
            | Self::Resumed { .. }
            | Self::Completed { .. }
            | Self::Faulted { .. }
            | Self::Cancelled { .. }
            | Self::Removed
            | Self::Moved => None,
        }
    }
}
