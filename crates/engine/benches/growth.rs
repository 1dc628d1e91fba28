//! What many and long runs cost: memory and restart with 100,000 runs that wait, and one run of a
//! million steps. `cargo bench -p taraf-engine --bench growth [waiting|payloads|long]…`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement for people"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use taraf_base::Tasks;
use taraf_engine::{Config, Engine, FlowRef, Limits, Start, Status};
use taraf_flow::Data;
use taraf_log::{FileLog, file};
use taraf_service::{Client, Directory, client};
use tokio::sync::watch;
use tokio::task::JoinSet;

const WAITS: &str = "document: {dsl: '1.0.3', namespace: growth, name: waits, version: 1.0.0}
do:
  - a: {set: '${ . + {seen: true} }'}
  - w: {wait: P30D}
";
const LONG: &str = "document: {dsl: '1.0.3', namespace: growth, name: long, version: 1.0.0}
do:
  - l: {for: {in: '[range(1000)]'}, do: [{m: {for: {in: '[range(1000)]'}, do: [{s: {set: {n: '${ $index }'}}}]}}]}
";
const RUNS: usize = 100_000;
const IN_FLIGHT: usize = 256;
const LIMIT: Duration = Duration::from_secs(600);

struct World {
    engine: Engine,
    tasks: Tasks,
    log_tasks: Tasks,
}

impl World {
    async fn open(dir: &Path) -> Self {
        let (tasks, log_tasks) = (Tasks::new(), Tasks::new());
        let log = FileLog::open(&dir.join("log"), file::Config::default(), &log_tasks).unwrap();
        let (_, directory) = watch::channel(Arc::new(Directory::default()));
        let client = Client::new(directory, client::Config::default(), &tasks);
        let config = Config {
            archive_dir: Some(dir.join("archive")),
            rest_dir: Some(dir.to_owned()),
            limits: Limits {
                task_starts: 10_000_000,
                history: 10_000_000,
                live_runs: 1_000_000,
                live_bytes: 8 << 30,
                ..Limits::default()
            },
            ..Config::default()
        };
        let engine = Engine::start(Arc::new(log), config, client, &tasks)
            .await
            .unwrap();
        Self {
            engine,
            tasks,
            log_tasks,
        }
    }

    async fn close(self) {
        self.tasks.drain(LIMIT).await;
        drop(self.engine);
        self.log_tasks.drain(LIMIT).await;
    }
}

fn flow(name: &str) -> FlowRef {
    FlowRef {
        namespace: "growth".to_owned(),
        name: name.to_owned(),
        version: None,
    }
}

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1_024.0
}

async fn waiting(payload: usize) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    world.engine.publish(WAITS).await.unwrap();
    let idle = resident();
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..IN_FLIGHT {
        let engine = world.engine.clone();
        workers.spawn(async move {
            for n in (worker..RUNS).step_by(IN_FLIGHT) {
                let input = Data::from(json!({"n": n, "text": "x".repeat(payload)}));
                let start = Start::new(flow("waits"), Some(input));
                engine.start_run(start).await.unwrap();
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
    let took = began.elapsed().as_secs_f64();
    let counts = world.engine.count().await.unwrap();
    assert_eq!(
        counts.get(&Status::Waiting),
        Some(&u64::try_from(RUNS).unwrap())
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!(
        "{RUNS} waiting runs with {payload} bytes each: {:.1} MiB above idle ({idle:.1} MiB), begun in {took:.1} s",
        resident() - idle
    );
    world.close().await;
    let began = Instant::now();
    let world = World::open(dir.path()).await;
    let opened = began.elapsed();
    let start = Start::new(flow("waits"), Some(Data::object()));
    world.engine.start_run(start).await.unwrap();
    println!(
        "  restart: {:.2} s to open, {:.2} s to the first answer, {:.1} MiB",
        opened.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        resident()
    );
    world.close().await;
}

async fn long() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    world.engine.publish(LONG).await.unwrap();
    let idle = resident();
    let began = Instant::now();
    let started = world
        .engine
        .start_run(Start::new(flow("long"), None))
        .await
        .unwrap();
    let run = world.engine.wait(started.id, LIMIT).await.unwrap();
    println!(
        "a run of 1,000,000 steps: {} in {:.1} s, {:.1} MiB above idle ({idle:.1} MiB)",
        run.status,
        began.elapsed().as_secs_f64(),
        resident() - idle
    );
    world.close().await;
}

fn main() {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_asked = |word: &str| asked.is_empty() || asked.iter().any(|asked| asked == word);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if is_asked("waiting") {
            waiting(20).await;
        }
        if is_asked("payloads") {
            waiting(2_000).await;
        }
        if is_asked("long") {
            long().await;
        }
    });
}
