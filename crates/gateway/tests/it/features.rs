//! Routes that check, mock, limit, copy and divide their calls.

use std::sync::Arc;

use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::{Value, json as value};
use taraf_base::Tasks;
use taraf_gateway::openapi::Source;
use taraf_gateway::{Route, Routes, Settings};
use taraf_service::{Directory, Endpoint, ServiceName, body};
use tokio::sync::{mpsc, watch};

use super::stack::{Answer, LIMIT, Stack, echo, json, route, status, text, upstream};

fn with(route: Route, json: Value) -> Route {
    let settings: Settings = serde_json::from_value(json).unwrap();
    Route { settings, ..route }
}

fn endpoints(all: &[(&str, std::net::SocketAddr)]) -> Arc<Directory> {
    let mut directory = Directory::new();
    for (name, address) in all {
        let name = ServiceName::new(name).unwrap();
        directory = directory.with(name, vec![Endpoint::new(*address)]);
    }
    Arc::new(directory)
}

/// Answers its own name.
fn named(name: &'static str) -> impl Fn(Request<Incoming>) -> Answer + Send + Sync + 'static {
    move |_request| Box::pin(async move { http::Response::new(body::full(name)) })
}

fn document() -> Value {
    value!({"openapi": "3.0.3", "info": {"title": "Up", "version": "1"}, "paths": {"/items/{id}": {
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1}}],
        "put": {
            "parameters": [
                {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "integer"}}},
                {"name": "x-mode", "in": "header", "required": true, "schema": {"enum": ["fast", "slow"]}},
            ],
            "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}},
            "responses": {"200": {"description": "", "content": {"application/json": {
                "examples": {"one": {"value": {"id": 1}}, "two": {"value": {"id": 2}}}}}},
                "404": {"description": "", "content": {"application/json": {"example": {"gone": true}}}}},
        },
    }}, "components": {"schemas": {"Item": {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 2}, "note": {"type": "string", "nullable": true},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}}}}}})
}

async fn described(settings: Value) -> Stack {
    let tasks = Tasks::new();
    let up = upstream(&tasks, echo).await;
    let stack = Stack::start(Vec::new(), &[up]).await;
    let route = with(route(Method::PUT, "/items/{number}"), settings);
    let source = Source {
        name: "up".to_owned(),
        document: document(),
    };
    let routes = Routes::build_with(vec![route], &[source]).unwrap();
    stack.routes.send_replace(Arc::new(routes));
    stack
}

#[tokio::test]
async fn a_request_that_the_document_does_not_allow_is_told_why() {
    let stack = described(value!({"validate": true})).await;
    let call = async |path: &str, mode: &str, sent: Value| {
        let request = stack.request(Method::PUT, path).header("x-mode", mode);
        let request = request.header("content-type", "application/json");
        stack
            .send(request.body(body::full(sent.to_string())).unwrap())
            .await
    };
    let sound = call(
        "/items/3?tag=1&tag=2&more=x",
        "fast",
        value!({"name": "ab", "note": null}),
    )
    .await;
    assert_eq!(sound.status(), 200);
    assert_eq!(
        json(sound).await["bytes"],
        value!({"name": "ab", "note": null}).to_string().len()
    );
    let wrong = call(
        "/items/0?tag=a",
        "other",
        value!({"parts": [{"name": "x"}]}),
    )
    .await;
    assert_eq!(wrong.status(), 400);
    let problem = json(wrong).await;
    assert_eq!(problem["code"], "validation_failed");
    let at: Vec<String> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            format!(
                "{} {}",
                error["in"].as_str().unwrap(),
                error["pointer"].as_str().unwrap()
            )
        })
        .collect();
    for expected in [
        "path /id",
        "query /tag/0",
        "header /x-mode",
        "body /parts/0/name",
    ] {
        assert!(at.contains(&expected.to_owned()), "{expected} in {at:?}");
    }
    let empty = stack
        .request(Method::PUT, "/items/1")
        .header("x-mode", "fast")
        .body(body::empty())
        .unwrap();
    assert!(
        text(stack.send(empty).await)
            .await
            .contains("body /: is missing")
    );
    let other = stack
        .request(Method::PUT, "/items/1")
        .header("x-mode", "fast")
        .header("content-type", "text/plain");
    assert_eq!(
        stack
            .send(other.body(body::full("x")).unwrap())
            .await
            .status(),
        415
    );
}

#[tokio::test]
async fn a_mocked_route_answers_its_examples_and_still_checks() {
    let stack = described(value!({"mock": true, "validate": {"body": false}})).await;
    let call = async |mode: &str, prefer: &str| {
        let request = stack
            .request(Method::PUT, "/items/3")
            .header("x-mode", mode)
            .header("prefer", prefer);
        stack.send(request.body(body::empty()).unwrap()).await
    };
    assert_eq!(json(call("fast", "").await).await, value!({"id": 1}));
    let two = call("fast", "example=two").await;
    assert_eq!(two.headers()["preference-applied"], "example=two");
    assert_eq!(json(two).await, value!({"id": 2}));
    assert_eq!(call("fast", "code=404").await.status(), 404);
    assert_eq!(call("fast", "example=three").await.status(), 400);
    assert_eq!(call("none", "").await.status(), 400);
}

