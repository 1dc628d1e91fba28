//! The OpenAPI documents, judged by a validator that is not ours.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::http::call;
use super::program::Program;

/// Fails with what the validator says.
#[track_caller]
fn validate(what: &str, document: &[u8]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/openapi.py");
    let mut validator = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    validator.stdin.take().unwrap().write_all(document).unwrap();
    let output = validator.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
}

#[test]
fn every_document_that_is_served_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::dev(folder.path());
    let public = call(
        "GET",
        &format!("{}/openapi.json", program.text("gateway")),
        &[],
        b"",
    );
    assert_eq!(public.status, 200);
    validate("the gateway's document", &public.body);
    let public: Value = serde_json::from_slice(&public.body).unwrap();
    for path in [
        "/api/companies/{cif}",
        "/api/company-profile/{cif}",
        "/api/supplier-check",
    ] {
        assert!(public["paths"].get(path).is_some(), "{path} is missing");
    }
    let token = program.text("operator_token").to_owned();
    let operator = program.operate(&token, "GET", "/v1/openapi.json", b"");
    validate("the operator's document", &operator.body);
    program.stop();
}
