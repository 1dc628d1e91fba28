//! Services that are not there, too slow, or break off; routes that change under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use http::Method;
use taraf_base::Tasks;
use taraf_gateway::{Route, Routes};
use taraf_service::body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stack::{Stack, directory, echo, json, route, send, status, upstream};

#[tokio::test]
async fn a_service_without_endpoints_is_unavailable() {
    let stack = Stack::start(vec![route(Method::GET, "/api/x")], &[]).await;
    let response = stack.get("/api/x").await;
    assert_eq!(response.status(), 503);
    assert_eq!(json(response).await["error"]["code"], "service_unavailable");
    let up = upstream(&Tasks::new(), echo).await;
    stack.directory.send_replace(directory(&[up]));
    assert_eq!(stack.get("/api/x").await.status(), 200);
}

#[tokio::test]
async fn a_service_that_is_down_is_said_to_be() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[address]).await;
    for _ in 0..20 {
        let status = stack.get("/x").await.status().as_u16();
        assert!(matches!(status, 502 | 503), "{status}");
    }
    // After so many failures the endpoint is left alone.
    let response = stack.get("/x").await;
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn a_service_that_is_too_slow_is_given_up_at_the_deadline() {
    let up = upstream(&Tasks::new(), |_| Box::pin(std::future::pending())).await;
    let slow = Route {
        deadline: Some(Duration::from_millis(150)),
        ..route(Method::GET, "/x")
    };
    let stack = Stack::start(vec![slow], &[up]).await;
    let response = stack.get("/x").await;
    assert_eq!(response.status(), 504);
    assert_eq!(json(response).await["code"], "upstream_timeout");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let tasks = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn("broken upstream", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4_096];
            let _read = stream.read(&mut head).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
            let _written = stream.write_all(answer).await;
        }
    });
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[address]).await;
    let request = stack
        .request(Method::GET, "/x")
        .body(body::empty())
        .unwrap();
    // The head may be lost with the connection; if it comes, the body must not end as if whole.
    if let Ok(response) = send(stack.handle.addr(), request, &stack.back).await {
        assert_eq!(response.status(), 200);
        assert!(body::collect(response.into_body(), 1_000).await.is_err());
    }
}

#[tokio::test]
async fn a_services_own_errors_pass_through() {
    let up = upstream(&Tasks::new(), |request| {
        let code = request
            .uri()
            .path()
            .trim_start_matches("/x/")
            .parse()
            .unwrap();
        Box::pin(async move { status(code) })
    })
    .await;
    let stack = Stack::start(vec![route(Method::GET, "/x/{code}")], &[up]).await;
    for code in [202, 304, 404, 418, 500] {
        let answered = stack.get(&format!("/x/{code}")).await.status();
        assert_eq!(answered.as_u16(), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_while_routes_change_a_hundred_times() {
    let up = upstream(&Tasks::new(), echo).await;
    let stack = Arc::new(Stack::start(vec![route(Method::GET, "/x")], &[up]).await);
    let (is_done, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let callers = Tasks::new();
    for _ in 0..4 {
        let (stack, is_done, served) = (
            Arc::clone(&stack),
            Arc::clone(&is_done),
            Arc::clone(&served),
        );
        callers.spawn("caller", async move {
            while !is_done.load(Ordering::Relaxed) {
                assert_eq!(stack.get("/x").await.status(), 200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for change in 0..100 {
        let before = served.load(Ordering::Relaxed);
        let other = route(Method::GET, &format!("/other/{change}"));
        let table = Routes::build(vec![route(Method::GET, "/x"), other]).unwrap();
        stack.routes.send_replace(Arc::new(table));
        while served.load(Ordering::Relaxed) == before && callers.panics() == 0 {
            tokio::task::yield_now().await;
        }
    }
    is_done.store(true, Ordering::Relaxed);
    assert!(callers.drain(crate::stack::LIMIT).await.is_empty());
    assert_eq!(callers.panics(), 0);
    assert_eq!(stack.get("/other/99").await.status(), 200);
    assert_eq!(stack.get("/other/98").await.status(), 404);
}
