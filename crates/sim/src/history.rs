//! [pure] What happened in each run, as the durable records tell it, and what must be true of that.

use std::collections::{BTreeMap, BTreeSet};

use taraf_base::Timestamp;
use taraf_engine::RunId;
use taraf_engine::partition::{Begun, CallClass, Event, Outcome, What};

use std::sync::Arc;

/// One run's line.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) begun: Option<Arc<Begun>>,
    pub(crate) events: Vec<What>,
    last: Option<Timestamp>,
    entered: BTreeSet<u32>,
    left: BTreeSet<u32>,
    scheduled: BTreeMap<u32, (Arc<str>, CallClass)>,
    answered: BTreeSet<u32>,
    pub(crate) has_ended: bool,
}

/// All runs of a simulation.
#[derive(Default)]
pub(crate) struct History {
    lines: BTreeMap<RunId, Line>,
    executed: BTreeMap<(RunId, u32), u32>,
    /// Executions of at-most-once calls, by effect key.
    once: BTreeMap<String, u32>,
    /// By partition's owner and key.
    keys: BTreeMap<String, RunId>,
}

/// A call as it reaches a service.
pub(crate) struct Executed<'a> {
    pub(crate) run: RunId,
    pub(crate) step: u32,
    pub(crate) key: &'a str,
}

impl History {
    pub(crate) fn line(&self, run: RunId) -> Option<&Line> {
        self.lines.get(&run)
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (RunId, &Line)> {
        self.lines.iter().map(|(run, line)| (*run, line))
    }

    pub(crate) fn has_answered(&self, run: RunId, step: u32) -> bool {
        self.line(run)
            .is_some_and(|line| line.answered.contains(&step))
    }

    /// Takes events that are durable now.
    ///
    /// # Errors
    /// When they do not go on where the run's line stands.
    pub(crate) fn take(&mut self, events: Vec<(Timestamp, Event)>) -> Result<(), String> {
        for (at, event) in events {
            let run = event.run;
            self.take_one(at, event)
                .map_err(|what| format!("history of {run}: {what}"))?;
        }
        Ok(())
    }

    fn take_one(&mut self, at: Timestamp, event: Event) -> Result<(), String> {
        let run = event.run;
        if let What::Started(begun) = &event.what {
            if self.lines.contains_key(&run) {
                return Err("it started twice".to_owned());
            }
            if let Some(key) = &begun.key
                && let Some(other) = self.keys.insert(key.clone(), run)
            {
                return Err(format!("the key {key} named {other} already"));
            }
        }
        if let What::Answered { step, outcome, .. } = &event.what {
            let is_uncertain = matches!(outcome, Outcome::Err(e) if e.type_.ends_with("uncertain"));
            if !is_uncertain && !self.executed.contains_key(&(run, *step)) {
                return Err(format!("the outcome of step {step} came from no execution"));
            }
        }
        let line = self.lines.entry(run).or_default();
        line.take(at, &event.what)?;
        line.events.push(event.what);
        Ok(())
    }

    /// A call reaches its service.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn executed(&mut self, call: &Executed<'_>) -> Result<(), String> {
        let Executed { run, step, key } = *call;
        let scheduled = self.line(run).and_then(|line| line.scheduled.get(&step));
        let Some((known, class)) = scheduled.cloned() else {
            return Err(format!(
                "{key} (step {step}) was executed and is not scheduled durably"
            ));
        };
        if *known != *key {
            return Err(format!(
                "step {step} was scheduled as {known} and executed as {key}"
            ));
        }
        *self.executed.entry((run, step)).or_insert(0) += 1;
        if class != CallClass::AtMostOnce {
            return Ok(());
        }
        // An author's retry has the same key: it is no reason to call again.
        let times = self.once.entry(key.to_owned()).or_insert(0);
        *times += 1;
        if *times > 1 {
            return Err(format!(
                "{key} (step {step}) was executed {times} times, at most once"
            ));
        }
        Ok(())
    }

    pub(crate) fn executions(&self) -> u64 {
        self.executed.values().copied().map(u64::from).sum()
    }
}

impl Line {
    /// The names of the calls that were made, in order.
    fn take(&mut self, at: Timestamp, what: &What) -> Result<(), String> {
        if self.last.is_some_and(|last| at < last) {
            return Err(format!(
                "{} lies before what happened before it",
                what.name()
            ));
        }
        self.last = Some(at);
        if self.has_ended {
            return Err(format!("{} after the end", what.name()));
        }
        match what {
            What::Started(begun) => self.begun = Some(Arc::clone(begun)),
            _ if self.begun.is_none() => return Err(format!("{} before the start", what.name())),
            What::Entered(entered) => {
                let is_next = self.entered.last().is_none_or(|last| *last < entered.step);
                if !is_next || !self.entered.insert(entered.step) {
                    return Err(format!("step {} was entered out of line", entered.step));
                }
            }
            What::Scheduled {
                step, key, class, ..
            } => {
                self.live(*step, "scheduled")?;
                let known = self.scheduled.insert(*step, (Arc::clone(key), *class));
                if known.is_some() {
                    return Err(format!("step {step} was scheduled twice"));
                }
            }
            What::Answered { step, .. } => {
                self.live(*step, "answered")?;
                if !self.scheduled.contains_key(step) || !self.answered.insert(*step) {
                    return Err(format!("step {step} was answered out of line"));
                }
            }
            What::TaskCompleted { step, .. }
            | What::TaskFaulted { step, .. }
            | What::TaskCancelled { step } => {
                self.live(*step, "left")?;
                self.left.insert(*step);
            }
            What::Completed { .. } | What::Faulted { .. } | What::Cancelled { .. } => {
                self.has_ended = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn live(&self, step: u32, what: &str) -> Result<(), String> {
        if self.entered.contains(&step) && !self.left.contains(&step) {
            return Ok(());
        }
        Err(format!("step {step} was {what} and does not run"))
    }
}
