//! What an engine is made of: its definitions, its partitions, and what looks after the archive.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::{Tasks, Timestamp};
use taraf_log::machine::{self, Handle, ProposeError, Replica};
use taraf_log::{BatchId, Log, PartitionId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::archive::Archive;
use crate::attic::FileAttic;
use crate::config::{FIRST_PARTITION, MAX_PARTITIONS};
use crate::definitions::{self, Cataloguer, Library, Sources};
use crate::invoker::Means;
use crate::leader::{Hub, Leader};
use crate::partition::{Attic, Audience, Partition, Payloads, Rest, Settings};
use crate::{Catalog, Config, Error};

/// How often it is looked for what the archive no longer keeps.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);

/// How many partitions of runs there are: as many as were first claimed, whatever is configured
/// now. With fewer, the runs of the others would be gone; with more, keys would meet other
/// partitions than those that know them.
pub(super) async fn partitions<L: Log>(log: &L, configured: u32) -> Result<u32, Error> {
    let mut count = 0;
    while count < MAX_PARTITIONS {
        let partition = PartitionId(FIRST_PARTITION.saturating_add(count));
        let (_, last) = log.tail(partition).await?;
        if last == BatchId::GENESIS {
            break;
        }
        count += 1;
    }
    if count == 0 {
        return Ok(configured);
    }
    if count != configured {
        tracing::info!(count, configured, "the log keeps its number of partitions");
    }
    Ok(count)
}

/// Leads the partitions of durable runs, all at the same time.
pub(super) async fn lead<L: Log>(
    log: &Arc<L>,
    machines: Vec<(PartitionId, Partition)>,
    means: &Arc<Means>,
    archive: Option<(Archive, Duration)>,
    tasks: &Tasks,
) -> Result<Vec<Leader>, Error> {
    let mut starting = JoinSet::new();
    for (partition, machine) in machines {
        let (log, means, tasks) = (Arc::clone(log), Arc::clone(means), tasks.clone());
        let archive = archive.clone();
        starting.spawn(async move {
            Leader::start(log, partition, machine, means, archive, &tasks).await
        });
    }
    let mut leaders = Vec::new();
    while let Some(started) = starting.join_next().await {
        let started = started.unwrap_or_else(|failed| match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_stopping) => Err(Error::Partition(ProposeError::Stopped)),
        });
        leaders.push(started?);
    }
    leaders.sort_by_key(|leader| leader.partition);
    Ok(leaders)
}

/// Where the resting runs of a partition leave memory for.
fn attic(dir: Option<&Path>) -> Option<Arc<dyn Attic>> {
    match FileAttic::make(dir?) {
        Ok(attic) => Some(Arc::new(attic)),
        Err(error) => {
            tracing::warn!(%error, "resting runs stay in memory: their file cannot be made");
            None
        }
    }
}

/// What the decisions of every partition depend on.
pub(super) fn settings(config: &Config, archives: bool, hub: &Arc<Hub>) -> Settings {
    Settings {
        limits: config.limits.clone(),
        keep: config.keep_finished,
        keep_for: config.keep_finished_for,
        archives,
        payloads: config.blobs.clone().map(|store| {
            let limit = config.limits.inline_bytes;
            Arc::new(Payloads::new(store, limit))
        }),
        audience: audience(hub),
        rest: Rest::default(),
    }
}

/// Whether anybody follows the lifecycle of runs.
fn audience(hub: &Arc<Hub>) -> Audience {
    let hub = Arc::clone(hub);
    Audience::new(move || hub.lifecycle.receiver_count() > 0)
}

/// Deletes what the archive no longer keeps, now and then.
pub(super) async fn expiry(
    archive: Archive,
    catalog: watch::Receiver<Arc<Catalog>>,
    keep_for: Duration,
    tasks: Tasks,
) {
    let stopping = tasks.token();
    loop {
        let retention = catalog.borrow().retention(keep_for);
        if let Err(error) = archive.expire(retention, Timestamp::now()).await {
            tracing::warn!(%error, "the archive keeps what it should have deleted; it tries again");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EXPIRE_EVERY) => {}
        }
    }
}

/// Leads the definitions, which all partitions need.
pub(super) async fn sources<L: Log>(
    log: &Arc<L>,
    config: &Config,
    publisher: watch::Sender<Arc<Catalog>>,
    tasks: &Tasks,
) -> Result<Handle<Sources>, Error> {
    let limits = machine::Config {
        accepts_replay: config.accepts_replay,
        ..machine::Config::default()
    };
    let (empty, watcher) = (Sources::default(), Cataloguer(publisher));
    let log = Arc::clone(log);
    Ok(Replica::start(log, definitions::PARTITION, empty, limits, watcher, tasks).await?)
}

/// Empty partitions of durable runs, each with a place of its own for runs that rest.
pub(super) fn machines(
    count: u32,
    settings: &Settings,
    runs_dir: Option<&Path>,
    library: &Arc<Library>,
) -> Vec<(PartitionId, Partition)> {
    let machine = |number| {
        let rest = Rest {
            attic: attic(runs_dir),
            ..Rest::default()
        };
        let settings = Settings {
            rest,
            ..settings.clone()
        };
        let partition = PartitionId(FIRST_PARTITION.saturating_add(number));
        let library = Arc::clone(library);
        (partition, Partition::new(settings, library))
    };
    (0..count).map(machine).collect()
}
