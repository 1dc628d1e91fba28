//! The journals of the runs that a partition keeps: a projection of what was committed, in memory
//! until it is written to files of its own. Where they live and why is in
//! `docs/decisions/0011-journals-live-beside-the-state.md`.

mod entries;
mod files;
mod frame;
mod inspect;
mod keeper;
mod reading;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use taraf_base::Timestamp;
use taraf_log::machine::DecodeError;
use taraf_log::{PartitionId, Position};
use tokio::sync::{Notify, watch};

pub(crate) use entries::{Entries, Entry, Part};
pub(crate) use files::Error;
use files::{Done, Found, Scanned, Spot, Volume, Writer, Written};
pub(crate) use inspect::inspect;
pub(crate) use keeper::Keeper;
pub(crate) use reading::PageOf;

use crate::RunId;
use crate::partition::{Event, Open, What};

/// Bytes in memory that are written together.
const WRITE_BYTES: usize = 2 << 20;
/// Records after which what is in memory is written, however few bytes it has: the log is trimmed
/// behind it.
const WRITE_RECORDS: u64 = 100_000;
/// Bytes of one part: reading a page unpacks this much.
const PART_BYTES: usize = 64 << 10;
/// Bytes in memory above which no run begins: the disk does not keep up.
const MEMORY_BYTES_MAX: usize = 128 << 20;

/// The journals of one partition's runs.
///
/// Invariant: each entry of a run that is kept is in the files, in memory, or in the log behind
/// [`Journals::written_to`], and the log is not trimmed behind that.
#[derive(Debug)]
pub(crate) struct Journals {
    partition: PartitionId,
    /// None: all stay in memory.
    dir: Option<PathBuf>,
    inner: Mutex<Inner>,
    /// Told when there is much to write.
    many: Notify,
    /// Whether what is in memory follows what is in the files without a hole.
    is_whole: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The last record seen.
    position: Position,
    /// All up to there is in the files.
    written: Position,
    /// What is not in the files, by run.
    fresh: BTreeMap<RunId, Entries>,
    /// What is being written.
    writing: Arc<BTreeMap<RunId, Entries>>,
    /// What was committed while older records are still read from the log.
    later: BTreeMap<RunId, Entries>,
    /// Runs that left while others were written or read from the log.
    gone: BTreeSet<RunId>,
    /// The record up to which older ones are still read from the log.
    behind: Option<Position>,
    /// Bytes of `fresh` and `later`.
    bytes: usize,
    /// What is in the files, by run.
    stored: BTreeMap<RunId, Stored>,
    volumes: BTreeMap<u32, Volume>,
}

/// Where the parts of a run are. Most have one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    One(Spot),
    Many(Vec<Spot>),
}

impl Stored {
    fn spots(&self) -> &[Spot] {
        match self {
            Self::One(spot) => std::slice::from_ref(spot),
            Self::Many(spots) => spots,
        }
    }

    fn push(&mut self, spot: Spot) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, spot]),
            Self::Many(spots) => spots.push(spot),
        }
    }

    fn replace(&mut self, old: Spot, new: Spot) {
        let spots = match self {
            Self::One(spot) => std::slice::from_mut(spot),
            Self::Many(spots) => spots,
        };
        spots
            .iter_mut()
            .filter(|spot| **spot == old)
            .for_each(|spot| *spot = new);
    }

    fn count(&self) -> u64 {
        self.spots().iter().map(|spot| u64::from(spot.count)).sum()
    }
}

impl Journals {
    /// The journals in this folder, or none yet, all of which stay in memory.
    ///
    /// # Errors
    /// When a file cannot be used, or was written by a newer program.
    pub(crate) fn open(dir: Option<PathBuf>, partition: PartitionId) -> Result<Self, Error> {
        let scanned = match &dir {
            Some(dir) => files::open(dir, partition)?,
            None => Scanned::default(),
        };
        let mut inner = Inner {
            position: scanned.position,
            written: scanned.position,
            volumes: scanned.volumes,
            ..Inner::default()
        };
        for found in scanned.parts {
            inner.keep(found);
        }
        Ok(Self {
            partition,
            dir,
            inner: Mutex::new(inner),
            many: Notify::new(),
            is_whole: watch::Sender::new(true),
        })
    }

