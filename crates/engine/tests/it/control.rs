//! Cancel, suspend, resume, keys, pages, and what is kept.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taraf_base::Tasks;
use taraf_engine::partition::{Control, Input, Reply};
use taraf_engine::{Config, Engine, Error, Filter, FlowRef, Page, Start, Status};
use taraf_flow::Data;
use taraf_log::{Epoch, Log, MemoryLog};
use taraf_service::{Client, Directory, client};
use tokio::sync::watch;

use crate::bench::{Bench, echo, flow, settings};

const LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn engine<L: Log>(log: Arc<L>, tasks: &Tasks) -> Engine {
    let (_, directory) = watch::channel(Arc::new(Directory::default()));
    let client = Client::new(directory, client::Config::default(), tasks);
    let config = Config {
        partitions: 3,
        ..Config::default()
    };
    Engine::start(log, config, client, tasks).await.unwrap()
}

pub(crate) fn start(input: serde_json::Value) -> Start {
    let flow = FlowRef {
        namespace: "test".to_owned(),
        name: "flow".to_owned(),
        version: None,
    };
    Start::new(flow, Some(Data::from(input)))
}

#[test]
fn a_cancelled_run_gives_up_its_calls_and_timers() {
    let tasks = "- f: {fork: {branches: [{w: {wait: PT1H}}, {c: {call: http, with: {method: get, endpoint: 'http://a.service/'}}}]}}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    assert_eq!((bench.calls.len(), bench.timers.len()), (1, 1));
    assert_eq!(
        bench.propose(Input::Control(id, Control::Cancel)),
        Reply::Done
    );
    assert_eq!((bench.calls.len(), bench.timers.len()), (0, 0));
    assert_eq!(bench.run(id).status, Status::Cancelled);
    let again = bench.propose(Input::Control(id, Control::Cancel));
    assert_eq!(again, Reply::NotPossible(Status::Cancelled));
}

#[test]
fn a_held_run_lets_calls_end_and_starts_nothing_new() {
    let tasks = "- c: {call: http, with: {method: get, endpoint: 'http://a.service/'}}\n- d: {call: http, with: {method: get, endpoint: 'http://b.service/'}}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    assert_eq!(
        bench.propose(Input::Control(id, Control::Suspend)),
        Reply::Done
    );
    assert!(
        bench
            .run(id)
            .why
            .contains("what is in flight will end first")
    );
    let call = bench.calls.remove(0);
    bench.answer(&call, echo(&call));
    assert!(bench.calls.is_empty());
    assert_eq!(bench.run(id).status, Status::Suspended);
    let mut bench = bench.recovered(bench.groups.len());
    assert_eq!(
        bench.propose(Input::Control(id, Control::Resume)),
        Reply::Done
    );
    assert_eq!(bench.calls.len(), 1);
    bench.finish(echo);
    assert_eq!(bench.run(id).status, Status::Completed);
}

#[test]
fn a_hold_stops_timeouts_and_not_waits() {
    let tasks = "- t: {timeout: {after: PT10S}, do: [{w: {wait: PT8S}}, {v: {wait: PT1S}}]}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    bench.propose(Input::Control(id, Control::Suspend));
    assert!(bench.timers.is_empty());
    bench.now = bench.now.plus(Duration::from_secs(60));
    bench.propose(Input::Control(id, Control::Resume));
    let since = bench.now;
    bench.finish(echo);
    assert_eq!(bench.run(id).status, Status::Completed);
    assert_eq!(
        bench.now.since(since),
        Duration::from_secs(1),
        "the wait had passed meanwhile"
    );
}

