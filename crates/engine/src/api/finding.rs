//! Runs found and read: those that partitions hold, then those in the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use taraf_log::machine::ProposeError;

use super::{Engine, payloads};
use crate::leader::Leader;
use crate::partition::{Partition, State};
use crate::{Error, Filter, JournalPage, Page, Run, RunId, RunPage, Status, reading};

impl Engine {
    /// One run.
    ///
    /// # Errors
    /// When its partition or the archive does not answer, or a payload of it cannot be read.
    pub async fn get(&self, id: RunId) -> Result<Option<Run>, Error> {
        let Some(mut run) = self.find(id).await? else {
            return Ok(None);
        };
        match self.fetch_all(&mut run).await {
            // It went while it was looked at, and its payloads with it.
            Err(_lost) if self.find(id).await?.is_none() => Ok(None),
            fetched => fetched.map(|()| Some(run)),
        }
    }

    /// One run, its payloads by their names alone.
    pub(super) async fn find(&self, id: RunId) -> Result<Option<Run>, Error> {
        let view = move |state: &State| state.runs.get(&id).map(|run| run.view());
        let live = match self.look(id, view).await {
            // The id names a partition that does not exist.
            Err(Error::NoSuchRun(_)) => return Ok(None),
            other => other?,
        };
        // A run leaves its partition only when the archive has it, so it is never in neither.
        match (live, &self.inner.archive) {
            (None, Some(archive)) => Ok(archive.find(id).await?),
            (live, _) => Ok(live),
        }
    }

    /// Runs, newest first. Large payloads are not fetched: `{"payload": {"name": …, "bytes": …}}` stands
    /// for each.
    ///
    /// # Errors
    /// When the page's cursor is none of ours, or the archive cannot be searched in time.
    pub async fn list(&self, filter: &Filter, page: &Page) -> Result<RunPage, Error> {
        let before = page.after.as_deref().map(str::parse::<RunId>).transpose();
        let before = before.map_err(|error| Error::Refused {
            what: "the cursor",
            why: error.to_string(),
        })?;
        let limit = page.limit.clamp(1, Page::MAX);
        let wanted = limit.saturating_add(1);
        let mut runs = Vec::new();
        let mut unled = Vec::new();
        for leader in &self.inner.leaders {
            match live(leader, filter, before, wanted).await {
                Ok(found) => runs.extend(found),
                Err(_stopped) => unled.push(leader.partition),
            }
        }
        // Partitions before the archive, as in `get`: what moves meanwhile is found twice, not
        // never.
        if let Some(archive) = &self.inner.archive
            && filter.status.is_none_or(Status::is_final)
        {
            let known: BTreeSet<RunId> = runs.iter().map(|run| run.id).collect();
            let archived = archive.list(filter.clone(), before, wanted).await?;
            runs.extend(archived.into_iter().filter(|run| !known.contains(&run.id)));
        }
        runs.sort_by_key(|run| std::cmp::Reverse(reading::order(run.id)));
        let more = runs.len() > limit;
        runs.truncate(limit);
        runs.iter_mut().for_each(payloads::name_payloads);
        let last = runs.last().filter(|_| more);
        let next = last.map(|run| run.id.to_string());
        Ok(RunPage { runs, next, unled })
    }

    /// What happened in a run: so many entries behind number `after`, at most [`JournalPage::MAX`].
    ///
    /// # Errors
    /// When there is no such run, or its journal cannot be read.
    pub async fn journal(&self, id: RunId, after: u64, limit: usize) -> Result<JournalPage, Error> {
        let journals = Arc::clone(&self.leader(id)?.journals);
        journals.whole().await;
        let read = tokio::task::spawn_blocking(move || journals.page(id, after, limit)).await;
        let live = match read {
            Ok(read) => read.map_err(Error::journals)?,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_stopping) => return Err(Error::Partition(ProposeError::Stopped)),
            },
        };
        // A run leaves its partition only when the archive has it, so it is never in neither.
        let page = match (live, &self.inner.archive) {
            (None, Some(archive)) => archive.journal(id, after, limit).await?,
            (live, _) => live,
        };
        let mut page = page.ok_or(Error::NoSuchRun(id))?;
        self.fetch_entries(&mut page.entries).await;
        Ok(page)
    }

    /// One sentence: what a run waits for, or how it ended.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn why(&self, id: RunId) -> Result<String, Error> {
        Ok(self.expect_named(id).await?.why)
    }

    /// How many runs there are by phase, those in the archive included, those of partitions that are
    /// not led left out. One that moves meanwhile may count twice.
    ///
    /// # Errors
    /// When the archive does not answer.
    pub async fn count(&self) -> Result<BTreeMap<Status, u64>, Error> {
        let mut counts = match &self.inner.archive {
            Some(archive) => archive.counts().await?,
            None => BTreeMap::new(),
        };
        for leader in &self.inner.leaders {
            let mut after = None;
            loop {
                let look = move |machine: &Partition| reading::count(machine.state(), after);
                let Ok((some, rest)) = leader.handle.read(look).await else {
                    break;
                };
                for (status, count) in some {
                    *counts.entry(status).or_default() += count;
                }
                after = rest;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(counts)
    }

    /// How many bytes the journals of finished runs take on disk.
    #[must_use]
    pub fn archive_bytes(&self) -> u64 {
        self.inner
            .archive
            .as_ref()
            .map_or(0, crate::archive::Archive::bytes)
    }
}

/// Runs of one partition, a bounded part of them at a time so that its leader has work between.
async fn live(
    leader: &Leader,
    filter: &Filter,
    mut before: Option<RunId>,
    wanted: usize,
) -> Result<Vec<Run>, Error> {
    let mut runs = Vec::new();
    loop {
        let (filter, partition) = (filter.clone(), leader.partition);
        let limit = wanted.saturating_sub(runs.len());
        let found = leader
            .handle
            .read(move |machine| reading::find(machine.state(), partition, &filter, before, limit));
        let found = found.await?;
        runs.extend(found.runs);
        match found.rest {
            Some(rest) if runs.len() < wanted => before = Some(rest),
            _ => return Ok(runs),
        }
    }
}
