//! Brings a stripe back after any end of the process: scan, judge the tail, and rely on nothing
//! that was not synced.
//!
//! A write that was cut by a crash may be missing in any of its parts. What was once durable may
//! not. The two are told apart by what each frame says was synced before it was written: an
//! unreadable place is the end of the log only if no readable frame after it claims that this place
//! was durable. Otherwise it is damage, and the stripe refuses to open.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::disk::{Disk, DiskFile};
use super::frame::{Frame, Invalid, SegmentHeader, Sequence, Tails};
use super::index::Index;
use super::reader::{Frames, read_header};
use super::segment::{self, Beginning, Segment};
use super::spare;
use crate::{BatchId, Epoch, Error, Position, batch};

/// A segment of which this share at most is used is copied whole and then replaced, so that many
/// restarts take no more room than one.
const SHORT_SHARE: u64 = 4;

/// A stripe ready for work.
pub(super) struct Stripe {
    pub(super) index: Index,
    pub(super) segments: BTreeMap<u64, Arc<Segment>>,
    /// Where the frames of each segment end.
    pub(super) ends: BTreeMap<u64, u64>,
    /// The number of the next frame.
    pub(super) next: Sequence,
    /// Where it goes in the last segment.
    pub(super) offset: u64,
}

/// What a look through a segment found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scanned {
    /// The number of the frame after its last one.
    pub(super) next: Sequence,
    /// Where its frames end.
    pub(super) end: u64,
    /// Up to which frame its last one says that all is durable.
    pub(super) synced: Sequence,
    /// The highest epoch in it.
    pub(super) epoch: Epoch,
}

/// Opens the stripe in `dir`. Reads the segments once (the last one twice) with a window of each in
/// memory.
///
/// # Errors
/// [`Error::Corrupt`] when something that was durable cannot be read.
pub(super) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    stripe: u16,
    config: &Config,
) -> Result<Stripe, Error> {
    let mut found = find(disk, dir)?;
    for replaced in found.replaced {
        let doing = Error::io(format!("remove {}", replaced.display()));
        disk.remove(&replaced).map_err(doing)?;
    }
    let tails = found
        .segments
        .first()
        .map(|first| first.header.tails.clone());
    let mut tails = tails.unwrap_or_default();
    let mut index = Index::new(&tails);
    let last = found.segments.pop();
    let (mut segments, mut ends) = (BTreeMap::new(), BTreeMap::new());
    let mut earlier = found.segments.into_iter().peekable();
    while let Some(segment) = earlier.next() {
        let next = earlier
            .peek()
            .or(last.as_ref())
            .map(|next| next.header.first);
        let number = segment.header.number;
        let add = |frame: &Frame, at| index.add(frame, number, at);
        let scanned = scan(&segment, next, &mut tails, add)?;
        ends.insert(number, scanned.end);
        segments.insert(number, Arc::new(segment));
    }
    let spare = spare::prepare(disk, dir, config.segment_bytes)?;
    let (segment, offset, next) = match last {
        None => begin(disk, dir, &spare, stripe)?,
        Some(last) => {
            // A look first: what it ends with says from where on it must be carried over.
            let scanned = scan(&last, None, &mut tails, |_, _| {})?;
            let carry = Carry {
                disk,
                dir,
                spare: &spare,
                last: &last,
                scanned,
                from: carry_from(&last, &scanned, config),
                number: last.header.number + 1,
            };
            let (segment, offset) = carry.run(&mut index)?;
            if segment.header.first > last.header.first {
                ends.insert(last.header.number, scanned.end);
                segments.insert(last.header.number, Arc::new(last));
            } else {
                // What the carried segment replaces becomes the next spare.
                spare::recycle(disk, dir, &last.path, config.segment_bytes)?;
            }
            (segment, offset, scanned.next)
        }
    };
    ends.insert(segment.header.number, offset);
    segments.insert(segment.header.number, Arc::new(segment));
    Ok(Stripe {
        index,
        segments,
        ends,
        next,
        offset,
    })
}

