//! Large payloads: kept beside the log, found again after any crash, and an error of one run when lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taraf_base::Tasks;
use taraf_engine::partition::{Call, Input, Outcome, Payloads, Settings, blob_of};
use taraf_engine::{ArchiveConfig, Config, Engine, Error, Filter, FlowRef, Page, Start, Status};
use taraf_flow::Data;
use taraf_log::blob::{BlobId, BlobStore};
use taraf_log::machine::Machine as _;
use taraf_log::{FileLog, file};

use crate::bench::{Bench, flow, settings};
use crate::wire::engine;

const LIMIT: Duration = Duration::from_secs(30);
/// Long enough that every document with text of ours is kept beside the log.
const INLINE_BYTES: usize = 40;

const LONG: &str = r"
- ask: {call: http, with: {method: post, endpoint: 'http://a.service/ask', body: '${ . }'}, export: {as: '${ {seen: .text} }'}}
- pause: {wait: PT10S}
- each:
    for: {each: n, in: '[1, 2]'}
    do:
      - one: {call: http, with: {method: post, endpoint: 'http://a.service/one', body: '${ {text: (.text + ($n | tostring)), of: ($workflow.input.text | length)} }'}}
- last: {set: {text: '${ .text }', seen: '${ $context.seen }', input: '${ $workflow.input.text }'}}";

fn with_payloads() -> Settings {
    let payloads = Payloads::new(BlobStore::memory(), INLINE_BYTES);
    Settings {
        payloads: Some(Arc::new(payloads)),
        ..settings()
    }
}

fn echo(call: &Call) -> Outcome {
    Outcome::Ok(call.request.get("body").unwrap_or_default())
}

fn text() -> String {
    "a text of some length, longer than what stays in a record".to_owned()
}

fn expected() -> Value {
    json!({"text": format!("{}12", text()), "seen": text(), "input": text()})
}

fn output(bench: &Bench, settings: &Settings, id: taraf_engine::RunId) -> Value {
    let output = bench.run(id).output.unwrap();
    assert!(output.name().is_some(), "it is kept, and only named here");
    let looking = settings.payloads.as_ref().unwrap().look();
    looking.open(&output).to_json()
}

#[test]
fn a_run_of_large_payloads_cut_at_every_group_ends_as_an_undisturbed_one() {
    let settings = with_payloads();
    let mut whole = Bench::with(settings.clone());
    let id = whole.begin(&flow(LONG), json!({"text": text()}));
    whole.finish(echo);
    assert_eq!(output(&whole, &settings, id), expected());
    for body in whole.groups.iter().flatten().map(|(_, _, body)| body) {
        let is_in = body
            .windows(20)
            .any(|part| part == &text().as_bytes()[..20]);
        assert!(!is_in, "no record holds the text itself");
    }
    assert!(whole.groups.len() > 4);
    for cut in 1..=whole.groups.len() {
        let mut again = whole.recovered(cut);
        again.finish(echo);
        assert_eq!(
            output(&again, &settings, id),
            expected(),
            "cut after group {cut}"
        );
    }
    let state = whole.machine.state();
    for name in state.payloads() {
        let store = settings.payloads.as_ref().unwrap().store();
        assert!(store.get_now(&blob_of(&name)).is_ok());
    }
    let mut restored = Bench::with(settings);
    restored.machine.restore(&whole.machine.snapshot()).unwrap();
    let named: Vec<_> = state.payloads().collect();
    let restored: Vec<_> = restored.machine.state().payloads().collect();
    assert!(
        !named.is_empty() && restored == named,
        "a snapshot names them too"
    );
}

#[test]
fn a_payload_that_only_a_journal_names_stays_until_its_run_has_moved() {
    let settings = Settings {
        archives: true,
        ..with_payloads()
    };
    let mut bench = Bench::with(settings.clone());
    let tasks = "- long: {set: {twice: '${ .text + .text }'}}\n- short: {set: {n: 1}}\n- pause: {wait: PT1H}";
    let id = bench.begin(&flow(tasks), json!({"text": text()}));
    let waits = bench.run(id).why;
    assert!(waits.contains("the wait of `pause`"), "{waits}");
    // As after a restart from a snapshot, which holds no journal.
    let mut again = Bench::with(settings.clone());
    let snapshot = bench.machine.snapshot();
    again.machine.restore(&snapshot).unwrap();
    let named = |bench: &Bench| -> BTreeSet<_> {
        let state = bench.machine.state();
        state.payloads().map(|name| blob_of(&name)).collect()
    };
    // The input stands in the run, too; what the first task answered stands nowhere else.
    let times = |id: &BlobId| {
        let found = snapshot.windows(32).filter(|part| *part == id.hash);
        found.count()
    };
    let mut times: Vec<usize> = named(&again).iter().map(times).collect();
    times.sort_unstable();
    assert_eq!(times, [1, 2]);
    let store = settings.payloads.as_ref().unwrap().store();
    let collect = |names: BTreeSet<BlobId>| {
        let collection = store.begin_collection();
        collection.finish_now(|id| names.contains(id)).unwrap()
    };
    assert_eq!(collect(named(&again)).removed, 0);
    // Its names go with it.
    bench.finish(echo);
    let all = named(&bench);
    let (finished, _) = bench.machine.state().finished(10);
    let with_it = finished[0].payloads.iter().map(blob_of);
    assert_eq!(with_it.collect::<BTreeSet<_>>(), all);
    assert_eq!(collect(all).removed, 0);
    bench.propose(Input::Moved(vec![id]));
    assert_eq!(named(&bench), BTreeSet::new());
    assert_eq!(collect(named(&bench)).kept, 0);
}

