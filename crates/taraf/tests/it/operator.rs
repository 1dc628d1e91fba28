//! The operator API: its token, its refusals, and the life of flows, runs and keys through it.

use serde_json::{Value, json};

use super::http::call;
use super::program::{Program, Site};

const ECHO: &str = "document: { dsl: '1.0.3', namespace: test, name: echo, version: '1.0.0' }\n\
    do:\n  - echo: { set: '${ { said: .word } }' }\n";

const SLEEP: &str = "document: { dsl: '1.0.3', namespace: test, name: sleep, version: '1.0.0' }\n\
    do:\n  - sleep: { wait: { hours: 1 } }\n";

#[track_caller]
fn refused(answer: super::http::Answer, status: u16, code: &str) {
    let answer = answer.expect(status);
    assert!(
        answer.head.contains("application/problem+json"),
        "{}",
        answer.head
    );
    assert_eq!(answer.json()["code"], code);
}

#[test]
fn the_operator_api_steers_flows_runs_and_keys() {
    let site = Site::new("");
    let program = site.serve();
    let token = site.token();
    let operate = |method: &str, path: &str, body: &str| {
        program.operate(&token, method, path, body.as_bytes())
    };

    refused(
        program.operate("wrong", "GET", "/v1/status", b""),
        401,
        "unauthorized",
    );
    let open = format!("{}/v1/status", program.text("operator"));
    refused(call("GET", &open, &[], b""), 401, "unauthorized");
    refused(operate("GET", "/v1/nothing", ""), 404, "not_found");
    refused(
        operate("DELETE", "/v1/status", ""),
        405,
        "method_not_allowed",
    );
    refused(
        operate("GET", "/v1/runs?statsu=running", ""),
        400,
        "bad_request",
    );
    refused(
        operate("GET", "/v1/runs?status=dancing", ""),
        400,
        "bad_request",
    );
    refused(operate("GET", "/v1/runs/run_1", ""), 400, "bad_request");
    let document = operate("GET", "/v1/openapi.json", "").expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");

    flows(&operate);
    runs(&operate);
    keys(&program, &operate);

    let large = vec![b' '; (4 << 20) + 1];
    let answer = program.operate(&token, "POST", "/v1/keys", &large);
    refused(answer, 413, "payload_too_large");
    let status = operate("GET", "/v1/status", "").expect(200).json();
    assert_eq!(
        (&status["ready"], &status["runs"]["cancelled"]),
        (&json!(true), &json!(1))
    );
    for path in ["/health/live", "/health/ready", "/health/startup"] {
        let url = format!("{}{path}", program.text("operator"));
        assert_eq!(
            call("GET", &url, &[], b"").expect(200).json()["status"],
            "ok"
        );
    }
    let url = format!("{}/metrics", program.text("operator"));
    let metrics = call("GET", &url, &[], b"").expect(200).text();
    assert!(metrics.contains("# TYPE taraf_"), "{metrics}");
    program.stop();
}

fn flows(operate: &impl Fn(&str, &str, &str) -> super::http::Answer) {
    let path = "/v1/flows/test/echo/1.0.0";
    let made = operate("PUT", path, ECHO).expect(201).json();
    assert_eq!(
        (&made["created"], &made["flow"]["name"]),
        (&json!(true), &json!("echo"))
    );
    operate("PUT", path, ECHO).expect(200);
    let other = ECHO.replace(".word", ".other");
    refused(operate("PUT", path, &other), 409, "conflict");
    refused(
        operate("PUT", "/v1/flows/test/echo/2.0.0", ECHO),
        422,
        "unprocessable",
    );
    let broken = operate("PUT", path, &ECHO.replace("set:", "sett:"))
        .expect(422)
        .json();
    assert_eq!(broken["findings"][0]["line"], 3, "{broken}");
    refused(operate("PUT", path, "a: ["), 422, "unprocessable");
    let shown = operate("GET", path, "").expect(200).json();
    assert_eq!(
        (&shown["source"], &shown["latest"]),
        (&json!(ECHO), &json!(true))
    );
    let versions = operate("GET", "/v1/flows/test/echo", "").expect(200).json();
    assert_eq!(versions["items"].as_array().unwrap().len(), 1);
    refused(operate("GET", "/v1/flows/test/none", ""), 404, "not_found");
}

