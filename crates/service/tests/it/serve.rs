//! What the server answers, and how it ends what takes too long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Value, json};
use taraf_base::Tasks;
use taraf_service::serve::{Config, Error, Served, serve, serve_router};
use taraf_service::{Descriptor, Health, Service, ServiceName, problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::peer::{LIMIT, eventually};

/// What came on the wire.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn service(name: &str, router: Router) -> Service {
    let document = json!({"openapi": "3.1.0", "info": {"title": name, "version": "7"}});
    Service::new(Descriptor::from_openapi(name, document).unwrap(), router)
}

async fn start(services: Vec<Service>, config: Config, tasks: &Tasks) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, services, config, tasks).await.unwrap()
}

/// Sends bytes and reads until the server closes.
async fn talk(address: SocketAddr, bytes: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or(0),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

async fn ask(address: SocketAddr, host: &str, line: &str) -> Answer {
    let bytes = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    talk(address, &bytes).await
}

#[tokio::test]
async fn the_host_says_which_service_answers() {
    let tasks = Tasks::new();
    let router = |text: &'static str| Router::new().route("/who", get(move || async move { text }));
    let services = vec![
        service("a", router("I am a")),
        service("b", router("I am b")),
    ];
    let address = start(services, Config::default(), &tasks).await.addr;
    for (host, body) in [("a.service", "I am a"), ("B.Service:80", "I am b")] {
        assert_eq!(ask(address, host, "GET /who").await.body, body, "{host}");
    }
    assert_eq!(
        ask(address, "x", "GET http://b.service/who").await.body,
        "I am b"
    );
    let lost = ask(address, "c.service", "GET /who").await;
    assert_eq!(
        (lost.status, &lost.json()["code"]),
        (421, &json!("misdirected_request"))
    );
    assert_eq!(lost.json()["services"], json!(["a", "b"]));
    assert_eq!(
        ask(address, "a.service", "GET /openapi.json").await.json()["info"]["title"],
        "a"
    );
    // A probe that knows the address alone asks all of them.
    assert_eq!(
        ask(address, "127.0.0.1", "GET /health/ready").await.status,
        200
    );
}

#[tokio::test]
async fn one_service_alone_answers_any_host() {
    let tasks = Tasks::new();
    let router = Router::new().route("/who", get(async || "me"));
    let address = start(vec![service("only", router)], Config::default(), &tasks)
        .await
        .addr;
    assert_eq!(ask(address, "127.0.0.1:1", "GET /who").await.body, "me");
}

#[tokio::test]
async fn two_services_of_one_name_are_refused() {
    let tasks = Tasks::new();
    let services = vec![service("a", Router::new()), service("a", Router::new())];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let result = serve(listener, services, Config::default(), &tasks).await;
    assert!(matches!(result, Err(Error::Duplicate(name)) if name.as_str() == "a"));
}

#[tokio::test]
async fn health_says_why_a_service_is_not_ready() {
    let tasks = Tasks::new();
    let unready = service("a", Router::new()).with_health(|| Health::not_ready("no source"));
    let address = start(vec![unready], Config::default(), &tasks).await.addr;
    assert_eq!(
        ask(address, "a", "GET /health/live").await.json(),
        json!({"status": "live"})
    );
    let ready = ask(address, "a", "GET /health/ready").await;
    assert_eq!(
        (ready.status, ready.json()["reasons"].clone()),
        (503, json!(["no source"]))
    );
    assert_eq!(ask(address, "a", "POST /health/live").await.status, 405);
}

#[tokio::test]
async fn errors_without_a_document_are_answered_as_problems() {
    let tasks = Tasks::new();
    let router = Router::new()
        .route("/item/{id}", get(async || "item"))
        .route("/json", post(async |_: axum::Json<Value>| "ok"))
        .route(
            "/panic",
            get(async || -> &'static str { panic!("on purpose") }),
        )
        .route("/own", get(async || problem::CONFLICT.with_detail("taken")));
    let address = start(vec![service("a", router)], Config::default(), &tasks)
        .await
        .addr;
    for (line, status, code) in [
        ("GET /nowhere", 404, "not_found"),
        ("DELETE /item/1", 405, "method_not_allowed"),
        ("POST /json", 415, "unsupported_media_type"),
        ("GET /panic", 500, "internal"),
        ("GET /own", 409, "conflict"),
    ] {
        let answer = ask(address, "a", line).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (status, &json!(code)),
            "{line}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some(problem::MEDIA_TYPE),
            "{line}"
        );
    }
    let refused = ask(address, "a", "DELETE /item/1").await;
    assert_eq!(refused.header("allow"), Some("get,head"));
    // A panic ends its connection and nothing else.
    assert_eq!(ask(address, "a", "GET /item/1").await.body, "item");
    assert_eq!(tasks.panics(), 0);
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_refused_declared_or_not() {
    let tasks = Tasks::new();
    let router = Router::new().route("/", post(async |text: String| text));
    let config = Config {
        body_bytes_max: 4,
        ..Config::default()
    };
    let address = start(vec![service("a", router)], config, &tasks).await.addr;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    let fits = talk(address, &format!("{head}content-length: 4\r\n\r\n1234")).await;
    assert_eq!((fits.status, fits.body.as_str()), (200, "1234"));
    let declared = talk(address, &format!("{head}content-length: 5\r\n\r\n12345")).await;
    assert_eq!(
        (declared.status, &declared.json()["code"]),
        (413, &json!("payload_too_large"))
    );
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n");
    let chunked = talk(address, &chunked).await;
    assert_eq!(
        (chunked.status, &chunked.json()["code"]),
        (413, &json!("payload_too_large"))
    );
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_408() {
    let tasks = Tasks::new();
    let router = Router::new().route("/", post(async |text: String| text));
    let config = Config {
        body_idle_timeout: Duration::from_millis(30),
        ..Config::default()
    };
    let address = start(vec![service("a", router)], config, &tasks).await.addr;
    let answer = talk(
        address,
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n12",
    )
    .await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (408, &json!("request_timeout"))
    );
}

#[tokio::test]
async fn a_handler_that_does_not_answer_is_given_up() {
    let tasks = Tasks::new();
    let router = Router::new().route("/", get(async || std::future::pending::<&str>().await));
    let config = Config {
        answer_timeout: Duration::from_millis(30),
        ..Config::default()
    };
    let address = start(vec![service("a", router)], config, &tasks).await.addr;
    assert_eq!(ask(address, "a", "GET /").await.status, 504);
}

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_is_cut_off_while_others_are_served() {
    let tasks = Tasks::new();
    let router = Router::new().route("/", get(async || "ok"));
    let config = Config {
        head_timeout: Duration::from_millis(60),
        idle_timeout: LIMIT * 10,
        ..Config::default()
    };
    let address = start(vec![service("a", router)], config, &tasks).await.addr;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let drip = async {
        let mut number = 0;
        while slow
            .write_all(format!("x-{number}: y\r\n").as_bytes())
            .await
            .is_ok()
        {
            number += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let first = async {
        assert_eq!(ask(address, "a", "GET /").await.body, "ok");
    };
    let both = async { tokio::join!(drip, first) };
    tokio::time::timeout(LIMIT, both).await.unwrap();
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_and_heads_are_limited() {
    let tasks = Tasks::new();
    let router = Router::new().route("/", get(async || "ok"));
    let config = Config {
        idle_timeout: Duration::from_millis(30),
        headers_max: 5,
        ..Config::default()
    };
    let address = start(vec![service("a", router)], config, &tasks).await.addr;
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert_eq!(rest(&mut idle).await.head, "");
    // The same after an answer.
    let kept = talk(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((kept.status, kept.body.as_str()), (200, "ok"));
    let many = (0..9).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let many = talk(address, &format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert_eq!(many.status, 431);
}

#[tokio::test]
async fn a_request_is_named_traced_and_counted_by_its_route() {
    let tasks = Tasks::new();
    let echo = async |headers: http::HeaderMap| {
        let header = |name| headers[name].to_str().unwrap_or_default().to_owned();
        format!("{} {}", header("x-request-id"), header("traceparent"))
    };
    let router = Router::new().route("/item/{id}", get(echo));
    let served = start(vec![service("a", router)], Config::default(), &tasks).await;
    let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = talk(
        served.addr,
        &format!(
            "GET /item/1 HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\ntraceparent: {sent}\r\n\
             connection: close\r\n\r\n"
        ),
    )
    .await;
    assert_eq!(answer.header("x-request-id"), Some("mine"));
    let (id, context) = answer.body.split_once(' ').unwrap();
    assert_eq!((id, &context[..36]), ("mine", &sent[..36]));
    assert_ne!(context, sent);
    let made = ask(served.addr, "a", "GET /item/2").await;
    assert_eq!(made.header("x-request-id").unwrap().len(), 32);
    ask(served.addr, "a", "BREW /nowhere").await;
    let text = ask(served.addr, "a", "GET /metrics").await.body;
    for line in [
        "taraf_service_requests_total{service=\"a\",route=\"/item/{id}\",method=\"GET\",status=\"200\"} 2",
        "taraf_service_requests_total{service=\"a\",route=\"none\",method=\"other\",status=\"404\"} 1",
        "taraf_service_latency_seconds_count{service=\"a\",route=\"/item/{id}\"} 2",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn stopping_ends_calls_under_way_and_idle_connections() {
    let tasks = Tasks::new();
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, leave) = (entered.clone(), leave.clone());
        move || async move {
            entered.notify_one();
            leave.notified().await;
            "done"
        }
    };
    let router = Router::new().route("/", get(handler));
    let address = start(vec![service("a", router)], Config::default(), &tasks)
        .await
        .addr;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    entered.notified().await;
    tasks.stop();
    assert_eq!(rest(&mut idle).await.head, "");
    eventually("only the call is left", || tasks.running() == 1).await;
    assert!(TcpStream::connect(address).await.is_err());
    leave.notify_one();
    let answer = rest(&mut busy).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "done"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(tasks.drain(LIMIT).await.is_empty());
}

#[tokio::test]
async fn further_connections_wait_while_there_are_as_many_as_may_be() {
    let tasks = Tasks::new();
    let router = Router::new().route("/", get(async || "ok"));
    let config = Config {
        connections_max: 1,
        ..Config::default()
    };
    let address = start(vec![service("a", router)], config, &tasks).await.addr;
    let first = TcpStream::connect(address).await.unwrap();
    eventually("the first is accepted", || tasks.running() == 2).await;
    let second = ask(address, "a", "GET /");
    let freed = async {
        // The second is connected by the operating system and waits for its turn.
        drop(first);
    };
    let (answer, ()) = tokio::join!(second, freed);
    assert_eq!(answer.body, "ok");
}

#[tokio::test]
async fn a_router_alone_is_served_without_pages_of_its_own() {
    let tasks = Tasks::new();
    let router = Router::new().route("/metrics", get(async || "mine"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = ServiceName::new("operator").unwrap();
    let served = serve_router(listener, name, router, Config::default(), &tasks);
    let address = served.await.unwrap();
    assert_eq!(ask(address, "a", "GET /metrics").await.body, "mine");
    let absent = ask(address, "a", "GET /health/live").await;
    assert_eq!(
        (absent.status, &absent.json()["code"]),
        (404, &json!("not_found"))
    );
}
