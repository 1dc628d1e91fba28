//! The conformance kit of the flow language: every scenario whose tasks are built passes.

mod gherkin;
mod stub;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taraf_base::Tasks;
use taraf_engine::{Config, Engine, Error, FlowRef, JournalEntry, JournalPage, Run, Start, Status};
use taraf_flow::{Data, yaml};
use taraf_log::MemoryLog;
use taraf_service::{Client, Directory, client};
use tokio::sync::watch;

use gherkin::{Scenario, Step};
use stub::Stub;

/// Scenarios that need a task which is not built: publishing them is refused by name.
const NOT_YET_BUILT: [&str; 3] = [
    "Call OpenAPI With Content Output",
    "Call OpenAPI With Response Output",
    "Emit Task",
];
const HOSTS: [&str; 2] = ["https://petstore.swagger.io", "https://httpbin.org"];
/// The kit's own deadline for one execution.
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_of_the_kit_whose_tasks_are_built_passes() {
    let tasks = Tasks::new();
    let pets = std::fs::read_to_string(kit().join("stub/pets.json")).unwrap();
    let stub = Stub::start(&pets, &tasks).await;
    let engine = engine(&stub, &tasks).await;
    let mut told = engine.subscribe();
    let mut refused = Vec::new();
    let mut passed = 0;
    for scenario in scenarios() {
        if let Ran::Refused = run(&engine, &scenario).await {
            refused.push(scenario.name);
        } else {
            passed += 1;
        }
    }
    refused.sort();
    assert_eq!(
        refused, NOT_YET_BUILT,
        "what is refused and what is said not to be built differ"
    );
    assert_eq!(passed, 15, "the kit has 18 scenarios in its two folders");
    let mut ids = BTreeSet::new();
    while let Ok(event) = told.try_recv() {
        assert!(ids.insert(event.id.clone()), "told twice: {}", event.id);
    }
    assert!(
        ids.len() > 2 * passed,
        "each run tells of itself and its tasks"
    );
    check_requests(&stub);
    assert!(tasks.drain(LIMIT).await.is_empty());
}

fn check_requests(stub: &Stub) {
    let strange: Vec<_> = stub
        .seen()
        .into_iter()
        .filter(|seen| !seen.is_expected)
        .collect();
    assert!(strange.is_empty(), "unexpected requests: {strange:?}");
    let keys = stub
        .seen()
        .iter()
        .filter(|seen| seen.headers.contains_key("idempotency-key"))
        .count();
    assert_eq!(keys, stub.seen().len(), "each call carries its effect key");
    assert!(
        stub.seen()
            .iter()
            .any(|seen| seen.line == "GET /v2/pet/findByStatus?status=available")
    );
}

fn kit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../flow/tests/ctk")
}

