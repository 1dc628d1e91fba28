//! The two files of one month: the pack, which is the truth, and the index made from it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use taraf_base::Timestamp;
use taraf_log::file::disk::DiskFile;

use super::entry::{self, Archived, Entry, Place};
use super::index::Index;
use super::pack::{self, BLOCK_BYTES, HEAD_BYTES, HEADER_BYTES, PackError};
use super::place::Error;
use super::retention::{Month, Retention};
use super::rows::{Naming, Row};
use crate::Status;
use crate::journal::PageOf;
use crate::partition::Open;

/// Bytes of blocks that wait in memory to be written.
const WRITE_BYTES: usize = 4 << 20;
/// Bytes read at once while a pack is searched for its next block.
const SEARCH_BYTES: usize = 1 << 20;
/// Packs are for their owner alone.
const MODE: u32 = 0o600;

/// The files of one month.
pub(super) struct Shelf {
    file: PathBuf,
    pack: File,
    writer: Mutex<Writer>,
    reader: Mutex<Index>,
    /// Set by a failed sync: what the pack holds is no longer known, and it is not written again.
    is_poisoned: AtomicBool,
}

struct Writer {
    /// Bytes of the pack that are whole blocks.
    length: u64,
    index: Index,
    /// Runs by how they ended.
    counts: BTreeMap<Status, u64>,
}

impl Shelf {
    /// Opens or makes the files of a month, and brings the index to the end of the pack.
    pub(super) fn open(dir: &Path, month: Month) -> Result<Self, Error> {
        let file = dir.join(format!("history-{month}.pack"));
        let database = dir.join(format!("history-{month}.db"));
        let pack = open_pack(dir, &file, month)?;
        let size = pack.metadata().map_err(Error::io("read", &file))?.len();
        let mut index = open_index(&database, size)?;
        let length = catch_up(&pack, &file, &mut index, size)?;
        Ok(Self {
            reader: Mutex::new(Index::connect(&database)?),
            file,
            pack,
            writer: Mutex::new(Writer {
                length,
                counts: index.counts()?,
                index,
            }),
            is_poisoned: AtomicBool::new(false),
        })
    }

    /// Makes runs durable that are not there yet. When this returns, they are synced and found.
    pub(super) fn add(&self, runs: Vec<Archived>) -> Result<(), Error> {
        if self.is_poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned(self.file.clone()));
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (rows, length) = match self.write(&writer, runs) {
            Ok(written) => written,
            Err(error) => {
                // What was written is behind the end; the next attempt writes over it.
                let cut = self.pack.set_len(writer.length);
                cut.map_err(|_also| self.poisoned())?;
                return Err(error);
            }
        };
        if rows.is_empty() {
            return Ok(());
        }
        self.pack.sync_data().map_err(|_lost| self.poisoned())?;
        writer.length = length;
        writer.index.add(&rows, length)?;
        for (row, _) in rows {
            *writer.counts.entry(row.status).or_default() += 1;
        }
        Ok(())
    }

    /// Writes what is not there yet behind the end, and answers its rows and where it ends.
    fn write(&self, writer: &Writer, runs: Vec<Archived>) -> Result<(Vec<Naming>, u64), Error> {
        let mut blocks = Blocks::new(self, writer.length);
        let mut rows = Vec::with_capacity(runs.len());
        for archived in runs {
            // A crash may have come between this and the run's leaving of its partition.
            if writer.index.find(archived.run.id)?.is_none() {
                rows.push(blocks.add(archived)?);
            }
        }
        Ok((rows, blocks.finish()?))
    }

    /// Looks into the index.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&Index) -> Result<T, Error>,
    ) -> Result<T, Error> {
        look(&self.reading())
    }

    /// Deletes some of what is no longer kept; answers whether there may be more.
    pub(super) fn expire(&self, retention: &Retention, now: Timestamp) -> Result<bool, Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let deleted = writer.index.expire(retention, now)?;
        if deleted > 0 {
            writer.counts = writer.index.counts()?;
        }
        Ok(deleted > 0)
    }

    /// How many runs ended how.
    pub(super) fn counts(&self) -> BTreeMap<Status, u64> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.counts.clone()
    }

    /// The entry there.
    pub(super) fn entry(&self, place: Place) -> Result<Entry, Error> {
        let bad = |error| Error::pack(&self.file, place.0, error);
        let block = read_block(&self.pack, &self.file, place.0)?;
        let bytes = pack::entry(&block, place.1).map_err(bad)?;
        entry::read(&bytes).map_err(|error| Error::entry(&self.file, place.0, error))
    }

    /// Adds what a page wants of the journal of the run there.
    pub(super) fn page(&self, place: Place, page: &mut PageOf) -> Result<(), Error> {
        let last = self.entry(place)?;
        let malformed = PackError::Malformed("the entry holds no run");
        let run = last
            .run
            .ok_or_else(|| Error::pack(&self.file, place.0, malformed))?;
        let (mut first, mut open) = (1_u64, Open::default());
        for earlier in last.earlier {
            let behind = earlier.count.map(|count| first.saturating_add(count));
            if let Some(behind) = behind
                && !page.wants(behind.saturating_sub(1))
            {
                first = behind;
                continue;
            }
            let Entry {
                part, says_open, ..
            } = self.entry(earlier.place)?;
            if says_open {
                open = part.before;
            }
            let added = page.add(run.id, first, &mut open, &part.entries);
            if added.map_err(|error| Error::entry(&self.file, earlier.place.0, error))? {
                return Ok(());
            }
            first = first.saturating_add(part.entries.count());
        }
        if last.says_open {
            open = last.part.before;
        }
        let added = page.add(run.id, first, &mut open, &last.part.entries);
        added.map_err(|error| Error::entry(&self.file, place.0, error))?;
        Ok(())
    }

    /// Bytes on disk of the pack.
    pub(super) fn pack_bytes(&self) -> u64 {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .length
    }

    fn reading(&self) -> MutexGuard<'_, Index> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poisoned(&self) -> Error {
        self.is_poisoned.store(true, Ordering::Release);
        Error::Poisoned(self.file.clone())
    }
}

