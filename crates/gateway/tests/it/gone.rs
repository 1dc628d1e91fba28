//! Callers that go away, or stay and do not read: what they held is given back.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response};
use taraf_base::Tasks;
use taraf_gateway::{Config, Limits};
use taraf_service::body;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::stack::{LIMIT, NoFlows, Stack, eventually, route, upstream};

/// The value of a metric without labels.
fn metric(stack: &Stack, name: &str) -> i64 {
    let text = stack.handle.render();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

async fn ask(stack: &Stack) -> TcpStream {
    let mut stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
    let head = format!(
        "GET /x HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\n\r\n",
        stack.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_call() {
    /// Tells when the service's work is given up.
    struct Given(mpsc::Sender<()>);

    impl Drop for Given {
        fn drop(&mut self) {
            // The channel has room for all.
            let _told = self.0.try_send(());
        }
    }

    let (tell, mut told) = mpsc::channel(2);
    let up = upstream(&Tasks::new(), move |_| {
        tell.try_send(()).unwrap();
        let given = Given(tell.clone());
        Box::pin(async move {
            let _held = given;
            std::future::pending().await
        })
    })
    .await;
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
    let stream = ask(&stack).await;
    let in_flight = || metric(&stack, "taraf_gateway_calls_in_flight ");
    let arrived = tokio::time::timeout(LIMIT, told.recv()).await;
    arrived.expect("the service is called");
    assert_eq!(in_flight(), 1);
    drop(stream);
    let given_up = tokio::time::timeout(LIMIT, told.recv()).await;
    given_up.expect("the service is told");
    eventually("the call is over", || in_flight() == 0).await;
    let counted = "taraf_gateway_calls_total{route=\"GET /x\",status=\"4xx\"} 1";
    eventually("it is counted", || stack.handle.render().contains(counted)).await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_given_up() {
    let up = upstream(&Tasks::new(), |_| {
        Box::pin(async { Response::new(body::full(vec![0; 64 << 20])) })
    })
    .await;
    let limits = Limits {
        write_pause: Duration::from_millis(100),
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let routes = vec![route(Method::GET, "/x")];
    let stack = Stack::with(config, Arc::new(NoFlows), routes, &[up]).await;
    let _unread = ask(&stack).await;
    let connections = || metric(&stack, "taraf_gateway_connections ");
    eventually("the call has begun", || connections() == 1).await;
    eventually("the connection is closed", || connections() == 0).await;
    assert_eq!(metric(&stack, "taraf_gateway_calls_in_flight "), 0);
}
