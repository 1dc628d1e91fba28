//! Proxied calls a second with key, limiter and quota, beside the same calls without the gateway.
//!
//! `cargo bench --bench proxy [SECONDS] [CONNECTIONS]`. Everything runs in this one process, so the
//! figure holds the caller's and the service's share of the work too.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench speaks on its output and stops at whatever goes wrong"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use taraf_base::Tasks;
use taraf_gateway::quota::Plan;
use taraf_gateway::{
    Accounts, AccountsConfig, Config, FlowCall, FlowFuture, Flows, Gateway, Parts, Route, Routes,
    Target,
};
use taraf_log::MemoryLog;
use taraf_service::{Body, Client, Directory, Endpoint, ServiceName, body, client, problem};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const BODY: &str = r#"{"cif":"13548146","denumire":"Exemplu SRL","judet":"Sibiu"}"#;

struct NoFlows;

impl Flows for NoFlows {
    fn start(&self, _call: FlowCall) -> FlowFuture<'_> {
        Box::pin(async { Err(problem::NOT_FOUND.new()) })
    }

    fn run<'a>(&'a self, _id: &'a str, _account: &'a str) -> FlowFuture<'a> {
        Box::pin(async { Err(problem::RUN_NOT_FOUND.new()) })
    }
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let time = Duration::from_secs(numbers.next().unwrap_or(5));
    let connections = numbers.next().unwrap_or(64);
    let tasks = Tasks::new();
    let service = service(&tasks).await;
    let (gateway, key) = gateway(service, &tasks).await;
    let direct = measure(service, "", time, connections).await;
    let through = measure(gateway, &key, time, connections).await;
    report(&format!(
        "| way, {connections} connections | calls/s |\n|---|---|\n| direct | {direct} |\n\
         | through the gateway with key, rate and quota | {through} |\n"
    ));
}

/// Prints the result, or leaves it where `cargo xtask bench` wants it.
fn report(text: &str) {
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, text).unwrap(),
        None => println!("{text}"),
    }
}

async fn service(tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let group = tasks.clone();
    tasks.spawn("service", async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let answer = service_fn(async |_request: Request<hyper::body::Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                    BODY.as_bytes(),
                ))))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer);
            group.spawn("service connection", async move {
                // The bench ends before its connections do.
                let _ended = connection.await;
            });
        }
    });
    address
}

async fn gateway(service: SocketAddr, tasks: &Tasks) -> (SocketAddr, String) {
    let plan = Plan {
        rate_per_second: 10_000_000,
        burst: 10_000_000,
        quota_per_month: Some(1_000_000_000),
    };
    let config = AccountsConfig {
        plans: [("free".to_owned(), plan)].into(),
        ..AccountsConfig::default()
    };
    let accounts = Accounts::start(Arc::new(MemoryLog::new()), config, tasks);
    let accounts = accounts.await.unwrap();
    let key = accounts.create_key("bench", None, "").await.unwrap();
    let name = ServiceName::new("companies").unwrap();
    let directory = Directory::new().with(name, vec![Endpoint::new(service)]);
    let (_directory, follow) = watch::channel(Arc::new(directory));
    let target = Target::Service {
        service: "companies".to_owned(),
        path: None,
    };
    let route = Route::new(Method::GET, "/api/companies/{cif}", target);
    let (_routes, routes) = watch::channel(Arc::new(Routes::build(vec![route]).unwrap()));
    let (_openapi, openapi) = watch::channel(Arc::new(Bytes::new()));
    let parts = Parts {
        accounts,
        routes,
        flows: Arc::new(NoFlows),
        client: Client::new(follow, client::Config::default(), tasks),
        openapi,
    };
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..Config::default()
    };
    let handle = Gateway::start(config, parts, tasks).await.unwrap();
    (handle.addr(), key.secret.expose().clone())
}

async fn measure(to: SocketAddr, key: &str, time: Duration, connections: u64) -> u64 {
    let (tasks, served) = (Tasks::new(), Arc::new(AtomicU64::new(0)));
    let end = Instant::now() + time;
    for _ in 0..connections {
        let (served, key) = (Arc::clone(&served), key.to_owned());
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tasks.spawn("connection", async move {
            // It ends with its caller.
            let _ended = connection.await;
        });
        tasks.spawn("caller", async move {
            while Instant::now() < end {
                let request = Request::get("/api/companies/13548146");
                let request = request.header("host", "gateway").header("x-api-key", &key);
                let request: Request<Body> = request.body(body::empty()).unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap();
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tasks.drain(time + Duration::from_secs(10)).await;
    served.load(Ordering::Relaxed) / time.as_secs().max(1)
}
