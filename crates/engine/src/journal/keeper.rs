//! Keeps the journals of one partition whole: reads what is missing from the log after a start, and
//! writes what is in memory to the files.

use std::sync::Arc;
use std::time::Duration;

use taraf_base::{Backoff, Rng, Tasks, random_u64};
use taraf_log::machine::{Follower, checkpoint};
use taraf_log::record;
use taraf_log::{Error as LogError, Log, PartitionId, Position};

use super::entries::Entry;
use super::{Error, Journals};
use crate::RunId;
use crate::metrics::Metrics;
use crate::partition::What;

/// What is in memory is written after so long, so that the log can be trimmed behind it.
const WRITE_EVERY: Duration = Duration::from_secs(3);
/// Bytes read from the log at once.
const READ_BYTES: usize = 1 << 20;
/// How long to wait before what failed is tried again.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(200),
    max: Duration::from_secs(30),
    factor: 2,
};

/// Who keeps them.
pub(crate) struct Keeper<L> {
    pub(crate) journals: Arc<Journals>,
    pub(crate) log: Arc<L>,
    pub(crate) partition: PartitionId,
    /// Holds the records that are not in the files; none when they are not read again.
    pub(crate) follower: Option<Follower>,
    pub(crate) metrics: Arc<Metrics>,
}

impl<L: Log> Keeper<L> {
    /// Goes on until the tasks stop.
    pub(crate) async fn run(self, tasks: Tasks) {
        let stopping = tasks.token();
        let work = async {
            self.catch_up().await;
            if self.journals.dir.is_none() {
                return;
            }
            self.write_always().await;
        };
        tokio::select! {
            // What is not written is read from the log after the next start.
            () = stopping.cancelled() => {}
            () = work => {}
        }
    }

    /// Reads what is missing from the log.
    async fn catch_up(&self) {
        let mut rng = Rng::new(random_u64());
        let mut attempt = 0;
        let Some((mut from, to)) = self.journals.missing() else {
            return;
        };
        while from <= to {
            match self.read(from, to).await {
                Ok(next) => (from, attempt) = (next, 0),
                Err(LogError::Trimmed { first }) if first > from => {
                    let (partition, lost) = (self.partition, first.0.saturating_sub(from.0));
                    tracing::error!(%partition, lost, "records are gone that journals should tell of");
                    from = first;
                }
                Err(error) => {
                    let partition = self.partition;
                    tracing::error!(%partition, %error, "failed to read journals from the log");
                    tokio::time::sleep(AGAIN.delay(attempt, &mut rng)).await;
                    attempt = attempt.saturating_add(1);
                }
            }
        }
        self.journals.caught_up();
    }

    async fn read(&self, from: Position, to: Position) -> Result<Position, LogError> {
        let chunk = self.log.read(self.partition, from, READ_BYTES).await?;
        let mut next = from;
        for batch in &chunk.batches {
            let records = record::decode_all(&batch.frames, batch.first, batch.count);
            let records = records.map_err(|error| LogError::Malformed(error.to_string()))?;
            for record in records.iter().filter(|record| record.position >= from) {
                if record.position > to {
                    return Ok(record.position);
                }
                let kind = record.header.kind;
                next = record.position.next();
                if kind == checkpoint::KIND {
                    continue;
                }
                let entry = Entry {
                    at: record.time,
                    kind,
                    version: record.header.version,
                    body: record.body,
                };
                let leaves = [What::Removed.kind(), What::Moved.kind()].contains(&kind);
                let run = RunId::new(record.header.subject);
                self.journals.add_older(run, entry, leaves);
            }
        }
        if next == from {
            // The log ends before it should: what is not there cannot be told.
            return Ok(to.next());
        }
        Ok(next)
    }

    async fn write_always(&self) {
        let mut rng = Rng::new(random_u64());
        let mut attempt = 0;
        loop {
            // Whether there is much or the time has passed makes no difference.
            let _many = tokio::time::timeout(WRITE_EVERY, self.journals.many.notified()).await;
            while let Err(error) = self.write().await {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                let partition = self.partition;
                tracing::error!(%partition, %error, ?why, "journals stay in memory");
                self.metrics.journal_failures.increment();
                tokio::time::sleep(AGAIN.delay(attempt, &mut rng)).await;
                attempt = attempt.saturating_add(1);
            }
            attempt = 0;
        }
    }

    async fn write(&self) -> Result<(), Error> {
        if !self.journals.has_news() {
            return Ok(());
        }
        let journals = Arc::clone(&self.journals);
        let done = tokio::task::spawn_blocking(move || journals.write()).await;
        let position = match done {
            Ok(written) => written?,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime stops.
                Err(_stopping) => return std::future::pending().await,
            },
        };
        if let Some(follower) = &self.follower {
            follower.advance(position);
        }
        Ok(())
    }
}