#[test]
fn runs_that_ended_long_ago_are_forgotten() {
    let mut kept = settings();
    kept.keep = 2;
    let mut bench = Bench::with(kept);
    let ids: Vec<_> = (0..4)
        .map(|_| bench.begin(&flow("- s: {set: {x: 1}}"), json!({})))
        .collect();
    bench.propose(Input::Sweep);
    let state = bench.machine.state();
    assert_eq!(
        state
            .runs
            .statuses(..)
            .map(|(id, _)| id)
            .collect::<Vec<_>>(),
        ids[2..]
    );
    bench.now = bench.now.plus(Duration::from_secs(7_200));
    bench.propose(Input::Sweep);
    let state = bench.machine.state();
    assert_eq!((state.runs.len(), state.ended.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_names_one_run_and_other_input_is_a_conflict() {
    let tasks = Tasks::new();
    let engine = engine(Arc::new(MemoryLog::new()), &tasks).await;
    let source = flow("- s: {set: '${ . }'}");
    assert!(engine.publish(&source).await.unwrap().created);
    assert!(!engine.publish(&source).await.unwrap().created);
    let other = flow("- s: {set: {other: true}}");
    assert!(matches!(
        engine.publish(&other).await,
        Err(Error::Conflict(_))
    ));
    let keyed = |n: i32, owner: &str| Start {
        idempotency_key: Some("order-7".to_owned()),
        owner: Some(owner.to_owned()),
        ..start(json!({"n": n}))
    };
    let first = engine.start_run(keyed(1, "ana")).await.unwrap();
    let again = engine.start_run(keyed(1, "ana")).await.unwrap();
    assert_eq!(
        (again.id, first.existing, again.existing),
        (first.id, false, true)
    );
    let conflict = engine.start_run(keyed(2, "ana")).await;
    assert!(matches!(conflict, Err(Error::KeyConflict { existing }) if existing == first.id));
    assert_ne!(
        engine.start_run(keyed(2, "ion")).await.unwrap().id,
        first.id
    );
    let run = engine.wait(first.id, LIMIT).await.unwrap();
    assert_eq!(run.output.unwrap().to_json(), json!({"n": 1}));
    assert!(tasks.drain(LIMIT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_run_once_and_newest_first() {
    let tasks = Tasks::new();
    let engine = engine(Arc::new(MemoryLog::new()), &tasks).await;
    engine
        .publish(&flow("- s: {set: '${ if .n == 3 then error else . end }'}"))
        .await
        .unwrap();
    let mut ids = Vec::new();
    for n in 0..23 {
        ids.push(engine.start_run(start(json!({"n": n}))).await.unwrap().id);
    }
    let mut found = Vec::new();
    let mut page = Page {
        after: None,
        limit: 5,
    };
    loop {
        let part = engine.list(&Filter::default(), &page).await.unwrap();
        assert!(part.runs.len() <= 5);
        found.extend(
            part.runs
                .iter()
                .map(|run| (run.id.within_partition(), run.id)),
        );
        let Some(next) = part.next else { break };
        // Runs that begin meanwhile do not disturb the pages that follow.
        engine.start_run(start(json!({"n": 100}))).await.unwrap();
        page.after = Some(next);
    }
    assert!(found.windows(2).all(|pair| pair[0].0 >= pair[1].0));
    let mut seen: Vec<_> = found.iter().map(|(_, id)| *id).collect();
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
    let faulted = Filter {
        status: Some(Status::Faulted),
        ..Filter::default()
    };
    assert_eq!(
        engine
            .list(&faulted, &Page::default())
            .await
            .unwrap()
            .runs
            .len(),
        1
    );
    let bad = Page {
        after: Some("nonsense".to_owned()),
        limit: 5,
    };
    assert!(matches!(
        engine.list(&Filter::default(), &bad).await,
        Err(Error::Refused { .. })
    ));
    assert!(tasks.drain(LIMIT).await.is_empty());
}

/// One partition that somebody else leads, or that cannot be replayed, hides no run of the others.
#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_partition_that_is_not_led_are_missing_from_a_list_that_says_so() {
    let (tasks, log) = (Tasks::new(), Arc::new(MemoryLog::new()));
    let engine = engine(Arc::clone(&log), &tasks).await;
    engine.publish(&flow("- w: {wait: PT1H}")).await.unwrap();
    let mut all = Vec::new();
    while all.len() < 30 {
        all.push(engine.start_run(start(json!({}))).await.unwrap().id);
    }
    let lost = all[0].partition();
    let (epoch_of_another, others) = (Epoch(1_000), all.iter().filter(|id| id.partition() != lost));
    let _other = log.claim(lost, epoch_of_another).await.unwrap();
    // It finds out when it records something.
    engine.cancel(all[0]).await.unwrap_err();
    let page = Page {
        after: None,
        limit: 100,
    };
    let found = engine.list(&Filter::default(), &page).await.unwrap();
    assert_eq!(found.unled, [lost]);
    assert_eq!(found.runs.len(), others.count());
    assert!(found.runs.iter().all(|run| run.id.partition() != lost));
    assert!(tasks.drain(LIMIT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_run_leaves_nothing_behind_and_ends_at_its_deadline() {
    let tasks = Tasks::new();
    let engine = engine(Arc::new(MemoryLog::new()), &tasks).await;
    engine
        .publish(&flow("- w: {if: .long, wait: PT1H}"))
        .await
        .unwrap();
    let mut told = engine.subscribe();
    let run = engine
        .run_ephemeral(start(json!({"long": false})), LIMIT)
        .await
        .unwrap();
    assert_eq!(run.status, Status::Completed);
    assert_eq!(engine.get(run.id).await.unwrap(), None);
    let mut types = Vec::new();
    while types
        .last()
        .is_none_or(|last| *last != "io.serverlessworkflow.workflow.completed.v1")
    {
        types.push(told.recv().await.unwrap().type_.clone());
    }
    assert_eq!(types[0], "io.serverlessworkflow.workflow.started.v1");
    let short = Duration::from_millis(50);
    let run = engine
        .run_ephemeral(start(json!({"long": true})), short)
        .await
        .unwrap();
    assert_eq!(run.status, Status::Cancelled);
    assert!(
        engine
            .list(&Filter::default(), &Page::default())
            .await
            .unwrap()
            .runs
            .is_empty()
    );
    assert!(tasks.drain(LIMIT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_told_of_every_phase_of_runs_and_tasks() {
    let tasks = Tasks::new();
    let engine = engine(Arc::new(MemoryLog::new()), &tasks).await;
    engine.publish(&flow("- w: {wait: PT1H}")).await.unwrap();
    let mut told = engine.subscribe();
    let id = engine.start_run(start(json!({}))).await.unwrap().id;
    engine.suspend(id).await.unwrap();
    engine.resume(id).await.unwrap();
    engine.cancel(id).await.unwrap();
    let mut seen = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    while seen.last().is_none_or(|last| last != "workflow.cancelled") {
        let event = told.recv().await.unwrap();
        assert!(ids.insert(event.id.clone()), "told twice: {}", event.id);
        let type_ = event.type_.strip_prefix("io.serverlessworkflow.").unwrap();
        let type_ = type_.strip_suffix(".v1").unwrap();
        let data = event.data.as_ref().unwrap();
        let is_of_task = data.get("task").is_some_and(|task| task == "/do/0/w");
        assert_eq!(is_of_task, type_.starts_with("task."), "{event:?}");
        let status = data.get("status").and_then(|status| status.as_str());
        seen.push(status.map_or_else(|| type_.to_owned(), |s| format!("{type_} {s}")));
    }
    assert_eq!(
        seen,
        [
            "workflow.started",
            "task.created",
            "task.status-changed pending",
            "task.started",
            "task.status-changed running",
            "task.status-changed waiting",
            "workflow.status-changed waiting",
            "workflow.suspended",
            "task.suspended",
            "task.status-changed suspended",
            "workflow.status-changed suspended",
            "workflow.resumed",
            "task.resumed",
            "task.status-changed waiting",
            "workflow.status-changed waiting",
            "task.status-changed cancelled",
            "task.cancelled",
            "workflow.status-changed cancelled",
            "workflow.cancelled",
        ]
    );
    assert!(tasks.drain(LIMIT).await.is_empty());
}
