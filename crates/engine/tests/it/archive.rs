//! Finished runs leave memory for the archive, and nobody who asks for them can tell.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taraf_base::{Tasks, Timestamp};
use taraf_engine::{
    ArchiveConfig, Config, Engine, Error, Filter, FlowRef, JournalEntry, JournalPage, Page, Run,
    RunId, Start, Status,
};
use taraf_flow::Data;
use taraf_log::{FileLog, file};

use crate::bench::flow;
use crate::wire::engine;

const LIMIT: Duration = Duration::from_secs(30);

struct World {
    engine: Engine,
    tasks: Tasks,
    log_tasks: Tasks,
}

async fn open(dir: &Path, linger: Duration) -> World {
    open_for(dir, linger, ArchiveConfig::default().keep_for).await
}

async fn open_for(dir: &Path, linger: Duration, keep_for: Duration) -> World {
    let (tasks, log_tasks) = (Tasks::new(), Tasks::new());
    let config = file::Config {
        segment_bytes: 1 << 20,
        ballast_bytes: 0,
        ..file::Config::default()
    };
    let log = FileLog::open(&dir.join("log"), config, &log_tasks).unwrap();
    let config = Config {
        partitions: 2,
        archive: ArchiveConfig { keep_for, linger },
        archive_dir: Some(dir.join("archive")),
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

    async fn journal(&self, id: RunId) -> Vec<JournalEntry> {
        let page = self.engine.journal(id, 0, JournalPage::MAX).await.unwrap();
        assert_eq!(page.next, None);
        page.entries
    }

    async fn run(&self, name: &str, n: u64, key: Option<&str>) -> Result<Run, Error> {
        let start = Start {
            idempotency_key: key.map(str::to_owned),
            owner: Some("acc_1".to_owned()),
            ..Start::new(
                FlowRef {
                    namespace: "test".to_owned(),
                    name: name.to_owned(),
                    version: None,
                },
                Some(Data::from(json!({ "n": n }))),
            )
        };
        let started = self.engine.start_run(start).await?;
        self.engine.wait(started.id, LIMIT).await
    }

    /// Waits until this many runs have moved since the engine was started.
    async fn moved(&self, runs: u64) {
        let metric = format!("taraf_engine_runs_archived_total {runs}");
        let text = || self.engine.metrics().text();
        let all = async {
            while !text().lines().any(|line| line == metric) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let done = tokio::time::timeout(LIMIT, all).await;
        assert!(done.is_ok(), "not moved: {}", text());
    }

    async fn listed(&self, filter: &Filter) -> Vec<RunId> {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = Page { after, limit: 3 };
            let page = self.engine.list(filter, &page).await.unwrap();
            ids.extend(page.runs.iter().map(|run| run.id));
            after = page.next;
            if after.is_none() {
                return ids;
            }
        }
    }
}

fn double() -> String {
    flow("- s: {set: {twice: '${ .n * 2 }'}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_runs_move_and_are_found_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path(), Duration::ZERO).await;
    world.engine.publish(&double()).await.unwrap();
    let mut runs = Vec::new();
    for n in 0..10 {
        runs.push(world.run("flow", n, None).await.unwrap());
    }
    let journal = world.journal(runs[0].id).await;
    world.moved(10).await;
    for run in &runs {
        assert_eq!(world.engine.get(run.id).await.unwrap().as_ref(), Some(run));
        let waited = world.engine.wait(run.id, LIMIT).await.unwrap();
        assert_eq!(&waited, run);
    }
    assert_eq!(world.journal(runs[0].id).await, journal);
    assert!(
        world
            .engine
            .why(runs[0].id)
            .await
            .unwrap()
            .starts_with("completed")
    );
    let refused = world.engine.cancel(runs[3].id).await.unwrap_err();
    let status = Status::Completed;
    assert!(
        matches!(refused, Error::NotPossible { status: s, .. } if s == status),
        "{refused}"
    );
    let mut ids: Vec<_> = runs.iter().map(|run| run.id).collect();
    ids.reverse();
    assert_eq!(world.listed(&Filter::default()).await, ids);
    world.close().await;

    let world = open(dir.path(), Duration::ZERO).await;
    assert_eq!(world.listed(&Filter::default()).await, ids);
    assert_eq!(world.journal(runs[0].id).await, journal);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_mix_what_lives_and_what_moved() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path(), Duration::ZERO).await;
    world.engine.publish(&double()).await.unwrap();
    let waits = flow("- w: {wait: PT1H}").replace("name: flow", "name: waits");
    world.engine.publish(&waits).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..8 {
        if n % 2 == 0 {
            ids.push(world.run("flow", n, None).await.unwrap().id);
        } else {
            let start = Start::new(
                FlowRef {
                    namespace: "test".to_owned(),
                    name: "waits".to_owned(),
                    version: None,
                },
                None,
            );
            ids.push(world.engine.start_run(start).await.unwrap().id);
        }
        // Runs of one millisecond have no order among partitions.
        let began = Timestamp::now();
        while Timestamp::now() == began {
            tokio::task::yield_now().await;
        }
    }
    world.moved(4).await;
    ids.reverse();
    assert_eq!(world.listed(&Filter::default()).await, ids);
    let waiting = Filter {
        status: Some(Status::Waiting),
        ..Filter::default()
    };
    let every_second: Vec<_> = ids.iter().step_by(2).copied().collect();
    assert_eq!(world.listed(&waiting).await, every_second);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_names_its_run_after_the_move_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path(), Duration::ZERO).await;
    world.engine.publish(&double()).await.unwrap();
    let first = world.run("flow", 1, Some("order-7")).await.unwrap();
    world.moved(1).await;
    assert_eq!(world.run("flow", 1, Some("order-7")).await.unwrap(), first);
    let other = world.run("flow", 2, Some("order-7")).await.unwrap_err();
    assert!(matches!(other, Error::KeyConflict { existing } if existing == first.id));
    world.close().await;
    let world = open(dir.path(), Duration::ZERO).await;
    assert_eq!(world.run("flow", 1, Some("order-7")).await.unwrap(), first);
    assert_eq!(world.listed(&Filter::default()).await, [first.id]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_when_its_run_is_no_longer_kept() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path(), Duration::ZERO).await;
    world.engine.publish(&double()).await.unwrap();
    let first = world.run("flow", 1, Some("order-7")).await.unwrap();
    world.moved(1).await;
    world.close().await;
    let world = open_for(dir.path(), LIMIT, Duration::ZERO).await;
    let gone = async {
        while world.engine.get(first.id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
    let second = world.run("flow", 2, Some("order-7")).await.unwrap();
    assert_ne!(second.id, first.id);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_ended_before_a_stop_moves_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path(), LIMIT).await;
    world.engine.publish(&double()).await.unwrap();
    let run = world.run("flow", 1, None).await.unwrap();
    world.close().await;
    assert!(!dir.path().join("archive").read_dir().unwrap().any(|_| true));
    let world = open(dir.path(), Duration::ZERO).await;
    world.moved(1).await;
    assert_eq!(world.engine.get(run.id).await.unwrap(), Some(run));
    world.close().await;
}
