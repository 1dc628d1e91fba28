//! `dev` follows the files of its project.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::http::{Answer, call};
use super::program::{Program, eventually};

fn flow(word: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: hello, version: '1.0.0' }}\n\
         do:\n  - say: {{ set: {{ word: {word} }} }}\n"
    )
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn hello(program: &Program) -> Answer {
    let url = format!("{}/hello", program.text("gateway"));
    call(
        "POST",
        &url,
        &[("x-api-key", program.text("api_key"))],
        b"{}",
    )
}

#[track_caller]
fn says(program: &Program, word: &str) {
    eventually("the flow says the word", || {
        let answer = hello(program);
        (answer.status == 200 && answer.json()["word"] == word).then_some(())
    });
}

/// Waits for a line of the program that contains the text.
#[track_caller]
fn told(program: &Program, text: &str) -> Value {
    eventually("it is told", || {
        let line = program.lines.try_recv().ok()?;
        line.contains(text)
            .then(|| serde_json::from_str(&line).unwrap())
    })
}

#[test]
fn changed_files_are_taken_over_and_broken_ones_are_told() {
    let dir = TempDir::new().unwrap();
    let program = Program::dev(dir.path());
    hello(&program).expect(404);
    let route = "app: test\nroutes:\n  - { method: POST, path: /hello, flow: test/hello }\n";
    write(dir.path(), "flows/hello.yaml", &flow("salut"));
    write(dir.path(), "services/test.yaml", route);
    says(&program, "salut");

    // The same version with other content is published under a number.
    write(dir.path(), "flows/hello.yaml", &flow("servus"));
    says(&program, "servus");
    told(&program, "1.0.0+dev.1");
    write(dir.path(), "flows/hello.yaml", &flow("salut"));
    says(&program, "salut");

    write(
        dir.path(),
        "flows/hello.yaml",
        &flow("x").replace("set:", "sett:"),
    );
    let line = told(&program, "error[");
    assert_eq!(line["file"], "flows/hello.yaml");
    write(dir.path(), "services/test.yaml", "app: test\nrouts: []\n");
    told(&program, "routs");
    says(&program, "salut");
    program.stop();
}
