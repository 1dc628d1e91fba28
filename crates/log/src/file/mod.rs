//! The log in local segment files: written in stripes, synced in groups, recovered by scanning.

use std::path::Path;

use crate::Error;

mod config;
mod cut;
pub mod direct;
mod directory;
pub mod disk;
mod frame;
mod index;
mod inspect;

pub mod memory_disk;
mod partitions;
mod reader;
mod recover;
mod repair;
mod reserve;
mod segment;
mod shared;
mod snapshots;
mod spare;
mod store;
mod thread;
mod writer;

pub use config::{BATCH_BYTES_MAX, Config};
pub use cut::Hold;
pub(crate) use inspect::{Inspection, extend_restored, inspect};
pub use repair::{truncate_at, truncate_on};
pub use store::{FileLog, FileTerm};

/// Takes a log's directory as long as the guard lives.
///
/// # Errors
/// [`Error::Locked`] naming the process that has it, [`Error::Io`] when there is no such directory.
pub(crate) fn lock_directory(dir: &Path) -> Result<disk::LockGuard, Error> {
    if let Err(error) = std::fs::metadata(dir) {
        return Err(Error::io(format!("find a log in {}", dir.display()))(error));
    }
    directory::lock(&disk::OsDisk, dir)
}
