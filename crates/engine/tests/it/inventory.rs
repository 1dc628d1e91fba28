//! What is kept is checked where nobody leads it: each payload that is named must be there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taraf_base::Tasks;
use taraf_engine::{ArchiveConfig, Config, Engine, FlowRef, Inventory, RunId, Start};
use taraf_flow::Data;
use taraf_log::backup::{self, Report};
use taraf_log::blob::BlobStore;
use taraf_log::{FileLog, file};

use crate::bench::flow;
use crate::wire::engine;

const LIMIT: Duration = Duration::from_secs(30);
/// The output of its first task is named by its journal alone, once the second has ended.
const WAITS: &str = r"
- double: {set: {twice: '${ .text + .text }'}}
- small: {set: {n: 1}}
- pause: {wait: PT1H}";
const ENDS: &str = "- s: {set: {all: '${ .text }'}}";

struct World {
    engine: Engine,
    tasks: Tasks,
    log_tasks: Tasks,
}

async fn open(dir: &Path, keep_for: Duration) -> World {
    let (tasks, log_tasks) = (Tasks::new(), Tasks::new());
    let config = file::Config {
        segment_bytes: 8 << 20,
        ballast_bytes: 0,
        ..file::Config::default()
    };
    let log = FileLog::open(&dir.join("log"), config, &log_tasks).unwrap();
    let config = Config {
        partitions: 1,
        archive: ArchiveConfig {
            linger: Duration::ZERO,
            keep_for,
        },
        archive_dir: Some(dir.join("archive")),
        blobs: Some(BlobStore::open(&dir.join("blobs")).unwrap()),
        runs_dir: Some(dir.join("runs")),
        ..Config::default()
    };
    let engine = engine(Arc::new(log), config, &tasks).await;
    World {
        engine,
        tasks,
        log_tasks,
    }
}

impl World {
    async fn close(self) {
        assert!(self.tasks.drain(LIMIT).await.is_empty());
        drop(self.engine);
        assert!(self.log_tasks.drain(LIMIT).await.is_empty());
    }

    async fn start(&self, name: &str, tasks: &str, letter: &str) -> RunId {
        let source = flow(tasks).replace("name: flow", &format!("name: {name}"));
        self.engine.publish(&source).await.unwrap();
        let reference = FlowRef {
            namespace: "test".to_owned(),
            name: name.to_owned(),
            version: None,
        };
        let input = json!({"text": letter.repeat(100_000)});
        let start = Start::new(reference, Some(Data::from(input)));
        self.engine.start_run(start).await.unwrap().id
    }

    /// Waits for a line of the metrics.
    async fn told(&self, line: &str) {
        let is_told = async {
            while !self
                .engine
                .metrics()
                .text()
                .lines()
                .any(|told| told == line)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, is_told).await.unwrap();
    }
}

fn verify(dir: &Path) -> Report {
    let mut inventory = Inventory::of_directory(dir);
    backup::verify_directory(dir, &mut inventory, &mut |_| {}).unwrap()
}

fn blobs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(dir.join("blobs")).unwrap() {
        let files = std::fs::read_dir(folder.unwrap().path()).unwrap();
        found.extend(files.map(|file| file.unwrap().path()));
    }
    found.sort();
    found
}

/// A run that waits and one that has moved to the archive, each with two payloads. Answers the second.
async fn keep_runs(dir: &Path) -> RunId {
    let world = open(dir, Duration::from_secs(3_600)).await;
    let waits = world.start("waits", WAITS, "a").await;
    let waiting = async {
        while !world
            .engine
            .why(waits)
            .await
            .unwrap()
            .contains("the wait of `pause`")
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap();
    let ends = world.start("ends", ENDS, "b").await;
    world.engine.wait(ends, LIMIT).await.unwrap();
    world.told("taraf_engine_runs_archived_total 1").await;
    world.close().await;
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn each_payload_that_is_named_must_be_there_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let ends = keep_runs(dir).await;
    let sound = verify(dir);
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!(sound.blobs, 4);
    let mut who = Vec::new();
    for path in blobs(dir) {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let report = verify(dir);
        let name = path.file_name().unwrap().to_str().unwrap();
        let [finding] = report.lacks.as_slice() else {
            panic!("{report:?}");
        };
        let begin = format!("the payload {name} is missing: ");
        let rest = finding.strip_prefix(&begin).unwrap();
        who.push(rest.strip_suffix(" names it").unwrap().to_owned());
        let names = backup::verify_names(dir, &mut Inventory::of_directory(dir)).unwrap();
        assert_eq!(names.lacks, report.lacks);

        let mut altered = bytes.clone();
        altered[50_000] ^= 1;
        std::fs::write(&path, altered).unwrap();
        let report = verify(dir);
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        assert!(report.findings[0].ends_with("holds other bytes"));
        std::fs::write(&path, bytes).unwrap();
    }
    who.sort();
    let (live, archived) = ("a run of partition 16", format!("the archived run {ends}"));
    assert_eq!(who, [live, live, &archived, &archived]);
}

/// How many are absent when one of an archived run is.
fn absent(dir: &Path) -> u64 {
    let mut archived = blobs(dir)
        .into_iter()
        .filter(|path| std::fs::read(path).unwrap().contains(&b'b'));
    let path = archived.next().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let report = verify(dir);
    assert!(report.is_sound(), "{report:?}");
    std::fs::write(&path, bytes).unwrap();
    report.absent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_of_an_archived_run_may_be_gone_when_its_time_may_be_over() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let ends = keep_runs(dir).await;
    // A folder made from a backup has no index, and does not know which runs are still kept.
    for file in std::fs::read_dir(dir.join("archive")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().unwrap() != "pack" {
            std::fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(absent(dir), 1);
    let world = open(dir, Duration::ZERO).await;
    let expired = async {
        while world.engine.get(ends).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, expired).await.unwrap();
    world.close().await;
    assert_eq!(absent(dir), 1);
}
