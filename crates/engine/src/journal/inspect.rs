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
    /// Where frames that were durable are not what was written: entries of journals are lost.
    pub(crate) damaged: Vec<usize>,
}

/// Goes through a file. What follows the last mark may be torn and is nothing then, since the log has it;
/// a frame before a mark was durable with it.
///
/// # Errors
/// When it is none, or a newer program wrote it or something in it.
pub(crate) fn inspect(bytes: &[u8]) -> Result<Inspected, FrameError> {
    let mut found = Inspected {
        partition: frame::partition_of(bytes)?,
        written: Position::ZERO,
        names: BTreeMap::new(),
        damaged: Vec::new(),
    };
    let mut rest = bytes.get(FILE_HEAD_BYTES..).unwrap_or_default();
    while !rest.is_empty() {
        let Some((holds, whole, behind)) = whole_frame(rest) else {
            let Some(skipped) = to_next(rest) else { break };
            found.damaged.push(bytes.len().saturating_sub(rest.len()));
            rest = rest.get(skipped..).unwrap_or_default();
            continue;
        };
        match holds {
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

/// What the first frame holds, its bytes, and those behind it; none when it is not whole.
fn whole_frame(bytes: &[u8]) -> Option<(Holds, &[u8], &[u8])> {
    let head = frame::head(bytes.first_chunk::<HEAD_BYTES>()?).ok()?;
    let (whole, behind) = bytes.split_at_checked(HEAD_BYTES.saturating_add(head.len))?;
    frame::check(&head, whole).ok()?;
    Some((head.holds, whole, behind))
}

/// How far the next whole frame is behind one that is not, when a mark follows it. Lengths say nothing
/// here: every byte may begin a frame.
fn to_next(bytes: &[u8]) -> Option<usize> {
    let next = (1..bytes.len()).find(|at| {
        let bytes = bytes.get(*at..).unwrap_or_default();
        // Looked at first: the checksum of all that a chance length covers would cost far more.
        matches!(bytes, [_, _, _, _, _, _, 0, 0, ..]) && whole_frame(bytes).is_some()
    })?;
    let mut rest = bytes.get(next..)?;
    loop {
        match whole_frame(rest) {
            Some((Holds::Mark(_), ..)) => return Some(next),
            Some((Holds::Part { .. }, _, behind)) => rest = behind,
            None => rest = rest.get(to_next(rest)?..)?,
        }
    }
}
