//! A disk in memory that forgets what was not synced, and fails when a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taraf_base::Rng;

use super::disk::{Disk, DiskFile, Lock};

/// What a disk writes as one; a crash may tear a write between sectors.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones share it.
///
/// [`MemoryDisk::crash`] answers what a machine would find after losing power: everything synced,
/// and any part of what was not.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Names as programs see them.
    names: BTreeMap<PathBuf, Arc<MemoryFile>>,
    /// Names as of the last sync of their directory.
    durable_names: BTreeMap<PathBuf, Arc<MemoryFile>>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    capacity: Option<u64>,
    /// The first write to the next new file fails.
    fails_new: bool,
    /// The first sync of the next new file fails.
    fails_new_sync: bool,
}

/// A file of a [`MemoryDisk`].
pub struct MemoryFile {
    content: Mutex<Content>,
    disk: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
    fails_sync: bool,
    fails_write: bool,
    /// The next write finds no space.
    lacks_space: Option<Lack>,
}

/// Where a write finds no space.
#[derive(Clone, Copy, Debug)]
enum Lack {
    AtOnce,
    HalfWay,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk that holds these files, all durable.
    #[must_use]
    pub fn with_files(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        let disk = Self::new();
        for (path, bytes) in files {
            let file = disk.new_file(bytes.clone());
            lock(&file.content).durable = bytes;
            let mut state = lock(&disk.state);
            state
                .dirs
                .extend(path.ancestors().skip(1).map(Path::to_owned));
            state.names.insert(path.clone(), Arc::clone(&file));
            state.durable_names.insert(path, file);
        }
        disk
    }

    /// All files as programs see them.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = lock(&self.state);
        let seen = |(path, file): (&PathBuf, &Arc<MemoryFile>)| {
            (path.clone(), lock(&file.content).seen.clone())
        };
        state.names.iter().map(seen).collect()
    }

    /// The disk after a loss of power: of what was not synced, each name and each sector is there or
    /// not as `rng` says.
    #[must_use]
    pub fn crash(&self, rng: &mut Rng) -> Self {
        let state = lock(&self.state);
        let names = if rng.below(2) == 0 {
            &state.names
        } else {
            &state.durable_names
        };
        let survived = |(path, file): (&PathBuf, &Arc<MemoryFile>)| {
            (path.clone(), lock(&file.content).after_crash(rng))
        };
        let files: Vec<_> = names.iter().map(survived).collect();
        let disk = Self::with_files(files);
        lock(&disk.state).dirs.extend(state.dirs.iter().cloned());
        disk
    }

    /// No write may bring the files above this size in all.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.state).capacity = bytes;
    }

    /// Lets the next sync of every file whose path contains `part` fail. As with a real one, the
    /// bytes stay visible and later syncs answer success without storing them.
    pub fn fail_sync(&self, part: &str) {
        self.change(part, |content| content.fails_sync = true);
    }

    /// Lets the next write to every file whose path contains `part` fail half-way.
    pub fn fail_write(&self, part: &str) {
        self.change(part, |content| content.fails_write = true);
    }

    /// Lets the next write to every file whose path contains `part` find no space half-way, as on a
    /// file system that takes new blocks for every write.
    pub fn lack_space(&self, part: &str) {
        self.change(part, |content| content.lacks_space = Some(Lack::HalfWay));
    }

    /// The same, where not even its first byte finds space.
    pub fn lack_all_space(&self, part: &str) {
        self.change(part, |content| content.lacks_space = Some(Lack::AtOnce));
    }

    /// Lets the first write to the next file that is made fail half-way.
    pub fn fail_next_create_write(&self) {
        lock(&self.state).fails_new = true;
    }

    /// Lets the first sync of the next file that is made fail, as [`MemoryDisk::fail_sync`] does.
    pub fn fail_next_create_sync(&self) {
        lock(&self.state).fails_new_sync = true;
    }

    /// Flips a bit of a file, durably.
    pub fn flip(&self, path: &Path, at: usize) {
        if let Ok(file) = lock(&self.state).find(path) {
            let mut content = lock(&file.content);
            let Content { seen, durable, .. } = &mut *content;
            for bytes in [seen, durable] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1;
                }
            }
        }
    }

    /// Puts a file whose bytes are durable and whose name is not, as a process leaves it that ends
    /// between renaming and syncing the folder.
    pub fn put_unsynced_name(&self, path: &Path, bytes: Vec<u8>) {
        let file = self.new_file(bytes.clone());
        lock(&file.content).durable = bytes;
        let mut state = lock(&self.state);
        let dirs = path.ancestors().skip(1).map(Path::to_owned);
        state.dirs.extend(dirs);
        state.names.insert(path.to_owned(), file);
    }

    /// Forgets who holds locks, as the end of their processes would.
    pub fn release_locks(&self) {
        lock(&self.state).locks.clear();
    }

    fn change(&self, part: &str, change: impl Fn(&mut Content)) {
        for (path, file) in &lock(&self.state).names {
            if path.to_string_lossy().contains(part) {
                change(&mut lock(&file.content));
            }
        }
    }

    fn new_file(&self, bytes: Vec<u8>) -> Arc<MemoryFile> {
        let content = Content {
            seen: bytes,
            ..Content::default()
        };
        Arc::new(MemoryFile {
            content: Mutex::new(content),
            disk: Arc::clone(&self.state),
        })
    }
}

