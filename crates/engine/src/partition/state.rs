//! [pure] The state of a partition: its runs, their journals, and who asked for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_log::machine::DecodeError;

use super::event::{Event, What};
use super::packed::Label;
use super::rest::Rest;
use super::run::Run;
use super::runs::Runs;
use crate::RunId;

/// Keys of moved runs that are remembered: a start that looked for its key in the archive no longer
/// ago than that many moves is decided rightly.
const MOVED_KEYS_MAX: usize = 4_096;

/// What was recorded of a run, with the times of the records.
pub type Recorded = Vec<(Timestamp, What)>;

/// Everything that a partition remembers.
#[derive(Debug, Default)]
pub struct State {
    /// All runs that are kept.
    pub runs: Runs,
    /// What happened in each of them.
    pub(super) journals: BTreeMap<RunId, Journal>,
    /// Which run a key names: by owner and key. Keys of runs that moved lately are here, too.
    pub keys: BTreeMap<(String, String), RunId>,
    /// Runs that have ended, by when.
    pub ended: BTreeSet<(Timestamp, RunId)>,
    /// Which keys moved to the archive lately.
    pub(super) moved: Moved,
    /// Bytes of all journals, roughly.
    bytes: usize,
    /// Those of runs that have ended.
    ended_bytes: usize,
}

/// The journal of one run. Readers take it as it is: once a run has ended it never changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    pub(super) entries: Arc<Recorded>,
    /// Roughly what it takes in memory.
    bytes: usize,
}

/// Runs that left for the archive, counted from 1, and the keys of the last of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Moved {
    /// All that ever moved.
    count: u64,
    /// The number of the last one whose key was forgotten.
    forgotten: u64,
    /// Number, owner and key, and run of those whose keys are remembered, the oldest first.
    keys: VecDeque<(u64, (String, String), RunId)>,
}

/// A run that has ended, on its way to the archive.
#[derive(Clone, Debug)]
pub struct Finished {
    /// As it ended.
    pub run: Run,
    /// What was recorded of it.
    pub recorded: Arc<Recorded>,
}

impl State {
    /// Without runs.
    #[must_use]
    pub fn new(rest: Rest) -> Self {
        Self {
            runs: Runs::new(rest),
            ..Self::default()
        }
    }

    /// Applies one recorded event.
    pub fn evolve(&mut self, event: &Event, at: Timestamp) {
        match &event.what {
            What::Started(begun) => {
                if let Some(key) = key_of(begun.owner.as_deref(), begun.key.as_deref()) {
                    self.keys.insert(key, event.run);
                }
                self.runs.insert(Run::new(event.run, Arc::clone(begun), at));
                self.write_down(event, at);
            }
            What::Removed => self.remove(event.run),
            What::Moved => self.move_away(event.run),
            what => {
                let Some(has_ended) = self.runs.evolve(event.run, what, at) else {
                    return;
                };
                self.write_down(event, at);
                if has_ended {
                    self.ended.insert((at, event.run));
                    let journal = self.journals.get(&event.run);
                    let bytes = journal.map_or(0, |journal| journal.bytes);
                    self.ended_bytes = self.ended_bytes.saturating_add(bytes);
                }
            }
        }
        self.runs.rest();
    }

    fn write_down(&mut self, event: &Event, at: Timestamp) {
        let journal = self.journals.entry(event.run).or_default();
        self.bytes = self.bytes.saturating_add(journal.push(at, &event.what));
    }

