//! Calls against a loopback server that shows what it got and answers as the path says.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use taraf_base::{Secret, Tasks};
use taraf_flow::ErrorKind;
use taraf_service::{Directory, client};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;

struct World {
    client: Client,
    addr: SocketAddr,
    _tasks: Tasks,
}

async fn world() -> World {
    world_with(client::Config::default()).await
}

async fn world_with(config: client::Config) -> World {
    let tasks = Tasks::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/echo", any(echo))
        .route("/status/{code}", any(status))
        .route("/redirect/{code}", any(redirect))
        .route(
            "/loop",
            any(|| async { (StatusCode::FOUND, [("location", "/loop")]) }),
        )
        .route(
            "/elsewhere",
            any(move || async move {
                (
                    StatusCode::FOUND,
                    [("location", format!("http://localhost:{}/echo", addr.port()))],
                )
            }),
        )
        .route("/text", any(|| async { "plain" }))
        .route(
            "/bytes",
            any(|| async { ([("content-type", "image/png")], vec![0_u8, 255]) }),
        )
        .route(
            "/broken",
            any(|| async { ([("content-type", "application/json")], "{") }),
        )
        .route("/large", any(|| async { vec![b'x'; 4_096] }))
        .route("/never", any(std::future::pending::<Response>));
    tasks.spawn("test server", async move {
        axum::serve(listener, router).await.unwrap();
    });
    let (_, directory) = watch::channel(Arc::new(Directory::new()));
    World {
        client: Client::new(directory, config, &tasks),
        addr,
        _tasks: tasks,
    }
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let of = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let seen = json!({
        "method": method.as_str(),
        "uri": uri.to_string(),
        "type": of("content-type"),
        "key": of("idempotency-key"),
        "attempt": of("taraf-attempt"),
        "authorization": of("authorization"),
        "custom": of("x-custom"),
        "traceparent": of("traceparent"),
        "body": String::from_utf8_lossy(&body),
    });
    axum::Json(seen).into_response()
}

async fn status(request: Request) -> Response {
    let code = request
        .uri()
        .path()
        .rsplit('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    (StatusCode::from_u16(code).unwrap(), "why it is so").into_response()
}

async fn redirect(request: Request) -> Response {
    let code = request
        .uri()
        .path()
        .rsplit('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    (
        StatusCode::from_u16(code).unwrap(),
        [("location", "/echo?from=redirect")],
    )
        .into_response()
}

fn url(addr: SocketAddr, path: &str) -> Url {
    address(&format!("http://{addr}{path}")).unwrap()
}

fn call(addr: SocketAddr, method: &str, path: &str) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        url: url(addr, path),
        headers: Vec::new(),
        body: None,
        output: HttpOutput::Content,
        redirect: false,
        authorization: Authorization::Absent,
        effect: Some(Effect {
            key: "run_1/do/0/a/0".to_owned(),
            attempt: 3,
            epoch: 1,
            run: RunId::new(1),
        }),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        deadline: Duration::from_secs(10),
        response_bytes_max: 1 << 20,
        class: CallClass::AtLeastOnce,
    }
}

/// RFC 7617.
fn basic(user: &str, password: &str) -> Authorization {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    Authorization::Header(Secret::new(format!("Basic {pair}")))
}

async fn seen(world: &World, call: HttpRequest) -> Value {
    perform(&world.client, call).await.unwrap().to_json()
}

#[tokio::test]
async fn a_call_carries_its_effect_key_its_attempt_and_the_trace() {
    let world = world().await;
    let seen = seen(&world, call(world.addr, "get", "/echo?a=1")).await;
    assert_eq!(seen["method"], "GET");
    assert_eq!(seen["uri"], "/echo?a=1");
    assert_eq!(seen["key"], "run_1/do/0/a/0");
    assert_eq!(seen["attempt"], "3");
    assert!(
        seen["traceparent"]
            .as_str()
            .unwrap()
            .starts_with("00-0af7651916cd43dd")
    );
}

