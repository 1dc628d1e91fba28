//! Brings a stripe back after any end of the process: scan, judge the tail, and rely on nothing
//! that was not synced.
//!
//! A write that was cut by a crash may be missing in any of its parts. What was once durable may
//! not. The two are told apart by what each frame says was synced before it was written: an
//! unreadable place is the end of the log only if no readable frame after it claims that this place
//! was durable. Otherwise it is damage, and the stripe refuses to open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::directory;
use super::disk::Disk;
use super::frame::{ALIGN, Frame, Invalid, SegmentHeader, Sequence, Tails};
use super::index::Index;
use super::segment::{self, Beginning, Segment};
use super::spare;
use crate::{BatchId, Error, Position, batch};

/// A stripe ready for work.
pub(super) struct Stripe {
    pub(super) index: Index,
    pub(super) segments: BTreeMap<u64, Arc<Segment>>,
    /// The number of the next frame.
    pub(super) next: Sequence,
    /// Where it goes in the last segment.
    pub(super) offset: u64,
}

pub(super) struct Scanned {
    path: PathBuf,
    pub(super) header: SegmentHeader,
    frames: Vec<(Frame, u64)>,
}

/// The segment that goes on, where its next frame goes, and the frames it began with.
type Carried = (Segment, u64, Vec<(Frame, u64)>);

/// Opens the stripe in `dir`.
///
/// # Errors
/// [`Error::Corrupt`] when something that was durable cannot be read.
pub(super) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    stripe: u16,
    config: &Config,
) -> Result<Stripe, Error> {
    let found = find(disk, dir)?;
    let mut scans = Vec::new();
    let mut tails = found
        .first()
        .map(|(_, _, h)| h.tails.clone())
        .unwrap_or_default();
    for (at, (path, bytes, header)) in found.iter().enumerate() {
        let end = found.get(at + 1).map(|(_, _, next)| next.first);
        scans.push(scan(path, bytes, header, end, &mut tails)?);
    }
    let last = scans.pop();
    let carried = carry(disk, dir, stripe, config, last.as_ref())?;
    // Frames of the old last segment that the new one repeats are read there.
    let mut all = Vec::new();
    for scanned in scans.into_iter().chain(last) {
        if scanned.header.first < carried.0.header.first {
            all.push(scanned);
        } else {
            // What the carried segment replaces becomes the next spare.
            spare::recycle(disk, dir, &scanned.path, config.segment_bytes)?;
        }
    }
    assemble(disk, all, carried)
}

/// The segments in force, in order; removes those that a later one replaces.
fn find(disk: &dyn Disk, dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>, SegmentHeader)>, Error> {
    let names = disk
        .list(dir)
        .map_err(Error::io(format!("list {}", dir.display())))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|n| segment::number_of(n)).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut found: Vec<(PathBuf, Vec<u8>, SegmentHeader)> = Vec::new();
    for number in numbers {
        let path = dir.join(segment::file_name(number));
        let bytes = directory::read_file(disk, &path)?;
        let header = SegmentHeader::decode(&bytes)
            .and_then(|header| {
                let is_misplaced = header.number != number;
                if is_misplaced {
                    Err("the segment has another's name".to_owned())
                } else {
                    Ok(header)
                }
            })
            .map_err(|what| corrupt(&path, 0, what))?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size < header.bytes {
            let what = format!(
                "the file was made with {} bytes and ends here",
                header.bytes
            );
            return Err(corrupt(&path, size, what));
        }
        if found
            .last()
            .is_some_and(|(_, _, later)| later.first <= header.first)
        {
            disk.remove(&path)
                .map_err(Error::io(format!("remove {}", path.display())))?;
            continue;
        }
        found.push((path, bytes, header));
    }
    found.reverse();
    Ok(found)
}

/// Reads a segment's frames up to the frame `end`, where the next segment begins, checking that
/// each follows the one before it.
pub(super) fn scan(
    path: &Path,
    bytes: &[u8],
    header: &SegmentHeader,
    end: Option<Sequence>,
    tails: &mut Tails,
) -> Result<Scanned, Error> {
    if *tails != header.tails {
        let what = "the segment does not follow the one before it".to_owned();
        return Err(corrupt(path, 0, what));
    }
    let (mut frames, mut offset, mut expected) = (Vec::new(), header.size(), header.first);
    while end.is_none_or(|end| expected < end) {
        let rest = bytes.get(offset..).unwrap_or_default();
        let at = u64::try_from(offset).unwrap_or(u64::MAX);
        let frame = match Frame::decode(rest, header.salt) {
            Ok(frame) => frame,
            Err(Invalid::Unknown(kind)) => {
                let what = format!("a frame of the unknown kind {kind}, of a newer program");
                return Err(corrupt(path, at, what));
            }
            Err(Invalid::NotAFrame) => {
                judge_end(path, rest, at, expected, header, end)?;
                break;
            }
        };
        follows(&frame, expected, tails).map_err(|what| corrupt(path, at, what))?;
        tails.insert(frame.partition, end_of(&frame, tails));
        offset = offset.saturating_add(frame.size());
        frames.push((frame, at));
        expected += 1;
    }
    Ok(Scanned {
        path: path.to_owned(),
        header: header.clone(),
        frames,
    })
}

