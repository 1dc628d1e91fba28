//! HTTP/2 to services: trailers both ways, calls that share a connection, a TLS service.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use taraf_base::Tasks;
use taraf_gateway::{Config, Http2, Route};
use taraf_service::executor::Spawner;
use taraf_service::{Body, Transport};
use tokio::net::{TcpListener, TcpStream};

use crate::stack::{NoFlows, Stack, directory, route, text, upstream};

/// A service that speaks HTTP/2 alone and repeats trailers; also how many connections it has had.
async fn service(tasks: &Tasks) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (group, count) = (tasks.clone(), Arc::clone(&connections));
    tasks.spawn("http2 service", async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let connection =
                hyper::server::conn::http2::Builder::new(Spawner::new(group.clone(), "stream"))
                    .serve_connection(TokioIo::new(stream), service_fn(repeat));
            group.spawn("http2 connection", async move {
                let _ended = connection.await;
            });
        }
    });
    (address, connections)
}

async fn repeat(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    assert_eq!(head.version, Version::HTTP_2);
    let te = head.headers.get("te").cloned();
    let host = head.uri.authority().unwrap().to_string();
    let collected = body.collect().await.unwrap();
    let mut trailers = collected.trailers().cloned().unwrap_or_default();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let body = Full::new(collected.to_bytes());
    let body = body.with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("x-host", host.parse().unwrap());
    if let Some(te) = te {
        headers.insert("x-te", te);
    }
    Ok(response)
}

async fn stack(up: SocketAddr) -> Stack {
    let config = Config {
        http2: Http2 {
            plain: true,
            ..Http2::default()
        },
        ..Config::default()
    };
    let both = Route {
        methods: vec![Method::GET, Method::POST],
        ..route(Method::POST, "/x")
    };
    let stack = Stack::with(config, Arc::new(NoFlows), vec![both], &[]).await;
    let directory = directory(&[up]).as_ref().clone();
    let directory = directory.speaking("up", &Transport::H2c);
    stack.directory.send_replace(Arc::new(directory));
    stack
}

async fn connect(stack: &Stack) -> http2::SendRequest<Body> {
    let stream = TcpStream::connect(stack.handle.addr()).await.unwrap();
    let builder = http2::Builder::new(Spawner::new(stack.back.clone(), "test stream"));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    stack.back.spawn("test connection", async move {
        let _ended = connection.await;
    });
    sender
}

#[tokio::test]
async fn trailers_pass_both_ways_and_te_with_them() {
    let (up, _) = service(&Tasks::new()).await;
    let stack = stack(up).await;
    let mut sender = connect(&stack).await;
    let body = Full::new(Bytes::from_static(b"message"));
    let body = body.with_trailers(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", "17".parse().unwrap());
        Some(Ok::<_, Infallible>(trailers))
    });
    let request = Request::post("http://gateway/x")
        .header("x-api-key", &stack.key)
        .header("te", "trailers")
        .body(Body::new(body))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-te"], "trailers");
    assert_eq!(response.headers()["x-host"], "up.service");
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x-checksum"], "17");
    assert_eq!(collected.to_bytes(), "message");
}

#[tokio::test]
async fn callers_of_the_older_version_reach_the_newer_one_and_share_its_connections() {
    let (up, connections) = service(&Tasks::new()).await;
    let stack = stack(up).await;
    for _ in 0..20 {
        let response = stack.get("/x").await;
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, "");
    }
    // At most one for each core.
    let made = connections.load(Ordering::Relaxed);
    assert!(made <= taraf_service::cores::available(), "{made}");
}

#[tokio::test]
async fn a_service_that_speaks_something_else_is_said_to_be_broken() {
    let up = upstream(&Tasks::new(), |_| {
        Box::pin(async { crate::stack::status(200) })
    })
    .await;
    let stack = stack(up).await;
    let response = stack.get("/x").await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn trailers_of_the_older_version_pass_when_they_are_announced() {
    let up = upstream(&Tasks::new(), |_| {
        Box::pin(async {
            let body = Full::new(Bytes::from_static(b"body"));
            let body = body.with_trailers(async {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", "4".parse().unwrap());
                Some(Ok::<_, Infallible>(trailers))
            });
            let mut response = Response::new(Body::new(body));
            let headers = response.headers_mut();
            headers.insert("trailer", "x-sum".parse().unwrap());
            headers.insert("transfer-encoding", "chunked".parse().unwrap());
            response
        })
    })
    .await;
    let stack = Stack::start(vec![route(Method::GET, "/x")], &[up]).await;
    let request = stack.request(Method::GET, "/x").header("te", "trailers");
    let response = stack
        .send(request.body(taraf_service::body::empty()).unwrap())
        .await;
    assert_eq!(response.headers()["trailer"], "x-sum");
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "4");
    assert_eq!(collected.to_bytes(), "body");
}