    /// All that was recorded up to there need not be in the log any more.
    pub(crate) fn written_to(&self) -> Position {
        self.locked(|inner| inner.written)
    }

    /// The partition was replayed to `position`. Runs that it does not keep are let go of. What
    /// `snapshot` held of journals is taken over, when the files know nothing of it.
    pub(crate) fn recovered(
        &self,
        position: Position,
        snapshot: (Position, impl Iterator<Item = (RunId, Entries)>),
        is_kept: impl Fn(RunId) -> bool,
    ) {
        self.locked(|inner| {
            if inner.written > position {
                // Records were lost with which these were written: they tell of another past.
                tracing::error!(partition = %self.partition, written = %inner.written, %position,
                    "the journals of live runs are ahead of the log; they begin again");
                let volumes = std::mem::take(&mut inner.volumes);
                *inner = Inner::default();
                let empty = |(number, volume)| (number, Volume { live: 0, ..volume });
                inner.volumes = volumes.into_iter().map(empty).collect();
            }
            let gone: Vec<RunId> = inner
                .stored
                .keys()
                .filter(|run| !is_kept(**run))
                .copied()
                .collect();
            for run in gone {
                inner.forget(run);
            }
            if inner.written < snapshot.0 {
                let before = inner.bytes;
                for (run, entries) in snapshot.1 {
                    inner.bytes = inner.bytes.saturating_add(entries.as_bytes().len());
                    inner.fresh.insert(run, entries);
                }
                if inner.bytes > before {
                    inner.written = snapshot.0;
                }
            }
            inner.behind = (inner.written < position).then_some(position);
            inner.position = position;
            self.is_whole.send_replace(inner.behind.is_none());
        });
    }

    /// Events that are durable, in order, and the last record that is durable with them. Checkpoints
    /// are records and no events.
    pub(crate) fn committed(&self, position: Position, events: &[(Timestamp, Event)]) {
        let is_much = self.locked(|inner| {
            inner.position = position;
            for (at, event) in events {
                match event.what {
                    What::Removed | What::Moved => inner.forget(event.run),
                    _ => inner.add(event, *at),
                }
            }
            let records = inner.position.0.saturating_sub(inner.written.0);
            inner.bytes >= WRITE_BYTES || records >= WRITE_RECORDS
        });
        if is_much && self.dir.is_some() {
            self.many.notify_one();
        }
    }

    /// Whether the disk does not keep up, so that no run should begin.
    pub(crate) fn is_overfull(&self) -> bool {
        self.dir.is_some() && self.locked(|inner| inner.bytes) >= MEMORY_BYTES_MAX
    }

    /// Waits until journals can be read.
    pub(crate) async fn whole(&self) {
        let mut is_whole = self.is_whole.subscribe();
        // The sender is here.
        let _seen = is_whole.wait_for(|is_whole| *is_whole).await;
    }

    /// Whether something was recorded that is not in the files.
    fn has_news(&self) -> bool {
        self.locked(|inner| inner.position > inner.written)
    }

    /// The records that are still to be read from the log: from the first to the second.
    fn missing(&self) -> Option<(Position, Position)> {
        self.locked(|inner| Some((inner.written.next(), inner.behind?)))
    }

    /// An older record, read from the log: those come before what was committed meanwhile.
    fn add_older(&self, run: RunId, entry: Entry<'_>, leaves: bool) {
        self.locked(|inner| {
            if leaves {
                inner.forget_older(run);
                return;
            }
            let bytes = inner.fresh.entry(run).or_default().push(entry);
            inner.bytes = inner.bytes.saturating_add(bytes);
        });
    }