/// Entries on their way into blocks, and blocks on their way to the end of the pack.
struct Blocks<'a> {
    shelf: &'a Shelf,
    /// Where the block that is being filled will begin.
    at: u64,
    /// Blocks that are not written yet, the last of which ends there.
    bytes: Vec<u8>,
    filling: Vec<Vec<u8>>,
    filled: usize,
}

impl<'a> Blocks<'a> {
    const fn new(shelf: &'a Shelf, at: u64) -> Self {
        Self {
            shelf,
            at,
            bytes: Vec::new(),
            filling: Vec::new(),
            filled: 0,
        }
    }

    /// Adds a run with its journal, part by part, and answers its row.
    fn add(&mut self, archived: Archived) -> Result<Naming, Error> {
        let mut earlier = Vec::new();
        let mut parts = archived.journal;
        let mut last = parts.next().unwrap_or_default();
        for next in parts {
            let place = self.put(entry::encode_part(&last))?;
            earlier.push((place, last.entries.count()));
            last = next;
        }
        let (run, payloads) = (archived.run, archived.payloads);
        let place = self.put(entry::encode_run(&run, &earlier, &last, &payloads))?;
        Ok((Row::of(&run, place), payloads))
    }

    fn put(&mut self, entry: Vec<u8>) -> Result<Place, Error> {
        if self.filled > 0 && self.filled.saturating_add(entry.len()) > BLOCK_BYTES {
            self.close()?;
        }
        let place = (
            self.at,
            u32::try_from(self.filling.len()).unwrap_or(u32::MAX),
        );
        self.filled = self.filled.saturating_add(entry.len());
        self.filling.push(entry);
        Ok(place)
    }

    fn close(&mut self) -> Result<(), Error> {
        let block = pack::block(&self.filling).map_err(Error::Block)?;
        self.at += u64::try_from(block.len()).unwrap_or(u64::MAX);
        self.bytes.extend_from_slice(&block);
        self.filling.clear();
        self.filled = 0;
        if self.bytes.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        let len = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let begin = self.at.saturating_sub(len);
        let written = self.shelf.pack.write_all_at(&self.bytes, begin);
        written.map_err(Error::io("write to", &self.shelf.file))?;
        self.bytes.clear();
        Ok(())
    }

    /// Writes the rest, and answers where it ends.
    fn finish(mut self) -> Result<u64, Error> {
        if !self.filling.is_empty() {
            self.close()?;
        }
        self.write()?;
        Ok(self.at)
    }
}

fn open_pack(dir: &Path, file: &Path, month: Month) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE);
    let pack = options.open(file).map_err(Error::io("open", file))?;
    let mut header = [0; HEADER_BYTES];
    match pack.read_exact_at(&mut header, 0) {
        Ok(()) => {
            let found = pack::read_header(&header).map_err(|error| Error::pack(file, 0, error))?;
            if found != month {
                let error = PackError::Malformed("it is that of another month");
                return Err(Error::pack(file, 0, error));
            }
        }
        // New, or cut off by a crash before anything was kept in it.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let written = pack.write_all_at(&pack::header(month), 0);
            written.map_err(Error::io("write to", file))?;
            pack.sync_all().map_err(Error::io("sync", file))?;
            let folder = File::open(dir).and_then(|dir| dir.sync_all());
            folder.map_err(Error::io("sync", dir))?;
        }
        Err(error) => return Err(Error::io("read", file)(error)),
    }
    Ok(pack)
}

