//! Heads that are too slow, too many, too long.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use taraf_base::Tasks;
use taraf_gateway::{Config, Limits};
use taraf_service::body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stack::{LIMIT, NoFlows, Stack, echo, route, upstream};

async fn stack(limits: Limits) -> Stack {
    let up = upstream(&Tasks::new(), echo).await;
    let config = Config {
        limits,
        ..Config::default()
    };
    Stack::with(
        config,
        Arc::new(NoFlows),
        vec![route(Method::GET, "/x")],
        &[up],
    )
    .await
}

/// Reads until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is as good as an end.
    let _reset = timeout(LIMIT, stream.read_to_end(&mut bytes))
        .await
        .expect("closed in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_head_that_drips_is_closed_and_others_are_served_meanwhile() {
    let stack = stack(Limits {
        header_read: Duration::from_millis(300),
        ..Limits::default()
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
        stream
            .write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nX-")
            .await
            .unwrap();
        slow.push(stream);
    }
    assert_eq!(stack.get("/x").await.status(), 200);
    for stream in &mut slow {
        let said = rest(stream).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let stack = stack(Limits {
        header_read: Duration::from_millis(200),
        ..Limits::default()
    })
    .await;
    let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
    let request = format!(
        "GET /health/live HTTP/1.1\r\nHost: a\r\nx-api-key: {}\r\n\r\n",
        stack.key
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    // The answer comes, the connection stays open for another request, and then ends.
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let stack = stack(Limits {
        headers: 20,
        header_bytes: 8 << 10,
        uri_bytes: 500,
        ..Limits::default()
    })
    .await;
    let many = (0..30).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let long = format!("x-long: {}\r\n", "a".repeat(20 << 10));
    for headers in [many, long] {
        let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
        let request = format!("GET /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        // The gateway may close before all is written.
        let _closed = stream.write_all(request.as_bytes()).await;
        let said = rest(&mut stream).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 431"),
            "{said}"
        );
    }
    let path = format!("/x?{}", "a".repeat(600));
    let request = stack
        .request(Method::GET, &path)
        .body(body::empty())
        .unwrap();
    assert_eq!(stack.send(request).await.status(), 414);
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let stack = stack(Limits::default()).await;
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost : a\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400"),
            "{said}"
        );
    }
    // Two lengths would let two readers see two requests.
    let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
    let smuggled =
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    stream.write_all(smuggled.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
}

#[tokio::test]
async fn a_head_that_two_readers_could_read_differently_is_refused() {
    let stack = stack(Limits::default()).await;
    let status = async |head: &str| {
        let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
        let request = format!(
            "{head}connection: close\r\nx-api-key: {}\r\n\r\n",
            stack.key
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await[9..12].to_owned()
    };
    assert_eq!(status("GET /x HTTP/1.1\r\nhost: a\r\n").await, "200");
    assert_eq!(status("GET /x HTTP/1.0\r\n").await, "200");
    assert_eq!(status("GET /x HTTP/1.1\r\n").await, "400");
    let twice = "GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n";
    assert_eq!(status(twice).await, "400");
    let packed = "GET /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n";
    assert_eq!(status(packed).await, "501");
}

#[tokio::test]
async fn a_length_beside_a_coding_is_not_passed_on() {
    let up = upstream(&Tasks::new(), echo).await;
    let stack = Stack::start(vec![route(Method::POST, "/x")], &[up]).await;
    let lengths = ["content-length: 3\r\n", ""];
    for (before, after) in [(lengths[0], lengths[1]), (lengths[1], lengths[0])] {
        let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
        let request = format!(
            "POST /x HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\n{before}transfer-encoding: chunked\r\n\
             {after}\r\n6\r\nabcdef\r\n0\r\n\r\nGET /x HTTP/1.1\r\nhost: a\r\n\r\n",
            stack.key
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.contains("\"bytes\":6"), "{said}");
        assert!(!said.contains("\"content-length\":\"3\""), "{said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let stack = stack(Limits {
        connections: 1,
        header_read: Duration::from_millis(300),
        ..Limits::default()
    })
    .await;
    let _occupies = TcpStream::connect(stack.handle.addr()).await.unwrap();
    // Served when the idle one has been closed.
    assert_eq!(stack.get("/x").await.status(), 200);
}
