//! Settings of the engine and the limits of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taraf_base::Secret;
use taraf_log::blob::BlobStore;

use crate::archive;

/// Settings of the engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Partitions of durable runs; 0 means one for each core, at most 4. It counts at the first
    /// start on a log only: later ones keep what they find.
    pub partitions: u32,
    /// What `$secrets` may name, as text or as JSON text of an object.
    pub secrets: BTreeMap<String, Secret>,
    /// Calls of one target (host and port) that may be under way at the same time; others wait,
    /// durably scheduled, without a connection.
    pub calls: usize,
    /// How many calls and overdue timers a second go on after a restart.
    pub restarted_per_second: u32,
    /// Whether to lead and perform nothing until released. The program sets it.
    #[serde(skip)]
    pub hold: bool,
    /// Whether to go on with the state that the records give where a checkpoint says otherwise. The
    /// program sets it, when an operator says so.
    #[serde(skip)]
    pub accepts_replay: bool,
    /// Whether waits end at once when nothing else is under way, for tests of flows.
    #[serde(skip)]
    pub skip_waits: bool,
    /// Longest time that one call may take when its task sets none.
    #[serde(with = "taraf_base::duration::serde")]
    pub call_deadline: Duration,
    /// Largest response body that a call may answer with.
    pub response_bytes: usize,
    /// Finished runs kept in each partition when there is no archive.
    pub keep_finished: usize,
    /// How long a finished run is kept when there is no archive.
    #[serde(with = "taraf_base::duration::serde")]
    pub keep_finished_for: Duration,
    /// How finished runs are kept in the archive.
    pub archive: archive::Config,
    /// Where the archive lies. The program sets it; without it finished runs stay in memory.
    #[serde(skip)]
    pub archive_dir: Option<PathBuf>,
    /// Where large payloads are kept. The program sets it; without it they stay in their records.
    #[serde(skip)]
    pub blobs: Option<BlobStore>,
    /// The folder of what live runs need beside the log: their journals, and a file without a name
    /// for those that rest. The program sets it; without it both stay in memory.
    #[serde(skip)]
    pub runs_dir: Option<PathBuf>,
    /// Lifecycle events that a slow subscriber may fall behind.
    pub event_backlog: usize,
    /// What one run may use.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            partitions: 0,
            secrets: BTreeMap::new(),
            calls: 256,
            restarted_per_second: 1_000,
            hold: false,
            accepts_replay: false,
            skip_waits: false,
            call_deadline: Duration::from_secs(30),
            response_bytes: 8 << 20,
            keep_finished: 100_000,
            keep_finished_for: Duration::from_secs(7 * 24 * 3_600),
            archive: archive::Config::default(),
            archive_dir: None,
            blobs: None,
            runs_dir: None,
            event_backlog: 4_096,
            limits: Limits::default(),
        }
    }
}

/// What one run may use. Beyond it the run faults, and says which limit it met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Tasks started in one run.
    pub task_starts: u64,
    /// Branches of one fork.
    pub branches: usize,
    /// Bytes of the input with which a run may be started; more is refused and not recorded.
    pub input_bytes: usize,
    /// Bytes of one input, output or context of a task.
    pub data_bytes: usize,
    /// Bytes of one document above which it is kept as a blob beside the log, and only named in it.
    pub inline_bytes: usize,
    /// Entries in the journal of one run.
    pub history: u64,
    /// Depth of tasks inside tasks.
    pub depth: usize,
    /// Runs of one partition that have not ended.
    pub live_runs: usize,
    /// Bytes of the states of those runs.
    pub live_bytes: usize,
    /// Bytes of one partition's runs that have ended and wait for the archive.
    pub ended_bytes: usize,
    /// Record events that one input may cause before the run lets others have their turn.
    pub group_events: usize,
    /// Bytes of data that one input may cause to be recorded before the run lets others go on.
    pub group_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            task_starts: 2_000_000,
            branches: 256,
            input_bytes: 4 << 20,
            data_bytes: 4 << 20,
            inline_bytes: 64 << 10,
            history: 10_000_000,
            depth: 64,
            live_runs: 100_000,
            live_bytes: 512 << 20,
            ended_bytes: 64 << 20,
            group_events: 512,
            group_bytes: 256 << 10,
        }
    }
}

impl Config {
    /// How many partitions of durable runs there are.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        if self.partitions > 0 {
            return self.partitions.min(MAX_PARTITIONS);
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        u32::try_from(cores.min(DEFAULT_PARTITIONS)).unwrap_or(1)
    }
}

/// More partitions than cores cost throughput.
const DEFAULT_PARTITIONS: usize = 4;
/// The first partition of durable runs.
pub(crate) const FIRST_PARTITION: u32 = 16;
/// Run ids keep 16 bits for the partition; far fewer are of use on one node.
pub(crate) const MAX_PARTITIONS: u32 = 1_024;
