//! [pure] The state of a partition: its runs, their journals, and who asked for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_log::machine::{DecodeError, Header};

use super::codec;
use super::event::{Event, What};
use super::run::Run;
use crate::RunId;

/// Everything that a partition remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// All runs that are kept.
    pub runs: BTreeMap<RunId, Run>,
    /// What happened in each of them.
    pub journals: BTreeMap<RunId, Vec<(Timestamp, What)>>,
    /// Which run a key names: by owner and key.
    pub keys: BTreeMap<(String, String), RunId>,
    /// Runs that have ended, by when.
    pub ended: BTreeSet<(Timestamp, RunId)>,
}

/// A snapshot: the state without what can be found again.
#[derive(Serialize, Deserialize)]
struct Saved {
    runs: Vec<Run>,
    /// Run, and for each entry: time, kind, version, body.
    journals: Vec<(RunId, Vec<SavedEntry>)>,
}

type SavedEntry = (Timestamp, u8, u16, serde_bytes::ByteBuf);

impl State {
    /// Applies one recorded event.
    pub fn evolve(&mut self, event: &Event, at: Timestamp) {
        match &event.what {
            What::Started(begun) => {
                if let Some(key) = key_of(begun.owner.as_deref(), begun.key.as_deref()) {
                    self.keys.insert(key, event.run);
                }
                self.runs
                    .insert(event.run, Run::new(event.run, Arc::clone(begun), at));
            }
            What::Removed => {
                self.remove(event.run);
                return;
            }
            what => {
                let Some(run) = self.runs.get_mut(&event.run) else {
                    return;
                };
                run.evolve(what, at);
                if run.ended.is_some() {
                    self.ended.insert((at, event.run));
                }
            }
        }
        self.journals
            .entry(event.run)
            .or_default()
            .push((at, event.what.clone()));
    }

    /// Runs that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.runs.len().saturating_sub(self.ended.len())
    }

    fn remove(&mut self, id: RunId) {
        self.journals.remove(&id);
        let Some(run) = self.runs.remove(&id) else {
            return;
        };
        if let Some((at, _)) = run.ended {
            self.ended.remove(&(at, id));
        }
        let key = key_of(run.begun.owner.as_deref(), run.begun.key.as_deref());
        if let Some(key) = key
            && self.keys.get(&key) == Some(&id)
        {
            self.keys.remove(&key);
        }
    }

    /// The whole state as bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let entry = |run: RunId, at: Timestamp, what: &What| {
            let mut body = Vec::new();
            let event = Event {
                run,
                what: what.clone(),
            };
            let header = codec::encode(&event, &mut body);
            (
                at,
                header.kind,
                header.version,
                serde_bytes::ByteBuf::from(body),
            )
        };
        let journal = |(run, entries): (&RunId, &Vec<(Timestamp, What)>)| {
            (
                *run,
                entries
                    .iter()
                    .map(|(at, what)| entry(*run, *at, what))
                    .collect(),
            )
        };
        let saved = Saved {
            runs: self.runs.values().cloned().collect(),
            journals: self.journals.iter().map(journal).collect(),
        };
        let mut bytes = vec![codec::SNAPSHOT_VERSION];
        codec::put(&mut bytes, &saved);
        bytes
    }

    /// The state of such bytes.
    pub fn load(bytes: &[u8]) -> Result<Self, DecodeError> {
        let body = match bytes.split_first() {
            Some((&codec::SNAPSHOT_VERSION, body)) => body,
            Some((version, _)) => {
                let version = u16::from(*version);
                return Err(DecodeError::UnknownVersion { kind: 0, version });
            }
            None => return Err(DecodeError::Malformed("the snapshot is empty".to_owned())),
        };
        let saved: Saved = codec::get(body)?;
        let mut state = Self::default();
        for run in saved.runs {
            if let Some(key) = key_of(run.begun.owner.as_deref(), run.begun.key.as_deref()) {
                state.keys.insert(key, run.id);
            }
            if let Some((at, _)) = &run.ended {
                state.ended.insert((*at, run.id));
            }
            state.runs.insert(run.id, run);
        }
        for (run, entries) in saved.journals {
            let mut journal = Vec::with_capacity(entries.len());
            for (at, kind, version, body) in entries {
                let header = Header {
                    kind,
                    version,
                    subject: run.get(),
                };
                journal.push((at, codec::decode(&header, &body)?.what));
            }
            state.journals.insert(run, journal);
        }
        Ok(state)
    }
}

/// Where a start's key is kept: keys of different owners do not meet.
pub(super) fn key_of(owner: Option<&str>, key: Option<&str>) -> Option<(String, String)> {
    key.map(|key| (owner.unwrap_or_default().to_owned(), key.to_owned()))
}
