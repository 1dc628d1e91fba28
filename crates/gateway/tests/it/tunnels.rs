//! Connections that leave HTTP, and streams without an end: passed, counted, left alone by changes,
//! ended kindly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use taraf_base::Tasks;
use taraf_gateway::{Config, Limits, Route, Routes};
use taraf_service::{Body, BoxError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::stack::{LIMIT, NoFlows, Stack, directory, echo, eventually, json, route, upstream};

const GRANT: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";
/// A frame with a text of five letters.
const FIRST: &[u8] = b"\x81\x05first";

/// A service that grants every call another protocol, in which it says a first word and then
/// repeats.
async fn switching(tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let group = tasks.clone();
    tasks.spawn("switching service", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            group.spawn("switching connection", async move {
                head(&mut stream).await;
                let both = [GRANT.as_bytes(), FIRST].concat();
                stream.write_all(&both).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ended = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// Reads a head byte by byte, so that nothing behind it is taken.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn ask(stack: &Stack, upgrade: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
    let request = format!(
        "GET /x HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\n{upgrade}\r\n",
        stack.key
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

const WANTED: &str = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n";

/// A tunnel through the gateway that has said its first word.
async fn tunnel(stack: &Stack) -> TcpStream {
    let mut stream = ask(stack, WANTED).await;
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-accept: x"));
    expect(&mut stream, FIRST).await;
    stream
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    timeout(LIMIT, stream.read_exact(&mut got))
        .await
        .expect("bytes in time")
        .unwrap();
    assert_eq!(got, bytes);
}

async fn stack(limits: Limits, up: SocketAddr) -> Stack {
    let config = Config {
        limits,
        ..Config::default()
    };
    let routes = vec![route(Method::GET, "/x")];
    Stack::with(config, Arc::new(NoFlows), routes, &[up]).await
}

#[tokio::test]
async fn a_tunnel_passes_both_ways_and_is_counted() {
    let up = switching(&Tasks::new()).await;
    let stack = stack(Limits::default(), up).await;
    let mut tunnel = tunnel(&stack).await;
    for size in [1, 1000, 100_000] {
        let bytes = vec![7; size];
        tunnel.write_all(&bytes).await.unwrap();
        expect(&mut tunnel, &bytes).await;
    }
    assert!(stack.handle.render().contains("taraf_gateway_tunnels 1\n"));
    drop(tunnel);
    eventually("the tunnel is over", || {
        stack.handle.render().contains("taraf_gateway_tunnels 0\n")
    })
    .await;
    let moved = FIRST.len() + 2 * 101_001;
    let line = format!("taraf_gateway_tunnel_bytes_total {moved}\n");
    assert!(
        stack.handle.render().contains(&line),
        "{}",
        stack.handle.render()
    );
}

#[tokio::test]
async fn protocols_that_nobody_asked_for_or_that_are_not_passed_are_an_error() {
    let up = switching(&Tasks::new()).await;
    let stack = stack(Limits::default(), up).await;
    for upgrade in [
        "",
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n",
        "upgrade: websocket\r\n",
    ] {
        let mut stream = ask(&stack, upgrade).await;
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 502"), "{upgrade:?}: {head}");
    }
}

#[tokio::test]
async fn a_service_that_does_not_switch_answers_as_ever() {
    let up = upstream(&Tasks::new(), echo).await;
    let stack = stack(Limits::default(), up).await;
    let mut stream = ask(&stack, WANTED).await;
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[tokio::test]
async fn a_tunnel_that_is_silent_for_too_long_is_ended() {
    let up = switching(&Tasks::new()).await;
    let limits = Limits {
        stream_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let stack = stack(limits, up).await;
    let mut tunnel = tunnel(&stack).await;
    let mut rest = Vec::new();
    let read = timeout(LIMIT, tunnel.read_to_end(&mut rest)).await;
    read.expect("the end in time").unwrap();
}

#[tokio::test]
async fn a_stop_lets_tunnels_go_on_for_a_while_and_then_says_goodbye() {
    let up = switching(&Tasks::new()).await;
    let limits = Limits {
        drain: Duration::from_millis(300),
        ..Limits::default()
    };
    let stack = stack(limits, up).await;
    let mut tunnel = tunnel(&stack).await;
    stack.tasks.stop();
    // Whole frames of the protocol, so that one of the gateway's fits behind them.
    let text = b"\x81\x05salut";
    tunnel.write_all(text).await.unwrap();
    expect(&mut tunnel, text).await;
    let mut rest = Vec::new();
    let read = timeout(LIMIT, tunnel.read_to_end(&mut rest)).await;
    read.expect("the end in time").unwrap();
    // Going away (RFC 6455 §7.4.1).
    assert_eq!(rest, [0x88, 2, 0x03, 0xe9]);
    assert!(stack.tasks.drain(LIMIT).await.is_empty());
}

/// An event stream whose events the test sends one by one.
fn events(events: mpsc::Receiver<Bytes>) -> Response<Body> {
    struct Events(mpsc::Receiver<Bytes>);

    impl http_body::Body for Events {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let event = self.0.poll_recv(cx);
            event.map(|event| event.map(|event| Ok(Frame::data(event))))
        }
    }

    let mut response = Response::new(Body::new(Events(events)));
    let media_type = "text/event-stream".parse().unwrap();
    response.headers_mut().insert("content-type", media_type);
    response
}

#[tokio::test]
async fn an_event_stream_outlives_the_limits_of_a_call() {
    let (send, receive) = mpsc::channel(1);
    let receive = Arc::new(std::sync::Mutex::new(Some(receive)));
    let up = upstream(&Tasks::new(), move |_| {
        let receive = receive.lock().unwrap().take().unwrap();
        Box::pin(async move { events(receive) })
    })
    .await;
    let limits = Limits {
        total: Duration::from_millis(50),
        ..Limits::default()
    };
    let stack = stack(limits, up).await;
    let mut response = stack.get("/x").await;
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(200) {
        send.send(Bytes::from_static(b"data: x\n\n")).await.unwrap();
        let frame = timeout(LIMIT, response.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "data: x\n\n");
    }
}

/// Routes and pools change as fast as they can be published while calls, a tunnel and an event stream
/// go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_disturb_nobody() {
    let tasks = Tasks::new();
    let (send, receive) = mpsc::channel(1);
    let receive = Arc::new(std::sync::Mutex::new(Some(receive)));
    let streaming = upstream(&tasks, move |_| {
        let receive = receive.lock().unwrap().take().unwrap();
        Box::pin(async move { events(receive) })
    })
    .await;
    let switching = switching(&tasks).await;
    let answering = [upstream(&tasks, echo).await, upstream(&tasks, echo).await];
    let stack = stack(Limits::default(), streaming).await;
    let mut response = stack.get("/x").await;
    stack.directory.send_replace(directory(&[switching]));
    let mut tunnel = tunnel(&stack).await;
    stack.directory.send_replace(directory(&answering));

    let (is_over, changes, calls) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let change = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !is_over.load(Ordering::Relaxed) {
            tick.tick().await;
            let number = changes.fetch_add(1, Ordering::Relaxed);
            let one = [answering[usize::from(number.is_multiple_of(2))]];
            let pool: &[SocketAddr] = if number.is_multiple_of(3) {
                &one
            } else {
                &answering
            };
            stack.directory.send_replace(directory(pool));
            let other = Route::new(Method::GET, &format!("/other/{number}"), {
                route(Method::GET, "/x").target
            });
            let routes = vec![route(Method::GET, "/x"), other];
            stack
                .routes
                .send_replace(Arc::new(Routes::build(routes).unwrap()));
        }
    };
    let call = async {
        while changes.load(Ordering::Relaxed) < 100 {
            let response = stack.get("/x").await;
            assert_eq!(response.status(), 200);
            assert_eq!(json(response).await["path"], "/x");
            calls.fetch_add(1, Ordering::Relaxed);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let stream = async {
        while !is_over.load(Ordering::Relaxed) {
            send.send(Bytes::from_static(b"data: x\n\n")).await.unwrap();
            let frame = timeout(LIMIT, response.frame()).await.unwrap();
            assert!(frame.unwrap().unwrap().is_data());
            tunnel.write_all(b"word").await.unwrap();
            expect(&mut tunnel, b"word").await;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(change, call, stream);
    assert!(calls.load(Ordering::Relaxed) > 0);
}
