//! How many calls a second go through the client to services on the loopback.
//!
//! `cargo bench --bench calls [SECONDS]`. Client and server share the machine and the runtime, so
//! the figure counts both sides; the bare figure beside it drives hyper's connections without pool,
//! breaker, deadline or counting, and so shows what those cost.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops at the first surprise"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use taraf_base::Tasks;
use taraf_service::client::Config;
use taraf_service::{CallPolicy, Client, Directory, Endpoint, ServiceName, Target, body};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const CALLERS: usize = 32;
const ANSWER_BYTES: usize = 256;

fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(3));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bare = bare(time).await;
        let pooled = pooled(time).await;
        report(&format!(
            "| way | calls/s |\n|---|---|\n| bare hyper connections | {bare:.0} |\n\
             | `Client::forward` | {pooled:.0} |\n| share of bare | {:.1} % |\n",
            pooled * 100.0 / bare
        ));
    });
}

/// Prints the result, or leaves it where `cargo xtask bench` wants it.
fn report(text: &str) {
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, text).unwrap(),
        None => println!("{text}"),
    }
}

async fn server(tasks: &Tasks) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = tasks.clone();
    tasks.spawn("server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let answer = service_fn(async |_request| {
                let bytes = Bytes::from_static(&[b'x'; ANSWER_BYTES]);
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(bytes)))
            });
            connections.spawn("connection", async move {
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer);
                // The bench ends by dropping everything.
                let _ended = connection.await;
            });
        }
    });
    address
}

async fn measure(time: Duration, done: &AtomicU64) -> f64 {
    tokio::time::sleep(time / 4).await;
    let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    let calls = u32::try_from(done.load(Ordering::Relaxed) - before).unwrap();
    f64::from(calls) / began.elapsed().as_secs_f64()
}

async fn bare(time: Duration) -> f64 {
    let tasks = Tasks::new();
    let address = server(&tasks).await;
    let done = Arc::new(AtomicU64::new(0));
    for _ in 0..CALLERS {
        let done = Arc::clone(&done);
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tasks.spawn("driver", async move {
            let _ended = connection.await;
        });
        tasks.spawn("caller", async move {
            loop {
                let request = Request::get("/x").header("host", "peer.service");
                let request = request.body(Full::<Bytes>::default()).unwrap();
                sender.ready().await.unwrap();
                let answer = sender.send_request(request).await.unwrap();
                answer.into_body().collect().await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let calls = measure(time, &done).await;
    tasks.drain(Duration::ZERO).await;
    calls
}

async fn pooled(time: Duration) -> f64 {
    let tasks = Tasks::new();
    let name = ServiceName::new("peer").unwrap();
    let endpoints = vec![
        Endpoint::new(server(&tasks).await),
        Endpoint::new(server(&tasks).await),
    ];
    let directory = watch::Sender::new(Arc::new(Directory::new().with(name.clone(), endpoints)));
    let client = Client::new(directory.subscribe(), Config::default(), &tasks);
    let done = Arc::new(AtomicU64::new(0));
    for _ in 0..CALLERS {
        let (done, client, target) = (
            Arc::clone(&done),
            client.clone(),
            Target::service(name.clone()),
        );
        tasks.spawn("caller", async move {
            let policy = CallPolicy::default();
            loop {
                let mut request = Request::new(body::empty());
                *request.uri_mut() = Uri::from_static("/x");
                let answer = client.forward(request, &target, &policy).await.unwrap();
                body::collect(answer.into_body(), ANSWER_BYTES)
                    .await
                    .unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let calls = measure(time, &done).await;
    tasks.drain(Duration::ZERO).await;
    calls
}
