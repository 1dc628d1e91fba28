//! [pure] What a file of journals names, read where nobody writes it.

use std::collections::{BTreeMap, BTreeSet};

use taraf_flow::DataName;
use taraf_log::{PartitionId, Position};

use super::frame::{self, FILE_HEAD_BYTES, FrameError, HEAD_BYTES, Holds};
use crate::RunId;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// Whose journals.
    pub(crate) partition: PartitionId,
    /// Its last mark.
    pub(crate) written: Position,
    /// Payloads that the entries of each run name.
    pub(crate) names: BTreeMap<RunId, BTreeSet<DataName>>,
}

/// Goes through a file up to its end, or to the first frame that is not whole.
///
/// # Errors
/// When it is none, or a newer program wrote it or something in it.
pub(crate) fn inspect(bytes: &[u8]) -> Result<Inspected, FrameError> {
    let mut found = Inspected {
        partition: frame::partition_of(bytes)?,
        written: Position::ZERO,
        names: BTreeMap::new(),
    };
    let mut rest = bytes.get(FILE_HEAD_BYTES..).unwrap_or_default();
    while let Some(Ok(head)) = rest.first_chunk::<HEAD_BYTES>().map(frame::head) {
        let split = rest.split_at_checked(HEAD_BYTES.saturating_add(head.len));
        let Some((whole, behind)) = split else { break };
        if frame::check(&head, whole).is_err() {
            break;
        }
        match head.holds {
            Holds::Mark(position) => found.written = position,
            Holds::Part { run, .. } => {
                for entry in frame::part(whole)?.entries.iter() {
                    let names = entry?.what(run)?.names();
                    if !names.is_empty() {
                        found.names.entry(run).or_default().extend(names);
                    }
                }
            }
        }
        rest = behind;
    }
    Ok(found)
}
