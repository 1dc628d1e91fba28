//! Looks at a log that nobody has open: every frame, every record, every snapshot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, OsDisk};
use super::reader::read_header;
use super::recover::scan;
use super::segment::{self, Segment};
use super::{directory, snapshots};
use crate::backup::Contents;
use crate::{Error, record};

/// What a log holds, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// Segment files.
    pub(crate) segments: u64,
    /// Frames of batches and claims.
    pub(crate) frames: u64,
    /// Records in them.
    pub(crate) records: u64,
    /// Snapshots.
    pub(crate) snapshots: u64,
    /// What cannot be trusted.
    pub(crate) findings: Vec<Error>,
}

/// A log's files, by their paths in its folder.
type Files = BTreeMap<PathBuf, Arc<dyn DiskFile>>;
/// The segments of a stripe, by their numbers.
type Numbered = BTreeMap<u64, (PathBuf, Arc<dyn DiskFile>)>;

/// Inspects a log as far as it goes: after damage in a stripe, the other ones are still looked at.
/// In a backup segments are as long as their frames; with `is_whole` they must have their full size.
/// What can be read is handed to `contents`: snapshots first, then batches.
#[must_use]
pub(crate) fn inspect(files: &Files, is_whole: bool, contents: &mut dyn Contents) -> Inspection {
    let mut found = Inspection::default();
    found.note(check_format(files));
    let mut stripes: BTreeMap<PathBuf, Numbered> = BTreeMap::new();
    for (path, file) in files {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else { continue };
        if let Some(number) = segment::number_of(name) {
            let stripe = path.parent().unwrap_or(path).to_owned();
            let file = (path.clone(), Arc::clone(file));
            stripes.entry(stripe).or_default().insert(number, file);
        } else if snapshots::is_name(name) {
            found.snapshots += 1;
            found.note(snapshots::inspect(path, file.as_ref(), contents));
        }
    }
    for stripe in stripes.into_values() {
        let inspected = inspect_stripe(stripe, is_whole, contents, &mut found);
        found.note(inspected);
    }
    found
}

fn check_format(files: &Files) -> Result<(), Error> {
    let path = Path::new(directory::FORMAT);
    let broken = |what: String| Error::Format {
        dir: PathBuf::from("log"),
        what,
    };
    let Some(file) = files.get(path) else {
        return Err(broken(format!("its {} file is missing", directory::FORMAT)));
    };
    let text = directory::read_open(file.as_ref(), path)?;
    let text = String::from_utf8_lossy(&text);
    directory::parse_format(&text).map(drop).map_err(broken)
}

fn inspect_stripe(
    stripe: Numbered,
    is_whole: bool,
    contents: &mut dyn Contents,
    found: &mut Inspection,
) -> Result<(), Error> {
    let mut segments: Vec<Segment> = Vec::new();
    for (number, (path, file)) in stripe.into_iter().rev() {
        found.segments += 1;
        let corrupt = |offset: u64, what: String| Error::Corrupt {
            file: path.clone(),
            offset,
            what,
        };
        let header = read_header(file.as_ref(), &path)?.map_err(|what| corrupt(0, what))?;
        if header.number != number {
            return Err(corrupt(0, "the segment has another's name".to_owned()));
        }
        let size = file.size().map_err(Error::io("look at a segment"))?;
        if is_whole && size < header.bytes {
            let what = format!(
                "the file was made with {} bytes and ends here",
                header.bytes
            );
            return Err(corrupt(size, what));
        }
        // One that a later segment replaces was to be removed.
        let later = segments.last();
        if later.is_none_or(|later| later.header.first > header.first) {
            segments.push(Segment { path, file, header });
        }
    }
    segments.reverse();
    let mut tails = segments.first().map(|first| first.header.tails.clone());
    let mut tails = tails.take().unwrap_or_default();
    for (at, segment) in segments.iter().enumerate() {
        let end = segments.get(at + 1).map(|next| next.header.first);
        let mut damaged = None;
        let scanned = scan(segment, end, &mut tails, |frame, offset| {
            found.frames += 1;
            found.records += u64::from(frame.batch.count);
            let batch = &frame.batch;
            let decoded = record::decode_all(&batch.frames, batch.first, batch.count);
            match decoded {
                Ok(_) => contents.batch(frame.partition, batch),
                Err(error) if damaged.is_none() => damaged = Some((offset, error.to_string())),
                Err(_) => {}
            }
        });
        if let Some((offset, what)) = damaged {
            let file = segment.path.clone();
            return Err(Error::Corrupt { file, offset, what });
        }
        scanned?;
    }
    Ok(())
}

impl Inspection {
    fn note(&mut self, result: Result<(), Error>) {
        self.findings.extend(result.err());
    }
}

/// Gives the segments of a log that was put back from a backup their full size: there they end with
/// their last frame.
///
/// # Errors
/// When a segment cannot be read or grown.
pub(crate) fn extend_restored(dir: &Path) -> Result<(), Error> {
    let stripes = dir.join("stripes");
    let listing = |dir: &Path| Error::io(format!("list {}", dir.display()));
    for stripe in OsDisk.list(&stripes).map_err(listing(&stripes))? {
        let stripe = stripes.join(stripe);
        for name in OsDisk.list(&stripe).map_err(listing(&stripe))? {
            let path = stripe.join(name);
            let doing = || Error::io(format!("complete {}", path.display()));
            let file = OsDisk.open(&path).map_err(doing())?;
            let header = read_header(file.as_ref(), &path)?;
            let header = header.map_err(|what| Error::Corrupt {
                file: path.clone(),
                offset: 0,
                what,
            })?;
            if file.size().map_err(doing())? < header.bytes {
                let last = header.bytes.saturating_sub(1);
                file.write_at(&[0], last).map_err(doing())?;
                file.sync().map_err(doing())?;
            }
        }
    }
    Ok(())
}
