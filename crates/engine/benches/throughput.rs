//! Runs a second over the file log: five steps that only compute, at 1, 64 and 256 in flight.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement for people"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taraf_base::Tasks;
use taraf_engine::{Config, Engine, FlowRef, Start, Status};
use taraf_log::{FileLog, file};
use taraf_service::{Client, Directory, client};
use tokio::sync::watch;
use tokio::task::JoinSet;

const SOURCE: &str = "document: {dsl: '1.0.3', namespace: bench, name: five, version: 1.0.0}
do:
  - a: {set: {n: 1}}
  - b: {set: {n: '${ .n + 1 }'}}
  - c: {set: {n: '${ .n + 1 }'}}
  - d: {set: {n: '${ .n + 1 }'}}
  - e: {set: {n: '${ .n + 1 }'}}
";
const TIME: Duration = Duration::from_secs(3);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut table = "| in flight | runs/s of five steps |\n|---|---|\n".to_owned();
        for in_flight in [1, 64, 256] {
            let rate = measure(in_flight).await;
            writeln!(table, "| {in_flight} | {rate} |").unwrap();
        }
        report(&table);
    });
}

/// Prints the result, or leaves it where `cargo xtask bench` wants it.
fn report(text: &str) {
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, text).unwrap(),
        None => println!("{text}"),
    }
}

async fn measure(in_flight: usize) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let (log_tasks, tasks) = (Tasks::new(), Tasks::new());
    let log = FileLog::open(&dir.path().join("log"), file::Config::default(), &log_tasks).unwrap();
    let (_, directory) = watch::channel(Arc::new(Directory::default()));
    let client = Client::new(directory, client::Config::default(), &tasks);
    let config = Config {
        archive_dir: Some(dir.path().join("archive")),
        runs_dir: Some(dir.path().join("runs")),
        ..Config::default()
    };
    let engine = Engine::start(Arc::new(log), config, client, &tasks)
        .await
        .unwrap();
    engine.publish(SOURCE).await.unwrap();
    let flow = FlowRef {
        namespace: "bench".to_owned(),
        name: "five".to_owned(),
        version: None,
    };
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..in_flight {
        let (engine, flow) = (engine.clone(), flow.clone());
        workers.spawn(async move {
            let mut runs = 0_u64;
            while began.elapsed() < TIME {
                let start = Start::new(flow.clone(), None);
                let run = engine.run(start, TIME).await.unwrap();
                assert_eq!(run.status, Status::Completed);
                runs += 1;
            }
            runs
        });
    }
    let mut runs = 0;
    while let Some(done) = workers.join_next().await {
        runs += done.unwrap();
    }
    let seconds = began.elapsed().as_secs().max(1);
    assert!(tasks.drain(TIME).await.is_empty());
    drop(engine);
    log_tasks.drain(TIME).await;
    runs / seconds
}
