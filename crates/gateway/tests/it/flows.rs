//! Routes to flows: what becomes the input, and what the answers look like.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use taraf_gateway::{Auth, Config, FlowAnswer, FlowCall, FlowFuture, Flows, Route, Target};
use taraf_service::{body, problem};

use crate::stack::{Stack, json as json_of};

/// Answers by the flow's name and keeps what it was asked.
#[derive(Default)]
struct Played {
    calls: Mutex<Vec<FlowCall>>,
    owner: Mutex<Option<String>>,
}

impl Flows for Played {
    fn start(&self, call: FlowCall) -> FlowFuture<'_> {
        self.calls.lock().unwrap().push(call.clone());
        Box::pin(async move {
            match call.name.as_str() {
                "slow" => {
                    self.owner.lock().unwrap().clone_from(&call.account);
                    let id = "run_1".to_owned();
                    Ok(FlowAnswer::Accepted { id })
                }
                "faulty" => Err(problem::FLOW_FAULTED.with_detail("the tax office is down")),
                "stuck" => std::future::pending().await,
                _ => Ok(FlowAnswer::Output(Bytes::from(call.input.to_string()))),
            }
        })
    }

    fn run<'a>(&'a self, id: &'a str, account: &'a str) -> FlowFuture<'a> {
        Box::pin(async move {
            if id == "run_1" && self.owner.lock().unwrap().as_deref() == Some(account) {
                let run = json!({"id": id, "status": "running"}).to_string();
                return Ok(FlowAnswer::Run(Bytes::from(run)));
            }
            Err(problem::RUN_NOT_FOUND.new())
        })
    }
}

fn flow(method: Method, path: &str, name: &str) -> Route {
    let target = Target::Flow {
        namespace: "romania".to_owned(),
        name: name.to_owned(),
        version: None,
        wait: Duration::from_millis(50),
    };
    Route {
        deadline: Some(Duration::from_millis(100)),
        ..Route::new(method, path, target)
    }
}

async fn stack() -> (Stack, Arc<Played>) {
    let played = Arc::new(Played::default());
    let routes = vec![
        flow(Method::POST, "/api/echo/{cif}", "echo"),
        flow(Method::GET, "/api/read/{cif}", "echo"),
        flow(Method::POST, "/api/slow", "slow"),
        flow(Method::POST, "/api/faulty", "faulty"),
        flow(Method::POST, "/stuck", "stuck"),
        Route {
            auth: Auth::Open,
            ..flow(Method::POST, "/open", "echo")
        },
    ];
    let flows: Arc<dyn Flows> = Arc::<Played>::clone(&played);
    (
        Stack::with(Config::default(), flows, routes, &[]).await,
        played,
    )
}

async fn post(stack: &Stack, path: &str, body: &str) -> (u16, Value) {
    let request = stack
        .request(Method::POST, path)
        .header("content-type", "application/json");
    let request = request.body(body::full(body.to_owned())).unwrap();
    let response = stack.send(request).await;
    (response.status().as_u16(), json_of(response).await)
}

#[tokio::test]
async fn path_query_and_body_become_the_input() {
    let (stack, played) = stack().await;
    let path = "/api/echo/1354?year=2019&x=1&x=2";
    let answer = post(
        &stack,
        path,
        r#"{"cif": "forged", "year": 1, "iban": "RO"}"#,
    )
    .await;
    let input = json!({"cif": "1354", "year": "2019", "iban": "RO", "x": ["1", "2"]});
    assert_eq!(answer, (200, input));
    let call = played.calls.lock().unwrap()[0].clone();
    assert_eq!(
        (call.namespace.as_str(), call.name.as_str()),
        ("romania", "echo")
    );
    assert_eq!(call.route, "POST /api/echo/{cif}");
    assert!(call.account.unwrap().starts_with("acc_"));
    assert_eq!(call.traceparent.len(), 55);
    let read = stack.get("/api/read/7?a=b").await;
    assert_eq!(json_of(read).await, json!({"cif": "7", "a": "b"}));
}

#[tokio::test]
async fn a_run_that_goes_on_is_accepted_and_can_be_asked_for_by_its_account_alone() {
    let (stack, _played) = stack().await;
    let request = stack
        .request(Method::POST, "/api/slow")
        .body(body::full("{}"))
        .unwrap();
    let response = stack.send(request).await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["location"], "/runs/run_1");
    assert_eq!(json_of(response).await["id"], "run_1");
    let run = json_of(stack.get("/runs/run_1").await).await;
    assert_eq!(run["status"], "running");
    let other = stack.accounts.create_key("ion", None, "").await.unwrap();
    let response = stack.get_with("/runs/run_1", other.secret.expose()).await;
    assert_eq!(response.status(), 404);
    assert_eq!(json_of(response).await["code"], "run_not_found");
}

#[tokio::test]
async fn a_fault_is_a_problem_in_the_form_asked_for() {
    let (stack, _played) = stack().await;
    let (status, answer) = post(&stack, "/api/faulty", "{}").await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (500, &json!("flow_faulted"))
    );
    assert_eq!(answer["error"]["description"], "the tax office is down");
}

#[tokio::test]
async fn a_flow_that_never_answers_is_given_up() {
    let (stack, _played) = stack().await;
    let (status, answer) = post(&stack, "/stuck", "{}").await;
    assert_eq!((status, &answer["code"]), (504, &json!("upstream_timeout")));
}

#[tokio::test]
async fn bad_bodies_and_keys_never_reach_a_flow() {
    let (stack, played) = stack().await;
    assert_eq!(post(&stack, "/api/slow", "{").await.0, 400);
    let request = stack
        .request(Method::POST, "/api/slow")
        .header("idempotency-key", "k".repeat(256));
    let response = stack.send(request.body(body::full("{}")).unwrap()).await;
    assert_eq!(response.status(), 400);
    assert!(played.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_idempotency_key_is_passed_on() {
    let (stack, played) = stack().await;
    let request = stack
        .request(Method::POST, "/api/slow")
        .header("idempotency-key", "once");
    stack.send(request.body(body::full("{}")).unwrap()).await;
    let calls = played.calls.lock().unwrap();
    assert_eq!(calls[0].idempotency_key.as_deref(), Some("once"));
}

#[tokio::test]
async fn an_open_route_has_no_account() {
    let (stack, played) = stack().await;
    let request = Request::post("/open")
        .header("host", "a")
        .body(body::empty())
        .unwrap();
    assert_eq!(stack.send(request).await.status(), 200);
    assert_eq!(played.calls.lock().unwrap()[0].account, None);
}
