//! The runs of a pack, read where nobody writes it.

use std::path::Path;

use taraf_flow::DataName;
use taraf_log::file::disk::DiskFile;

use super::index::Index;
use super::month::{next_block, rows_at};
use super::pack::{self, HEADER_BYTES};
use super::place::Error;
use crate::RunId;

/// A run of a pack.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// Which run.
    pub(crate) id: RunId,
    /// Payloads that it or its journal names.
    pub(crate) payloads: Vec<DataName>,
    /// Whether it is certainly kept: the index has it, or will have it once it has been made anew.
    pub(crate) is_kept: bool,
}

/// The runs of a pack that name payloads. Without its index none is certainly kept. What is damaged is
/// passed over, as when the pack is opened.
///
/// # Errors
/// When it is no pack, or cannot be read.
pub(crate) fn inspect(
    pack: &dyn DiskFile,
    file: &Path,
    index: Option<&Path>,
) -> Result<Vec<Inspected>, Error> {
    let size = pack.size().map_err(Error::io("read", file))?;
    let mut header = [0; HEADER_BYTES];
    let mut at = u64::try_from(HEADER_BYTES).unwrap_or(0);
    if size < at {
        // Cut off by a crash before anything was kept in it.
        return Ok(Vec::new());
    }
    pack.read_at(&mut header, 0)
        .map_err(Error::io("read", file))?;
    pack::read_header(&header).map_err(|error| Error::pack(file, 0, error))?;
    let index = open(index);
    let mut found = Vec::new();
    while at < size {
        match rows_at(pack, file, at) {
            Ok((rows, next)) => {
                for (row, payloads) in rows {
                    if payloads.is_empty() {
                        continue;
                    }
                    let is_kept = match &index {
                        Some((index, applied)) => at >= *applied || index.find(row.id)?.is_some(),
                        None => false,
                    };
                    let id = row.id;
                    found.push(Inspected {
                        id,
                        payloads,
                        is_kept,
                    });
                }
                at = next;
            }
            Err(Error::Pack { .. }) => match next_block(pack, file, at, size)? {
                Some(next) => at = next,
                None => break,
            },
            Err(other) => return Err(other),
        }
    }
    Ok(found)
}

/// An index that is there and can be used, and up to which byte of the pack it knows it.
fn open(path: Option<&Path>) -> Option<(Index, u64)> {
    let path = path.filter(|path| path.is_file())?;
    let index = Index::connect(path).ok()?;
    let applied = index.applied().ok()?;
    Some((index, applied))
}