/// The segments in force, in order, and those that a later one replaces.
pub(super) struct Listed {
    pub(super) segments: Vec<Segment>,
    pub(super) replaced: Vec<PathBuf>,
}

/// Lists a stripe's segments and reads their headers.
///
/// # Errors
/// [`Error::Corrupt`] naming a segment that is not whole.
pub(super) fn find(disk: &dyn Disk, dir: &Path) -> Result<Listed, Error> {
    let names = disk
        .list(dir)
        .map_err(Error::io(format!("list {}", dir.display())))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|n| segment::number_of(n)).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut listed = Listed {
        segments: Vec::new(),
        replaced: Vec::new(),
    };
    for number in numbers {
        let path = dir.join(segment::file_name(number));
        let opening = Error::io(format!("open {}", path.display()));
        let file = disk.open(&path).map_err(opening)?;
        let header = checked_header(file.as_ref(), &path, number)?;
        let later = listed.segments.last();
        if later.is_some_and(|later| later.header.first <= header.first) {
            listed.replaced.push(path);
        } else {
            listed.segments.push(Segment { path, file, header });
        }
    }
    listed.segments.reverse();
    Ok(listed)
}

fn checked_header(file: &dyn DiskFile, path: &Path, number: u64) -> Result<SegmentHeader, Error> {
    let header = read_header(file, path)?.map_err(|what| corrupt(path, 0, what))?;
    if header.number != number {
        return Err(corrupt(
            path,
            0,
            "the segment has another's name".to_owned(),
        ));
    }
    let reading = Error::io(format!("look at {}", path.display()));
    let size = file.size().map_err(reading)?;
    if size < header.bytes {
        let what = format!(
            "the file was made with {} bytes and ends here",
            header.bytes
        );
        return Err(corrupt(path, size, what));
    }
    Ok(header)
}

/// Looks through a segment's frames up to the frame `end`, where the next segment begins, checking
/// that each follows the one before it, and tells `found` of each and where it lies.
///
/// # Errors
/// [`Error::Corrupt`] at the first frame that was durable and cannot be read or does not follow.
pub(super) fn scan(
    segment: &Segment,
    end: Option<Sequence>,
    tails: &mut Tails,
    mut found: impl FnMut(&Frame, u64),
) -> Result<Scanned, Error> {
    let (path, header) = (&segment.path, &segment.header);
    if *tails != header.tails {
        let what = "the segment does not follow the one before it".to_owned();
        return Err(corrupt(path, 0, what));
    }
    let doing = || Error::io(format!("read {}", path.display()));
    let mut frames = frames_of(segment).map_err(doing())?;
    let mut scanned = Scanned {
        next: header.first,
        ..Scanned::default()
    };
    while end.is_none_or(|end| scanned.next < end) {
        let at = frames.offset();
        let frame = match frames.next().map_err(doing())? {
            Ok(frame) => frame,
            Err(Invalid::Unknown(kind)) => {
                let what = format!("a frame of the unknown kind {kind}, of a newer program");
                return Err(corrupt(path, at, what));
            }
            Err(Invalid::NotAFrame) => {
                judge_end(&mut frames, path, scanned.next, header, end)?;
                scanned.end = at;
                return Ok(scanned);
            }
        };
        follows(&frame, scanned.next, tails).map_err(|what| corrupt(path, at, what))?;
        tails.insert(frame.partition, end_of(&frame, tails));
        found(&frame, at);
        scanned.next += 1;
        scanned.synced = frame.synced;
        scanned.epoch = scanned.epoch.max(frame.batch.id.epoch);
    }
    scanned.end = frames.offset();
    Ok(scanned)
}

fn frames_of(segment: &Segment) -> io::Result<Frames<'_>> {
    let header = &segment.header;
    Frames::new(segment.file.as_ref(), header.salt, header.size() as u64)
}

