//! A disk that forgets what was not synced, tears writes, fails to sync, runs full, and dies between any
//! two of its operations.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taraf_base::Rng;
use taraf_log::file::disk::{Disk, DiskFile, Lock};

use crate::bug::Bug;

/// What a disk writes as one; a crash may tear a write between sectors.
const SECTOR_BYTES: usize = 512;

/// The simulated disk. Clones share it.
#[derive(Clone)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    rng: Rng,
    bug: Option<Bug>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    files: Vec<Content>,
    /// Names as programs see them.
    names: BTreeMap<PathBuf, usize>,
    /// Names that survive a loss of power.
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of their directory, in order.
    changes: Vec<Change>,
    capacity: Option<u64>,
    /// Whether it never writes in place, so that a write into a file of full size may find no room.
    copies: bool,
    /// Operations until the machine dies within one.
    dies_in: Option<u64>,
    is_dead: bool,
    /// Syncs of segments and blobs until one fails.
    sync_fails_in: Option<u64>,
    has_failed: bool,
    syncs: u64,
    rotten: Option<(PathBuf, usize, u8)>,
}

/// Names that change together, or not at all.
type Change = Vec<(PathBuf, Option<usize>)>;

#[derive(Clone, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
    /// Where writes began and ended, in order.
    writes: Vec<(usize, usize)>,
}

struct SimFile {
    disk: SimDisk,
    id: usize,
    is_segment: bool,
}

impl SimDisk {
    pub(crate) fn new(mut rng: Rng, bug: Option<Bug>) -> Self {
        let state = State {
            copies: rng.below(3) == 0,
            rng,
            bug,
            dirs: BTreeSet::new(),
            locks: BTreeSet::new(),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            capacity: None,
            dies_in: None,
            is_dead: false,
            sync_fails_in: None,
            has_failed: false,
            syncs: 0,
            rotten: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine dies within its `operations`-th operation from now.
    pub(crate) fn die_in(&self, operations: u64) {
        self.lock().dies_in = Some(operations);
    }

    /// Whether the machine died within an operation.
    pub(crate) fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Whether an operation has failed since the machine started.
    pub(crate) fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// The `syncs`-th sync of a segment from now fails; its bytes stay in the cache and never reach
    /// the disk, whatever is asked later.
    pub(crate) fn fail_sync_in(&self, syncs: u64) {
        self.lock().sync_fails_in = Some(syncs);
    }

    /// Leaves room for that many bytes more; none takes the limit away.
    pub(crate) fn set_room(&self, room: Option<u64>) {
        let mut state = self.lock();
        state.capacity = room.map(|room| state.used() + room);
    }

    /// The process ended and another begins: the cache stays.
    pub(crate) fn end_process(&self) {
        let mut state = self.lock();
        state.reset();
    }

    /// The machine lost power: of what was not synced any part may be there.
    pub(crate) fn lose_power(&self) {
        let mut state = self.lock();
        state.lose_power();
        state.reset();
    }

    /// No fault from now on.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        (state.capacity, state.dies_in, state.sync_fails_in) = (None, None, None);
    }

    /// Flips a bit of something that a later write vouches for; says where.
    pub(crate) fn rot(&self) -> Option<PathBuf> {
        let state = &mut *self.lock();
        let mut segments = state
            .names
            .iter()
            .filter(|(path, _)| path.extension().is_some_and(|e| e == "segment"));
        let (path, id) = segments.next_back().map(|(path, id)| (path.clone(), *id))?;
        let content = state.files.get_mut(id)?;
        // The last write may have been torn for all that anybody can tell.
        let (_, vouched) = content.writes.split_last()?;
        let count = u64::try_from(vouched.len()).ok()?;
        let place = usize::try_from(state.rng.below(count)).ok()?;
        let (from, to) = *vouched.get(place)?;
        let span = u64::try_from(to.saturating_sub(from)).ok()?;
        let at = from + usize::try_from(state.rng.below(span)).ok()?;
        let bit = 1 << state.rng.below(8);
        *content.seen.get_mut(at)? ^= bit;
        *content.durable.get_mut(at)? ^= bit;
        state.rotten = Some((path.clone(), at, bit));
        Some(path)
    }

    /// Flips the bit back, as restoring a backup would. Answers whether one was flipped.
    pub(crate) fn restore(&self) -> bool {
        let state = &mut *self.lock();
        let Some((path, at, bit)) = state.rotten.take() else {
            return false;
        };
        if let Some(content) = state
            .names
            .get(&path)
            .and_then(|id| state.files.get_mut(*id))
        {
            for bytes in [&mut content.seen, &mut content.durable] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bit;
                }
            }
        }
        true
    }
}

