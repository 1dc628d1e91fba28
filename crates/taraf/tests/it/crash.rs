//! `kill -9` at any moment: what was acknowledged is there afterwards, and no step was done twice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use taraf_romania::recorded::Fault;

use super::calls::Sources;
use super::http::call;
use super::program::{Program, Site, eventually, try_post};

/// Rounds of the loop that kills while starts are acknowledged, and acknowledged starts in each.
const ROUNDS: u64 = 10;
const STARTS: usize = 40;
const CALLERS: usize = 4;

pub(crate) const ECHO: &str = "document: { dsl: '1.0.3', namespace: test, name: echo, version: '1.0.0' }\n\
    do:\n  - echo: { set: '${ { said: .n } }' }\n";

#[test]
fn every_acknowledged_start_survives_kill_9_and_none_is_there_twice() {
    let site = Site::new("");
    let acknowledged: Mutex<BTreeMap<u64, String>> = Mutex::default();
    let next = AtomicU64::new(1);
    for _ in 0..ROUNDS {
        let program = site.serve();
        site.publish(&program, "test/echo/1.0.0", ECHO);
        let before = acknowledged.lock().unwrap().len();
        let url = format!("{}/v1/flows/test/echo/runs", program.text("operator"));
        let bearer = format!("Bearer {}", site.token());
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| start_until_killed(&url, &bearer, &next, &acknowledged));
            }
            eventually("starts are acknowledged", || {
                (acknowledged.lock().unwrap().len() >= before + STARTS).then_some(())
            });
            program.kill_9();
        });
    }
    let program = site.serve();
    let acknowledged = acknowledged.into_inner().unwrap();
    let found = all_runs(&program, &site.token());
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in &found {
        let text = |member: &str| run[member].as_str().unwrap().to_owned();
        by_key
            .entry(text("idempotency_key"))
            .or_default()
            .push(text("id"));
    }
    for (n, id) in &acknowledged {
        assert_eq!(
            by_key.get(&n.to_string()),
            Some(&vec![id.clone()]),
            "start {n}"
        );
    }
    for (key, ids) in &by_key {
        assert_eq!(ids.len(), 1, "start {key} is there more than once: {ids:?}");
    }
    program.stop();
}

/// Starts runs, each with a key of its own, until the server is gone.
pub(crate) fn start_until_killed(
    url: &str,
    bearer: &str,
    next: &AtomicU64,
    acknowledged: &Mutex<BTreeMap<u64, String>>,
) {
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let (key, body) = (n.to_string(), json!({"n": n}).to_string());
        let headers = [("authorization", bearer), ("idempotency-key", key.as_str())];
        let Some(answer) = try_post(url, &headers, body.as_bytes()) else {
            return;
        };
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        acknowledged.lock().unwrap().insert(n, id);
    }
}

pub(crate) fn all_runs(program: &Program, token: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/runs?flow=test/echo&limit=200{after}");
        let found = program.operate(token, "GET", &path, b"").expect(200).json();
        all.extend(found["items"].as_array().unwrap().iter().cloned());
        match found["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

#[test]
fn keys_and_flows_survive_kill_9() {
    let site = Site::new("");
    let program = site.serve();
    let key = site.key(&program);
    site.publish(&program, "test/echo/1.0.0", ECHO);
    program.kill_9();
    let program = site.serve();
    let url = format!("{}/api/validate/cif/13548146", program.text("gateway"));
    call("GET", &url, &[("x-api-key", &key)], b"").expect(200);
    let path = "/v1/flows/test/echo/1.0.0";
    program.operate(&site.token(), "GET", path, b"").expect(200);
    program.stop();
}

/// How often a service answered a route with a status that is no error.
fn answered(service: &Program, route: &str) -> u64 {
    let url = format!("http://{}/metrics", service.text("address"));
    let metrics = call("GET", &url, &[], b"").expect(200).text();
    let route = format!("route=\"{route}\"");
    let counts = metrics.lines().filter(|line| {
        let of = line.starts_with("taraf_service_requests_total{") && line.contains(&route);
        of && line.contains("status=\"2")
    });
    let numbers = counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    numbers.sum()
}

#[test]
fn a_supplier_check_that_waits_is_killed_and_finishes_with_each_step_done_once() {
    let sources = Sources::start();
    sources.source.set_fault(Fault::ServerError);
    let base = sources.source.base_url();
    let variables = [("TARAF_APPS__ROMANIA__ANAF_BASE_URL", base.as_str())];
    let companies = Program::start(&["service", "companies"], &variables);
    let validate = Program::start(&["service", "validate"], &variables);
    let site = Site::new(&format!(
        "services.companies.endpoints = [\"{}\"]\nservices.validate.endpoints = [\"{}\"]\n{}",
        companies.text("address"),
        validate.text("address"),
        sources.section(),
    ));
    let program = site.serve();
    let key = site.key(&program);
    let body = br#"{"cif": "13548146", "iban": "RO49AAAA1B31007593840000"}"#;
    let run = program.operate(
        &site.token(),
        "POST",
        "/v1/flows/romania/supplier-check/runs",
        body,
    );
    let id = run.expect(202).json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/runs/{id}");
    eventually("the run waits for the tax office", || {
        let run = program
            .operate(&site.token(), "GET", &path, b"")
            .expect(200)
            .json();
        let asked = sources.source.count("/") > 0;
        (run["status"] == "waiting" && asked).then_some(())
    });
    program.kill_9();

    sources.source.set_fault(Fault::None);
    let program = site.serve();
    let ended = eventually("the run ends", || {
        let run = program
            .operate(&site.token(), "GET", &path, b"")
            .expect(200)
            .json();
        matches!(run["status"].as_str(), Some("completed" | "faulted")).then_some(run)
    });
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(ended["output"]["decision"].is_string(), "{ended}");
    assert_eq!(answered(&validate, "/validate/cif/{value}"), 1);
    assert_eq!(answered(&validate, "/validate/iban/{value}"), 1);
    assert_eq!(answered(&companies, "/companies/{cif}"), 1);
    // The key of before still works, and its account does not see the operator's run.
    let url = format!("{}/runs/{id}", program.text("gateway"));
    call("GET", &url, &[("x-api-key", &key)], b"").expect(404);
    program.stop();
}
