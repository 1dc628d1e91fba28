//! Moves finished runs of one partition to the archive: durable there first, then let go of here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use taraf_base::{Backoff, Rng, Tasks, Timestamp, random_u64};
use taraf_log::machine::Handle;
use tokio::sync::Notify;

use crate::archive::{Archive, Archived, Error};
use crate::insist::insist;
use crate::journal::Journals;
use crate::metrics::Metrics;
use crate::partition::{Finished, Input, Partition};

/// Runs moved together at most; also how many may have ended before a move begins at once.
const RUNS_TOGETHER: usize = 512;
/// How long to wait before the archive is asked again.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(200),
    max: Duration::from_secs(30),
    factor: 2,
};

/// What the observer of a partition tells its archivist.
#[derive(Default)]
pub(crate) struct Ended {
    /// Runs that have ended and not moved.
    waiting: AtomicU64,
    /// Runs that have moved since the partition began to exist.
    moved: AtomicU64,
    some: Notify,
    many: Notify,
}

impl Ended {
    /// As it is after replay.
    pub(crate) fn recovered(&self, waiting: usize, moved: u64) {
        self.moved.store(moved, Ordering::Release);
        self.add(u64::try_from(waiting).unwrap_or(u64::MAX));
    }

    /// A run has ended.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// A run's move is durable.
    pub(crate) fn one_moved(&self) {
        self.moved.fetch_add(1, Ordering::AcqRel);
        // Never below zero: what moves had ended before.
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many runs are known to have moved.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Acquire)
    }

    fn add(&self, runs: u64) {
        let before = self.waiting.fetch_add(runs, Ordering::AcqRel);
        let many = u64::try_from(RUNS_TOGETHER).unwrap_or(u64::MAX);
        if before == 0 && runs > 0 {
            self.some.notify_one();
        }
        if before.saturating_add(runs) >= many {
            self.many.notify_one();
        }
    }
}

/// Moves runs until the tasks stop.
pub(crate) struct Archivist {
    pub(crate) archive: Archive,
    pub(crate) handle: Handle<Partition>,
    pub(crate) journals: Arc<Journals>,
    pub(crate) ended: Arc<Ended>,
    /// How long a run may stay when few others end.
    pub(crate) linger: Duration,
    pub(crate) metrics: Arc<Metrics>,
}

impl Archivist {
    pub(crate) async fn run(self, tasks: Tasks) {
        let stopping = tasks.token();
        let work = async {
            self.journals.whole().await;
            loop {
                if self.ended.waiting.load(Ordering::Acquire) == 0 {
                    self.ended.some.notified().await;
                }
                // Whether many have ended or the time has passed makes no difference.
                let _many = tokio::time::timeout(self.linger, self.ended.many.notified()).await;
                self.move_all().await;
            }
        };
        tokio::select! {
            // What was added and not let go of is found there when it is moved again.
            () = stopping.cancelled() => {}
            () = work => {}
        }
    }

    /// Moves what has ended until little is left.
    async fn move_all(&self) {
        loop {
            let look = |machine: &Partition| machine.state().finished(RUNS_TOGETHER);
            let Ok((finished, more)) = self.handle.read(look).await else {
                // The partition leads no more; a wait for the next end has no end of its own.
                return std::future::pending().await;
            };
            if finished.is_empty() {
                return;
            }
            let ids = finished.iter().map(|finished| finished.run.id).collect();
            self.add(finished).await;
            insist(&self.handle, Input::Moved(ids)).await;
            if !more {
                return;
            }
        }
    }

    /// Adds to the archive, until it is done.
    async fn add(&self, finished: Vec<Finished>) {
        let mut rng = Rng::new(random_u64());
        let mut attempt = 0;
        let count = u64::try_from(finished.len()).unwrap_or(0);
        let began = Timestamp::now();
        while let Err(error) = self.try_add(finished.clone()).await {
            let error = taraf_base::with_causes(&error);
            tracing::error!(%error, "the archive does not take finished runs; they stay in memory");
            self.metrics.archive_failures.increment();
            tokio::time::sleep(AGAIN.delay(attempt, &mut rng)).await;
            attempt = attempt.saturating_add(1);
        }
        self.metrics.archived.add(count);
        self.metrics
            .archive_seconds
            .observe(Timestamp::now().since(began));
    }

    async fn try_add(&self, finished: Vec<Finished>) -> Result<(), Error> {
        let journals = Arc::clone(&self.journals);
        let pack = move |Finished { run, payloads }: Finished| Archived {
            journal: Box::new(journals.parts(run.id)),
            run: run.view(),
            payloads,
        };
        self.archive
            .add_all(move || finished.into_iter().map(pack).collect())
            .await
    }
}
