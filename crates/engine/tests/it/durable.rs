//! The engine over files: stopped in the middle of a run and started again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taraf_base::Tasks;
use taraf_engine::{JournalPage, Status};
use taraf_log::{FileLog, file};

use crate::bench::flow;
use crate::control::{engine, start};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = || file::Config {
        segment_bytes: 1 << 20,
        ballast_bytes: 0,
        ..file::Config::default()
    };
    let (log_tasks, tasks) = (Tasks::new(), Tasks::new());
    let log = Arc::new(FileLog::open(dir.path(), config(), &log_tasks).unwrap());
    let first = engine(Arc::clone(&log), &tasks).await;
    first
        .publish(&flow(
            "- s: {set: {n: 1}}\n- w: {wait: PT0.3S}\n- t: {set: {n: '${ .n + 1 }'}}",
        ))
        .await
        .unwrap();
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(first.start_run(start(json!({"n": n}))).await.unwrap().id);
    }
    let waiting = first.get(ids[0]).await.unwrap().unwrap();
    assert_eq!(waiting.status, Status::Waiting);
    assert!(
        waiting.why.starts_with("the wait of `w` ends at "),
        "{}",
        waiting.why
    );
    assert!(tasks.drain(LIMIT).await.is_empty());
    drop((first, log));
    assert!(log_tasks.drain(LIMIT).await.is_empty());

    let (log_tasks, tasks) = (Tasks::new(), Tasks::new());
    let log = Arc::new(FileLog::open(dir.path(), config(), &log_tasks).unwrap());
    let second = engine(Arc::clone(&log), &tasks).await;
    assert!(second.is_ready());
    for id in ids {
        let run = second.wait(id, LIMIT).await.unwrap();
        assert_eq!(
            run.output.map(|output| output.to_json()),
            Some(json!({"n": 2})),
            "{}",
            run.why
        );
        let journal = second.journal(id, 0, JournalPage::MAX).await.unwrap();
        assert_eq!(
            journal
                .entries
                .iter()
                .filter(|entry| entry.event == "entered")
                .count(),
            3
        );
    }
    assert!(tasks.drain(LIMIT).await.is_empty());
    drop((second, log));
    assert!(log_tasks.drain(LIMIT).await.is_empty());
}