#[test]
fn a_payload_that_is_lost_is_an_error_of_its_run_alone() {
    let settings = with_payloads();
    let mut bench = Bench::with(settings.clone());
    let lost = bench.begin(&flow(LONG), json!({"text": text()}));
    let other = bench.begin(&flow(LONG), json!({"text": text() + "!"}));
    // What both wait for comes after a restart on a store that lost what one of them names.
    let found = BlobStore::memory();
    let state = bench.machine.state();
    let mut kept = 0;
    for name in state.payloads() {
        let bytes = settings
            .payloads
            .as_ref()
            .unwrap()
            .store()
            .get_now(&blob_of(&name));
        let bytes = bytes.unwrap();
        if bytes.windows(2).any(|part| part == b"!\"") {
            let id = blob_of(&name);
            found.put_now(&taraf_log::blob::Blob { id, bytes }).unwrap();
            kept += 1;
        }
    }
    assert!(kept > 0);
    let mut again = bench.recovered_with(
        bench.groups.len(),
        Settings {
            payloads: Some(Arc::new(Payloads::new(found, INLINE_BYTES))),
            ..settings
        },
    );
    again.finish(echo);
    let run = again.run(lost);
    assert_eq!(run.status, Status::Faulted);
    let error = run.error.unwrap().to_string();
    assert!(error.contains("is missing; restore a backup"), "{error}");
    assert_eq!(again.run(other).status, Status::Completed);
}

struct World {
    engine: Engine,
    tasks: Tasks,
    log_tasks: Tasks,
}

async fn open(dir: &Path, linger: Duration) -> World {
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
            linger,
            ..ArchiveConfig::default()
        },
        archive_dir: Some(dir.join("archive")),
        blobs: Some(BlobStore::open(&dir.join("blobs")).unwrap()),
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

    async fn start(&self, input: Value, key: &str) -> Result<taraf_engine::RunId, Error> {
        let reference = FlowRef {
            namespace: "test".to_owned(),
            name: "flow".to_owned(),
            version: None,
        };
        let start = Start {
            idempotency_key: Some(key.to_owned()),
            ..Start::new(reference, Some(Data::from(input)))
        };
        Ok(self.engine.start_run(start).await?.id)
    }
}

/// Files of payloads that are there.
fn blobs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(dir.join("blobs")).unwrap() {
        let files = std::fs::read_dir(folder.unwrap().path()).unwrap();
        found.extend(files.map(|file| file.unwrap().path()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_lie_beside_the_log_and_come_back_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let world = open(dir.path(), Duration::from_secs(3_600)).await;
    let tasks = "- s: {set: {twice: '${ .text + .text }'}}";
    world.engine.publish(&flow(tasks)).await.unwrap();
    let text = "y".repeat(100_000);
    let input = json!({"text": text});
    let id = world.start(input.clone(), "one").await.unwrap();
    let run = world.engine.wait(id, LIMIT).await.unwrap();
    let twice = json!({"twice": format!("{text}{text}")});
    assert_eq!(run.output.as_ref().unwrap().to_json(), twice);
    assert_eq!(blobs(dir.path()).len(), 2, "input and output, once each");
    // The same key with the same input is the same run, with another is none.
    assert_eq!(world.start(input.clone(), "one").await.unwrap(), id);
    let other = world
        .start(json!({"text": "z".repeat(100_000)}), "one")
        .await;
    assert!(matches!(other, Err(Error::KeyConflict { existing }) if existing == id));
    world.close().await;

    // After a restart, and once more from the archive.
    let world = open(dir.path(), Duration::ZERO).await;
    let metric = "taraf_engine_runs_archived_total 1";
    let has_moved = async {
        while !world
            .engine
            .metrics()
            .text()
            .lines()
            .any(|line| line == metric)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, has_moved).await.unwrap();
    assert_eq!(world.engine.get(id).await.unwrap().unwrap(), run);
    let journal = world.engine.journal(id, 0, 100).await.unwrap().entries;
    assert_eq!(journal[0].data.as_ref().unwrap().to_json(), input);
    assert_eq!(
        journal.last().unwrap().data.as_ref().unwrap().to_json(),
        twice
    );
    assert_eq!(world.start(input.clone(), "one").await.unwrap(), id);
    let page = world
        .engine
        .list(&Filter::default(), &Page::default())
        .await
        .unwrap();
    let shown = page.runs[0].input.to_json();
    assert_eq!(shown["payload"]["bytes"], json!(run.input.size()));

    // A damaged one and a lost one are errors of that run alone.
    for path in blobs(dir.path()) {
        std::fs::write(&path, "other bytes").unwrap();
    }
    let refused = world.engine.get(id).await.unwrap_err();
    assert!(matches!(&refused, Error::Payload { run, .. } if *run == id));
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("restore a backup"), "{why}");
    let journal = world.engine.journal(id, 0, 100).await.unwrap().entries;
    let payload = journal[0].payload.as_ref().unwrap();
    assert!(payload.problem.as_ref().unwrap().contains("is damaged"));
    let small = world.start(json!({"text": "small"}), "two").await.unwrap();
    let small = world.engine.wait(small, LIMIT).await.unwrap();
    assert_eq!(small.status, Status::Completed);
    // The same bytes again mend it.
    let again = world.start(input, "three").await.unwrap();
    world.engine.wait(again, LIMIT).await.unwrap();
    assert_eq!(world.engine.get(id).await.unwrap().unwrap(), run);
    world.close().await;
}
