//! Each exit code, from what causes it.

use std::process::Command;

use serde_json::json;

use crate::program::{Place, ended};
use crate::stub::{Reply, Stub};

#[test]
fn version_and_help_are_done_without_a_server() {
    let place = Place::new();
    let version = place.run(&["version"]).expect(0);
    assert!(
        version
            .out
            .starts_with(concat!("taraf ", env!("CARGO_PKG_VERSION")))
    );
    let version = place.run(&["version", "--format", "json"]).expect(0).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        version["target"]
            .as_str()
            .is_some_and(|target| target.contains('-'))
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).expect(0);
        assert!(script.out.contains("taraf"), "{shell}");
    }
}

#[test]
fn an_answer_that_is_no_success_becomes_its_exit_code() {
    for (status, code) in [
        (400, 1),
        (401, 4),
        (403, 4),
        (404, 3),
        (409, 5),
        (500, 1),
        (504, 7),
    ] {
        let problem = json!({"title": "Said by the server", "code": "some_code"});
        let stub = Stub::always(status, problem.clone());
        let place = Place::new().with_variable("TARAF_OPERATOR", &stub.url);
        let words = place.run(&["run", "show", "run_1"]).expect(code);
        assert!(
            words
                .err
                .starts_with("error[some_code]: Said by the server"),
            "{}",
            words.err
        );
        assert_eq!(words.out, "");
        let told = place
            .run(&["run", "show", "run_1", "-o", "json"])
            .expect(code);
        let told: serde_json::Value = serde_json::from_str(&told.err).unwrap();
        assert_eq!(told, problem);
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_the_source_of_its_address() {
    // A port that was free a moment ago and that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let from_flag = Place::new().run(&["status", "--operator", &url]).expect(6);
    assert!(
        from_flag
            .err
            .contains(&format!("cannot reach {url} (from --operator)"))
    );
    assert!(from_flag.err.contains("taraf dev"), "{}", from_flag.err);
    let place = Place::new().with_variable("TARAF_OPERATOR", &url);
    let from_variable = place.run(&["status"]).expect(6);
    assert!(
        from_variable.err.contains("(from TARAF_OPERATOR)"),
        "{}",
        from_variable.err
    );
    let place = Place::new();
    place.write(".taraf/ready.json", &json!({"operator": url}).to_string());
    place.write("deep/below/x", "");
    let from_project = place.run(&["status"]).expect(6);
    assert!(
        from_project.err.contains(".taraf/ready.json)"),
        "{}",
        from_project.err
    );
}

#[test]
fn an_interrupted_command_ends_with_130() {
    let stub = Stub::start(|_| Reply::Silence);
    let place = Place::new().with_variable("TARAF_OPERATOR", &stub.url);
    let child = place.start(&["run", "watch", "run_1"]);
    stub.next();
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let ended = ended(child.wait_with_output().unwrap()).expect(130);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut program = Place::new().start(&["completions", "bash"]);
    drop(program.stdout.take());
    let ended = ended(program.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn what_a_code_means_is_explained_or_not_found() {
    let place = Place::new();
    let page = place.run(&["explain", "not_found"]).expect(0);
    assert!(page.out.starts_with("not_found: "), "{}", page.out);
    assert!(page.out.contains("(HTTP 404)"), "{}", page.out);
    let all = place.run(&["explain", "-o", "json"]).expect(0).json();
    assert!(all.as_array().unwrap().len() > 10);
    place.run(&["explain", "no_such_code"]).expect(3);
}
