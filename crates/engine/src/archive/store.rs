//! All months of the archive, as blocking calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use taraf_base::Timestamp;

use super::entry::{self, Archived};
use super::index::Index;
use super::month::Shelf;
use super::place::Error;
use super::retention::{Month, Retention};
use super::rows::sequence;
use crate::journal::PageOf;
use crate::{Filter, JournalPage, Run, RunId, Status};

/// How long one search may take.
const SEARCH_MAX: Duration = Duration::from_secs(5);
/// How much later than its id says a run may have ended: clocks of records and ids may differ.
const SKEW: Duration = Duration::from_secs(3_600);

/// Finished runs by the month in which they ended.
pub(super) struct Store {
    dir: PathBuf,
    months: RwLock<BTreeMap<Month, Arc<Shelf>>>,
}

impl Store {
    /// Opens what is there.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        let mut months = BTreeMap::new();
        for file in fs::read_dir(dir).map_err(Error::io("read", dir))? {
            let name = file.map_err(Error::io("read", dir))?.file_name();
            if let Some(month) = Month::of_file(&name.to_string_lossy(), "pack") {
                months.insert(month, Arc::new(Shelf::open(dir, month)?));
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            months: RwLock::new(months),
        })
    }

    /// Makes runs durable; those that are there already stay as they are.
    pub(super) fn add(&self, runs: Vec<Archived>) -> Result<(), Error> {
        let mut by_month: BTreeMap<Month, Vec<Archived>> = BTreeMap::new();
        for archived in runs {
            let ended = archived.run.ended.unwrap_or(archived.run.updated);
            by_month.entry(Month::of(ended)).or_default().push(archived);
        }
        for (month, runs) in by_month {
            self.shelf(month)?.add(runs)?;
        }
        Ok(())
    }

    /// One run.
    pub(super) fn find(&self, id: RunId) -> Result<Option<Run>, Error> {
        self.search(id, |shelf, place| Ok(shelf.entry(place)?.run))
    }

    /// So many entries of a run's journal, behind that number.
    pub(super) fn journal(
        &self,
        id: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Option<JournalPage>, Error> {
        self.search(id, |shelf, place| {
            let mut page = PageOf::new(after, limit);
            shelf.page(place, &mut page)?;
            Ok(Some(page.finish()))
        })
    }

    /// The newest run that was started with this key.
    pub(super) fn by_key(&self, owner: Option<&str>, key: &str) -> Result<Option<Run>, Error> {
        for shelf in self.newest_first() {
            if let Some(row) = shelf.look(|index| index.by_key(owner, key))? {
                return Ok(shelf.entry(row.place)?.run);
            }
        }
        Ok(None)
    }

    /// Runs that the filter lets through, newest first, those before `before`.
    pub(super) fn list(
        &self,
        mut filter: Filter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        filter.q = filter.q.map(|q| q.to_lowercase());
        let deadline = Instant::now() + SEARCH_MAX;
        let mut found = Vec::new();
        for shelf in self.newest_first() {
            let rows = shelf.look(|index| index.list(&filter, before, limit, deadline))?;
            found.extend(rows.into_iter().map(|row| (row, Arc::clone(&shelf))));
        }
        // A run that ended in a later month may have begun before one that ended in an earlier.
        found.sort_by_key(|(row, _)| std::cmp::Reverse(sequence(row.id)));
        found.truncate(limit);
        let mut runs = Vec::with_capacity(found.len());
        for (row, shelf) in found {
            runs.extend(shelf.entry(row.place)?.run);
        }
        Ok(runs)
    }

    /// Deletes what is no longer kept; a month of which nothing is left loses its files.
    pub(super) fn expire(&self, retention: &Retention, now: Timestamp) -> Result<(), Error> {
        let months: Vec<Month> = self.read(|months| months.keys().copied().collect());
        for month in months {
            let shelf = self.shelf(month)?;
            while shelf.expire(retention, now)? {}
            if month.end() < now && shelf.look(Index::is_empty)? {
                self.drop_month(month)?;
            }
        }
        Ok(())
    }

    /// Whether a run that is kept names the payload of this hash.
    pub(super) fn names(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        for shelf in self.newest_first() {
            if shelf.look(|index| index.names(hash))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many runs ended how.
    pub(super) fn counts(&self) -> BTreeMap<Status, u64> {
        let mut counts = BTreeMap::new();
        for shelf in self.newest_first() {
            for (status, count) in shelf.counts() {
                *counts.entry(status).or_default() += count;
            }
        }
        counts
    }

    /// Bytes of all packs.
    pub(super) fn bytes(&self) -> u64 {
        self.read(|months| months.values().map(|shelf| shelf.pack_bytes()).sum())
    }

    fn search<T>(
        &self,
        id: RunId,
        read: impl Fn(&Shelf, entry::Place) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let began = id.began().as_millis();
        let skew = i64::try_from(SKEW.as_millis()).unwrap_or(i64::MAX);
        let first = Month::of(Timestamp::from_millis(began.saturating_sub(skew)));
        let shelves: Vec<_> = self.read(|months| {
            months
                .range(first..)
                .map(|(_, shelf)| Arc::clone(shelf))
                .collect()
        });
        for shelf in shelves {
            if let Some(row) = shelf.look(|index| index.find(id))? {
                return read(&shelf, row.place);
            }
        }
        Ok(None)
    }

    fn newest_first(&self) -> Vec<Arc<Shelf>> {
        self.read(|months| months.values().rev().map(Arc::clone).collect())
    }

    fn shelf(&self, month: Month) -> Result<Arc<Shelf>, Error> {
        if let Some(shelf) = self.read(|months| months.get(&month).map(Arc::clone)) {
            return Ok(shelf);
        }
        let mut months = self.months.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = months.get(&month) {
            return Ok(Arc::clone(shelf));
        }
        let shelf = Arc::new(Shelf::open(&self.dir, month)?);
        months.insert(month, Arc::clone(&shelf));
        Ok(shelf)
    }

    /// Removes the files of a month. The pack goes last: while it is there, the index can be made
    /// again.
    fn drop_month(&self, month: Month) -> Result<(), Error> {
        let mut months = self.months.write().unwrap_or_else(PoisonError::into_inner);
        months.remove(&month);
        Index::remove(&self.dir.join(format!("history-{month}.db")))?;
        let pack = self.dir.join(format!("history-{month}.pack"));
        fs::remove_file(&pack).map_err(Error::io("remove", &pack))?;
        tracing::info!(%month, "a month of the archive is no longer kept");
        Ok(())
    }

    fn read<T>(&self, read: impl FnOnce(&BTreeMap<Month, Arc<Shelf>>) -> T) -> T {
        read(&self.months.read().unwrap_or_else(PoisonError::into_inner))
    }
}
