//! [pure] What became of the rows of the published files: counts, and the first faults by line.

use serde::{Deserialize, Serialize};

/// Faults that are kept with their lines; all are counted.
const MAX_FAULTS: usize = 1_000;

/// Counts of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows of the file of firms, without its header.
    pub rows: u64,
    /// Firms in the register now.
    pub kept: u64,
    /// Natural persons, left out.
    pub persons: u64,
    /// Without a usable fiscal code, left out: nothing could be asked about them.
    pub without_code: u64,
    /// Rows that cannot be read, left out.
    pub broken: u64,
    /// A number of the register that was there before, left out.
    pub repeated: u64,
    /// An older entry of a fiscal code that another entry has, left out.
    pub superseded: u64,
    /// Rows of the other files that cannot be read, left out.
    pub broken_elsewhere: u64,
    /// The first faults.
    pub faults: Vec<Fault>,
}

/// A row that was left out because of what it is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Name of the file.
    pub file: String,
    /// From 1, the header included.
    pub line: u64,
    /// What is wrong. Never what the row says: it may name a person.
    pub reason: String,
}

impl Tally {
    pub(super) fn fault(&mut self, file: &str, line: u64, reason: &str) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault {
                file: file.to_owned(),
                line,
                reason: reason.to_owned(),
            });
        }
    }
}
