//! [pure] The state of a partition: its runs, and who asked for them. Their journals are no part of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::DataName;
use taraf_log::machine::DecodeError;

use super::event::{Event, What};
use super::hash::{StateHash, digest};
use super::packed::Label;
use super::rest::Rest;
use super::run::Run;
use super::runs::Runs;
use super::saved::SavedEntry;
use crate::RunId;

/// Keys of moved runs that are remembered: a start that looked for its key in the archive no longer
/// ago than that many moves is decided rightly.
const MOVED_KEYS_MAX: usize = 4_096;

/// Everything that a partition remembers.
#[derive(Debug, Default)]
pub struct State {
    /// All runs that are kept.
    pub runs: Runs,
    /// Which run a key names: by owner and key. Keys of runs that moved lately are here, too.
    pub keys: BTreeMap<(String, String), RunId>,
    /// Runs that have ended, by when.
    pub ended: BTreeSet<(Timestamp, RunId)>,
    /// Which keys moved to the archive lately.
    pub(super) moved: Moved,
    /// Payloads that the records of each run name: they are kept as long as the run is, also those
    /// that nothing but its journal names.
    pub(super) payloads: BTreeMap<RunId, BTreeSet<DataName>>,
    hash: StateHash,
    /// Journals that a snapshot of an earlier version held. They are taken over after the replay.
    pub(super) inherited: BTreeMap<RunId, Vec<SavedEntry>>,
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
    /// Payloads that its records name.
    pub payloads: Vec<DataName>,
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
        self.hash.changed(event.run);
        match &event.what {
            What::Started(begun) => {
                if let Some(key) = key_of(begun.owner.as_deref(), begun.key.as_deref()) {
                    self.keys.insert(key, event.run);
                }
                self.runs.insert(Run::new(event.run, Arc::clone(begun), at));
                self.note_payloads(event);
            }
            What::Removed => self.remove(event.run),
            What::Moved => self.move_away(event.run),
            what => {
                let Some(has_ended) = self.runs.evolve(event.run, what, at) else {
                    return;
                };
                self.note_payloads(event);
                if has_ended {
                    self.ended.insert((at, event.run));
                }
            }
        }
        self.runs.rest();
    }

    /// Remembers which payloads a record of a run names.
    fn note_payloads(&mut self, event: &Event) {
        if event.what.names_some() {
            let named = self.payloads.entry(event.run).or_default();
            named.extend(event.what.names());
        }
    }

    /// A hash over the runs, what payloads their records name, and how many have moved.
    pub(super) fn hash(&mut self) -> u64 {
        let (runs, payloads) = (&self.runs, &self.payloads);
        let sum = self.hash.sum(|id| {
            let mut bytes = runs.packed(id)?;
            for name in payloads.get(&id).into_iter().flatten() {
                bytes.extend_from_slice(&name.hash);
                bytes.extend_from_slice(&name.len.to_le_bytes());
            }
            Some(bytes)
        });
        let keys = u64::try_from(self.moved.keys.len()).unwrap_or(u64::MAX);
        let moved = [self.moved.count, self.moved.forgotten, keys].map(u64::to_le_bytes);
        sum.wrapping_add(digest(0, moved.as_flattened()))
    }

    /// Runs that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.runs.live()
    }

    /// Bytes of runs that have not ended, roughly.
    #[must_use]
    pub const fn live_bytes(&self) -> usize {
        self.runs.live_bytes()
    }

    /// Bytes of runs that have ended and are still here, roughly.
    #[must_use]
    pub const fn ended_bytes(&self) -> usize {
        self.runs.ended_bytes()
    }

    /// Journals that a snapshot of an earlier version held, as far as their runs are still here.
    pub fn inherited(&self) -> impl Iterator<Item = (RunId, &[SavedEntry])> {
        let journals = self.inherited.iter();
        journals.map(|(run, entries)| (*run, entries.as_slice()))
    }

    /// Runs that have ended, those that ended first first, at most so many. Also whether there are
    /// others.
    #[must_use]
    pub fn finished(&self, runs_max: usize) -> (Vec<Finished>, bool) {
        let ended = self.ended.iter().take(runs_max);
        let found = ended.filter_map(|(_, id)| {
            let run = self.runs.get(id)?.into_owned();
            let payloads = self.payloads.get(id).into_iter().flatten();
            let payloads = payloads.copied().collect();
            Some(Finished { run, payloads })
        });
        (found.collect(), self.ended.len() > runs_max)
    }

    /// Whether records of that run name payloads.
    #[must_use]
    pub fn names_payloads(&self, run: RunId) -> bool {
        self.payloads.contains_key(&run)
    }

    /// All payloads that records of runs name which are kept.
    pub fn payloads(&self) -> impl Iterator<Item = DataName> {
        self.payloads.values().flatten().copied()
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
        self.inherited.remove(&id);
        self.payloads.remove(&id);
        self.hash.gone(id);
        if let Some((at, _)) = run.ended {
            self.ended.remove(&(at, id));
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
        self.hash.changed(run.id);
        self.runs.insert(run);
        self.runs.rest();
    }

    /// Takes a run from a snapshot.
    pub(super) fn recall_packed(&mut self, packed: Vec<u8>) -> Result<(), DecodeError> {
        let (Label { id, ended, key, .. }, hash) = self.runs.insert_packed(packed)?;
        if let Some(key) = key {
            self.keys.insert(key, id);
        }
        if let Some(at) = ended {
            self.ended.insert((at, id));
        }
        match hash {
            Some(hash) => self.hash.knows(id, hash),
            None => self.hash.changed(id),
        }
        Ok(())
    }

    /// Takes the names of payloads, which are hashed with their runs.
    pub(super) fn recall_payloads(&mut self, payloads: BTreeMap<RunId, BTreeSet<DataName>>) {
        for run in payloads.keys() {
            self.hash.changed(*run);
        }
        self.payloads = payloads;
    }

    /// Takes the keys of runs that moved. That of a run that is kept goes before.
    pub(super) fn recall_moved(&mut self, moved: Moved) {
        for (_, key, id) in &moved.keys {
            self.keys.entry(key.clone()).or_insert(*id);
        }
        self.moved = moved;
    }
}

/// Where a start's key is kept: keys of different owners do not meet.
pub(super) fn key_of(owner: Option<&str>, key: Option<&str>) -> Option<(String, String)> {
    key.map(|key| (owner.unwrap_or_default().to_owned(), key.to_owned()))
}
