//! A gateway with its log in memory, upstream servers written in the test, and a plain client.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use taraf_base::Tasks;
use taraf_gateway::quota::Plan;
use taraf_gateway::{
    Accounts, AccountsConfig, Config, Error, FlowCall, FlowFuture, Flows, Gateway, Handle, Parts,
    Route, Routes, Target,
};
use taraf_log::MemoryLog;
use taraf_service::{Body, Client, Directory, Endpoint, ServiceName, body, client, problem};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A running gateway. The client and the log stop after it, as in the program.
pub(crate) struct Stack {
    pub(crate) handle: Handle,
    pub(crate) accounts: Accounts,
    pub(crate) routes: watch::Sender<Arc<Routes>>,
    pub(crate) directory: watch::Sender<Arc<Directory>>,
    pub(crate) key: String,
    pub(crate) tasks: Tasks,
    pub(crate) back: Tasks,
    _openapi: watch::Sender<Arc<Bytes>>,
}

pub(crate) fn plan(rate_per_second: u32, burst: u32, quota_per_month: Option<u64>) -> Plan {
    Plan {
        rate_per_second,
        burst,
        quota_per_month,
    }
}

/// A route of the service `up`.
pub(crate) fn route(method: Method, path: &str) -> Route {
    let service = "up".to_owned();
    Route::new(
        method,
        path,
        Target::Service {
            service,
            path: None,
        },
    )
}

pub(crate) fn directory(endpoints: &[SocketAddr]) -> Arc<Directory> {
    let endpoints = endpoints.iter().copied().map(Endpoint::new).collect();
    Arc::new(Directory::new().with(ServiceName::new("up").unwrap(), endpoints))
}

impl Stack {
    pub(crate) async fn start(routes: Vec<Route>, upstream: &[SocketAddr]) -> Self {
        Self::with(Config::default(), Arc::new(NoFlows), routes, upstream).await
    }

    pub(crate) async fn with(
        config: Config,
        flows: Arc<dyn Flows>,
        routes: Vec<Route>,
        upstream: &[SocketAddr],
    ) -> Self {
        Self::try_with(config, flows, routes, upstream)
            .await
            .unwrap()
    }

    pub(crate) async fn try_with(
        config: Config,
        flows: Arc<dyn Flows>,
        routes: Vec<Route>,
        upstream: &[SocketAddr],
    ) -> Result<Self, Error> {
        let (tasks, back) = (Tasks::new(), Tasks::new());
        let accounts = AccountsConfig {
            plans: [
                ("free".to_owned(), plan(10, 20, Some(100))),
                ("tight".to_owned(), plan(1, 2, Some(100))),
                ("short".to_owned(), plan(100, 100, Some(2))),
                ("wide".to_owned(), plan(100_000, 100_000, None)),
            ]
            .into(),
            ..AccountsConfig::default()
        };
        let accounts = Accounts::start(Arc::new(MemoryLog::new()), accounts, &back);
        let accounts = accounts.await.unwrap();
        let key = accounts.create_key("ana", Some("wide"), "").await.unwrap();
        let (directory, follow) = watch::channel(directory(upstream));
        let client = Client::new(follow, client::Config::default(), &back);
        let (routes, table) = watch::channel(Arc::new(Routes::build(routes).unwrap()));
        let (openapi, document) =
            watch::channel(Arc::new(Bytes::from_static(b"{\"openapi\":\"3.1.0\"}")));
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..config
        };
        let parts = Parts {
            accounts: accounts.clone(),
            routes: table,
            flows,
            client,
            openapi: document,
        };
        let handle = Gateway::start(config, parts, &tasks).await?;
        Ok(Self {
            handle,
            accounts,
            routes,
            directory,
            key: key.secret.expose().clone(),
            tasks,
            back,
            _openapi: openapi,
        })
    }

    /// A request with the key.
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        request
            .header("host", "gateway")
            .header("x-api-key", &self.key)
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        self.send(self.request(Method::GET, path).body(body::empty()).unwrap())
            .await
    }

    pub(crate) async fn get_with(&self, path: &str, key: &str) -> Response<Incoming> {
        let request = Request::get(path)
            .header("host", "gateway")
            .header("x-api-key", key);
        self.send(request.body(body::empty()).unwrap()).await
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        send(self.handle.addr(), request, &self.back).await.unwrap()
    }
}

pub(crate) async fn send(
    to: SocketAddr,
    request: Request<Body>,
    tasks: &Tasks,
) -> Result<Response<Incoming>, hyper::Error> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tasks.spawn("test connection", async move {
        // A connection that breaks is seen by who waits for its answer.
        let _ended = connection.await;
    });
    let answer = tokio::time::timeout(LIMIT, sender.send_request(request));
    answer.await.expect("an answer in time")
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = body::collect(response.into_body(), 16 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn json(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// A server whose answers the test writes.
pub(crate) async fn upstream<F>(tasks: &Tasks, answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Answer + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, group) = (Arc::new(answer), tasks.clone());
    tasks.spawn("upstream", async move {
        let token = group.token();
        while let Some(Ok((stream, _))) = token.run_until_cancelled(listener.accept()).await {
            let (answer, token) = (Arc::clone(&answer), token.clone());
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            group.spawn("upstream connection", async move {
                // A gateway that goes away is no fault here.
                let _ended = token.run_until_cancelled(connection).await;
            });
        }
    });
    address
}

/// Tells what arrived: method, path, headers, and how many bytes.
pub(crate) fn echo(request: Request<Incoming>) -> Answer {
    Box::pin(async move {
        let (parts, incoming) = request.into_parts();
        let bytes = body::collect(incoming, 64 << 20)
            .await
            .map_or(0, |bytes| bytes.len());
        let headers: serde_json::Map<_, _> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), Value::from(value.to_str().unwrap_or("?"))))
            .collect();
        let told = json!({
            "method": parts.method.as_str(),
            "path": parts.uri.to_string(),
            "headers": headers,
            "bytes": bytes,
        });
        let mut response = Response::new(body::full(told.to_string()));
        for (name, value) in [
            ("x-taraf-secret", "1"),
            ("keep-alive", "timeout=1"),
            ("x-own", "kept"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
}

pub(crate) fn status(status: u16) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// For tests without flows.
pub(crate) struct NoFlows;

impl Flows for NoFlows {
    fn start(&self, _call: FlowCall) -> FlowFuture<'_> {
        Box::pin(async { Err(problem::NOT_FOUND.new()) })
    }

    fn run<'a>(&'a self, _id: &'a str, _account: &'a str) -> FlowFuture<'a> {
        Box::pin(async { Err(problem::RUN_NOT_FOUND.new()) })
    }
}

/// Waits for a value that another thread is about to set.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "{what}");
}

/// The same for what takes a while to look at.
pub(crate) async fn eventually_async(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "{what}");
}
