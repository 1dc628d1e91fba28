//! What an operator can do about damage without a backup: give up what follows it.

use std::path::Path;

use super::disk::{Disk, OsDisk};
use super::frame::SegmentHeader;
use super::recover::{beginning_from, scan};
use super::{directory, segment, spare};
use crate::Error;

/// Segments that were given up keep their bytes under this suffix.
const REMOVED_SUFFIX: &str = ".removed";

/// Gives up everything in a stripe from `offset` of `file` on: what an operator does about
/// [`Error::Corrupt`] when there is no backup. The files keep their bytes under other names.
///
/// # Errors
/// When another process uses the directory, when `file` is none of its segments, or when what
/// comes before `offset` is damaged too.
pub fn truncate_at(dir: &Path, file: &Path, offset: u64) -> Result<(), Error> {
    let disk = &OsDisk;
    let _lock = directory::lock(disk, dir)?;
    truncate_on(disk, dir, file, offset)
}

fn truncate_on(disk: &dyn Disk, dir: &Path, file: &Path, offset: u64) -> Result<(), Error> {
    let format = |what: &str| Error::Format {
        dir: dir.to_owned(),
        what: format!("{} {what}", file.display()),
    };
    let stripe_dir = file.parent().filter(|parent| parent.starts_with(dir));
    let stripe_dir = stripe_dir.ok_or_else(|| format("is not in this directory"))?;
    let name = file.file_name().and_then(|name| name.to_str());
    let number = name
        .and_then(segment::number_of)
        .ok_or_else(|| format("is not a segment"))?;
    let mut bytes = directory::read_file(disk, file)?;
    bytes.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
    let mut given_up = vec![file.to_owned()];
    let later = |name: &String| segment::number_of(name).is_some_and(|n| n > number);
    let names = disk
        .list(stripe_dir)
        .map_err(Error::io("list the stripe"))?;
    let later: Vec<String> = names.into_iter().filter(later).collect();
    given_up.extend(later.iter().map(|name| stripe_dir.join(name)));
    let newest = later
        .iter()
        .filter_map(|name| segment::number_of(name))
        .max();
    // With its header gone a segment holds nothing; the one before it then ends the log.
    if let Ok(mut header) = SegmentHeader::decode(&bytes) {
        // What was sealed may now be missing; that is the point.
        header.sealed = 0;
        let mut tails = header.tails.clone();
        let scanned = scan(file, &bytes, &header, None, &mut tails)?;
        let from = scanned.header.first;
        let mut beginning = beginning_from(&scanned, from, header.stripe);
        beginning.number = newest.unwrap_or(number) + 1;
        let spare = spare::prepare(disk, stripe_dir, scanned.header.bytes)?;
        segment::put_in_place(disk, stripe_dir, &spare, beginning)?;
    }
    for path in given_up {
        let mut kept = path.clone().into_os_string();
        kept.push(REMOVED_SUFFIX);
        let doing = Error::io(format!("rename {}", path.display()));
        disk.rename(&path, Path::new(&kept)).map_err(doing)?;
    }
    disk.sync_dir(stripe_dir)
        .map_err(Error::io("sync the stripe's directory"))
}