impl State {
    fn reset(&mut self) {
        self.locks.clear();
        self.is_dead = false;
        self.dies_in = None;
        self.sync_fails_in = None;
        self.has_failed = false;
    }

    fn lose_power(&mut self) {
        // Names are kept by a journal: what was changed last is lost first.
        let kept = self.changes.len();
        let kept =
            usize::try_from(self.rng.below(u64::try_from(kept).unwrap_or(0) + 1)).unwrap_or(0);
        let changes = std::mem::take(&mut self.changes);
        self.keep_names(changes.into_iter().take(kept));
        self.names = self.durable_names.clone();
        // All of it, none of it, or any sectors of it.
        let mode = self.rng.below(4);
        for content in &mut self.files {
            for (offset, part) in std::mem::take(&mut content.pending) {
                let mut at = 0;
                while at < part.len() {
                    let sector_end = (offset + at + 1).next_multiple_of(SECTOR_BYTES) - offset;
                    let end = sector_end.min(part.len());
                    if mode == 0 || (mode > 1 && self.rng.below(2) == 0) {
                        put(&mut content.durable, offset + at, &part[at..end]);
                    }
                    at = end;
                }
            }
            content.seen.clone_from(&content.durable);
        }
    }

    fn used(&self) -> u64 {
        let size = |id: &usize| self.files.get(*id).map_or(0, |content| content.seen.len());
        let sizes: usize = self.names.values().map(size).sum();
        u64::try_from(sizes).unwrap_or(u64::MAX)
    }

    /// Counts an operation. `Err` when the machine is dead; `Ok(false)` when it dies within this one.
    fn step(&mut self) -> io::Result<bool> {
        if self.is_dead {
            return Err(io::Error::other("the machine is dead"));
        }
        if let Some(left) = &mut self.dies_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.is_dead = true;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn alive(&mut self) -> io::Result<()> {
        if self.step()? {
            return Ok(());
        }
        Err(io::Error::other("the machine died"))
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, path.display().to_string());
        self.names.get(path).copied().ok_or_else(missing)
    }

    fn name(&mut self, change: Change) {
        for (path, id) in change.clone() {
            match id {
                Some(id) => drop(self.names.insert(path, id)),
                None => drop(self.names.remove(&path)),
            }
        }
        self.changes.push(change);
    }

