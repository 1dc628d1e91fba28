//! How far an import has come, so that it goes on after it was stopped at any instant.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::format::Meanings;
use super::lines::Place;
use super::steps::Step;
use super::tally::Tally;
use crate::durable;

/// Changes when a journal of another program cannot be gone on with.
const FORMAT: u32 = 1;
const FILE: &str = "journal.json";
/// A journal is a few KB, most of it faults.
const MAX_BYTES: u64 = 1 << 20;

/// What is done, and what the step under way goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    format: u32,
    inputs: Vec<Input>,
    pub(super) step: Step,
    /// Of the file that the step reads.
    pub(super) place: Place,
    /// Runs that are written, by the name of their sorter.
    pub(super) runs: BTreeMap<String, Vec<u32>>,
    pub(super) meanings: Meanings,
    pub(super) tally: Tally,
    pub(super) firms: u32,
    pub(super) records_end: u64,
}

/// A file as it was when the import began: another one begins it anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    path: PathBuf,
    bytes: u64,
    modified_nanos: u128,
}

impl Journal {
    /// The journal of an earlier attempt over the same files, or a new one.
    pub(super) fn open(folder: &Path, files: &[&Path]) -> io::Result<(Self, bool)> {
        let inputs: Vec<Input> = files
            .iter()
            .map(|path| Input::of(path))
            .collect::<Result<_, _>>()?;
        let earlier = match fs::metadata(folder.join(FILE)) {
            Ok(about) if about.len() <= MAX_BYTES => fs::read(folder.join(FILE))?,
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let earlier: Option<Self> = serde_json::from_slice(&earlier).ok();
        let fits = |journal: &Self| journal.format == FORMAT && journal.inputs == inputs;
        if let Some(journal) = earlier.filter(fits) {
            return Ok((journal, true));
        }
        let journal = Self {
            format: FORMAT,
            inputs,
            step: Step::default(),
            place: Place::default(),
            runs: BTreeMap::new(),
            meanings: Meanings::default(),
            tally: Tally::default(),
            firms: 0,
            records_end: 0,
        };
        Ok((journal, false))
    }

    /// Makes durable how far it has come.
    pub(super) fn save(&self, folder: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        durable::replace(&folder.join(FILE), &bytes)
    }

    /// The runs of a sorter.
    pub(super) fn runs_of(&self, sorter: &str) -> Vec<u32> {
        self.runs.get(sorter).cloned().unwrap_or_default()
    }

    /// Goes to the next step.
    pub(super) fn advance(&mut self, folder: &Path, step: Step) -> io::Result<()> {
        self.step = step;
        self.place = Place::default();
        self.save(folder)
    }
}

impl Input {
    fn of(path: &Path) -> io::Result<Self> {
        let about: Metadata = fs::metadata(path)?;
        let modified = about.modified()?.duration_since(UNIX_EPOCH);
        Ok(Self {
            path: path.canonicalize()?,
            bytes: about.len(),
            modified_nanos: modified.map_or(0, |since| since.as_nanos()),
        })
    }
}
