//! Removes payloads that nothing names any more: no run of a partition, no run of the archive.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_log::blob::{self, BlobId, BlobStore, Collected};
use taraf_log::machine::{Handle, ProposeError};

use crate::archive::Archive;
use crate::invoker::Means;
use crate::leader::Leader;
use crate::metrics::Metrics;
use crate::partition::{Partition, blob_of};

/// How often it is looked for what may go.
const COLLECT_EVERY: Duration = Duration::from_secs(600);

/// What is asked which payloads are named.
pub(crate) struct Collector {
    store: BlobStore,
    partitions: Vec<Handle<Partition>>,
    archive: Option<Archive>,
    metrics: Arc<Metrics>,
}

/// Why a collection was given up. The next one begins anew.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("ask a partition for the payloads that it names")]
    Partition(#[from] ProposeError),
    #[error(transparent)]
    Blobs(#[from] blob::Error),
}

impl Collector {
    /// Collects now and then, where payloads are kept.
    pub(crate) fn start(
        leaders: &[Leader],
        archive: Option<Archive>,
        means: &Means,
        tasks: &Tasks,
    ) {
        let Some(store) = means.config.blobs.clone() else {
            return;
        };
        let collector = Self {
            store,
            partitions: leaders.iter().map(|leader| leader.handle.clone()).collect(),
            archive,
            metrics: Arc::clone(&means.hub.metrics),
        };
        tasks.spawn("collection of payloads", collector.run(tasks.clone()));
    }

    async fn run(self, tasks: Tasks) {
        let stopping = tasks.token();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(COLLECT_EVERY) => {}
            }
            match self.collect().await {
                Ok(collected) => self.tell(collected),
                Err(error) => tracing::warn!(%error, "unused payloads stay; it is tried again"),
            }
        }
    }

    /// The order says why nothing is removed that is named. First the collection begins: what is put
    /// from here on is spared. Then the partitions are asked, whose answers are durable states: a run
    /// that is gone from one never comes back. Then the archive: a run that left a partition was in
    /// it before.
    async fn collect(&self) -> Result<Collected, Error> {
        let collection = self.store.begin_collection();
        let mut named: BTreeSet<BlobId> = BTreeSet::new();
        for partition in &self.partitions {
            let look = |machine: &Partition| -> Vec<BlobId> {
                machine
                    .state()
                    .payloads()
                    .map(|name| blob_of(&name))
                    .collect()
            };
            named.extend(partition.read(look).await?);
        }
        let archive = self.archive.clone();
        let is_archived = move |id: &BlobId| match &archive {
            None => false,
            Some(archive) => archive.names(&id.hash).unwrap_or_else(|error| {
                tracing::warn!(%error, "a payload stays, as the archive cannot be asked for it");
                true
            }),
        };
        let is_named = move |id: &BlobId| named.contains(id) || is_archived(id);
        Ok(collection.finish(is_named).await?)
    }

    fn tell(&self, collected: Collected) {
        let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.payloads.set(signed(collected.kept));
        self.metrics.payload_bytes.set(signed(collected.kept_bytes));
        if collected.removed > 0 {
            let (removed, bytes) = (collected.removed, collected.removed_bytes);
            tracing::info!(removed, bytes, "payloads that nothing names were removed");
        }
    }
}
