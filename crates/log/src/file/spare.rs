//! Segment files prepared ahead: full of zeros (or of an earlier use) and synced before anybody
//! waits for them, so that a write never waits for the file system to find blocks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use taraf_base::Tasks;

use super::disk::Disk;
use super::writer::Spares;
use crate::Error;

const SUFFIX: &str = ".spare";
/// The name of a file until all of it is durable.
const FILLING: &str = "new.filling";
/// Written at once while filling a file.
const FILL_BYTES: usize = 1 << 20;
/// More than one serves nobody: the next is prepared while the current segment fills.
const SPARES_MAX: usize = 2;

/// The first spare is prepared so long after the start, unless somebody waits for it: until then others
/// have more use for the disk and the processor.
const FIRST_AFTER: Duration = Duration::from_secs(2);

/// The thread that keeps a spare segment ready.
pub(super) struct Preparer {
    wanted: mpsc::SyncSender<()>,
    /// Tells it that somebody waits.
    hurry: mpsc::SyncSender<()>,
    ready: mpsc::Receiver<Result<PathBuf, Error>>,
}

impl Preparer {
    /// Starts preparing the first spare.
    pub(super) fn start(disk: Arc<dyn Disk>, dir: PathBuf, bytes: u64, tasks: &Tasks) -> Self {
        let (wanted, wants) = mpsc::sync_channel(1);
        let (hurry, hurried) = mpsc::sync_channel(1);
        let (spares, ready) = mpsc::sync_channel(1);
        tasks.spawn_blocking("log-spare", move || {
            let _in_time_or_not = hurried.recv_timeout(FIRST_AFTER);
            // Ends with the writer, which holds the other side.
            while let Ok(()) = wants.recv() {
                if spares.send(prepare(disk.as_ref(), &dir, bytes)).is_err() {
                    return;
                }
            }
        });
        let mut spares = Self {
            wanted,
            hurry,
            ready,
        };
        spares.want();
        spares
    }
}

impl Spares for Preparer {
    /// Waits while it is being prepared.
    fn take(&mut self) -> Result<PathBuf, Error> {
        let gone = || Error::Poisoned("the thread that prepares segments has ended".to_owned());
        if let Ok(prepared) = self.ready.try_recv() {
            return prepared;
        }
        // It has been told already, or does not wait.
        let _known = self.hurry.try_send(());
        self.ready.recv().map_err(|_ended| gone())?
    }

    fn want(&mut self) {
        // The thread has ended only when the log stops, and then nobody takes.
        let _ended = self.wanted.send(());
    }
}

/// Prepares a spare when it is asked for, without a thread.
pub(super) struct Prompt {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
    ready: Option<Result<PathBuf, Error>>,
}

impl Prompt {
    /// Prepares the first spare.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf, bytes: u64) -> Self {
        let mut spares = Self {
            disk,
            dir,
            bytes,
            ready: None,
        };
        spares.want();
        spares
    }
}

impl Spares for Prompt {
    fn take(&mut self) -> Result<PathBuf, Error> {
        let prepared = self.ready.take();
        prepared.unwrap_or_else(|| prepare(self.disk.as_ref(), &self.dir, self.bytes))
    }

    fn want(&mut self) {
        self.ready = Some(prepare(self.disk.as_ref(), &self.dir, self.bytes));
    }
}

/// A file of that many bytes, ready to become a segment: one left over, or a new one.
///
/// Invariant: all bytes of a file that is named as a spare are durable, since it has another name
/// until they are. By its size alone nobody could tell: a file whose sync failed before the process
/// died looks whole until the power goes.
///
/// # Errors
/// When the disk is full or fails.
pub(super) fn prepare(disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<PathBuf, Error> {
    for name in names(disk, dir)? {
        let path = dir.join(&name);
        let size = disk.open(&path).and_then(|file| file.size());
        if size.is_ok_and(|size| size == bytes) {
            // Whoever gave it this name may have died before that was durable: after a loss of power
            // the file would be the segment it once was, with the header of another.
            let doing = Error::io(format!("keep {}", path.display()));
            disk.sync_dir(dir).map_err(doing)?;
            return Ok(path);
        }
        let doing = Error::io(format!("remove {}", path.display()));
        disk.remove(&path).map_err(doing)?;
    }
    let filling = dir.join(FILLING);
    let path = dir.join(format!("new{SUFFIX}"));
    let filled = fill(disk, &filling, bytes).and_then(|()| {
        let doing = || Error::io(format!("name {}", path.display()));
        disk.rename(&filling, &path).map_err(doing())?;
        disk.sync_dir(dir).map_err(doing())
    });
    if let Err(error) = filled {
        // A half-filled file only takes room; the next attempt truncates it if this does not.
        let _still_there = disk.remove(&filling);
        return Err(error);
    }
    Ok(path)
}

/// Keeps a segment that is no longer needed as a spare, or removes it.
///
/// # Errors
/// When the disk fails.
pub(super) fn recycle(disk: &dyn Disk, dir: &Path, path: &Path, bytes: u64) -> Result<(), Error> {
    let is_whole = disk
        .open(path)
        .and_then(|file| file.size())
        .is_ok_and(|size| size == bytes);
    let doing = || Error::io(format!("recycle {}", path.display()));
    if !is_whole || names(disk, dir)?.len() >= SPARES_MAX {
        return disk.remove(path).map_err(doing());
    }
    let name = path.with_extension("spare");
    disk.rename(path, &name).map_err(doing())?;
    // The old name must be gone for good before the file gets a new header.
    disk.sync_dir(dir).map_err(doing())
}

fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = disk
        .list(dir)
        .map_err(Error::io(format!("list {}", dir.display())))?;
    names.retain(|name| name.ends_with(SUFFIX));
    names.sort_unstable();
    Ok(names)
}

/// Writes a file of zeros that is durable, and so takes its room for good.
///
/// # Errors
/// When the disk is full or fails.
pub(super) fn fill(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<(), Error> {
    let doing = || Error::io(format!("prepare {}", path.display()));
    let file = disk.create(path).map_err(doing())?;
    let zeros = vec![0; FILL_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
        let part = zeros.get(..left.min(FILL_BYTES)).unwrap_or(&zeros);
        file.write_at(part, offset).map_err(doing())?;
        offset += part.len() as u64;
    }
    file.sync().map_err(doing())?;
    disk.sync_dir(path.parent().unwrap_or(path))
        .map_err(doing())
}

#[cfg(test)]
mod tests {
    use taraf_base::Rng;

    use super::super::memory_disk::MemoryDisk;
    use super::*;

    #[test]
    fn a_spare_that_was_left_over_keeps_its_name_when_the_power_goes() {
        let segment = PathBuf::from("log/0000000000000002.segment");
        let disk = MemoryDisk::with_files([(segment.clone(), vec![7; 64])]);
        // As a process does that is killed before it has synced the directory.
        disk.rename(&segment, &segment.with_extension("spare"))
            .unwrap();
        let spare = prepare(&disk, Path::new("log"), 64).unwrap();
        for seed in 0..20 {
            let files = disk.crash(&mut Rng::new(seed)).files();
            assert!(files.contains_key(&spare), "seed {seed}");
            assert!(!files.contains_key(&segment), "seed {seed}");
        }
    }
}
