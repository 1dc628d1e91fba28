//! A stop: nothing new is taken, nothing under way is lost, unspent quota is returned.

use std::sync::Arc;

use http::{Method, Response};
use taraf_base::Tasks;
use taraf_service::body;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::stack::{LIMIT, Stack, json, route, send, text, upstream};

struct Gate {
    arrived: Notify,
    go_on: Notify,
}

async fn stack_with_gate() -> (Arc<Stack>, Arc<Gate>) {
    let gate = Arc::new(Gate {
        arrived: Notify::new(),
        go_on: Notify::new(),
    });
    let held = Arc::clone(&gate);
    let up = upstream(&Tasks::new(), move |_| {
        let gate = Arc::clone(&held);
        Box::pin(async move {
            gate.arrived.notify_one();
            gate.go_on.notified().await;
            Response::new(body::full("done"))
        })
    })
    .await;
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
    (Arc::new(stack), gate)
}

#[tokio::test]
async fn a_stop_waits_for_the_calls_under_way_and_takes_no_others() {
    let (stack, gate) = stack_with_gate().await;
    let idle = TcpStream::connect(stack.handle.addr()).await.unwrap();
    let request = stack
        .request(Method::GET, "/x")
        .body(body::empty())
        .unwrap();
    let call = send(stack.handle.addr(), request, &stack.back);
    let stop = async {
        gate.arrived.notified().await;
        stack.tasks.stop();
        // The listener closes while the call is still held.
        while TcpStream::connect(stack.handle.addr()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        gate.go_on.notify_one();
    };
    let (response, ()) = tokio::join!(call, stop);
    assert_eq!(text(response.unwrap()).await, "done");
    assert!(stack.tasks.drain(LIMIT).await.is_empty());
    drop(idle);
}

#[tokio::test]
async fn a_stop_returns_quota_that_was_reserved_and_not_spent() {
    let (stack, gate) = stack_with_gate().await;
    let key = stack
        .accounts
        .create_key("ion", Some("wide"), "")
        .await
        .unwrap();
    gate.go_on.notify_one();
    let response = stack.get_with("/x", key.secret.expose()).await;
    assert_eq!(text(response).await, "done");
    assert!(stack.tasks.drain(LIMIT).await.is_empty());
    let usage = stack.accounts.usage(key.account).await.unwrap().unwrap();
    assert_eq!(usage.used, 1);
}

#[tokio::test]
async fn a_gateway_that_stops_says_it_is_not_ready() {
    let (stack, gate) = stack_with_gate().await;
    assert_eq!(stack.get("/health/ready").await.status(), 200);
    // A connection that is in use when the stop comes may ask once more.
    let stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    stack.back.spawn("test connection", async move {
        let _ended = connection.await;
    });
    let request = stack
        .request(Method::GET, "/x")
        .body(body::empty())
        .unwrap();
    let call = sender.send_request(request);
    let stop = async {
        gate.arrived.notified().await;
        stack.tasks.stop();
        gate.go_on.notify_one();
    };
    let (response, ()) = tokio::join!(call, stop);
    let response = response.unwrap();
    assert_eq!(response.headers().get("connection").unwrap(), "close");
    assert_eq!(text(response).await, "done");
}

#[tokio::test]
async fn live_is_answered_without_a_key() {
    let (stack, _gate) = stack_with_gate().await;
    let response = stack.get_with("/health/live", "none").await;
    assert_eq!(json(response).await["status"], "live");
}
