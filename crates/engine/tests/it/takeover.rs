//! What bounds the work of an engine: places, holds, paces, and waits that are skipped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::any;
use serde_json::json;
use taraf_base::Tasks;
use taraf_engine::{Config, Engine, Error, Filter, FlowRef, Limits, Page, Run, Start, Status};
use taraf_flow::Data;
use taraf_log::{MemoryLog, NullLog};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::bench::flow;
use crate::control::start;
use crate::wire::engine;

const LIMIT: Duration = Duration::from_secs(20);

/// Starts the flow `inner` for each request and answers when it has ended, as a gateway does.
async fn front_door(
    tasks: &Tasks,
) -> (
    SocketAddr,
    watch::Sender<Option<Engine>>,
    watch::Receiver<u32>,
) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (behind, follow) = watch::channel(None::<Engine>);
    let (counter, count) = watch::channel(0);
    let answer = |State(follow): State<watch::Receiver<Option<Engine>>>| async move {
        let engine = follow.borrow().clone().unwrap();
        let inner = FlowRef {
            namespace: "test".to_owned(),
            name: "inner".to_owned(),
            version: None,
        };
        let id = engine.start_run(Start::new(inner, None)).await.unwrap().id;
        engine.wait(id, LIMIT).await.unwrap().status.to_string()
    };
    let router = Router::new()
        .route("/flow", any(answer))
        .with_state(follow)
        .route(
            "/leaf",
            any(move || {
                counter.send_modify(|count| *count += 1);
                async { "leaf" }
            }),
        );
    let stopped = tasks.token().cancelled_owned();
    tasks.spawn("front door", async move {
        tokio::select! {
            served = async { axum::serve(listener, router).await } => served.unwrap(),
            () = stopped => {}
        }
    });
    (addr, behind, count)
}

fn call(addr: SocketAddr, path: &str) -> String {
    flow(&format!(
        "- c: {{call: http, with: {{method: get, endpoint: 'http://{addr}/{path}'}}}}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_calls_a_flow_through_the_front_door_takes_no_place_from_it() {
    let (servers, tasks) = (Tasks::new(), Tasks::new());
    let (door, behind, _) = front_door(&servers).await;
    let config = Config {
        calls: 1,
        ..Config::default()
    };
    let engine = engine(Arc::new(MemoryLog::new()), config, &tasks).await;
    engine.add_front_door(door);
    behind.send_replace(Some(engine.clone()));
    // The inner flow goes through the door again, to a page that is none of a flow.
    let inner = call(door, "leaf").replace("name: flow", "name: inner");
    engine.publish(&inner).await.unwrap();
    engine.publish(&call(door, "flow")).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(engine.start_run(start(json!({}))).await.unwrap().id);
    }
    for id in ids {
        let run = engine.wait(id, LIMIT).await.unwrap();
        assert_eq!(
            run.output.map(|data| data.to_json()),
            Some(json!("completed")),
            "{}",
            run.why
        );
    }
    assert!(tasks.drain(LIMIT).await.is_empty());
    servers.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_engine_takes_runs_and_performs_nothing_until_it_is_released() {
    let (servers, tasks) = (Tasks::new(), Tasks::new());
    let (addr, _behind, mut count) = front_door(&servers).await;
    let config = Config {
        hold: true,
        ..Config::default()
    };
    let engine = engine(Arc::new(MemoryLog::new()), config, &tasks).await;
    engine.publish(&call(addr, "leaf")).await.unwrap();
    let id = engine.start_run(start(json!({}))).await.unwrap().id;
    let run = engine.wait(id, Duration::from_millis(50)).await.unwrap();
    assert_eq!((run.status, *count.borrow()), (Status::Running, 0));
    assert!(engine.is_held() && engine.release() && !engine.release());
    count.wait_for(|count| *count == 1).await.unwrap();
    let run = engine.wait(id, LIMIT).await.unwrap();
    assert_eq!(run.status, Status::Completed);
    assert!(tasks.drain(LIMIT).await.is_empty());
    servers.drain(LIMIT).await;
}

async fn skipped(tasks_of_flow: &str) -> Run {
    let tasks = Tasks::new();
    let config = Config {
        skip_waits: true,
        partitions: 1,
        ..Config::default()
    };
    let engine = engine(Arc::new(NullLog), config, &tasks).await;
    engine.publish(&flow(tasks_of_flow)).await.unwrap();
    let began = Instant::now();
    let run = engine.run_ephemeral(start(json!({})), LIMIT).await.unwrap();
    assert!(began.elapsed() < LIMIT / 2);
    tasks.drain(LIMIT).await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_and_delays_can_be_skipped_and_keep_their_order() {
    let run = skipped(
        "- w: {wait: PT1H}
- t: {try: [{r: {raise: {error: {type: 'https://example.org/x', status: 503}}}}], catch: {retry: {delay: PT1H, limit: {attempt: {count: 3}}}, do: [{s: {set: {x: 1}}}]}}
- f: {fork: {compete: true, branches: [{late: {wait: PT2H}}, {early: {do: [{w: {wait: PT1H}}, {s: {set: early}}]}}]}}",
    )
    .await;
    assert_eq!(
        run.output.map(|data| data.to_json()),
        Some(json!("early")),
        "{}",
        run.why
    );
    let run = skipped("- w: {wait: PT2H, timeout: {after: PT1H}}").await;
    assert!(run.error.unwrap().type_.ends_with("/timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_over_the_limit_is_refused_and_nothing_is_recorded() {
    let tasks = Tasks::new();
    let config = Config {
        limits: Limits {
            input_bytes: 1_000,
            ..Limits::default()
        },
        ..Config::default()
    };
    let engine = engine(Arc::new(MemoryLog::new()), config, &tasks).await;
    engine.publish(&flow("- s: {set: {x: 1}}")).await.unwrap();
    let large = Start {
        input: Some(Data::string(&"x".repeat(1_000))),
        ..start(json!({}))
    };
    let refused = engine.start_run(large).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::TooLarge {
                bytes: 1_002,
                max: 1_000
            }
        ),
        "{refused}"
    );
    let runs = engine
        .list(&Filter::default(), &Page::default())
        .await
        .unwrap();
    assert!(runs.runs.is_empty());
    assert!(tasks.drain(LIMIT).await.is_empty());
}
