//! `flow try`: a document run here and now, with a stub server for what it calls.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::check::with_schema;
use crate::program::{Ended, Place};
use crate::stub::{Reply, Stub};

/// A hostile expression must end within this.
const BOMB_LIMIT: Duration = Duration::from_secs(10);

/// A document with the given tasks.
fn flow(tasks: &str) -> String {
    format!("document: {{ dsl: '1.0.3', namespace: test, name: tried, version: '1.0.0' }}\n{tasks}")
}

fn attempt(tasks: &str, arguments: &[&str]) -> Ended {
    let place = Place::new();
    place.write("flow.yaml", &flow(tasks));
    place.run(&[&["flow", "try", "flow.yaml"], arguments].concat())
}

const GREET: &str = "do:\n  - greet: { set: { text: '${ \"hello \\(.name)\" }' } }\n";

#[test]
fn the_output_is_json_on_stdout() {
    let ended = attempt(GREET, &["--input", "{\"name\":\"Ana\"}"]).expect(0);
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str()),
        ("{\"text\":\"hello Ana\"}\n", "")
    );
}

#[test]
fn input_comes_from_a_file_or_standard_input() {
    let place = Place::new();
    place.write("flow.yaml", &flow(GREET));
    place.write("input.json", "{\"name\":\"Ion\"}");
    let ended = place.run(&["flow", "try", "flow.yaml", "--input", "@input.json"]);
    assert_eq!(ended.expect(0).json(), json!({"text": "hello Ion"}));
    let ended = place.run_with_input(
        &["flow", "try", "flow.yaml", "-i", "-"],
        "{\"name\":\"Eva\"}",
    );
    assert_eq!(ended.expect(0).json(), json!({"text": "hello Eva"}));
}

#[test]
fn a_fault_is_a_problem_on_stderr_and_exit_1() {
    let tasks = "do:\n  - fail:\n      raise:\n        error: { type: validation, status: 400, title: Bad }\n";
    let ended = attempt(tasks, &[]).expect(1);
    assert_eq!(ended.out, "");
    let problem: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(problem["title"], "Bad");
    assert_eq!(problem["status"], 400);
    assert_eq!(problem["instance"], "/do/0/fail");
}

#[test]
fn a_wrong_document_or_call_is_exit_2() {
    let wrong = attempt("do:\n  - a: { sett: { x: 1 } }\n", &[]).expect(2);
    assert!(wrong.err.starts_with("flow.yaml:"), "{}", wrong.err);
    for arguments in [
        &["--input", "{"][..],
        &["--input", "@missing.json"],
        &["--input", "flow.yaml"],
        &["--secret", "NAME"],
        &["--map", "x=y"],
        &["--timeout", "5"],
        &["--event", "{}"],
        &["--trace", "missing/trace.ndjson"],
    ] {
        let ended = attempt(GREET, arguments).expect(2);
        assert!(!ended.err.is_empty(), "{arguments:?}");
        assert_eq!(ended.out, "", "{arguments:?}");
    }
}

#[test]
fn a_run_that_takes_too_long_is_exit_7() {
    let ended = attempt(
        "do:\n  - a: { wait: { hours: 1 } }\n",
        &["--timeout", "50ms"],
    )
    .expect(7);
    assert!(ended.err.contains("50ms"), "{}", ended.err);
}

#[test]
fn secrets_are_given_by_name_and_reach_calls_only() {
    let stub = Stub::always(200, json!("welcome"));
    let tasks = "use: { secrets: [token] }\ndo:\n  - ask:\n      call: http\n      with:\n        \
                 method: get\n        endpoint: https://api.example/x\n        \
                 headers: { x-token: '${ $secrets.token }' }\n";
    let map = format!("https://api.example={}", stub.url);
    let ended = attempt(tasks, &["--secret", "token=abc", "--map", &map, "-q"]).expect(0);
    assert_eq!(ended.json(), json!("welcome"));
    assert_eq!(stub.next().header("x-token"), Some("abc"));
    let missing = attempt(tasks, &["--map", &map, "-q"]).expect(1);
    let problem: Value = serde_json::from_str(&missing.err).unwrap();
    assert_eq!(problem["status"], 403, "{problem}");
    assert!(stub.all().is_empty());
}