/// Whether the log may end where no frame can be read.
fn judge_end(
    path: &Path,
    rest: &[u8],
    at: u64,
    expected: Sequence,
    header: &SegmentHeader,
    end: Option<Sequence>,
) -> Result<(), Error> {
    if end.is_some() || expected <= header.sealed {
        let what = format!("frame {expected} was durable and cannot be read");
        return Err(corrupt(path, at, what));
    }
    let mut skipped = 0;
    while let Some(rest) = rest.get(skipped..).filter(|rest| !rest.is_empty()) {
        // A cheap look first: most of what follows is zeros, or frames of another use of the file.
        if Frame::may_start(rest)
            && let Ok(later) = Frame::decode(rest, header.salt)
            && later.synced >= expected
        {
            let what = format!(
                "frame {expected} cannot be read, but frame {} after it was written when it was \
                 durable",
                later.sequence
            );
            return Err(corrupt(path, at, what));
        }
        skipped = skipped.saturating_add(ALIGN);
    }
    Ok(())
}

fn follows(frame: &Frame, expected: Sequence, tails: &Tails) -> Result<(), String> {
    if frame.sequence != expected {
        return Err(format!(
            "frame {} stands where {expected} must be",
            frame.sequence
        ));
    }
    let (tail, last) = tail_of(frame, tails);
    if frame.is_claim() {
        let is_next = frame.batch.prev == last && frame.batch.id.epoch > last.epoch;
        let fault = || {
            format!(
                "the claim of epoch {} does not follow",
                frame.batch.id.epoch
            )
        };
        return if is_next { Ok(()) } else { Err(fault()) };
    }
    batch::check_place(&frame.batch, tail, last).map_err(|error| error.to_string())
}

fn tail_of(frame: &Frame, tails: &Tails) -> (Position, BatchId) {
    let genesis = (Position::ZERO, BatchId::GENESIS);
    tails.get(&frame.partition).copied().unwrap_or(genesis)
}

fn end_of(frame: &Frame, tails: &Tails) -> (Position, BatchId) {
    if frame.is_claim() {
        return (tail_of(frame, tails).0, frame.batch.id);
    }
    (frame.batch.last(), frame.batch.id)
}

/// Copies what may never have been synced into a new segment and syncs it. After a failed sync the
/// system's cache can show bytes that the disk never got; this is the moment where they get there,
/// or where opening fails, before anybody relies on them.
fn carry(
    disk: &dyn Disk,
    dir: &Path,
    stripe: u16,
    config: &Config,
    last: Option<&Scanned>,
) -> Result<Carried, Error> {
    let Some(last) = last else {
        return begin(disk, dir, config, first_beginning(stripe));
    };
    let used = last
        .frames
        .last()
        .map_or(0, |(frame, at)| at + frame.size() as u64);
    let synced = last.frames.last().map_or(0, |(frame, _)| frame.synced);
    // A short segment is copied whole and then replaced, so that many restarts take no more room
    // than one.
    let is_short = used <= config.segment_bytes / 4;
    let from = if is_short {
        last.header.first
    } else {
        (synced + 1).max(last.header.first)
    };
    begin(disk, dir, config, beginning_from(last, from, stripe))
}

fn first_beginning(stripe: u16) -> Beginning {
    Beginning {
        stripe,
        number: 1,
        first: 1,
        tails: Tails::new(),
        frames: Vec::new(),
    }
}

/// A segment that repeats the frames of `last` from `from` on.
pub(super) fn beginning_from(last: &Scanned, from: Sequence, stripe: u16) -> Beginning {
    let mut tails = last.header.tails.clone();
    let (before, after): (Vec<_>, Vec<_>) = last
        .frames
        .iter()
        .map(|(frame, _)| frame)
        .partition(|frame| frame.sequence < from);
    for frame in before {
        let end = end_of(frame, &tails);
        tails.insert(frame.partition, end);
    }
    Beginning {
        stripe,
        number: last.header.number + 1,
        first: from,
        tails,
        frames: after.into_iter().cloned().collect(),
    }
}

fn begin(
    disk: &dyn Disk,
    dir: &Path,
    config: &Config,
    beginning: Beginning,
) -> Result<Carried, Error> {
    let spare = spare::prepare(disk, dir, config.segment_bytes)?;
    let frames = beginning.frames.clone();
    let (segment, offset) = segment::put_in_place(disk, dir, &spare, beginning)?;
    let mut at = segment.header.size() as u64;
    let mut placed = Vec::new();
    for frame in frames {
        let size = frame.size() as u64;
        placed.push((frame, at));
        at += size;
    }
    Ok((segment, offset, placed))
}

fn assemble(disk: &dyn Disk, scans: Vec<Scanned>, carried: Carried) -> Result<Stripe, Error> {
    let (segment, offset, placed) = carried;
    let first = scans
        .first()
        .map_or(&segment.header.tails, |scan| &scan.header.tails);
    let mut index = Index::new(first);
    let mut segments = BTreeMap::new();
    for scanned in scans {
        for (frame, at) in &scanned.frames {
            if frame.sequence < segment.header.first {
                index.add(frame, scanned.header.number, *at);
            }
        }
        let opening = Error::io(format!("open {}", scanned.path.display()));
        let opened = Segment {
            file: disk.open(&scanned.path).map_err(opening)?,
            path: scanned.path,
            header: scanned.header,
        };
        segments.insert(opened.header.number, Arc::new(opened));
    }
    for (frame, at) in &placed {
        index.add(frame, segment.header.number, *at);
    }
    let next = segment.header.first + placed.len() as u64;
    segments.insert(segment.header.number, Arc::new(segment));
    Ok(Stripe {
        index,
        segments,
        next,
        offset,
    })
}

fn corrupt(file: &Path, offset: u64, what: String) -> Error {
    Error::Corrupt {
        file: file.to_owned(),
        offset,
        what,
    }
}
