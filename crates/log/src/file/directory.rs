//! The data directory: its lock, its format, and where things lie in it.
//!
//! ```text
//! LOCK                     held by one process, names it
//! FORMAT                   version of this layout, number of stripes
//! stripes/N/*.segment      the log
//! snapshots/P-POSITION     states of partitions
//! ballast                  zeros, given up when the disk is full
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile, Lock, LockGuard};
use crate::Error;

const LOCK: &str = "LOCK";
pub(super) const FORMAT: &str = "FORMAT";
const FORMAT_VERSION: u32 = 1;
/// Stripes are files and threads; more serve no disk.
const STRIPES_MAX: u32 = 64;

/// Takes the directory, making it when there is none.
///
/// # Errors
/// [`Error::Locked`] naming the process that has it.
pub(super) fn lock(disk: &dyn Disk, dir: &Path) -> Result<LockGuard, Error> {
    let doing = |what: &str| Error::io(format!("{what} the data directory {}", dir.display()));
    disk.create_dir(dir).map_err(doing("make"))?;
    match disk.lock(&dir.join(LOCK)).map_err(doing("lock"))? {
        Lock::Taken(guard) => Ok(guard),
        Lock::Held(pid) => Err(Error::Locked {
            dir: dir.to_owned(),
            pid,
        }),
    }
}

/// Reads the layout's version and the number of stripes, writing them when the directory is new.
///
/// # Errors
/// [`Error::Format`] when a newer program wrote the directory or it was changed by hand.
pub(super) fn open_format(disk: &dyn Disk, dir: &Path, stripes: u32) -> Result<u16, Error> {
    let path = dir.join(FORMAT);
    let names = disk
        .list(dir)
        .map_err(Error::io(format!("list {}", dir.display())))?;
    let format = |what: String| Error::Format {
        dir: dir.to_owned(),
        what,
    };
    if names.iter().any(|name| name == FORMAT) {
        let text = String::from_utf8_lossy(&read_file(disk, &path)?).into_owned();
        return parse_format(&text).map_err(format);
    }
    if names.iter().any(|name| name == "stripes") && !is_unborn(disk, dir) {
        let what = format!("it holds a log, but its {FORMAT} file is missing");
        return Err(format(what));
    }
    let stripes = stripes.clamp(1, STRIPES_MAX);
    let text = format!("taraf log format {FORMAT_VERSION}\nstripes {stripes}\n");
    write_file(disk, &path, text.as_bytes())?;
    parse_format(&text).map_err(format)
}

/// The directory of a stripe, made when there is none.
///
/// # Errors
/// When it cannot be made.
pub(super) fn stripe(disk: &dyn Disk, dir: &Path, stripe: u16) -> Result<PathBuf, Error> {
    let parent = dir.join("stripes");
    let path = parent.join(stripe.to_string());
    make(disk, &parent)?;
    make(disk, &path)?;
    Ok(path)
}

/// Makes a directory whose name is durable.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    let doing = || Error::io(format!("make {}", path.display()));
    disk.create_dir(path).map_err(doing())?;
    disk.sync_dir(path.parent().unwrap_or(path))
        .map_err(doing())
}

/// The whole file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read_file(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, Error> {
    let opening = Error::io(format!("read {}", path.display()));
    let file = disk.open(path).map_err(opening)?;
    read_open(file.as_ref(), path)
}

/// The whole of an open file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read_open(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>, Error> {
    let doing = || Error::io(format!("read {}", path.display()));
    let size = file.size().map_err(doing())?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0).map_err(doing())?;
    Ok(bytes)
}

/// Replaces a file as a whole: after a crash it is the old one or the new one.
///
/// # Errors
/// When a step fails; the old file is then still there.
pub(super) fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_file_by(disk, path, |file| file.write_at(bytes, 0))
}

/// The same with what `write` writes to the new file.
///
/// # Errors
/// As [`write_file`].
pub(super) fn write_file_by(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> Result<(), Error> {
    let doing = || Error::io(format!("write {}", path.display()));
    let temporary = path.with_extension("tmp");
    let file = disk.create(&temporary).map_err(doing())?;
    write(file.as_ref()).map_err(doing())?;
    file.sync().map_err(doing())?;
    disk.rename(&temporary, path).map_err(doing())?;
    disk.sync_dir(path.parent().unwrap_or(path))
        .map_err(doing())
}

/// The number of stripes that a format file names; the error says what is wrong with it.
pub(super) fn parse_format(text: &str) -> Result<u16, String> {
    let mut lines = text.lines();
    let mut number =
        |prefix: &str| -> Option<u32> { lines.next()?.strip_prefix(prefix)?.trim().parse().ok() };
    let version = number("taraf log format ");
    let version = version.ok_or_else(|| format!("its {FORMAT} file cannot be read"))?;
    if version > FORMAT_VERSION {
        return Err(format!(
            "it has format {version} and this program knows formats up to {FORMAT_VERSION}; use \
             the newer program"
        ));
    }
    let stripes = number("stripes ").filter(|n| (1..=STRIPES_MAX).contains(n));
    let stripes = stripes.and_then(|n| u16::try_from(n).ok());
    stripes.ok_or_else(|| format!("its {FORMAT} file names no number of stripes"))
}

/// Nothing was ever put in place: the directory's making was cut short.
fn is_unborn(disk: &dyn Disk, dir: &Path) -> bool {
    let stripes = disk.list(&dir.join("stripes"));
    stripes.is_ok_and(|names| names.is_empty())
}