#[test]
fn outgoing_urls_are_mapped_and_told_as_they_were_written() {
    let stub = Stub::always(200, json!({"id": 1}));
    let tasks = "do:\n  - get:\n      call: http\n      with:\n        method: get\n        \
                 endpoint: https://petstore.swagger.io/v2/pet/{id}\n        output: response\n";
    let map = format!("https://petstore.swagger.io={}", stub.url);
    let ended = attempt(tasks, &["--input", "{\"id\":1}", "--map", &map]).expect(0);
    let output = ended.json();
    assert_eq!(output["content"], json!({"id": 1}));
    assert_eq!(
        output["request"]["uri"],
        "https://petstore.swagger.io/v2/pet/1"
    );
    assert_eq!(stub.next().line(), "GET /v2/pet/1");
}

#[test]
fn a_service_by_name_is_mapped_too() {
    let stub = Stub::always(200, json!("pong"));
    let tasks = "do:\n  - get:\n      call: http\n      with: { method: get, endpoint: 'http://ping.service/x' }\n";
    let map = format!("http://ping.service={}", stub.url);
    let ended = attempt(tasks, &["--map", &map]).expect(0);
    assert_eq!(ended.json(), json!("pong"));
    assert_eq!(stub.next().line(), "GET /x");
}

#[test]
fn the_trace_has_every_lifecycle_event_in_order() {
    let place = Place::new();
    place.write("flow.yaml", &flow(GREET));
    let arguments = ["flow", "try", "flow.yaml", "--trace", "trace.ndjson"];
    place.run(&arguments).expect(0);
    let trace = place.read("trace.ndjson");
    let events: Vec<Value> = trace
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = events
        .iter()
        .filter_map(|event| {
            event["type"]
                .as_str()?
                .strip_prefix("io.serverlessworkflow.")
        })
        .filter(|type_| !type_.contains("status-changed"))
        .collect();
    assert_eq!(
        types,
        [
            "workflow.started.v1",
            "task.created.v1",
            "task.started.v1",
            "task.completed.v1",
            "workflow.completed.v1"
        ]
    );
    assert!(events.iter().all(|event| event["specversion"] == "1.0"));
}

#[test]
fn hostile_expressions_end_in_an_error() {
    for bomb in [
        "[range(1000000000)] | length",
        "\"x\" * 1000000000",
        "reduce range(1000000) as $i (null; [.])",
        "[recurse(. + 1)] | length",
        "last(repeat(1))",
        "[limit(1000000000; repeat(1))] | length",
    ] {
        let started = Instant::now();
        let tasks = format!("do:\n  - a: {{ set: {{ x: '${{ {bomb} }}' }} }}\n");
        let ended = attempt(&tasks, &["-q"]).expect(1);
        let problem: Value = serde_json::from_str(&ended.err).unwrap();
        let kind = problem["type"].as_str().unwrap();
        assert!(kind.ends_with("/expression"), "{bomb}: {problem}");
        assert!(
            started.elapsed() < BOMB_LIMIT,
            "{bomb}: {:?}",
            started.elapsed()
        );
    }
    for refused in [
        "def f: f; f",
        "def f: 1 + f; f",
        "env",
        "$ENV",
        "halt",
        "input",
    ] {
        let tasks = format!("do:\n  - a: {{ set: {{ x: '${{ {refused} }}' }} }}\n");
        let ended = attempt(&tasks, &["-q"]).expect(2);
        assert!(
            ended.err.starts_with("flow.yaml:3:"),
            "{refused}: {}",
            ended.err
        );
    }
}