    /// The log has been read up to what was committed meanwhile.
    fn caught_up(&self) {
        self.locked(|inner| {
            for run in std::mem::take(&mut inner.gone) {
                inner.forget_older(run);
            }
            for (run, entries) in std::mem::take(&mut inner.later) {
                inner.fresh.entry(run).or_default().append(&entries);
            }
            inner.behind = None;
        });
        self.is_whole.send_replace(true);
    }

    /// Writes what is in memory, and answers up to which record all is in the files. Blocks.
    fn write(&self) -> Result<Position, Error> {
        let Some(dir) = &self.dir else {
            return Ok(Position::ZERO);
        };
        let (work, position, last) = self.locked(|inner| {
            inner.writing = Arc::new(std::mem::take(&mut inner.fresh));
            inner.bytes = 0;
            let last = inner.volumes.last_key_value();
            let last = last.map(|(number, volume)| (*number, volume.clone()));
            (Arc::clone(&inner.writing), inner.position, last)
        });
        let written = Writer::open(dir, self.partition, last).and_then(|mut writer| {
            for (run, entries) in work.iter() {
                self.write_run(&mut writer, *run, entries)?;
            }
            self.compact(&mut writer)?;
            writer.finish(position)
        });
        match written {
            Ok(done) => {
                let dead = self.locked(|inner| inner.wrote(position, done));
                for volume in &dead {
                    if let Err(error) = files::remove(volume) {
                        tracing::warn!(%error, "a file without journals stays until the next start");
                    }
                }
                Ok(position)
            }
            Err(error) => {
                drop(work);
                self.locked(Inner::take_back);
                Err(error)
            }
        }
    }

    fn write_run(
        &self,
        writer: &mut Writer<'_>,
        run: RunId,
        entries: &Entries,
    ) -> Result<(), Error> {
        let (mut first, mut before) = self.end_of_stored(run);
        let bad = |error: DecodeError| {
            let dir = self.dir.clone().unwrap_or_default();
            Error::frame(&dir, 0, error.into())
        };
        for entries in entries.cut(PART_BYTES).map_err(bad)? {
            let part = Part { before, entries };
            writer.part(run, first, &part)?;
            first = first.saturating_add(part.entries.count());
            before = part.after(run).map_err(bad)?;
        }
        Ok(())
    }

    /// The number of the entry behind those in the files, and what is open there. When that cannot be
    /// read, later pages do not name the tasks that had begun.
    fn end_of_stored(&self, run: RunId) -> (u64, Open) {
        let found = self.locked(|inner| {
            let stored = inner.stored.get(&run)?;
            let spot = *stored.spots().last()?;
            let volume = inner.volumes.get(&spot.file)?.clone();
            Some((stored.count().saturating_add(1), spot, volume))
        });
        let Some((first, spot, volume)) = found else {
            return (1, Open::default());
        };
        let after = volume.part(spot).and_then(|part| {
            let bad =
                |error: DecodeError| Error::frame(&volume.path, u64::from(spot.at), error.into());
            part.after(run).map_err(bad)
        });
        let open = after.unwrap_or_else(|error| {
            tracing::error!(%run, %error, "a part of a journal cannot be read");
            Open::default()
        });
        (first, open)
    }

    /// Moves what is still needed out of a file that holds little of it. What cannot be read stays
    /// where it is.
    fn compact(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let Some((volume, parts)) = self.locked(|inner| inner.sparse()) else {
            return Ok(());
        };
        for found in parts {
            match volume.frame(found.spot) {
                Ok(frame) => writer.moved(found, &frame)?,
                Err(error) => {
                    tracing::error!(run = %found.run, %error, "a part of a journal cannot be read");
                }
            }
        }
        Ok(())
    }

    fn locked<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Takes a part that is in the files over.
    fn keep(&mut self, Found { run, spot, .. }: Found) {
        match self.stored.entry(run) {
            Slot::Vacant(slot) => {
                slot.insert(Stored::One(spot));
            }
            Slot::Occupied(mut slot) => slot.get_mut().push(spot),
        }
    }

