//! The contract suite, run on every backend.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_log::contract::{Backend, check_all};
use taraf_log::file::Config;
use taraf_log::file::disk::{Disk, OsDisk};
use taraf_log::file::memory_disk::MemoryDisk;
use taraf_log::{FileLog, MemoryLog};

const DRAIN: Duration = Duration::from_secs(30);

struct Memory;

impl Backend for Memory {
    type Log = MemoryLog;

    async fn fresh(&mut self) -> MemoryLog {
        MemoryLog::new().with_batch_bytes_max(4_096)
    }

    async fn restart(&mut self, log: MemoryLog) -> MemoryLog {
        log
    }
}

struct Files {
    disk: Arc<dyn Disk>,
    dir: Option<tempfile::TempDir>,
    runs: u32,
    config: Config,
    tasks: Tasks,
}

impl Files {
    fn new(disk: Arc<dyn Disk>, dir: Option<tempfile::TempDir>, segment_bytes: u64) -> Self {
        let config = Config {
            segment_bytes,
            ballast_bytes: 0,
            ..Config::default()
        };
        Self {
            disk,
            dir,
            runs: 0,
            config,
            tasks: Tasks::new(),
        }
    }

    fn open(&mut self) -> FileLog {
        self.tasks = Tasks::new();
        let root = self
            .dir
            .as_ref()
            .map_or_else(|| Path::new("/data"), |dir| dir.path());
        let dir = root.join(self.runs.to_string());
        FileLog::open_on(
            Arc::clone(&self.disk),
            &dir,
            self.config.clone(),
            &self.tasks,
        )
        .unwrap()
    }
}

impl Backend for Files {
    type Log = FileLog;

    async fn fresh(&mut self) -> FileLog {
        self.runs += 1;
        self.open()
    }

    async fn restart(&mut self, log: FileLog) -> FileLog {
        drop(log);
        assert!(self.tasks.drain(DRAIN).await.is_empty());
        self.open()
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    check_all(&mut Memory).await;
}

#[tokio::test]
async fn files_keep_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    check_all(&mut Files::new(Arc::new(OsDisk), Some(dir), 1 << 20)).await;
}

#[tokio::test]
async fn small_segments_keep_the_contract() {
    check_all(&mut Files::new(Arc::new(MemoryDisk::new()), None, 4_096)).await;
}