/// Whether the log may end where no frame can be read.
fn judge_end(
    frames: &mut Frames<'_>,
    path: &Path,
    expected: Sequence,
    header: &SegmentHeader,
    end: Option<Sequence>,
) -> Result<(), Error> {
    let at = frames.offset();
    if end.is_some() || expected <= header.sealed {
        let what = format!("frame {expected} was durable and cannot be read");
        return Err(corrupt(path, at, what));
    }
    let vouches = |later: &Frame| later.synced >= expected;
    let reading = Error::io(format!("read {}", path.display()));
    if let Some(later) = frames.search(vouches).map_err(reading)? {
        let what = format!(
            "frame {expected} cannot be read, but frame {} after it was written when it was durable",
            later.sequence
        );
        return Err(corrupt(path, at, what));
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

/// The first segment of a stripe.
fn begin(
    disk: &dyn Disk,
    dir: &Path,
    spare: &Path,
    stripe: u16,
) -> Result<(Segment, u64, Sequence), Error> {
    let beginning = Beginning {
        stripe,
        number: 1,
        first: 1,
        carried: 0,
        epoch: Epoch(0),
        tails: Tails::new(),
    };
    let nothing = || {
        Err(Error::Poisoned(
            "a first segment carries nothing".to_owned(),
        ))
    };
    let placed = segment::put_in_place(disk, dir, spare, beginning, nothing, |_, _| {})?;
    Ok((placed.0, placed.1, 1))
}

/// From which frame on the last segment is carried over: what may never have been synced, or all of
/// a short one.
fn carry_from(last: &Segment, scanned: &Scanned, config: &Config) -> Sequence {
    if scanned.end <= config.segment_bytes / SHORT_SHARE {
        last.header.first
    } else {
        (scanned.synced + 1).max(last.header.first)
    }
}

/// The end of a segment on its way into a new one.
pub(super) struct Carry<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a Path,
    pub(super) spare: &'a Path,
    pub(super) last: &'a Segment,
    pub(super) scanned: Scanned,
    /// The first frame that is copied.
    pub(super) from: Sequence,
    /// The number of the new segment.
    pub(super) number: u64,
}

impl Carry<'_> {
    /// Copies the frames into the new segment and syncs it. After a failed sync the system's cache
    /// can show bytes that the disk never got; this is the moment where they get there, or where
    /// opening fails, before anybody relies on them. Tells `index` where all frames lie then.
    ///
    /// # Errors
    /// When a frame cannot be read a second time, or the new segment cannot be written.
    pub(super) fn run(self, index: &mut Index) -> Result<(Segment, u64), Error> {
        let Self { last, from, .. } = self;
        let doing = || Error::io(format!("read {}", last.path.display()));
        let mut frames = frames_of(last).map_err(doing())?;
        let mut next = || -> Result<(Frame, u64), Error> {
            let at = frames.offset();
            let changed = || corrupt(&last.path, at, "it can no longer be read".to_owned());
            let frame = frames.next().map_err(doing())?;
            Ok((frame.map_err(|_invalid| changed())?, at))
        };
        let mut tails = last.header.tails.clone();
        for _ in last.header.first..from {
            let (frame, at) = next()?;
            tails.insert(frame.partition, end_of(&frame, &tails));
            index.add(&frame, last.header.number, at);
        }
        let beginning = Beginning {
            stripe: last.header.stripe,
            number: self.number,
            first: from,
            carried: self.scanned.next.saturating_sub(from),
            epoch: self.scanned.epoch,
            tails,
        };
        let frames = || next().map(|(frame, _)| frame);
        let placed = |frame: &Frame, at| index.add(frame, self.number, at);
        let (disk, dir, spare) = (self.disk, self.dir, self.spare);
        Ok(segment::put_in_place(
            disk, dir, spare, beginning, frames, placed,
        )?)
    }
}

fn corrupt(file: &Path, offset: u64, what: String) -> Error {
    Error::Corrupt {
        file: file.to_owned(),
        offset,
        what,
    }
}
