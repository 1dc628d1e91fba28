//! What a service sees of the caller, what the caller sees of the service, and what ties them.

use http::Method;
use taraf_base::Tasks;
use taraf_gateway::{Config, Route, Target};
use taraf_service::body;

use crate::stack::{Stack, echo, json, route, upstream};

async fn stack() -> Stack {
    let up = upstream(&Tasks::new(), echo).await;
    let service = "up".to_owned();
    let path = Some("/v1/{b}/of/{a}".to_owned());
    let moved = Route::new(Method::GET, "/x/{a}/{b}", Target::Service { service, path });
    Stack::start(vec![route(Method::GET, "/x"), moved], &[up]).await
}

#[tokio::test]
async fn a_service_learns_who_calls_and_not_with_what() {
    let stack = stack().await;
    let request = stack
        .request(Method::GET, "/x?q=1&q=2")
        .header("authorization", "Bearer other")
        .header("x-taraf-account", "acc_forged")
        .header("x-taraf-admin", "yes")
        .header("x-forwarded-for", "198.51.100.1")
        .header("connection", "x-hop")
        .header("x-hop", "1");
    let response = stack.send(request.body(body::empty()).unwrap()).await;
    let answer_headers = response.headers().clone();
    let seen = json(response).await;
    assert_eq!(seen["path"], "/x?q=1&q=2");
    let headers = seen["headers"].as_object().unwrap();
    for absent in ["x-api-key", "authorization", "x-taraf-admin", "x-hop"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
    assert_eq!(headers["host"], "up.service");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "gateway");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-taraf-plan"], "wide");
    assert!(
        headers["x-taraf-account"]
            .as_str()
            .unwrap()
            .starts_with("acc_")
    );
    assert_ne!(headers["x-taraf-account"], "acc_forged");
    assert!(
        headers["x-taraf-key-id"]
            .as_str()
            .unwrap()
            .starts_with("key_")
    );
    assert_eq!(answer_headers["x-own"], "kept");
    for absent in ["x-taraf-secret", "keep-alive"] {
        assert!(!answer_headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn a_request_id_is_kept_or_made_and_told_to_both() {
    let stack = stack().await;
    let request = stack
        .request(Method::GET, "/x")
        .header("x-request-id", "mine-1");
    let response = stack.send(request.body(body::empty()).unwrap()).await;
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    assert_eq!(json(response).await["headers"]["x-request-id"], "mine-1");
    let response = stack.get("/x").await;
    let made = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(made.len(), 32);
    assert_eq!(json(response).await["headers"]["x-request-id"], made);
    let refused = stack.get("/nowhere").await;
    assert!(refused.headers().contains_key("x-request-id"));
}

#[tokio::test]
async fn a_trace_is_continued_or_begun() {
    let stack = stack().await;
    let theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = stack
        .request(Method::GET, "/x")
        .header("traceparent", theirs);
    let seen = json(stack.send(request.body(body::empty()).unwrap()).await).await;
    let ours = seen["headers"]["traceparent"].as_str().unwrap().to_owned();
    assert!(
        ours.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{ours}"
    );
    assert_ne!(ours, theirs);
    let seen = json(stack.get("/x").await).await;
    assert_eq!(seen["headers"]["traceparent"].as_str().unwrap().len(), 55);
}

#[tokio::test]
async fn a_path_arrives_as_the_route_says() {
    let stack = stack().await;
    let seen = json(stack.get("/x/one%20two/b/?q=%20").await).await;
    assert_eq!(seen["path"], "/v1/b/of/one%20two?q=%20");
    let seen = json(stack.get("/x/").await).await;
    assert_eq!(seen["path"], "/x");
    assert_eq!(stack.get("/x/a%2fb/c").await.status(), 400);
    assert_eq!(stack.get("/x/../x").await.status(), 400);
}

#[tokio::test]
async fn a_balancer_in_front_is_believed_when_told_so() {
    let up = upstream(&Tasks::new(), echo).await;
    let config = Config {
        trust_forwarded: true,
        ..Config::default()
    };
    let flows = std::sync::Arc::new(crate::stack::NoFlows);
    let stack = Stack::with(config, flows, vec![route(Method::GET, "/x")], &[up]).await;
    let request = stack
        .request(Method::GET, "/x")
        .header("x-forwarded-for", "198.51.100.1")
        .header("x-forwarded-proto", "https");
    let seen = json(stack.send(request.body(body::empty()).unwrap()).await).await;
    assert_eq!(
        seen["headers"]["x-forwarded-for"],
        "198.51.100.1, 127.0.0.1"
    );
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
}
