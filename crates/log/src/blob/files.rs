//! Blobs as files: `HH/HASH-LENGTH`, the bytes as they are, whole or not there.
//!
//! `HH` are the first two digits of the hash, so that no folder grows without bound. A file is
//! written under another name, synced, renamed, and its folder synced, before anybody hears of it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::recent::Recent;
use super::{BlobId, Collected, Error};
use crate::file::disk::Disk;

const TEMPORARY_SUFFIX: &str = ".tmp";
/// Digits of the hash that name a folder.
const FOLDER_DIGITS: usize = 2;
/// Blobs of which it is remembered that they are durable; others are written again when they are put.
const DURABLE_MAX: usize = 65_536;

/// Blobs as files.
pub(super) struct FileBlobs {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Held while a blob is removed, so that nobody finds it there just before.
    recent: Mutex<Recent>,
    /// Folders whose names are durable.
    folders: Mutex<BTreeSet<String>>,
    /// What this process synced itself. What it found may lie in the cache alone: a process before it
    /// may have died of a sync that failed.
    durable: Mutex<BTreeSet<BlobId>>,
    next_temporary: AtomicU64,
    /// Set by a failed sync: what the disk has is not known any more.
    is_poisoned: AtomicBool,
}

impl FileBlobs {
    /// Opens the folder; removes what a crash left half-written.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, Error> {
        let doing = || failed(format!("open the payloads in {}", dir.display()));
        disk.create_dir(dir).map_err(doing())?;
        let parent = dir.parent().unwrap_or(dir);
        disk.sync_dir(parent).map_err(doing())?;
        let files = Self {
            disk,
            dir: dir.to_owned(),
            recent: Mutex::default(),
            folders: Mutex::default(),
            durable: Mutex::default(),
            next_temporary: AtomicU64::new(0),
            is_poisoned: AtomicBool::new(false),
        };
        for folder in files.folder_names()? {
            let path = files.dir.join(folder);
            for name in files.disk.list(&path).map_err(doing())? {
                if name.ends_with(TEMPORARY_SUFFIX) {
                    files.disk.remove(&path.join(name)).map_err(doing())?;
                }
            }
        }
        Ok(files)
    }

    pub(super) fn put(&self, id: BlobId, bytes: &[u8]) -> Result<(), Error> {
        if self.is_poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        // Noted first: from here on no collection takes it away.
        lock(&self.recent).note(id);
        let (folder, path) = self.place(&id);
        let is_durable = lock(&self.durable).contains(&id);
        if is_durable && matches!(self.get(&id), Ok(found) if found == bytes) {
            return Ok(());
        }
        let doing = || failed(format!("store the payload {}", path.display()));
        self.make(&folder)?;
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{number}{TEMPORARY_SUFFIX}"));
        let written = self.disk.create(&temporary).and_then(|file| {
            file.write_at(bytes, 0)?;
            self.synced(file.sync())
        });
        if let Err(error) = written {
            // A leftover only takes room; the next start removes it if this does not.
            let _still_there = self.disk.remove(&temporary);
            return Err(doing()(error));
        }
        self.disk.rename(&temporary, &path).map_err(doing())?;
        self.synced(self.disk.sync_dir(&folder)).map_err(doing())?;
        let mut durable = lock(&self.durable);
        if durable.len() >= DURABLE_MAX {
            durable.clear();
        }
        durable.insert(id);
        Ok(())
    }

    /// A sync that failed is never asked for again: the next one might say yes to what is lost.
    fn synced(&self, result: io::Result<()>) -> io::Result<()> {
        if let Err(error) = &result
            && !is_full(error)
        {
            self.is_poisoned.store(true, Ordering::Release);
        }
        result
    }

    pub(super) fn get(&self, id: &BlobId) -> Result<Bytes, Error> {
        let (_, path) = self.place(id);
        let doing = || failed(format!("read {}", path.display()));
        let file = match self.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(*id));
            }
            opened => opened.map_err(doing())?,
        };
        let size = file.size().map_err(doing())?;
        // Not before its length is checked is memory taken for it.
        let Some(size) = usize::try_from(size).ok().filter(|_| size == id.len) else {
            let what = format!("{} has {size} bytes", path.display());
            return Err(Error::Damaged(*id, what));
        };
        let mut bytes = vec![0; size];
        file.read_at(&mut bytes, 0).map_err(doing())?;
        if BlobId::of(&bytes) != *id {
            let what = format!("{} holds other bytes", path.display());
            return Err(Error::Damaged(*id, what));
        }
        Ok(bytes.into())
    }

    pub(super) fn collect(
        &self,
        is_named: &mut dyn FnMut(&BlobId) -> bool,
    ) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        for folder in self.folder_names()? {
            let folder = self.dir.join(folder);
            let doing = || failed(format!("collect the payloads in {}", folder.display()));
            let mut removed = false;
            for name in self.disk.list(&folder).map_err(doing())? {
                // Half-written files are their writers'.
                let Ok(id) = name.parse::<BlobId>() else {
                    continue;
                };
                let is_named = is_named(&id);
                let recent = lock(&self.recent);
                let keep = is_named || recent.spares(&id);
                if !keep {
                    lock(&self.durable).remove(&id);
                    self.disk.remove(&folder.join(name)).map_err(doing())?;
                }
                drop(recent);
                collected.count(&id, keep);
                removed |= !keep;
            }
            if removed {
                self.disk.sync_dir(&folder).map_err(doing())?;
            }
        }
        Ok(collected)
    }

    pub(super) fn with_recent<T>(&self, f: impl FnOnce(&mut Recent) -> T) -> T {
        f(&mut lock(&self.recent))
    }

    fn place(&self, id: &BlobId) -> (PathBuf, PathBuf) {
        let name = id.to_string();
        let folder = self.dir.join(name.get(..FOLDER_DIGITS).unwrap_or_default());
        let path = folder.join(name);
        (folder, path)
    }

    /// Makes a folder whose name is durable.
    fn make(&self, folder: &Path) -> Result<(), Error> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let mut folders = lock(&self.folders);
        if !folders.contains(name.as_ref()) {
            let doing = || failed(format!("make {}", folder.display()));
            self.disk.create_dir(folder).map_err(doing())?;
            self.synced(self.disk.sync_dir(&self.dir))
                .map_err(doing())?;
            folders.insert(name.into_owned());
        }
        Ok(())
    }

    /// The folders that are there.
    fn folder_names(&self) -> Result<Vec<String>, Error> {
        let doing = failed(format!("list the payloads in {}", self.dir.display()));
        let mut names = self.disk.list(&self.dir).map_err(doing)?;
        names.retain(|name| {
            name.len() == FOLDER_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        names.sort_unstable();
        Ok(names)
    }
}

fn failed(doing: String) -> impl FnOnce(io::Error) -> Error {
    move |source| {
        if is_full(&source) {
            return Error::Full;
        }
        Error::Io { doing, source }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