/// The index, made anew when it is lost, of another layout, or ahead of its pack.
fn open_index(database: &Path, size: u64) -> Result<Index, Error> {
    if let Some(index) = Index::open(database)?
        && index.applied()? <= size
    {
        return Ok(index);
    }
    tracing::warn!(index = %database.display(), "the index of the archive is made again");
    Index::remove(database)?;
    let lost = || Error::Index(rusqlite::Error::InvalidPath(database.to_owned()));
    Index::open(database)?.ok_or_else(lost)
}

/// Brings the index to the end of the pack, cuts a torn end off, and answers the pack's length.
fn catch_up(pack: &File, file: &Path, index: &mut Index, size: u64) -> Result<u64, Error> {
    let begin = u64::try_from(HEADER_BYTES).unwrap_or(0);
    let mut at = index.applied()?.max(begin);
    let mut end = at;
    while at < size {
        match rows_at(pack, file, at) {
            Ok((rows, next)) => {
                index.add(&rows, next)?;
                (at, end) = (next, next);
            }
            Err(Error::Pack { error, .. }) => match next_block(pack, file, at, size)? {
                Some(next) => {
                    tracing::error!(file = %file.display(), at, next, %error,
                        "a part of the archive is damaged; the runs in it are lost");
                    at = next;
                }
                None => break,
            },
            Err(other) => return Err(other),
        }
    }
    if end < size {
        tracing::info!(file = %file.display(), end, size, "the archive ends in a torn write");
        pack.set_len(end).map_err(Error::io("cut", file))?;
        pack.sync_all().map_err(Error::io("sync", file))?;
    }
    Ok(end)
}

/// The rows of the runs in the block there, and where the next begins.
pub(super) fn rows_at(
    pack: &dyn DiskFile,
    file: &Path,
    at: u64,
) -> Result<(Vec<Naming>, u64), Error> {
    let block = read_block(pack, file, at)?;
    let mut entries = Vec::new();
    let read = pack::each(&block, |place, bytes| {
        entries.push((place, entry::read(bytes)));
    });
    read.map_err(|error| Error::pack(file, at, error))?;
    let mut rows = Vec::new();
    for (place, entry) in entries {
        let entry = entry.map_err(|error| Error::entry(file, at, error))?;
        let row = entry.run.map(|run| Row::of(&run, (at, place)));
        rows.extend(row.map(|row| (row, entry.payloads)));
    }
    Ok((rows, at + u64::try_from(block.len()).unwrap_or(u64::MAX)))
}

/// Where the next whole block begins behind a place that is none.
pub(super) fn next_block(
    pack: &dyn DiskFile,
    file: &Path,
    at: u64,
    size: u64,
) -> Result<Option<u64>, Error> {
    let mut from = at;
    while from < size {
        let rest = usize::try_from(size - from).unwrap_or(usize::MAX);
        let mut bytes = vec![0; rest.min(SEARCH_BYTES)];
        pack.read_at(&mut bytes, from)
            .map_err(Error::io("read", file))?;
        let Some(found) = pack::next_mark(&bytes) else {
            // A mark may lie across the border of two searches.
            from += u64::try_from(bytes.len().saturating_sub(3).max(1)).unwrap_or(1);
            continue;
        };
        from += u64::try_from(found).unwrap_or(u64::MAX);
        let block = read_block(pack, file, from).ok();
        if block.is_some_and(|block| pack::each(&block, |_, _| {}).is_ok()) {
            return Ok(Some(from));
        }
    }
    Ok(None)
}

/// The bytes of the block that begins there.
fn read_block(pack: &dyn DiskFile, file: &Path, at: u64) -> Result<Vec<u8>, Error> {
    let cut = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::pack(file, at, PackError::Cut),
        _ => Error::io("read", file)(error),
    };
    let mut head = [0; HEAD_BYTES];
    pack.read_at(&mut head, at).map_err(cut)?;
    let total = pack::head(&head)
        .map_err(|error| Error::pack(file, at, error))?
        .total();
    let size = pack.size().map_err(Error::io("read", file))?;
    if u64::try_from(total).unwrap_or(u64::MAX) > size.saturating_sub(at) {
        return Err(Error::pack(file, at, PackError::Cut));
    }
    let mut block = vec![0; total];
    pack.read_at(&mut block, at).map_err(cut)?;
    Ok(block)
}
