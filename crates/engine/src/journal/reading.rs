//! Journals read: a page for people, or all of one for the archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use taraf_log::machine::DecodeError;

use super::entries::{Entries, Part};
use super::files::{Error, Spot, Volume};
use super::{Journals, PART_BYTES};
use crate::partition::Open;
use crate::{JournalPage, RunId};

/// Bytes of entries in one page, roughly.
const PAGE_BYTES: usize = 4 << 20;

/// A page that is being filled.
#[derive(Debug)]
pub(crate) struct PageOf {
    /// The number of the last entry that is not wanted.
    after: u64,
    limit: usize,
    bytes: usize,
    page: JournalPage,
}

impl PageOf {
    /// So many of the entries behind number `after`, or fewer when they are long.
    pub(crate) fn new(after: u64, limit: usize) -> Self {
        Self {
            after,
            limit: limit.clamp(1, JournalPage::MAX),
            bytes: 0,
            page: JournalPage::default(),
        }
    }

    /// Whether entries up to that number hold any of it.
    pub(crate) const fn wants(&self, last: u64) -> bool {
        last > self.after
    }

    /// Adds what it wants of some entries, the first of which has that number. `open` is what is open
    /// before them, and afterwards what is open behind them. Answers whether the page is full.
    pub(crate) fn add(
        &mut self,
        run: RunId,
        first: u64,
        open: &mut Open,
        entries: &Entries,
    ) -> Result<bool, DecodeError> {
        for (n, entry) in (first..).zip(entries.iter()) {
            let entry = entry?;
            let what = entry.what(run)?;
            if n <= self.after {
                open.follow(&what);
                continue;
            }
            if self.page.entries.len() >= self.limit || self.bytes >= PAGE_BYTES {
                self.page.next = Some(n.saturating_sub(1));
                return Ok(true);
            }
            self.bytes = self.bytes.saturating_add(entry.body.len());
            self.page.entries.push(open.tell(n, entry.at, &what));
        }
        Ok(false)
    }

    /// The page.
    pub(crate) fn finish(self) -> JournalPage {
        self.page
    }
}

/// One journal as it is now: it can be read whatever happens meanwhile.
#[derive(Debug)]
struct Whole {
    run: RunId,
    spots: Vec<Spot>,
    volumes: BTreeMap<u32, Volume>,
    memory: Entries,
}

impl Whole {
    fn part(&self, spot: Spot) -> Result<Part, Error> {
        // Taken together with its spots.
        let volume = self.volumes.get(&spot.file).expect("the file of a spot");
        volume.part(spot)
    }

    fn bad(&self, error: DecodeError) -> Error {
        let volume = self.volumes.values().next_back();
        let path = volume.map_or_else(
            || Arc::from(std::path::Path::new("")),
            |v| Arc::clone(&v.path),
        );
        Error::frame(&path, 0, error.into())
    }
}

impl Journals {
    /// A page of a run's journal; none when the partition keeps no such run. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn page(
        &self,
        run: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Option<JournalPage>, Error> {
        let Some(whole) = self.whole_of(run) else {
            return Ok(None);
        };
        let mut page = PageOf::new(after, limit);
        let (mut first, mut open) = (1_u64, Open::default());
        for (n, spot) in whole.spots.iter().enumerate() {
            let next = first.saturating_add(u64::from(spot.count));
            // The last one says what is open before the entries in memory.
            let is_last = n.saturating_add(1) == whole.spots.len();
            if page.wants(next.saturating_sub(1)) || is_last {
                let part = whole.part(*spot)?;
                open = part.before;
                let is_full = page.add(run, first, &mut open, &part.entries);
                if is_full.map_err(|error| whole.bad(error))? {
                    return Ok(Some(page.finish()));
                }
            }
            first = next;
        }
        let added = page.add(run, first, &mut open, &whole.memory);
        added.map_err(|error| whole.bad(error))?;
        Ok(Some(page.finish()))
    }

    /// All of a run's journal, part by part. A part that cannot be read is told of and left out.
    pub(crate) fn parts(&self, run: RunId) -> Parts {
        let whole = self.whole_of(run);
        Parts {
            spots: whole
                .as_ref()
                .map(|whole| whole.spots.clone())
                .unwrap_or_default()
                .into_iter(),
            open: Open::default(),
            memory: None,
            whole,
        }
    }

    fn whole_of(&self, run: RunId) -> Option<Whole> {
        self.locked(|inner| {
            let stored = inner.stored.get(&run);
            let spots = stored
                .map(|stored| stored.spots().to_vec())
                .unwrap_or_default();
            let volumes = spots.iter().filter_map(|spot| {
                let volume = inner.volumes.get(&spot.file)?;
                Some((spot.file, volume.clone()))
            });
            let volumes = volumes.collect();
            let writing = inner
                .writing
                .get(&run)
                .filter(|_| !inner.gone.contains(&run));
            let mut memory = writing.cloned().unwrap_or_default();
            if let Some(fresh) = inner.fresh.get(&run) {
                memory.append(fresh);
            }
            let is_known = !spots.is_empty() || !memory.is_empty();
            is_known.then_some(Whole {
                run,
                spots,
                volumes,
                memory,
            })
        })
    }
}

/// The parts of one journal, read one after the other.
#[derive(Debug)]
pub(crate) struct Parts {
    whole: Option<Whole>,
    spots: std::vec::IntoIter<Spot>,
    /// What is open behind the last part from the files.
    open: Open,
    /// What is in memory, in parts, once its turn has come.
    memory: Option<std::vec::IntoIter<Entries>>,
}

impl Parts {
    fn try_next(&mut self) -> Option<Result<Part, Error>> {
        let whole = self.whole.as_ref()?;
        let run = whole.run;
        if let Some(spot) = self.spots.next() {
            let part = match whole.part(spot) {
                Ok(part) => part,
                Err(error) => return Some(Err(error)),
            };
            // Only what is in memory does not say itself what was open before it.
            if self.spots.len() == 0 && !whole.memory.is_empty() {
                match part.after(run) {
                    Ok(open) => self.open = open,
                    Err(error) => return Some(Err(whole.bad(error))),
                }
            }
            return Some(Ok(part));
        }
        if self.memory.is_none() {
            match whole.memory.cut(PART_BYTES) {
                Ok(pieces) => self.memory = Some(pieces.into_iter()),
                Err(error) => {
                    self.memory = Some(Vec::new().into_iter());
                    return Some(Err(whole.bad(error)));
                }
            }
        }
        let pieces = self.memory.as_mut()?;
        let entries = pieces.next().filter(|entries| !entries.is_empty())?;
        let before = self.open.clone();
        let part = Part { before, entries };
        if pieces.len() > 0 {
            match part.after(run) {
                Ok(open) => self.open = open,
                Err(error) => return Some(Err(whole.bad(error))),
            }
        }
        Some(Ok(part))
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        loop {
            match self.try_next()? {
                Ok(part) => return Some(part),
                Err(error) => {
                    let run = self.whole.as_ref().map(|whole| whole.run.to_string());
                    let why = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(?run, %error, ?why, "a part of a journal is lost");
                }
            }
        }
    }
}
