//! Everything a node keeps, as one file that is made while the node runs, checked, and put back.
//!
//! A backup is a tar file: the files of the data directory, in the order in which they were read,
//! and last a [`Manifest`] with the hash of each. Without its manifest a backup is not whole. The
//! log decides what is in it: the cut is taken while nothing is trimmed and no blob is collected,
//! so that whatever a record in it names is in it too.

mod contents;
mod manifest;
mod pack;
mod restore;
mod tar;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::file::disk::{Disk, DiskFile};
pub use contents::{Contents, Named};
pub use manifest::Manifest;
pub use pack::Pack;
pub use restore::{Restored, extract, restore};
pub use verify::{Report, verify_backup, verify_directory, verify_names};

/// The folder of the log in a data directory.
pub const LOG: &str = "log";
/// The folder of the blobs in a data directory.
pub const BLOBS: &str = "blobs";

/// How often a folder is listed whose files come and go meanwhile.
const LISTINGS_MAX: usize = 100;
/// Bytes read or written at once.
const PIECE_BYTES: usize = 256 << 10;

/// A file that a backup holds, by its path in the data directory.
pub struct Item {
    /// The path, with `/` between its parts.
    pub path: String,
    /// As many bytes of it as belong to the backup, as far as that is known before it is opened.
    pub len: u64,
    /// Where they come from.
    pub source: Source,
}

/// Where the bytes of a file come from.
pub enum Source {
    /// A file that is open already, and may have lost its name since.
    Open(Arc<dyn DiskFile>),
    /// A file that is opened when its turn comes, and then taken whole; left out when it is gone. For
    /// files that are replaced or appended to, never changed.
    Path(PathBuf),
}

/// An error of a backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backup cannot be used as it is.
    #[error("the backup {} cannot be used: {what}", .file.display())]
    Unusable {
        /// The backup.
        file: PathBuf,
        /// Why not.
        what: String,
    },
    /// There is something where the data would go.
    #[error("{} is there already; restore into a folder that does not exist", .0.display())]
    Exists(PathBuf),
    /// The path does not fit a backup.
    #[error("the path {0} is too long for a backup")]
    Path(String),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] crate::Error),
    /// The operating system refused something.
    #[error("failed to {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// The files in `dir` and its folders, sorted, as items below `prefix`; those that `skip` names are
/// left out. Nothing when there is no such folder.
///
/// # Errors
/// When a folder cannot be read.
pub fn items_in(
    disk: &dyn Disk,
    dir: &Path,
    prefix: &str,
    skip: &dyn Fn(&str) -> bool,
) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    let mut names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(items),
        Err(error) => return Err(Error::io(format!("list {}", dir.display()))(error)),
    };
    names.sort_unstable();
    for name in names {
        let (path, place) = (join(prefix, &name), dir.join(&name));
        if skip(&path) {
            continue;
        }
        if disk.is_dir(&place) {
            items.extend(items_in(disk, &place, &path, skip)?);
            continue;
        }
        let len = match disk.open(&place).and_then(|file| file.size()) {
            // It was removed since its folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            size => size.map_err(Error::io(format!("look at {}", place.display())))?,
        };
        let source = Source::Path(place);
        items.push(Item { path, len, source });
    }
    Ok(items)
}

/// The files of a folder, opened: they stay readable when they lose their names meanwhile. All of them
/// were there at one instant.
///
/// # Errors
/// When the folder cannot be read, or keeps changing.
pub fn open_items_in(disk: &dyn Disk, dir: &Path, prefix: &str) -> Result<Vec<Item>, Error> {
    let doing = || Error::io(format!("list {}", dir.display()));
    for _ in 0..LISTINGS_MAX {
        let mut names = match disk.list(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(doing()(error)),
        };
        names.sort_unstable();
        let opened = names.iter().map(|name| {
            let file = disk.open(&dir.join(name))?;
            Ok(Item {
                path: join(prefix, name),
                len: file.size()?,
                source: Source::Open(file),
            })
        });
        let opened: io::Result<Vec<Item>> = opened.collect();
        let mut after = match (opened, disk.list(dir)) {
            // One of them lost its name meanwhile: what it held is in another by now.
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => continue,
            (Err(error), _) | (_, Err(error)) => return Err(doing()(error)),
            (Ok(items), Ok(after)) => (items, after),
        };
        after.1.sort_unstable();
        if after.1 == names {
            return Ok(after.0);
        }
    }
    Err(doing()(io::Error::other("it keeps changing")))
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    }
}
