//! Opening logs on disks of every kind, for the tests that break them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_log::contract::{Writer, read_all};
use taraf_log::file::Config;
use taraf_log::file::memory_disk::MemoryDisk;
use taraf_log::{Batch, Error, FileLog, Log, PartitionId, Position};

pub(crate) const P: PartitionId = PartitionId(16);
pub(crate) const Q: PartitionId = PartitionId(17);
pub(crate) const DIR: &str = "/data";

pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

pub(crate) fn config(segment_bytes: u64) -> Config {
    Config {
        segment_bytes,
        stripes: 1,
        ballast_bytes: 0,
        ..Config::default()
    }
}

/// An open log on a disk in memory, with the tasks that must end before it is opened again.
pub(crate) struct Open {
    pub(crate) log: FileLog,
    tasks: Tasks,
}

impl Open {
    pub(crate) fn new(disk: &MemoryDisk, config: Config) -> Result<Self, Error> {
        let tasks = Tasks::new();
        let log = FileLog::open_on(Arc::new(disk.clone()), Path::new(DIR), config, &tasks)?;
        Ok(Self { log, tasks })
    }

    pub(crate) async fn close(self) {
        drop(self.log);
        assert!(self.tasks.drain(Duration::from_secs(30)).await.is_empty());
    }

    /// The log takes work: a claim, a batch, and the batch is read back.
    pub(crate) async fn works(&self) {
        let mut writer = Writer::claim(&self.log, P).await;
        let batch = writer.append(2, 20).await.unwrap();
        let read = self.log.read(P, batch.first, 1).await.unwrap();
        assert_eq!(read.batches, [batch]);
    }

    pub(crate) async fn batches(&self, partition: PartitionId) -> Vec<Batch> {
        read_all(&self.log, partition, Position::FIRST).await
    }
}

/// What a run left on the disk, and what it acknowledged.
pub(crate) struct Recorded {
    pub(crate) files: Files,
    pub(crate) batches: Vec<Batch>,
}

/// A run of one writer: each batch is its own write, and acknowledged.
pub(crate) async fn record(segment_bytes: u64, batches: u32) -> Recorded {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(segment_bytes)).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let mut written = Vec::new();
    for n in 0..batches {
        written.push(
            writer
                .append(1 + n % 3, 10 + usize::try_from(n % 7).unwrap())
                .await
                .unwrap(),
        );
    }
    drop(writer);
    open.close().await;
    Recorded {
        files: disk.files(),
        batches: written,
    }
}

pub(crate) fn segments(files: &Files) -> Vec<PathBuf> {
    let is_segment = |path: &&PathBuf| path.extension().is_some_and(|e| e == "segment");
    files.keys().filter(is_segment).cloned().collect()
}

/// Bytes up to the last one that is not zero.
pub(crate) fn used(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1)
}