    fn add(&mut self, event: &Event, at: Timestamp) {
        let to = match self.behind {
            Some(_) => &mut self.later,
            None => &mut self.fresh,
        };
        let bytes = to.entry(event.run).or_default().push_event(event, at);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn forget(&mut self, run: RunId) {
        let later = self.later.remove(&run);
        let bytes = later.map_or(0, |entries| entries.as_bytes().len());
        self.bytes = self.bytes.saturating_sub(bytes);
        self.forget_older(run);
        if self.behind.is_some() || !self.writing.is_empty() {
            self.gone.insert(run);
        }
    }

    fn forget_older(&mut self, run: RunId) {
        let fresh = self.fresh.remove(&run);
        let bytes = fresh.map_or(0, |entries| entries.as_bytes().len());
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(stored) = self.stored.remove(&run) {
            for spot in stored.spots() {
                self.weigh(*spot, false);
            }
        }
    }

    /// A part is needed, or not any more.
    fn weigh(&mut self, spot: Spot, is_needed: bool) {
        if let Some(volume) = self.volumes.get_mut(&spot.file) {
            let len = u64::from(spot.len);
            volume.live = if is_needed {
                volume.live.saturating_add(len)
            } else {
                volume.live.saturating_sub(len)
            };
        }
    }

    /// What was being written is in the files. Answers those in which nothing is needed any more.
    fn wrote(&mut self, position: Position, Done { volumes, written }: Done) -> Vec<Volume> {
        for (number, mut volume) in volumes {
            volume.live = self.volumes.get(&number).map_or(0, |known| known.live);
            self.volumes.insert(number, volume);
        }
        for Written { found, before } in written {
            if self.gone.contains(&found.run) {
                continue;
            }
            self.weigh(found.spot, true);
            match before {
                None => self.keep(found),
                Some(before) => {
                    let stored = self.stored.get_mut(&found.run);
                    let moved = stored.map(|stored| stored.replace(before, found.spot));
                    let dead = moved.map_or(found.spot, |()| before);
                    self.weigh(dead, false);
                }
            }
        }
        self.written = position;
        self.writing = Arc::default();
        self.gone.clear();
        let last = self.volumes.last_key_value().map(|(number, _)| *number);
        let is_dead = |number: &u32, volume: &mut Volume| volume.live == 0 && Some(*number) != last;
        let dead = self.volumes.extract_if(.., is_dead);
        dead.map(|(_, volume)| volume).collect()
    }

    /// What was being written is not in the files: it stays before what came meanwhile.
    fn take_back(&mut self) {
        let writing = std::mem::take(&mut self.writing);
        let writing = Arc::try_unwrap(writing).unwrap_or_else(|shared| (*shared).clone());
        for (run, mut entries) in writing {
            if self.gone.contains(&run) {
                continue;
            }
            self.bytes = self.bytes.saturating_add(entries.as_bytes().len());
            match self.fresh.entry(run) {
                Slot::Vacant(slot) => {
                    slot.insert(entries);
                }
                Slot::Occupied(mut slot) => {
                    entries.append(slot.get());
                    slot.insert(entries);
                }
            }
        }
        self.gone.clear();
        // What a failed write or sync left behind its end is not known.
        if let Some(mut last) = self.volumes.last_entry() {
            last.get_mut().is_full = true;
        }
    }

    /// A file that holds little that is needed, and that.
    fn sparse(&self) -> Option<(Volume, Vec<Found>)> {
        let (last, _) = self.volumes.last_key_value()?;
        let is_sparse = |volume: &Volume| volume.live.saturating_mul(4) < volume.len;
        let mut others = self.volumes.range(..last);
        let (number, volume) = others.find(|(_, volume)| is_sparse(volume))?;
        let mut parts = Vec::new();
        for (run, stored) in &self.stored {
            let mut first = 1_u64;
            for spot in stored.spots() {
                if spot.file == *number {
                    let (run, spot) = (*run, *spot);
                    parts.push(Found { run, first, spot });
                }
                first = first.saturating_add(u64::from(spot.count));
            }
        }
        Some((volume.clone(), parts))
    }
}

#[cfg(test)]
mod tests;