fn scenarios() -> Vec<Scenario> {
    let mut files: Vec<PathBuf> = ["features", "next/features"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(kit().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| gherkin::read(&std::fs::read_to_string(path).unwrap());
    files.into_iter().flat_map(read).collect()
}

async fn engine(stub: &Stub, tasks: &Tasks) -> Engine {
    let rewrite = |host: &&str| client::Rewrite {
        from: (*host).to_owned(),
        to: format!("http://{}", stub.addr),
    };
    let config = client::Config {
        rewrites: HOSTS.iter().map(rewrite).collect(),
        egress: client::Egress::Only(HOSTS.map(|host| host.replace("https://", "")).to_vec()),
        ..client::Config::default()
    };
    let (_, directory) = watch::channel(Arc::new(Directory::new()));
    let client = Client::new(directory, config, tasks);
    Engine::start(Arc::new(MemoryLog::new()), Config::default(), client, tasks)
        .await
        .unwrap()
}

enum Ran {
    Passed,
    Refused,
}

/// Runs one scenario; panics where it does not hold.
async fn run(engine: &Engine, scenario: &Scenario) -> Ran {
    let mut flow = None;
    let mut input = None;
    let mut done: Option<(Run, Vec<JournalEntry>)> = None;
    for step in &scenario.steps {
        match step.text.as_str() {
            "a workflow with definition:" => {
                let source = step.document.as_deref().unwrap();
                // The kit uses one name for several documents; each gets an engine-wide name here.
                let source = renamed(source, &scenario.name);
                match engine.publish(&source).await {
                    Ok(published) => flow = Some(published.flow),
                    Err(Error::Unsupported(_)) => return Ran::Refused,
                    Err(error) => panic!("{}: {error}", scenario.name),
                }
            }
            "the workflow input is:" => input = Some(Data::from_json(&document(step))),
            "the workflow is executed" => {
                let flow = flow.clone().unwrap();
                let flow = FlowRef {
                    namespace: flow.namespace,
                    name: flow.name,
                    version: Some(flow.version),
                };
                let started = engine
                    .start_run(Start::new(flow, input.take()))
                    .await
                    .unwrap();
                let run = engine.wait(started.id, LIMIT).await.unwrap();
                let journal = engine.journal(started.id, 0, JournalPage::MAX).await;
                done = Some((run, journal.unwrap().entries));
            }
            _ => {
                let (run, journal) = done.as_ref().expect("a check follows an execution");
                check(&scenario.name, step, run, journal);
            }
        }
    }
    Ran::Passed
}

fn renamed(source: &str, scenario: &str) -> String {
    let name: String = scenario
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    // The released kit and what follows it share names of scenarios, too.
    let sum = source.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    let name = format!("{}-{sum:08x}", name.trim_matches('-'));
    let lines = source.lines().map(|line| match line.split_once("name: ") {
        Some(("  ", _)) => format!("  name: {name}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn document(step: &Step) -> Value {
    yaml::parse(step.document.as_deref().expect("the step has a document"))
        .unwrap()
        .to_json()
}

fn check(scenario: &str, step: &Step, run: &Run, journal: &[JournalEntry]) {
    let text = step.text.as_str();
    let output = || {
        let output = run.output.as_ref();
        output.expect("a completed run has an output").to_json()
    };
    if let Some(rest) = text.strip_prefix("the workflow should ") {
        check_end(scenario, step, run, rest);
    } else if text.starts_with("the workflow output should have properties ") {
        for path in text.split('\'').skip(1).step_by(2) {
            let found = at(&output(), path);
            assert!(found.is_some(), "{scenario}: no `{path}` in {}", output());
        }
    } else if let Some(rest) = text.strip_prefix("the workflow output should have a ") {
        check_property(scenario, step, &output(), rest);
    } else {
        let words: Vec<&str> = text.split(' ').collect();
        let [task, "should", "run", place, other @ ..] = words.as_slice() else {
            panic!("{scenario}: a step of no known form: {text}");
        };
        check_order(scenario, &started(journal), task, place, other.first());
    }
}

fn check_end(scenario: &str, step: &Step, run: &Run, rest: &str) {
    let (phase, with) = rest.split_once(' ').unwrap_or((rest, ""));
    let wanted = match phase {
        "complete" => Status::Completed,
        "fault" => Status::Faulted,
        "cancel" => Status::Cancelled,
        _ => panic!("{scenario}: a run does not {phase}"),
    };
    assert_eq!(
        run.status, wanted,
        "{scenario}: {} {:?}",
        run.why, run.error
    );
    match with {
        "with output:" => {
            let output = run.output.as_ref().expect("a completed run has an output");
            assert_eq!(output.to_json(), document(step), "{scenario}");
        }
        "with error:" => {
            let error = run.error.as_ref().expect("a faulted run has an error");
            assert_contains(scenario, &error.to_data().to_json(), &document(step));
        }
        "" => {}
        _ => panic!("{scenario}: a step of no known form: {}", step.text),
    }
}

fn check_property(scenario: &str, step: &Step, output: &Value, rest: &str) {
    let words: Vec<&str> = rest.split(' ').collect();
    let [path, "property", rest @ ..] = words.as_slice() else {
        panic!("{scenario}: a step of no known form: {}", step.text);
    };
    let found = at(output, path.trim_matches('\''));
    let found = found.unwrap_or_else(|| panic!("{scenario}: no {path} in {output}"));
    match rest {
        ["with", "value:"] => assert_eq!(found, document(step), "{scenario}"),
        ["containing", count, "items"] => {
            let items = found.as_array().map(Vec::len);
            assert_eq!(items, Some(count.parse().unwrap()), "{scenario}");
        }
        _ => panic!("{scenario}: a step of no known form: {}", step.text),
    }
}

/// The names of all tasks in the order in which they began.
fn started(journal: &[JournalEntry]) -> Vec<&str> {
    let entered = journal.iter().filter(|entry| entry.event == "entered");
    entered.filter_map(|entry| entry.name.as_deref()).collect()
}

fn check_order(scenario: &str, started: &[&str], task: &str, place: &str, other: Option<&&str>) {
    let position = |name: &str| {
        let found = started.iter().position(|started| *started == name);
        found.unwrap_or_else(|| panic!("{scenario}: {name} did not run: {started:?}"))
    };
    let holds = match (place, other) {
        ("first", None) => position(task) == 0,
        ("last", None) => started.last() == Some(&task),
        ("before", Some(other)) => position(task) < position(other),
        ("after", Some(other)) => position(task) > position(other),
        _ => panic!("{scenario}: a task runs first, last, before or after another, not {place}"),
    };
    assert!(
        holds,
        "{scenario}: {task} should run {place} {other:?}: {started:?}"
    );
}

fn at(value: &Value, path: &str) -> Option<Value> {
    path.split('.')
        .try_fold(value, |value, member| value.get(member))
        .cloned()
}

fn assert_contains(scenario: &str, whole: &Value, part: &Value) {
    for (member, wanted) in part.as_object().expect("an error is an object") {
        assert_eq!(
            whole.get(member),
            Some(wanted),
            "{scenario}: {member} of {whole}"
        );
    }
}