    /// Runs that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.runs.live()
    }

    /// Bytes of the journals of runs that have not ended, roughly.
    #[must_use]
    pub const fn live_bytes(&self) -> usize {
        self.bytes.saturating_sub(self.ended_bytes)
    }

    /// Bytes of the journals of runs that have ended and are still here, roughly.
    #[must_use]
    pub const fn ended_bytes(&self) -> usize {
        self.ended_bytes
    }

    /// What was recorded of a run.
    #[must_use]
    pub fn recorded(&self, run: RunId) -> Option<&Recorded> {
        let journal = self.journals.get(&run)?;
        Some(&journal.entries)
    }

    /// Runs that have ended, those that ended first first: at most so many, and so many bytes of
    /// journals, but one at least. Also whether there are others.
    #[must_use]
    pub fn finished(&self, runs_max: usize, bytes_max: usize) -> (Vec<Finished>, bool) {
        let mut bytes = 0_usize;
        let mut found = Vec::new();
        for (_, id) in self.ended.iter().take(runs_max) {
            let (Some(run), Some(journal)) = (self.runs.get(id), self.journals.get(id)) else {
                continue;
            };
            bytes = bytes.saturating_add(journal.bytes);
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(Finished {
                run: run.into_owned(),
                recorded: Arc::clone(&journal.entries),
            });
        }
        let is_all = found.len() >= self.ended.len();
        (found, !is_all)
    }

    /// How many runs have moved to the archive.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved.count
    }

    /// Whether the key of a run that moved after the first `seen` may have been forgotten.
    #[must_use]
    pub const fn has_forgotten_since(&self, seen: u64) -> bool {
        seen < self.moved.forgotten
    }

    fn take(&mut self, id: RunId) -> Option<Run> {
        let run = self.runs.remove(id)?;
        let bytes = self.journals.remove(&id).map_or(0, |journal| journal.bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some((at, _)) = run.ended {
            self.ended.remove(&(at, id));
            self.ended_bytes = self.ended_bytes.saturating_sub(bytes);
        }
        Some(run)
    }

    fn remove(&mut self, id: RunId) {
        if let Some(run) = self.take(id)
            && let Some(key) = key_of(run.begun.owner.as_deref(), run.begun.key.as_deref())
        {
            self.forget_key(&key, id);
        }
    }

    fn move_away(&mut self, id: RunId) {
        let Some(run) = self.take(id) else {
            return;
        };
        self.moved.count = self.moved.count.saturating_add(1);
        if let Some(key) = key_of(run.begun.owner.as_deref(), run.begun.key.as_deref()) {
            self.moved.keys.push_back((self.moved.count, key, id));
        }
        while self.moved.keys.len() > MOVED_KEYS_MAX
            && let Some((number, key, id)) = self.moved.keys.pop_front()
        {
            self.moved.forgotten = number;
            self.forget_key(&key, id);
        }
    }

    fn forget_key(&mut self, key: &(String, String), id: RunId) {
        if self.keys.get(key) == Some(&id) {
            self.keys.remove(key);
        }
    }

    /// Takes a run from a snapshot of the first layout.
    pub(super) fn recall_run(&mut self, run: Run) {
        if let Some(key) = key_of(run.begun.owner.as_deref(), run.begun.key.as_deref()) {
            self.keys.insert(key, run.id);
        }
        if let Some((at, _)) = &run.ended {
            self.ended.insert((*at, run.id));
        }
        self.runs.insert(run);
        self.runs.rest();
    }

    /// Takes a run from a snapshot.
    pub(super) fn recall_packed(&mut self, packed: &[u8]) -> Result<(), DecodeError> {
        let Label { id, ended, key, .. } = self.runs.insert_packed(packed)?;
        if let Some(key) = key {
            self.keys.insert(key, id);
        }
        if let Some(at) = ended {
            self.ended.insert((at, id));
        }
        Ok(())
    }

    /// Takes the journal of a run that was taken before.
    pub(super) fn recall_journal(&mut self, run: RunId, entries: Recorded) {
        let mut journal = Journal::default();
        for (at, what) in entries {
            journal.push(at, &what);
        }
        self.bytes = self.bytes.saturating_add(journal.bytes);
        if self.runs.get(&run).is_some_and(|run| run.ended.is_some()) {
            self.ended_bytes = self.ended_bytes.saturating_add(journal.bytes);
        }
        self.journals.insert(run, journal);
    }

    /// Takes the keys of runs that moved.
    pub(super) fn recall_moved(&mut self, moved: Moved) {
        for (_, key, id) in &moved.keys {
            self.keys.insert(key.clone(), *id);
        }
        self.moved = moved;
    }
}

impl Journal {
    /// Adds an entry, and answers what it takes.
    fn push(&mut self, at: Timestamp, what: &What) -> usize {
        let bytes = what.weight();
        Arc::make_mut(&mut self.entries).push((at, what.clone()));
        self.bytes = self.bytes.saturating_add(bytes);
        bytes
    }
}

/// Where a start's key is kept: keys of different owners do not meet.
pub(super) fn key_of(owner: Option<&str>, key: Option<&str>) -> Option<(String, String)> {
    key.map(|key| (owner.unwrap_or_default().to_owned(), key.to_owned()))
}
