//! Schemathesis reads the OpenAPI documents and makes up calls, right ones and wrong ones: what is
//! answered must be what the documents say, and never a fault of the server.

use std::process::Command;

use tempfile::TempDir;

use super::program::Program;

/// How long it may make up calls. What is checked first is each parameter at and beyond its bounds.
const SECONDS: &str = "25";
/// Calls of one operation by chance, the same chance each time.
const EXAMPLES: &str = "25";

/// Fails with what is found, each with the call that shows it.
#[track_caller]
fn check(base: &str, document: &str, header: &str, without: &[&str]) {
    let document = format!("{base}{document}");
    let own = TempDir::new().unwrap();
    let mut command = Command::new("schemathesis");
    command
        // It keeps what it found where it runs.
        .current_dir(own.path())
        .args(["run", &document, "--url", base, "--header", header])
        .args([
            "--checks",
            "all",
            "--max-time",
            SECONDS,
            "--max-examples",
            EXAMPLES,
            "--seed",
            "1",
        ])
        // A document cannot say all that makes a value wrong, such as the check digit of a code.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args([
            "--request-timeout",
            "20",
            "--generation-database",
            "none",
            "--no-color",
        ])
        .args(["--warnings", "off"])
        .args(without.iter().flat_map(|path| ["--exclude-path", path]))
        .env("no_proxy", "*");
    let output = command
        .output()
        .expect("schemathesis is installed: cargo xtask setup");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    // It succeeds also when it has found nothing to call.
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested: "));
    let tested: usize = tested.and_then(|number| number.parse().ok()).unwrap_or(0);
    assert!(tested >= 20, "{said}");
}

#[test]
fn the_gateway_answers_as_its_document_says() {
    let folder = TempDir::new().unwrap();
    // The recorded tax office need not be spared.
    let quick = "[apps.romania]\nanaf_interval = \"1ms\"\n";
    std::fs::write(folder.path().join("taraf.toml"), quick).unwrap();
    let program = Program::dev(folder.path());
    let header = format!("x-api-key: {}", program.text("api_key"));
    check(program.text("gateway"), "/openapi.json", &header, &[]);
    program.stop();
}

#[test]
fn the_operator_api_answers_as_its_document_says() {
    let folder = TempDir::new().unwrap();
    let program = Program::dev(folder.path());
    let header = format!("Authorization: Bearer {}", program.text("operator_token"));
    // The stream has no end, and what is called here would not be read.
    let stream = ["/v1/events/stream"];
    check(
        program.text("operator"),
        "/v1/openapi.json",
        &header,
        &stream,
    );
    program.stop();
}