impl State {
    fn find(&self, path: &Path) -> io::Result<Arc<MemoryFile>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, path.display().to_string());
        self.names.get(path).cloned().ok_or_else(missing)
    }

    fn used(&self) -> u64 {
        let sizes = self
            .names
            .values()
            .map(|file| lock(&file.content).seen.len() as u64);
        sizes.sum()
    }
}

impl Content {
    fn put(bytes: &mut Vec<u8>, offset: usize, part: &[u8]) {
        let end = offset + part.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(part);
    }

    fn after_crash(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (offset, part) in &self.pending {
            let mut at = 0;
            while at < part.len() {
                let sector_end = (offset + at + 1).next_multiple_of(SECTOR_BYTES) - offset;
                let end = sector_end.min(part.len());
                if rng.below(2) == 0 {
                    Self::put(&mut bytes, offset + at, &part[at..end]);
                }
                at = end;
            }
        }
        bytes
    }
}

impl Disk for MemoryDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        lock(&self.state).dirs.insert(dir.to_owned());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = lock(&self.state);
        let all = state.names.keys().chain(&state.dirs);
        let inside = all.filter(|path| path.parent() == Some(dir));
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        Ok(inside.filter_map(name).collect())
    }

    fn is_dir(&self, path: &Path) -> bool {
        lock(&self.state).dirs.contains(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.new_file(Vec::new());
        let mut state = lock(&self.state);
        let mut content = lock(&file.content);
        content.fails_write = std::mem::take(&mut state.fails_new);
        content.fails_sync = std::mem::take(&mut state.fails_new_sync);
        drop(content);
        state.names.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(lock(&self.state).find(path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let file = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.find(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let State {
            names,
            durable_names,
            ..
        } = &mut *state;
        let is_inside = |path: &PathBuf| path.parent() == Some(dir);
        durable_names.retain(|path, _| !is_inside(path));
        let inside = names.iter().filter(|(path, _)| is_inside(path));
        durable_names.extend(inside.map(|(path, file)| (path.clone(), Arc::clone(file))));
        Ok(())
    }

    fn free(&self, _dir: &Path) -> io::Result<u64> {
        let state = lock(&self.state);
        let free = |most: u64| most.saturating_sub(state.used());
        Ok(state.capacity.map_or(u64::MAX, free))
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        if !lock(&self.state).locks.insert(path.to_owned()) {
            return Ok(Lock::Held("1".to_owned()));
        }
        Ok(Lock::Taken(Box::new(Guard {
            state: Arc::clone(&self.state),
            path: path.to_owned(),
        })))
    }
}

struct Guard {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl Drop for Guard {
    fn drop(&mut self) {
        lock(&self.state).locks.remove(&self.path);
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.content).seen.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = lock(&self.content);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = content
            .seen
            .get(start..)
            .and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let size = lock(&self.content).seen.len();
        let growth = (start + bytes.len()).saturating_sub(size) as u64;
        {
            let state = lock(&self.disk);
            if state
                .capacity
                .is_some_and(|most| state.used() + growth > most)
                && growth > 0
            {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let mut content = lock(&self.content);
        let fails = std::mem::take(&mut content.fails_write);
        let lack = content.lacks_space.take();
        let stored = match lack {
            Some(Lack::AtOnce) => &[],
            Some(Lack::HalfWay) => &bytes[..bytes.len() / 2],
            None if fails => &bytes[..bytes.len() / 2],
            None => bytes,
        };
        Content::put(&mut content.seen, start, stored);
        content.pending.push((start, stored.to_owned()));
        if fails {
            return Err(io::Error::other("a write that a test made fail"));
        }
        if lack.is_some() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = lock(&self.content);
        let pending = std::mem::take(&mut content.pending);
        if std::mem::take(&mut content.fails_sync) {
            return Err(io::Error::other("a sync that a test made fail"));
        }
        for (offset, part) in pending {
            Content::put(&mut content.durable, offset, &part);
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
