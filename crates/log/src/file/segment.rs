//! One segment file: made under another name, synced, and only then put in place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::frame::{Frame, SegmentHeader, Sequence, Tails};
use crate::{Epoch, Error};

const SUFFIX: &str = ".segment";

/// A segment that is in place.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) header: SegmentHeader,
}

/// What a new segment begins with.
pub(super) struct Beginning {
    pub(super) stripe: u16,
    pub(super) number: u64,
    pub(super) first: Sequence,
    /// How many frames are carried over from an earlier segment.
    pub(super) carried: u64,
    /// The highest epoch among them; 0 when there are none.
    pub(super) epoch: Epoch,
    /// Where the partitions ended before `first`.
    pub(super) tails: Tails,
}

/// Why a segment was not put in place.
pub(super) enum NotPlaced {
    /// For want of space, before the segment had its name: it is no part of the log.
    Full,
    /// Anything else. Whether it has its name is not known.
    Failed(Error),
}

/// Carried frames are written in pieces of that size.
const PIECE_BYTES: usize = 1 << 20;

/// Puts a segment in place: header and carried frames are durable before it has its name, so a
/// segment that has one is always whole up to `sealed`. `frames` gives the carried ones, one after
/// the other, and `placed` is told where each came to lie. Answers the segment and where the next
/// frame goes.
///
/// # Errors
/// When a step fails; a segment that has no name yet is no part of the log.
pub(super) fn put_in_place(
    disk: &dyn Disk,
    dir: &Path,
    spare: &Path,
    beginning: Beginning,
    mut frames: impl FnMut() -> Result<Frame, Error>,
    mut placed: impl FnMut(&Frame, u64),
) -> Result<(Segment, u64), NotPlaced> {
    let path = dir.join(file_name(beginning.number));
    let doing = |what: &str| Error::io(format!("{what} {}", path.display()));
    let failed = |what: &str| {
        let doing = doing(what);
        move |error| NotPlaced::of(doing(error))
    };
    let file = disk.open(spare).map_err(failed("open the spare for"))?;
    let epochs = beginning.tails.values().map(|(_, last)| last.epoch);
    let header = SegmentHeader {
        stripe: beginning.stripe,
        number: beginning.number,
        epoch: epochs.max().unwrap_or(Epoch(0)).max(beginning.epoch),
        salt: disk.salt(),
        first: beginning.first,
        sealed: (beginning.first + beginning.carried).saturating_sub(1),
        bytes: file.size().map_err(failed("look at the spare for"))?,
        tails: beginning.tails,
    };
    let (mut bytes, mut offset) = (header.encode(), 0);
    for sequence in beginning.first..beginning.first + beginning.carried {
        let mut frame = frames().map_err(NotPlaced::Failed)?;
        frame.sequence = sequence;
        frame.synced = sequence.saturating_sub(1);
        placed(&frame, offset + bytes.len() as u64);
        frame.encode(header.salt, &mut bytes);
        if bytes.len() >= PIECE_BYTES {
            let written = file.write_at(&bytes, offset);
            written.map_err(failed("begin segment"))?;
            offset += bytes.len() as u64;
            bytes.clear();
        }
    }
    file.write_at(&bytes, offset)
        .map_err(failed("begin segment"))?;
    offset += bytes.len() as u64;
    if let Err(error) = file.sync() {
        // Its pages may count as clean now without being on the disk, those too that an earlier
        // process wrote and did not live to sync: no later one may take it for a spare.
        let _still_there = disk.remove(spare);
        return Err(failed("sync the new segment")(error));
    }
    let named = disk.rename(spare, &path).map_err(doing("name segment"));
    named.map_err(NotPlaced::Failed)?;
    let synced = disk.sync_dir(dir).map_err(doing("sync the directory of"));
    synced.map_err(NotPlaced::Failed)?;
    Ok((Segment { path, file, header }, offset))
}

impl NotPlaced {
    fn of(error: Error) -> Self {
        match error {
            Error::Io { source, .. } if is_full(&source) => Self::Full,
            other => Self::Failed(other),
        }
    }
}

impl From<NotPlaced> for Error {
    fn from(error: NotPlaced) -> Self {
        match error {
            NotPlaced::Full => Self::Full,
            NotPlaced::Failed(error) => error,
        }
    }
}

/// Whether the storage refused for want of space.
pub(super) fn is_full(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::StorageFull || kind == io::ErrorKind::QuotaExceeded
}

pub(super) fn file_name(number: u64) -> String {
    format!("{number:016}{SUFFIX}")
}

pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}