#[tokio::test]
async fn a_document_that_is_not_there_is_told_when_routes_are_built() {
    let route = with(
        route(Method::GET, "/x"),
        value!({"mock": true, "validate": true}),
    );
    let errors = Routes::build(vec![route]).unwrap_err();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "route `GET /x`: `mock`: the service `up` has no OpenAPI document",
            "route `GET /x`: `validate`: the service `up` has no OpenAPI document",
        ]
    );
}

#[tokio::test]
async fn a_canary_gets_those_that_name_it_and_its_part_of_the_others() {
    let tasks = Tasks::new();
    let old = upstream(&tasks, named("old")).await;
    let new = upstream(&tasks, named("new")).await;
    let canary = |weight: u8| {
        value!({"canary": {
            "service": "next", "weight": weight, "when": {"header": "x-try"}, "sticky": {"header": "x-user"},
        }})
    };
    let routes = vec![
        with(route(Method::GET, "/none"), canary(0)),
        with(route(Method::GET, "/half"), canary(50)),
    ];
    let stack = Stack::start(routes, &[old]).await;
    stack
        .directory
        .send_replace(endpoints(&[("up", old), ("next", new)]));
    let ask = async |path: &str, name: &str, is: &str| {
        let request = stack.request(Method::GET, path).header(name, is);
        text(stack.send(request.body(body::empty()).unwrap()).await).await
    };
    assert_eq!(ask("/none", "x-try", "1").await, "new");
    assert_eq!(ask("/none", "x-user", "1").await, "old");
    let mut new_ones = 0;
    for user in 0..40 {
        let user = format!("user-{user}");
        let first = ask("/half", "x-user", &user).await;
        assert_eq!(ask("/half", "x-user", &user).await, first);
        new_ones += usize::from(first == "new");
    }
    assert!((5..35).contains(&new_ones), "{new_ones} of 40");
}

#[tokio::test]
async fn a_mirror_gets_copies_and_delays_nothing() {
    let tasks = Tasks::new();
    let up = upstream(&tasks, echo).await;
    let (tell, mut copies) = mpsc::channel(16);
    let open = Arc::new(watch::Sender::new(false));
    let gate = Arc::clone(&open);
    let shadow = upstream(&tasks, move |request| {
        let (tell, mut open) = (tell.clone(), gate.subscribe());
        Box::pin(async move {
            let path = request.uri().to_string();
            let bytes = body::collect(request.into_body(), 1 << 20).await.unwrap();
            tell.send((path, bytes)).await.unwrap();
            open.wait_for(|open| *open).await.unwrap();
            status(500)
        })
    })
    .await;
    let copied = with(
        route(Method::POST, "/x/{id}"),
        value!({"mirror": {
            "service": "shadow", "to": "/copy/{id}", "in_flight": 1, "body_max": 8,
        }}),
    );
    let stack = Stack::start(vec![copied], &[up]).await;
    stack
        .directory
        .send_replace(endpoints(&[("up", up), ("shadow", shadow)]));
    let call = async |sent: &'static str| {
        let request = stack.request(Method::POST, "/x/7?q=1");
        stack
            .send(request.body(body::full(sent)).unwrap())
            .await
            .status()
    };
    // The copy has no answer yet, and the call has one.
    assert_eq!(call("small").await, 200);
    let copy = tokio::time::timeout(LIMIT, copies.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(copy, ("/copy/7?q=1".to_owned(), "small".into()));
    // There is place for one copy only.
    assert_eq!(call("second").await, 200);
    open.send_replace(true);
    let counted = |line: &str| stack.handle.render().contains(line);
    let ended = async {
        while !counted("taraf_gateway_mirrored_total{outcome=\"sent\"} 1") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, ended)
        .await
        .expect("the copy in time");
    assert_eq!(call("much too long").await, 200);
    assert!(
        counted("taraf_gateway_mirrored_total{outcome=\"skipped\"} 2"),
        "{}",
        stack.handle.render()
    );
    assert!(copies.try_recv().is_err());
}

#[tokio::test]
async fn a_route_takes_so_many_calls_and_no_more() {
    let tasks = Tasks::new();
    let open = Arc::new(watch::Sender::new(false));
    let gate = Arc::clone(&open);
    let up = upstream(&tasks, move |_request| {
        let mut open = gate.subscribe();
        Box::pin(async move {
            open.wait_for(|open| *open).await.unwrap();
            status(200)
        })
    })
    .await;
    let routes = vec![
        with(
            route(Method::GET, "/narrow"),
            value!({"limits": {"in_flight": 1}}),
        ),
        with(
            route(Method::GET, "/rare"),
            value!({"limits": {"rate_per_second": 1}}),
        ),
    ];
    let stack = Stack::start(routes, &[up]).await;
    let second = async {
        while stack
            .handle
            .render()
            .lines()
            .all(|line| line != "taraf_gateway_calls_in_flight 1")
        {
            tokio::task::yield_now().await;
        }
        let full = stack.get("/narrow").await;
        open.send_replace(true);
        full
    };
    let (first, full) = tokio::join!(stack.get("/narrow"), second);
    assert_eq!(
        (first.status().as_u16(), full.status().as_u16()),
        (200, 503)
    );
    assert_eq!(full.headers()["retry-after"], "1");
    text(first).await;
    assert_eq!(stack.get("/rare").await.status(), 200);
    assert_eq!(stack.get("/rare").await.status(), 429);
}
