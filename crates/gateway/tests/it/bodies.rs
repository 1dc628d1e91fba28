//! Bodies stream both ways, with no more in memory than buffers hold, and within their limits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt as _;
use taraf_base::Tasks;
use taraf_gateway::{Config, Limits, Route};
use taraf_service::{Body, BoxError, body};
use tokio::sync::mpsc;

use crate::stack::{NoFlows, Stack, echo, json, route, upstream};

/// A body whose pieces the test sends one by one.
struct Pieces(mpsc::Receiver<Bytes>);

fn pieces() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::new(Pieces(receiver)))
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn an_answer_arrives_piece_by_piece() {
    let tasks = Tasks::new();
    let (sender, body) = pieces();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let up = upstream(&tasks, move |_| {
        let body = body.lock().unwrap().take().unwrap();
        Box::pin(async move { Response::new(body) })
    })
    .await;
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
    let mut response = stack.get("/x").await;
    for piece in ["one", "two", "three"] {
        // The next piece is not sent before this one has arrived at the far end.
        sender
            .send(Bytes::from_static(piece.as_bytes()))
            .await
            .unwrap();
        let frame = response.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(sender);
    assert!(response.frame().await.is_none());
}

#[tokio::test]
async fn a_request_arrives_piece_by_piece() {
    let tasks = Tasks::new();
    let (tell, mut told) = mpsc::channel(8);
    let up = upstream(&tasks, move |request| {
        let tell = tell.clone();
        Box::pin(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                tell.send(frame.into_data().unwrap()).await.unwrap();
            }
            Response::new(body::full("done"))
        })
    })
    .await;
    let stack = Stack::start(vec![route(Method::POST, "/x")], &[up]).await;
    let (sender, body) = pieces();
    let request = stack.request(Method::POST, "/x").body(body).unwrap();
    let feed = async {
        for piece in ["one", "two", "three"] {
            sender
                .send(Bytes::from_static(piece.as_bytes()))
                .await
                .unwrap();
            assert_eq!(told.recv().await.unwrap(), piece);
        }
        drop(sender);
    };
    let (response, ()) = tokio::join!(stack.send(request), feed);
    assert_eq!(crate::stack::text(response).await, "done");
}

/// Endless zeros, counted.
struct Zeros {
    left: usize,
    sent: Arc<AtomicUsize>,
}

const PIECE: usize = 64 << 10;

impl HttpBody for Zeros {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        static ZEROS: [u8; PIECE] = [0; PIECE];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= PIECE;
        self.sent.fetch_add(PIECE, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&ZEROS)))))
    }
}

#[tokio::test]
async fn a_large_answer_is_never_held_in_memory() {
    const TOTAL: usize = 128 << 20;
    // Sockets' buffers on both connections may hold some megabytes; the whole would be 128.
    const AHEAD_MAX: usize = 32 << 20;
    let tasks = Tasks::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let up = upstream(&tasks, move |_| {
        let sent = Arc::clone(&counter);
        let zeros = Body::new(Zeros { left: TOTAL, sent });
        Box::pin(async move { Response::new(zeros) })
    })
    .await;
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
    let mut response = stack.get("/x").await;
    let mut read = 0;
    while let Some(frame) = response.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
        let ahead = sent.load(Ordering::Relaxed).saturating_sub(read);
        assert!(ahead < AHEAD_MAX, "{ahead} bytes ahead at {read}");
    }
    assert_eq!(read, TOTAL);
}

async fn small_bodies() -> Stack {
    let up = upstream(&Tasks::new(), echo).await;
    let limits = Limits {
        body_bytes: 1_000,
        body_pause: std::time::Duration::from_millis(100),
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let larger = Route {
        body_bytes_max: Some(2_000),
        ..route(Method::POST, "/larger")
    };
    let routes = vec![route(Method::POST, "/x"), larger];
    Stack::with(config, Arc::new(NoFlows), routes, &[up]).await
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused() {
    let stack = small_bodies().await;
    let status = async |path: &str, size: usize| {
        let request = stack.request(Method::POST, path);
        let response = stack
            .send(request.body(body::full(vec![0; size])).unwrap())
            .await;
        response.status().as_u16()
    };
    assert_eq!(status("/x", 1_000).await, 200);
    assert_eq!(status("/x", 1_001).await, 413);
    assert_eq!(status("/larger", 2_000).await, 200);
    assert_eq!(status("/larger", 2_001).await, 413);
}

#[tokio::test]
async fn a_body_that_turns_out_too_long_is_cut() {
    let stack = small_bodies().await;
    let (sender, body) = pieces();
    let request = stack.request(Method::POST, "/x").body(body).unwrap();
    let feed = async {
        for _ in 0..2 {
            // The gateway may have hung up before the second piece.
            let _closed = sender.send(Bytes::from_static(&[0; 600])).await;
        }
    };
    let (response, ()) = tokio::join!(stack.send(request), feed);
    assert_eq!(response.status(), 413);
    assert_eq!(json(response).await["code"], "payload_too_large");
}

#[tokio::test]
async fn a_body_that_pauses_too_long_is_given_up() {
    let stack = small_bodies().await;
    let (sender, body) = pieces();
    let request = stack.request(Method::POST, "/x").body(body).unwrap();
    sender.send(Bytes::from_static(b"a")).await.unwrap();
    let response = stack.send(request).await;
    assert_eq!(response.status(), 408);
    drop(sender);
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let up = upstream(&Tasks::new(), echo).await;
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
    let request = stack
        .request(Method::HEAD, "/x")
        .body(body::empty())
        .unwrap();
    let response = stack.send(request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(crate::stack::text(response).await, "");
}

#[tokio::test]
async fn a_caller_that_waits_for_leave_to_send_gets_it_only_when_its_body_is_wanted() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let up = upstream(&Tasks::new(), echo).await;
    let stack = Stack::start(vec![route(Method::POST, "/x")], &[up]).await;
    for (key, first) in [
        (stack.key.as_str(), "HTTP/1.1 100 Continue\r\n\r\n"),
        ("unknown", "HTTP/1.1 403"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(stack.handle.addr())
            .await
            .unwrap();
        let head = format!(
            "POST /x HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\nexpect: 100-continue\r\n\
             content-length: 5\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut got = vec![0; first.len()];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), first);
        if key == stack.key {
            stream.write_all(b"salut").await.unwrap();
            let mut answer = vec![0; "HTTP/1.1 200".len()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, b"HTTP/1.1 200");
        }
    }
}