/// The documents of the kit's scenarios, and what each must end with.
#[test]
fn documents_of_the_kit_run_against_its_stub() {
    let stub = Stub::start(|request| match request.target.as_str() {
        "/v2/pet/findByStatus?status=available" => Reply::Json(
            200,
            json!([{"id": 1, "name": "Milou", "status": "available"}]),
        ),
        "/v2/pet/1" => Reply::Json(
            200,
            json!({"id": 1, "name": "Milou", "status": "available"}),
        ),
        _ => Reply::Json(404, json!({"code": 1, "message": "Pet not found"})),
    });
    let map = format!("https://petstore.swagger.io={}", stub.url);
    for feature in [
        "branch", "call", "do", "emit", "for", "raise", "switch", "try",
    ] {
        for (name, definition, input, faults) in scenarios(feature) {
            // What is not built yet has tests of its own where it is built.
            let is_built = !["call: openapi", "httpbin", "emit:"]
                .iter()
                .any(|word| definition.contains(word));
            if !is_built {
                continue;
            }
            let place = Place::new();
            place.write("flow.yaml", &definition);
            place.write("input.yaml", &input);
            let arguments = [
                "flow",
                "try",
                "flow.yaml",
                "-q",
                "--map",
                &map,
                "-i",
                "@input.yaml",
            ];
            let ended = place.run(&arguments);
            assert_eq!(
                ended.code,
                i32::from(faults),
                "{feature}: {name}: {ended:?}"
            );
        }
    }
}

/// Name, definition, input and whether it must fault, of each scenario of a feature file.
fn scenarios(feature: &str) -> Vec<(String, String, String, bool)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flow/tests/ctk/features");
    let text = std::fs::read_to_string(folder.join(format!("{feature}.feature"))).unwrap();
    let scenarios = text.split("Scenario:").skip(1);
    scenarios
        .map(|scenario| {
            let name = scenario.lines().next().unwrap().trim().to_owned();
            let after = |step: &str| {
                let rest = scenario.split_once(step)?.1;
                let block = rest.split("\"\"\"").nth(1)?;
                Some(dedent(block.strip_prefix("yaml").unwrap_or(block)))
            };
            let definition = after("a workflow with definition:").unwrap();
            let input = after("given the workflow input is:");
            let faults = scenario.contains("the workflow should fault");
            (
                name,
                definition,
                input.unwrap_or_else(|| "{}".to_owned()),
                faults,
            )
        })
        .collect()
}

fn dedent(block: &str) -> String {
    let lines = || block.lines().filter(|line| !line.trim().is_empty());
    let indent = lines()
        .map(|line| line.len() - line.trim_start().len())
        .min();
    let cut = |line: &str| line.get(indent.unwrap_or(0)..).unwrap_or("").to_owned() + "\n";
    lines().map(cut).collect()
}

#[test]
fn schemas_beside_the_document_and_on_servers_hold() {
    let stub = Stub::always(200, json!({"required": ["id"]}));
    let map = format!("https://schemas.example={}", stub.url);
    let place = Place::new();
    place.write("order.json", "{\"required\": [\"id\"]}");
    for address in ["order.json", "https://schemas.example/order.json"] {
        place.write("flow.yaml", &with_schema(address));
        let attempt =
            |input: &str| place.run(&["flow", "try", "flow.yaml", "--map", &map, "--input", input]);
        let ended = attempt("{\"id\":7}").expect(0);
        assert_eq!(ended.json(), json!({"taken": 7}), "{address}");
        let ended = attempt("{}").expect(1);
        assert!(ended.err.contains("/validation"), "{}", ended.err);
    }
    assert_eq!(stub.next().line(), "GET /order.json");
    let gone = Stub::always(404, json!({}));
    let map = format!("https://schemas.example={}", gone.url);
    let ended = place
        .run(&["flow", "try", "flow.yaml", "--map", &map])
        .expect(2);
    assert!(ended.err.contains("404"), "{}", ended.err);
}