#[tokio::test]
async fn query_and_headers_of_the_author_are_sent_and_beat_ours() {
    let world = world().await;
    let mut call = call(world.addr, "GET", "/echo?a=1");
    let query = [("b", "x y&z"), ("b", "2")];
    let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
    call.url = with_query(call.url, &query).unwrap();
    call.headers = [
        ("X-Custom", "yes"),
        ("Idempotency-Key", "mine"),
        ("Authorization", "Mine 1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    call.authorization = basic("user", "password");
    let seen = seen(&world, call).await;
    assert_eq!(seen["uri"], "/echo?a=1&b=x+y%26z&b=2");
    assert_eq!(seen["custom"], "yes");
    assert_eq!(seen["key"], "mine");
    assert_eq!(seen["authorization"], "Mine 1");
}

#[tokio::test]
async fn a_body_is_encoded_as_its_type_asks() {
    let world = world().await;
    for (body, given, sent_type, sent) in [
        (json!({"a": 1}), None, "application/json", "{\"a\":1}"),
        (json!([true]), None, "application/json", "[true]"),
        (json!("text"), None, "text/plain; charset=utf-8", "text"),
        (
            json!("<a/>"),
            Some("application/xml"),
            "application/xml",
            "<a/>",
        ),
        (
            json!({"a": "x y", "b": [1, 2], "c": null}),
            Some("application/x-www-form-urlencoded"),
            "application/x-www-form-urlencoded",
            "a=x+y&b=1&b=2",
        ),
        (
            json!("aGk="),
            Some("application/octet-stream"),
            "application/octet-stream",
            "hi",
        ),
    ] {
        let mut call = call(world.addr, "POST", "/echo");
        call.body = Some(Data::from_json(&body));
        call.headers
            .extend(given.map(|given| ("content-type".to_owned(), given.to_owned())));
        let seen = seen(&world, call).await;
        assert_eq!(seen["type"], sent_type, "{body}");
        assert_eq!(seen["body"], sent, "{body}");
    }
}

#[tokio::test]
async fn the_answer_is_decoded_by_its_type() {
    let world = world().await;
    assert_eq!(
        seen(&world, call(world.addr, "GET", "/text")).await,
        json!("plain")
    );
    assert_eq!(
        seen(&world, call(world.addr, "GET", "/bytes")).await,
        json!("AP8=")
    );
    assert_eq!(
        seen(&world, call(world.addr, "GET", "/status/204")).await,
        json!(null)
    );
    let mut raw = call(world.addr, "GET", "/text");
    raw.output = HttpOutput::Raw;
    assert_eq!(seen(&world, raw).await, json!("cGxhaW4="));
}

#[tokio::test]
async fn a_whole_response_shows_request_and_answer_with_credentials_masked() {
    let world = world().await;
    let mut call = call(world.addr, "GET", "/text");
    call.output = HttpOutput::Response;
    call.authorization = basic("user", "password");
    let seen = seen(&world, call).await;
    assert_eq!(seen["statusCode"], 200);
    assert_eq!(seen["content"], "plain");
    assert_eq!(seen["headers"]["Content-Type"], "text/plain; charset=utf-8");
    assert_eq!(seen["request"]["headers"]["Authorization"], "***");
    assert_eq!(
        seen["request"]["uri"],
        format!("http://{}/text", world.addr)
    );
}

#[tokio::test]
async fn a_status_outside_the_accepted_is_a_communication_error_with_that_status() {
    let world = world().await;
    for status in [302, 404, 503] {
        let error = perform(
            &world.client,
            call(world.addr, "POST", &format!("/status/{status}")),
        )
        .await
        .unwrap_err()
        .error;
        assert!(error.is(ErrorKind::Communication));
        assert_eq!(error.status, status);
        assert_eq!(error.detail.as_deref(), Some("why it is so"));
    }
    let error = perform(&world.client, call(world.addr, "GET", "/status/404"))
        .await
        .unwrap_err()
        .error;
    assert_eq!(error.title.as_deref(), Some("Not Found"));
}

#[tokio::test]
async fn redirects_are_followed_when_asked_and_only_then() {
    let world = world().await;
    let mut post = call(world.addr, "POST", "/redirect/302");
    post.body = Some(Data::string("body"));
    assert_eq!(
        perform(&world.client, post.clone())
            .await
            .unwrap_err()
            .error
            .status,
        302
    );
    post.redirect = true;
    let got = seen(&world, post.clone()).await;
    assert_eq!((&got["method"], &got["body"]), (&json!("GET"), &json!("")));
    assert_eq!(got["uri"], "/echo?from=redirect");
    post.url = url(world.addr, "/redirect/307");
    let got = seen(&world, post).await;
    assert_eq!(
        (&got["method"], &got["body"]),
        (&json!("POST"), &json!("body"))
    );
}

#[tokio::test]
async fn a_redirect_without_end_is_a_result_and_not_a_loop() {
    let world = world().await;
    let mut call = call(world.addr, "GET", "/loop");
    (call.redirect, call.output) = (true, HttpOutput::Response);
    assert_eq!(seen(&world, call).await["statusCode"], 302);
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let world = world().await;
    let mut call = call(world.addr, "GET", "/elsewhere");
    call.redirect = true;
    call.authorization = basic("user", "password");
    assert_eq!(
        seen(&world, call.clone()).await["authorization"],
        Value::Null
    );
    call.url = url(world.addr, "/redirect/302");
    assert!(
        seen(&world, call).await["authorization"]
            .as_str()
            .unwrap()
            .starts_with("Basic ")
    );
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_the_languages_terms() {
    let strict = client::Config {
        egress: client::Egress::None,
        ..client::Config::default()
    };
    let denied = world_with(strict).await;
    let error = perform(&denied.client, call(denied.addr, "GET", "/text?token=1"))
        .await
        .unwrap_err()
        .error;
    assert!(error.is(ErrorKind::Authorization), "{error:?}");
    assert!(!error.detail.unwrap().contains("token"));

    let world = world().await;
    let refused = TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut short = call(world.addr, "GET", "/never");
    short.deadline = Duration::from_millis(50);
    let mut small = call(world.addr, "GET", "/large");
    small.response_bytes_max = 1_024;
    let mut header = call(world.addr, "GET", "/text");
    header
        .headers
        .push(("x-custom".to_owned(), "secret\nvalue".to_owned()));
    for (call, kind, status, is_sent) in [
        (
            call(refused, "GET", "/"),
            ErrorKind::Communication,
            503,
            false,
        ),
        (
            call(world.addr, "GET", "/broken"),
            ErrorKind::Communication,
            502,
            true,
        ),
        (short, ErrorKind::Communication, 504, true),
        (small, ErrorKind::Runtime, 500, true),
        (header, ErrorKind::Configuration, 400, false),
        (
            call(world.addr, "G T", "/text"),
            ErrorKind::Configuration,
            400,
            false,
        ),
    ] {
        let failure = perform(&world.client, call.clone()).await.unwrap_err();
        assert_eq!(failure.is_sent, is_sent, "{}", call.url);
        let error = failure.error;
        assert!(error.is(kind), "{}: {error:?}", call.url);
        assert_eq!(error.status, status, "{}: {error:?}", call.url);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn what_cannot_be_called_is_said_before_anything_is_sent() {
    for (given, why) in [
        ("ftp://a/b", "`ftp://a/b` is neither http nor https"),
        ("not an address", "`not an address` is not an address"),
    ] {
        let error = address(given).and_then(|url| with_query(url, &[]));
        let error = error.unwrap_err();
        assert!(error.is(ErrorKind::Configuration), "{error:?}");
        let detail = error.detail.unwrap_or_default();
        assert!(detail.starts_with(why), "{detail}");
    }
}

#[tokio::test]
async fn an_at_most_once_call_whose_answer_is_lost_is_uncertain_and_not_repeated() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (counted, mut count) = watch::channel(0);
    let tasks = Tasks::new();
    tasks.spawn("hangs-up", async move {
        // Reads the request and closes without an answer.
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 1_024];
            let read = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await;
            counted.send_modify(|count| *count += usize::from(read.is_ok()));
        }
    });
    let world = world().await;
    for (class, type_, calls) in [
        (CallClass::AtMostOnce, "uncertain", 1),
        (CallClass::Idempotent, "communication", 2),
    ] {
        let before = *count.borrow_and_update();
        let mut call = call(addr, "PUT", "/pay");
        call.class = class;
        let error = perform(&world.client, call).await.unwrap_err().error;
        assert!(error.type_.ends_with(type_), "{error:?}");
        assert_eq!(*count.borrow_and_update() - before, calls, "{class:?}");
    }
}
