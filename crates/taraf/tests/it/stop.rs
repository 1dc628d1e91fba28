//! Stopping by a signal drops no call.

use super::http::call;
use super::program::{Program, eventually};
use tempfile::TempDir;

const SLOW: &str = "document: { dsl: '1.0.3', namespace: test, name: slow, version: '1.0.0' }\n\
    do:\n  - pause: { wait: { milliseconds: 1500 } }\n  - say: { set: { done: true } }\n";

const ROUTE: &str =
    "app: test\nroutes:\n  - { method: POST, path: /slow, flow: test/slow, wait: 20s }\n";

#[test]
fn a_call_under_way_is_answered_before_the_program_ends() {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("flows/slow.yaml", SLOW);
    write("services/test.yaml", ROUTE);
    let program = Program::dev(dir.path());
    let token = program.text("operator_token").to_owned();
    eventually("the flow is published", || {
        let answer = program.operate(&token, "GET", "/v1/flows/test/slow", b"");
        (answer.status == 200).then_some(())
    });
    let url = format!("{}/slow", program.text("gateway"));
    let key = program.text("api_key").to_owned();
    let caller = std::thread::spawn(move || call("POST", &url, &[("x-api-key", &key)], b"{}"));
    eventually("the call is under way", || {
        let runs = program.operate(&token, "GET", "/v1/runs?flow=test/slow", b"");
        let is_waiting = runs.json()["items"][0]["status"] == "waiting";
        is_waiting.then_some(())
    });
    program.signal("TERM");
    let answer = caller.join().unwrap().expect(200);
    assert_eq!(answer.json()["done"], true);
    assert!(program.ended().success());
}
