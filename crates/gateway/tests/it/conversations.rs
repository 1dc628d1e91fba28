//! Conversations whose calls take all the ways there are: as bytes, through the pipeline, through hyper.

use http::Method;
use taraf_base::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::stack::{LIMIT, Stack, echo, route, upstream};

async fn connect(stack: &Stack) -> TcpStream {
    let stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads until so many heads have come and the connection rests, or until its end.
async fn answers(stream: &mut TcpStream, count: usize) -> String {
    let mut text = Vec::new();
    let heads = |text: &[u8]| text.windows(9).filter(|nine| *nine == b"HTTP/1.1 ").count();
    let read = async {
        while heads(&text) < count || !is_whole(&text) {
            if stream.read_buf(&mut text).await.unwrap() == 0 {
                return;
            }
        }
    };
    timeout(LIMIT, read).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// Whether the last answer has as many bytes as it says, or its last chunk.
fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text
        .rsplit_once("HTTP/1.1 ")
        .and_then(|(_, last)| last.split_once("\r\n\r\n"))
    else {
        return false;
    };
    let length = head.to_lowercase();
    match length.split_once("content-length: ") {
        Some((_, rest)) => rest
            .lines()
            .next()
            .is_some_and(|length| length.parse() == Ok(body.len())),
        None => body.ends_with("0\r\n\r\n"),
    }
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_one() {
    let tasks = Tasks::new();
    let up = upstream(&tasks, echo).await;
    let stack = Stack::start(vec![route(Method::POST, "/x")], &[up]).await;
    let mut stream = connect(&stack).await;
    let request = format!(
        "POST /x HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\ncontent-length: 5\r\n\r\nsalut",
        stack.key
    );
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = answers(&mut stream, 1).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"bytes\":5"), "{answer}");
}

#[tokio::test]
async fn requests_behind_one_another_are_answered_in_order_whatever_way_they_take() {
    let tasks = Tasks::new();
    let up = upstream(&tasks, echo).await;
    let routes = vec![route(Method::GET, "/x/{n}"), route(Method::POST, "/x/{n}")];
    let stack = Stack::start(routes, &[up]).await;
    let key = &stack.key;
    let request = |first: &str, rest: &str| {
        format!("{first} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n{rest}")
    };
    let all = [
        request("GET /x/1?a=b", "\r\n"),
        request("GET /health/live", "\r\n"),
        request("GET /nowhere", "\r\n"),
        request("POST /x/2", "content-length: 2\r\n\r\nab"),
        request(
            "POST /x/3",
            "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        request("GET /x/4", "connection: close\r\n\r\n"),
    ];
    let mut stream = connect(&stack).await;
    stream.write_all(all.concat().as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    timeout(LIMIT, read).await.unwrap().unwrap();
    let mut rest = text.as_str();
    for expected in [
        "\"path\":\"/x/1?a=b\"",
        "\"live\"",
        "HTTP/1.1 404 ",
        "\"path\":\"/x/2\"",
        "\"path\":\"/x/3\"",
        "\"path\":\"/x/4\"",
    ] {
        let at = rest.find(expected);
        let at = at.unwrap_or_else(|| panic!("{expected} is missing or late in {text}"));
        rest = &rest[at + expected.len()..];
    }
}

/// A service that writes what it is told, and closes when it is told so.
async fn raw(tasks: &Tasks, answer: &'static str, closes: bool) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let group = tasks.clone();
    tasks.spawn("raw service", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            group.spawn("raw connection", async move {
                let mut request = Vec::new();
                while let Ok(1..) = stream.read_buf(&mut request).await {
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    request.clear();
                    if stream.write_all(answer.as_bytes()).await.is_err() || closes {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn answers_end_where_their_service_says_whatever_way_it_says_so() {
    let tasks = Tasks::new();
    for (answer, closes, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsalut",
            false,
            "salut",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsal\r\n2\r\nut\r\n0\r\n\r\n",
            false,
            "ut",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nsalut", true, "salut"),
        ("HTTP/1.0 200 OK\r\n\r\nsalut", true, "salut"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsalut",
            false,
            "salut",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nsalut",
            false,
            "salut",
        ),
        (
            // Broken off: the caller gets what came, and the end of the connection.
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsalut",
            true,
            "content-length: 9\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nsalut",
            true,
            "upstream",
        ),
        ("SSH-2.0-x\r\n", true, "upstream"),
    ] {
        let up = raw(&tasks, answer, closes).await;
        let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
        let mut stream = connect(&stack).await;
        // Twice, as the second call may find what the first has left; what broke off has ended.
        let is_cut = expected.starts_with("content-length");
        let calls = if is_cut { 1 } else { 2 };
        for close in ["", "connection: close\r\n"].into_iter().take(calls) {
            let key = &stack.key;
            let request = format!("GET /x HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n{close}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let said = answers(&mut stream, 1).await;
            assert!(said.contains(expected), "{answer:?} became {said:?}");
        }
    }
}

#[tokio::test]
async fn a_services_not_now_stands_when_no_retry_is_left() {
    const CALLS: usize = 100;
    let tasks = Tasks::new();
    let busy = "HTTP/1.1 503 Busy\r\ncontent-length: 5\r\n\r\nsalut";
    let up = raw(&tasks, busy, false).await;
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
    let mut stream = connect(&stack).await;
    for call in 0..CALLS {
        let key = &stack.key;
        let request = format!("GET /x HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = answers(&mut stream, 1).await;
        let is_theirs = said.starts_with("HTTP/1.1 503 ") && said.ends_with("salut");
        assert!(is_theirs, "call {call} became {said:?}");
    }
}