fn runs(operate: &impl Fn(&str, &str, &str) -> super::http::Answer) {
    let start = "/v1/flows/test/echo/runs?wait=10s";
    let run = operate("POST", start, r#"{"word": "salut"}"#)
        .expect(200)
        .json();
    assert_eq!(
        (&run["status"], &run["output"]["said"]),
        (&json!("completed"), &json!("salut"))
    );
    let id = run["id"].as_str().unwrap();
    let shown = operate("GET", &format!("/v1/runs/{id}"), "")
        .expect(200)
        .json();
    assert_eq!(shown["output"], run["output"]);
    let journal = operate("GET", &format!("/v1/runs/{id}/journal"), "")
        .expect(200)
        .json();
    assert!(!journal["items"].as_array().unwrap().is_empty());
    refused(
        operate("POST", "/v1/flows/test/none/runs", ""),
        404,
        "not_found",
    );
    refused(operate("POST", start, "{"), 400, "bad_request");
    refused(
        operate("POST", "/v1/flows/test/echo/runs?wait=soon", ""),
        400,
        "bad_request",
    );

    operate("PUT", "/v1/flows/test/sleep/1.0.0", SLEEP).expect(201);
    let sleeping = operate("POST", "/v1/flows/test/sleep/runs?wait=100ms", "")
        .expect(202)
        .json();
    assert_eq!(sleeping["status"], "waiting", "{sleeping}");
    let id = sleeping["id"].as_str().unwrap();
    let act = |act: &str| operate("POST", &format!("/v1/runs/{id}/{act}"), "");
    assert_eq!(act("suspend").expect(200).json()["status"], "suspended");
    assert_eq!(act("resume").expect(200).json()["status"], "waiting");
    assert_eq!(act("cancel").expect(200).json()["status"], "cancelled");
    refused(act("resume"), 409, "conflict");
    let found = operate("GET", "/v1/runs?flow=test/sleep&status=cancelled", "").expect(200);
    let items: Vec<Value> = found.json()["items"].as_array().unwrap().clone();
    assert_eq!((items.len(), &items[0]["id"]), (1, &json!(id)));
}

fn keys(program: &Program, operate: &impl Fn(&str, &str, &str) -> super::http::Answer) {
    let check = |key: &str| {
        let url = format!("{}/api/validate/cif/13548146", program.text("gateway"));
        call("GET", &url, &[("x-api-key", key)], b"").status
    };
    let made = operate(
        "POST",
        "/v1/keys",
        r#"{"account": "acme", "plan": "standard"}"#,
    );
    let made = made.expect(201).json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(check(key), 200);
    let listed = operate("GET", "/v1/keys?account=acme", "").expect(200);
    assert!(!listed.text().contains(key), "a list shows a secret");
    assert_eq!(listed.json()["items"][0]["id"], id);
    let usage = operate("GET", &format!("/v1/keys/{id}/usage"), "")
        .expect(200)
        .json();
    assert_eq!(usage["used"], 1);
    let new = operate(
        "POST",
        &format!("/v1/keys/{id}/rotate"),
        r#"{"overlap": "1h"}"#,
    );
    let new = new.expect(201).json();
    let (new_id, new_key) = (new["id"].as_str().unwrap(), new["key"].as_str().unwrap());
    assert_eq!((check(key), check(new_key)), (200, 200));
    operate("DELETE", &format!("/v1/keys/{new_id}"), "").expect(204);
    assert_eq!((check(key), check(new_key)), (200, 403));
    refused(
        operate("POST", "/v1/keys", r#"{"account": "acme", "plan": "gold"}"#),
        400,
        "validation_failed",
    );
    refused(
        operate("POST", "/v1/keys", r#"{"acount": "acme"}"#),
        400,
        "bad_request",
    );
    refused(
        operate("GET", "/v1/keys/key_1/usage", ""),
        400,
        "bad_request",
    );
}
