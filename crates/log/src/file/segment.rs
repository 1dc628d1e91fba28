//! One segment file: made under another name, synced, and only then put in place.

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
    pub(super) tails: Tails,
    /// Frames carried over from an earlier segment.
    pub(super) frames: Vec<Frame>,
}

/// Puts a segment in place: header and carried frames are durable before it has its name, so a
/// segment that has one is always whole up to `sealed`. Answers it and where the next frame goes.
///
/// # Errors
/// When a step fails; a segment that has no name yet is no part of the log.
pub(super) fn put_in_place(
    disk: &dyn Disk,
    dir: &Path,
    spare: &Path,
    beginning: Beginning,
) -> Result<(Segment, u64), Error> {
    let carried = u64::try_from(beginning.frames.len()).expect("memory is below 2^64");
    let path = dir.join(file_name(beginning.number));
    let doing = |what: &str| Error::io(format!("{what} {}", path.display()));
    let file = disk.open(spare).map_err(doing("open the spare for"))?;
    let epochs = beginning.tails.values().map(|(_, last)| last.epoch);
    let header = SegmentHeader {
        stripe: beginning.stripe,
        number: beginning.number,
        epoch: epochs.max().unwrap_or(Epoch(0)),
        salt: disk.salt(),
        first: beginning.first,
        sealed: (beginning.first + carried).saturating_sub(1),
        bytes: file.size().map_err(doing("look at the spare for"))?,
        tails: beginning.tails,
    };
    let mut bytes = header.encode();
    for (mut frame, sequence) in beginning.frames.into_iter().zip(beginning.first..) {
        frame.sequence = sequence;
        frame.synced = sequence.saturating_sub(1);
        frame.encode(header.salt, &mut bytes);
    }
    file.write_at(&bytes, 0).map_err(doing("begin segment"))?;
    file.sync().map_err(doing("sync the new segment"))?;
    disk.rename(spare, &path).map_err(doing("name segment"))?;
    disk.sync_dir(dir).map_err(doing("sync the directory of"))?;
    let offset = u64::try_from(bytes.len()).expect("memory is below 2^64");
    Ok((Segment { path, file, header }, offset))
}

pub(super) fn file_name(number: u64) -> String {
    format!("{number:016}{SUFFIX}")
}

pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}
