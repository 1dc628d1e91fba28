//! The gateway's own pages, accounts over HTTP, the forms of errors, metrics and the access log.

use std::io;
use std::sync::{Arc, Mutex};

use http::{Method, Request};
use serde_json::{Value, json};
use taraf_base::Tasks;
use taraf_gateway::{AccountView, Auth, Route, Target};
use taraf_service::body;

use crate::stack::{Stack, echo, eventually, json as json_of, route, text, upstream};

async fn stack() -> Stack {
    let up = upstream(&Tasks::new(), echo).await;
    let secret = Route {
        is_sensitive: true,
        auth: Auth::Open,
        ..route(Method::GET, "/api/validate/cnp/{cnp}")
    };
    let view = |path, view| Route::new(Method::GET, path, Target::Account(view));
    let routes = vec![
        route(Method::GET, "/api/x/{a}"),
        secret,
        view("/api/usage", AccountView::Usage),
        view("/api/keys", AccountView::Keys),
    ];
    Stack::start(routes, &[up]).await
}

async fn register(stack: &Stack, body: &str) -> (u16, Value) {
    let request = Request::post("/account/register").header("host", "a");
    let request = request.header("content-type", "application/json");
    let response = stack
        .send(request.body(body::full(body.to_owned())).unwrap())
        .await;
    (response.status().as_u16(), json_of(response).await)
}

#[tokio::test]
async fn a_registration_answers_a_key_that_works() {
    let stack = stack().await;
    let (status, answer) = register(&stack, r#"{"email": "ana@exemplu.ro"}"#).await;
    assert_eq!((status, &answer["plan"]), (201, &json!("free")));
    let key = answer["key"].as_str().unwrap();
    assert_eq!(key.len(), 50);
    assert_eq!(stack.get_with("/api/x/1", key).await.status(), 200);
    let (status, answer) = register(&stack, r#"{"email": "ANA@exemplu.ro"}"#).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")));
    for body in [r#"{"email": "ana"}"#, "{}", "[]", r#"{"email": 1}"#] {
        assert_eq!(register(&stack, body).await.0, 400, "{body}");
    }
    assert_eq!(register(&stack, "{").await.0, 400);
}

#[tokio::test]
async fn one_address_registers_five_times_an_hour() {
    let stack = stack().await;
    for number in 0..5 {
        let body = format!(r#"{{"email": "{number}@exemplu.ro"}}"#);
        assert_eq!(register(&stack, &body).await.0, 201);
    }
    let (status, answer) = register(&stack, r#"{"email": "six@exemplu.ro"}"#).await;
    assert_eq!((status, &answer["code"]), (429, &json!("rate_limited")));
}

#[tokio::test]
async fn usage_and_keys_are_told_to_their_account() {
    let stack = stack().await;
    let (_, answer) = register(&stack, r#"{"email": "ana@exemplu.ro"}"#).await;
    let key = answer["key"].as_str().unwrap();
    for _ in 0..3 {
        stack.get_with("/api/x/1", key).await;
    }
    // Asking for the usage is a call too.
    let usage = json_of(stack.get_with("/api/usage", key).await).await;
    assert_eq!(
        (&usage["account"], &usage["used"]),
        (&json!("ana@exemplu.ro"), &json!(4))
    );
    assert_eq!(usage["keys"][0]["remaining"], 96);
    let keys = text(stack.get_with("/api/keys", key).await).await;
    assert!(!keys.contains(key));
    let keys: Value = serde_json::from_str(&keys).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0]["plan"], "free");
}

#[tokio::test]
async fn errors_have_the_form_that_the_path_or_the_caller_asks_for() {
    let stack = stack().await;
    let missing = json_of(stack.get("/api/nothing").await).await;
    assert_eq!(missing["error"]["code"], "not_found");
    let request = stack.request(Method::GET, "/api/nothing");
    let request = request.header("accept", "application/problem+json");
    let response = stack.send(request.body(body::empty()).unwrap()).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(json_of(response).await["status"], 404);
    let elsewhere = stack.get("/nothing").await;
    assert_eq!(
        elsewhere.headers()["content-type"],
        "application/problem+json"
    );
    let request = stack
        .request(Method::DELETE, "/api/x/1")
        .body(body::empty())
        .unwrap();
    let response = stack.send(request).await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET, HEAD");
}

#[tokio::test]
async fn the_public_page_needs_nothing_from_elsewhere() {
    let stack = stack().await;
    let response = stack.get_with("/", "none").await;
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
    let page = text(response).await;
    assert!(page.starts_with("<!doctype html>"));
    let outside = [
        "src=\"http",
        "href=\"http",
        "@import",
        "url(http",
        "innerHTML",
    ];
    for part in outside {
        assert!(!page.contains(part), "{part}");
    }
    let document = json_of(stack.get_with("/openapi.json", "none").await).await;
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn metrics_count_by_route_and_hold_nothing_of_a_request() {
    let stack = stack().await;
    let cnp = "1800101221144";
    for _ in 0..2 {
        text(stack.get(&format!("/api/validate/cnp/{cnp}")).await).await;
    }
    text(stack.get("/nothing").await).await;
    let line = "taraf_gateway_calls_total{route=\"GET /api/validate/cnp/{cnp}\",status=\"2xx\"} 2";
    let other = "taraf_gateway_calls_total{route=\"none\",status=\"4xx\"} 1";
    // A call is counted as its answer's last byte is on its way.
    eventually("the calls are counted", || {
        let metrics = stack.handle.render();
        metrics.contains(line) && metrics.contains(other)
    })
    .await;
    let metrics = stack.handle.render();
    assert!(metrics.contains("taraf_gateway_call_seconds_bucket"));
    assert!(!metrics.contains(cnp));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_access_log_tells_of_calls_and_keeps_secrets() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For all threads, as the calls are on those of the gateway.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let stack = stack().await;
    let cnp = "1800101221144";
    let sensitive = format!("/api/validate/cnp/{cnp}?also={cnp}");
    for path in [sensitive.as_str(), "/api/x/13548146?token=hidden"] {
        let request = stack.request(Method::GET, path);
        let request = request.header("x-request-id", "also_logged");
        text(stack.send(request.body(body::empty()).unwrap()).await).await;
    }
    let access = || {
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines = log.lines().map(str::to_owned);
        // Another test's calls may be logged too when they share this process.
        let is_ours = |line: &String| line.contains(" access: ") && line.contains("also_logged");
        lines.filter(is_ours).collect::<Vec<_>>()
    };
    eventually("both calls are logged", || access().len() == 2).await;
    let access = access();
    assert!(
        access[0].contains("path=\"/api/validate/cnp/{cnp}\""),
        "{}",
        access[0]
    );
    assert!(access[1].contains("path=\"/api/x/13548146\"") && access[1].contains("status=200"));
    for secret in [cnp, "hidden", stack.key.as_str()] {
        assert!(!access.concat().contains(secret), "{secret}");
    }
}
