//! What an operator can do about damage without a backup: give up what follows it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, DiskFile, OsDisk};
use super::index::Index;
use super::reader::read_header;
use super::recover::{Carry, scan};
use super::segment::{self, Segment};
use super::{directory, spare};
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

/// As [`truncate_at`], on the given storage, whose directory the caller has locked.
///
/// # Errors
/// As there.
pub fn truncate_on(disk: &dyn Disk, dir: &Path, file: &Path, offset: u64) -> Result<(), Error> {
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
    let opening = Error::io(format!("open {}", file.display()));
    let whole = disk.open(file).map_err(opening)?;
    let before: Arc<dyn DiskFile> = Arc::new(Before { whole, end: offset });
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
    if let Ok(mut header) = read_header(before.as_ref(), file)? {
        // What was sealed may now be missing; that is the point.
        header.sealed = 0;
        let mut tails = header.tails.clone();
        let last = Segment {
            path: file.to_owned(),
            file: before,
            header,
        };
        let scanned = scan(&last, None, &mut tails, |_, _| {})?;
        let spare = spare::prepare(disk, stripe_dir, last.header.bytes)?;
        let carry = Carry {
            disk,
            dir: stripe_dir,
            spare: &spare,
            last: &last,
            scanned,
            from: last.header.first,
            number: newest.unwrap_or(number) + 1,
        };
        carry.run(&mut Index::default())?;
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

/// A file as if it ended early.
struct Before {
    whole: Arc<dyn DiskFile>,
    end: u64,
}

impl DiskFile for Before {
    fn size(&self) -> io::Result<u64> {
        Ok(self.whole.size()?.min(self.end))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.saturating_add(buffer.len() as u64) > self.size()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.whole.read_at(buffer, offset)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
