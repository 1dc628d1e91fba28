//! Requests and answers changed on their way, and pages of other origins.

use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde_json::{Value, json as value};
use taraf_base::Tasks;
use taraf_gateway::{Route, Settings};
use taraf_service::body;

use super::stack::{Answer, Stack, echo, json, route, upstream};

fn settings(json: Value) -> Settings {
    serde_json::from_value(json).unwrap()
}

fn with(route: Route, json: Value) -> Route {
    Route {
        settings: settings(json),
        ..route
    }
}

/// Answers the JSON body that it gets, inside its own, or a list when it gets none.
fn mirror(request: Request<Incoming>) -> Answer {
    Box::pin(async move {
        let encoding = request.headers().contains_key("accept-encoding");
        let bytes = body::collect(request.into_body(), 1 << 20).await.unwrap();
        let got: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let told =
            value!({"got": got, "companies": [{"cif": 1}, {"cif": 2}], "encoding": encoding});
        let mut response = Response::new(body::full(told.to_string()));
        let headers = response.headers_mut();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("etag", "\"strong\"".parse().unwrap());
        headers.insert("x-inside", "secret".parse().unwrap());
        response
    })
}

#[tokio::test]
async fn bodies_and_heads_are_changed_both_ways() {
    let tasks = Tasks::new();
    let up = upstream(&tasks, mirror).await;
    let changed = with(
        route(Method::POST, "/x/{cif}"),
        value!({"transform": {
            "request": {"body": ". + {cif: $request.parameters.cif, by: $request.plan}"},
            "response": {
                "headers": {"remove": ["x-inside"], "set": {"x-for": "{cif}"}},
                "body": "{got, ids: [.companies[].cif], encoding, status: $response.status, path: $request.path}",
            },
        }}),
    );
    let stack = Stack::start(vec![changed], &[up]).await;
    let request = stack
        .request(Method::POST, "/x/7")
        .header("content-type", "application/json")
        .header("accept-encoding", "gzip")
        .body(body::full("{\"a\": 1}"))
        .unwrap();
    let response = stack.send(request).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["x-for"], "7");
    assert_eq!(headers["etag"], "W/\"strong\"");
    assert!(!headers.contains_key("x-inside"));
    assert_eq!(
        json(response).await,
        value!({
            "got": {"a": 1, "cif": "7", "by": "wide"}, "ids": [1, 2], "encoding": false,
            "status": 200, "path": "/x/7",
        })
    );
}

#[tokio::test]
async fn a_change_that_fails_is_a_problem_that_says_why() {
    let tasks = Tasks::new();
    let up = upstream(&tasks, mirror).await;
    let path = |at: usize| format!("/t/{at}");
    let settings = [
        value!({"request": {"body": "if .a then . else error(\"a is needed\") end"}}),
        value!({"request": {"body": "."}, "body_max": 8}),
        value!({"response": {"body": ".companies[]"}}),
        value!({"response": {"body": "def f: f; 1"}, "body_max": 10}),
        value!({"response": {"body": "[limit(1000000; repeat(1))] | length"}}),
    ];
    let routes = settings.into_iter().enumerate().filter(|(at, _)| *at != 3);
    let routes = routes.map(|(at, transform)| {
        with(
            route(Method::POST, &path(at)),
            value!({"transform": transform}),
        )
    });
    let stack = Stack::start(routes.collect(), &[up]).await;
    let check = async |at: usize, kind: &str, sent: &'static str, status: u16, detail: &str| {
        let request = stack
            .request(Method::POST, &path(at))
            .header("content-type", kind);
        let response = stack.send(request.body(body::full(sent)).unwrap()).await;
        assert_eq!(response.status(), status, "{at} {sent}");
        let problem = json(response).await;
        let said = problem["detail"].as_str().unwrap_or_default();
        assert!(said.contains(detail), "{problem}");
    };
    let kind = "application/json";
    check(0, kind, "{}", 422, "a is needed").await;
    check(0, kind, "{", 400, "not JSON at byte 1").await;
    check(0, "text/plain", "{}", 415, "must be JSON").await;
    check(1, kind, "{\"long\": 1}", 413, "8 bytes").await;
    check(2, kind, "{}", 502, "produced 2 values").await;
    check(4, kind, "{}", 502, "steps").await;
}

#[tokio::test]
async fn a_request_without_a_body_stays_one() {
    let tasks = Tasks::new();
    let up = upstream(&tasks, echo).await;
    let changed = with(
        route(Method::GET, "/x/{rest...}"),
        value!({"transform": {"request": {
            "body": ".", "query": {"set": {"of": "{rest}"}, "remove": ["debug"]},
            "headers": {"set": {"authorization": "Bearer inner"}, "remove": ["cookie"]},
        }}}),
    );
    let stack = Stack::start(vec![changed], &[up]).await;
    let told = json(stack.get("/x/a/b?debug=1&q=2").await).await;
    assert_eq!(told["path"], "/x/a/b?q=2&of=a%2Fb");
    assert_eq!(told["bytes"], 0);
    assert_eq!(told["headers"]["authorization"], "Bearer inner");
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_call_and_another_may_not() {
    let tasks = Tasks::new();
    let up = upstream(&tasks, echo).await;
    let shared = with(
        route(Method::PUT, "/x"),
        value!({"cors": {
            "origins": ["https://shop.example"], "expose": ["x-own"], "credentials": true, "max_age": "1m",
        }}),
    );
    let plain = route(Method::GET, "/plain");
    let stack = Stack::start(vec![shared, plain], &[up]).await;
    let ask = async |path: &str, origin: &str, method: &str| {
        let question = Request::options(path)
            .header("host", "gateway")
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "x-api-key");
        stack.send(question.body(body::empty()).unwrap()).await
    };
    let asked = ask("/x", "https://shop.example", "PUT").await;
    assert_eq!(asked.status(), 204);
    let told = asked.headers();
    assert_eq!(told["access-control-allow-origin"], "https://shop.example");
    assert_eq!(told["access-control-allow-credentials"], "true");
    assert_eq!(told["access-control-allow-methods"], "PUT");
    assert_eq!(told["access-control-max-age"], "60");
    let headers = told["access-control-allow-headers"].to_str().unwrap();
    assert!(headers.contains("x-api-key"), "{headers}");
    let vary: Vec<_> = told
        .get_all("vary")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert!(vary.contains(&"origin"), "{vary:?}");

    assert_eq!(ask("/x", "https://evil.example", "PUT").await.status(), 403);
    assert_eq!(
        ask("/x", "https://shop.example", "DELETE").await.status(),
        405
    );
    assert_eq!(
        ask("/plain", "https://shop.example", "GET").await.status(),
        405
    );

    let call = |origin: &str| {
        let request = stack.request(Method::PUT, "/x").header("origin", origin);
        stack.send(request.body(body::empty()).unwrap())
    };
    let own = call("https://shop.example").await;
    assert_eq!(
        own.headers()["access-control-allow-origin"],
        "https://shop.example"
    );
    assert_eq!(own.headers()["access-control-expose-headers"], "x-own");
    let other = call("https://evil.example").await;
    assert_eq!(other.status(), 200);
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    assert_eq!(other.headers()["vary"], "origin");

    // A page must be able to read why it was refused.
    let keyless = Request::put("/x")
        .header("host", "gateway")
        .header("origin", "https://shop.example");
    let refused = stack.send(keyless.body(body::empty()).unwrap()).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["access-control-allow-origin"],
        "https://shop.example"
    );
}