    fn keep_names(&mut self, changes: impl Iterator<Item = Change>) {
        for (path, id) in changes.flatten() {
            match id {
                Some(id) => drop(self.durable_names.insert(path, id)),
                None => drop(self.durable_names.remove(&path)),
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, part: &[u8]) {
    let end = offset + part.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(part);
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.alive()?;
        state.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn is_dir(&self, path: &Path) -> bool {
        Self::lock(self).dirs.contains(path)
    }

    fn free(&self, _dir: &Path) -> io::Result<u64> {
        let mut state = Self::lock(self);
        state.alive()?;
        let left = state.capacity.map(|most| most.saturating_sub(state.used()));
        Ok(left.unwrap_or(u64::MAX))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.alive()?;
        let all = state.names.keys().chain(&state.dirs);
        let inside = all.filter(|path| path.parent() == Some(dir));
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        Ok(inside.filter_map(name).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.alive()?;
        let id = state.files.len();
        state.files.push(Content::default());
        state.name(vec![(path.to_owned(), Some(id))]);
        drop(state);
        Ok(self.file(path, id))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.alive()?;
        let id = state.find(path)?;
        drop(state);
        Ok(self.file(path, id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let lives = state.step()?;
        let id = state.find(from)?;
        if lives || state.rng.below(2) == 0 {
            state.name(vec![(from.to_owned(), None), (to.to_owned(), Some(id))]);
        }
        if lives {
            return Ok(());
        }
        Err(io::Error::other("the machine died"))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.alive()?;
        state.find(path)?;
        state.name(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.alive()?;
        let (inside, outside): (Vec<Change>, Vec<Change>) = std::mem::take(&mut state.changes)
            .into_iter()
            .partition(|change| change.iter().any(|(path, _)| path.parent() == Some(dir)));
        state.keep_names(inside.into_iter());
        state.changes = outside;
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut state = Self::lock(self);
        state.alive()?;
        if !state.locks.insert(path.to_owned()) {
            return Ok(Lock::Held("1".to_owned()));
        }
        Ok(Lock::Taken(Box::new(Guard {
            disk: self.clone(),
            path: path.to_owned(),
        })))
    }

    fn salt(&self) -> u64 {
        let mut state = Self::lock(self);
        if state.bug == Some(Bug::ReuseWithoutSalt) {
            return 1;
        }
        state.rng.next_u64()
    }
}

impl SimDisk {
    fn file(&self, path: &Path, id: usize) -> Arc<dyn DiskFile> {
        let name = path.to_string_lossy();
        Arc::new(SimFile {
            disk: self.clone(),
            id,
            is_segment: name.contains("stripes") || name.contains("/blobs/"),
        })
    }
}

struct Guard {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.disk.lock().locks.remove(&self.path);
    }
}

impl SimFile {
    fn missing() -> io::Error {
        io::Error::other("the file is gone")
    }

    fn sync_once(&self, state: &mut State) -> io::Result<()> {
        let fails = self.is_segment && state.sync_fails_in == Some(1);
        if self.is_segment {
            state.syncs += 1;
            state.sync_fails_in = state.sync_fails_in.and_then(|left| left.checked_sub(1));
            let skips = state.bug == Some(Bug::SkipSync) && state.syncs.is_multiple_of(3);
            if skips {
                return Ok(());
            }
        }
        if fails {
            state.has_failed = true;
        }
        let content = state.files.get_mut(self.id).ok_or_else(Self::missing)?;
        let pending = std::mem::take(&mut content.pending);
        if fails {
            return Err(io::Error::other("the sync failed"));
        }
        for (offset, part) in pending {
            put(&mut content.durable, offset, &part);
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.alive()?;
        let content = state.files.get(self.id).ok_or_else(Self::missing)?;
        Ok(u64::try_from(content.seen.len()).unwrap_or(u64::MAX))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.alive()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let content = state.files.get(self.id).ok_or_else(Self::missing)?;
        let rest = content.seen.get(start..);
        let found = rest.and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let state = &mut *self.disk.lock();
        let lives = state.step()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let size = state
            .files
            .get(self.id)
            .map_or(0, |content| content.seen.len());
        let growth = u64::try_from((start + bytes.len()).saturating_sub(size)).unwrap_or(u64::MAX);
        let is_full = state
            .capacity
            .is_some_and(|most| state.used() + growth > most);
        if growth > 0 && is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let finds_no_room = state.copies && state.capacity.is_some() && state.rng.below(2) == 0;
        let stored = if lives && !finds_no_room {
            bytes.len()
        } else {
            let most = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            usize::try_from(state.rng.below(most.saturating_add(1))).unwrap_or(0)
        };
        let part = bytes.get(..stored).unwrap_or(bytes);
        let content = state.files.get_mut(self.id).ok_or_else(Self::missing)?;
        put(&mut content.seen, start, part);
        content.pending.push((start, part.to_owned()));
        if start == 0 {
            content.writes.clear();
        }
        // What was written in part vouches for nothing before it.
        if lives && !finds_no_room {
            content.writes.push((start, start + part.len()));
        }
        if lives && finds_no_room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if lives {
            return Ok(());
        }
        Err(io::Error::other("the machine died"))
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.disk.lock();
        state.alive()?;
        let synced = self.sync_once(state);
        if synced.is_err() && state.bug == Some(Bug::RetryFailedSync) {
            return self.sync_once(state);
        }
        synced
    }
}
