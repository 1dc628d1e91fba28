//! The listener: a door on each core, HTTP/1 on its connections within limits, stops without losing
//! a call.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use taraf_base::Tasks;
use taraf_service::listen::{self, Places};
use taraf_service::serve::WriteLimit;
use taraf_service::{Body, Client, cores};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::error::Error;
use crate::flows::Flows;
use crate::metrics::Metrics;
use crate::pipeline;
use crate::routes::Routes;

/// hyper's smallest buffer.
const BUFFER_BYTES_MIN: usize = 8 << 10;
/// How long a core may take for its end beside the calls under way.
const CORE_GRACE: Duration = Duration::from_secs(1);

/// The front door.
pub struct Gateway;

/// What the gateway is joined to.
pub struct Parts {
    /// Accounts and keys.
    pub accounts: Accounts,
    /// The route table. A new one holds for the next request.
    pub routes: watch::Receiver<Arc<Routes>>,
    /// Those who run flows.
    pub flows: Arc<dyn Flows>,
    /// Calls services.
    pub client: Client,
    /// The aggregated OpenAPI document.
    pub openapi: watch::Receiver<Arc<Bytes>>,
}

/// A gateway that runs. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    address: SocketAddr,
    metrics: Metrics,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) accounts: Accounts,
    pub(crate) routes: watch::Receiver<Arc<Routes>>,
    pub(crate) flows: Arc<dyn Flows>,
    pub(crate) client: Client,
    pub(crate) openapi: watch::Receiver<Arc<Bytes>>,
    pub(crate) metrics: Metrics,
    pub(crate) token: CancellationToken,
}

impl Gateway {
    /// Listens and serves until `tasks` stop. A stop accepts nothing more, waits for the calls in
    /// flight (`limits.drain` at most), and returns unspent quota. For that the tasks of the client
    /// and of the accounts must outlive these: each part has a group of its own, and this one is
    /// drained first, with more time than `limits.drain`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(config: Config, parts: Parts, tasks: &Tasks) -> Result<Handle, Error> {
        let listening = |source| Error::Listen {
            address: config.listen,
            source,
        };
        let cores = config.cores.map_or_else(cores::available, NonZero::get);
        let doors = listen::share(config.listen, cores).map_err(listening)?;
        let address = doors[0].local_addr().map_err(listening)?;
        let metrics = Metrics::new();
        let shared = Arc::new(Shared {
            config,
            accounts: parts.accounts,
            routes: parts.routes,
            flows: parts.flows,
            client: parts.client,
            openapi: parts.openapi,
            metrics: metrics.clone(),
            token: tasks.token(),
        });
        tasks.spawn("gateway", run(shared, doors, tasks.child()));
        Ok(Handle { address, metrics })
    }
}

impl Handle {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its metrics as Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        self.metrics.registry.text()
    }

    /// Its metrics, to be shown beside those of other parts.
    #[must_use]
    pub fn metrics(&self) -> &taraf_service::metrics::Registry {
        &self.metrics.registry
    }
}

async fn run(gateway: Arc<Shared>, doors: Vec<StdListener>, threads: Tasks) {
    let places = Places::new(gateway.config.limits.connections);
    let limit = gateway.config.limits.drain;
    let shared = Arc::clone(&gateway);
    let group = threads.child();
    cores::start("gateway core", doors, &threads, move |door| {
        core(Arc::clone(&shared), door, places.clone(), group.child())
    });
    threads.stopping().await;
    let late = threads.drain(limit + CORE_GRACE).await;
    if !late.is_empty() {
        tracing::warn!(cores = late.len(), "did not stop in time");
    }
    gateway.accounts.settle().await;
}

/// One core's part: accepts until the stop, then waits for the calls under way.
async fn core(gateway: Arc<Shared>, door: StdListener, places: Places, connections: Tasks) {
    let limit = gateway.config.limits.drain;
    match TcpListener::from_std(door) {
        Ok(listener) => {
            let serve = |stream, peer| serve(Arc::clone(&gateway), stream, peer);
            // When this returns, connection attempts are refused at once and go to another node.
            listen::admit(listener, places, "gateway connection", &connections, serve).await;
        }
        Err(error) => tracing::error!(%error, "a core cannot listen"),
    }
    let cut = connections.drain(limit).await;
    if !cut.is_empty() {
        tracing::warn!(
            connections = cut.len(),
            ?limit,
            "calls were cut at the stop"
        );
    }
}

async fn serve(gateway: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let limits = gateway.config.limits.clone();
    let stream = WriteLimit::new(stream, limits.write_pause);
    let open = Open::new(&gateway.metrics);
    let token = gateway.token.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let answer = pipeline::answer(Arc::clone(&gateway), peer, request.map(Body::from));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(BUFFER_BYTES_MIN))
        .half_close(false)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = token.cancelled() => {
            // An idle connection closes now, a busy one after its answer.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(open);
}

/// Counts a connection as long as it lives, however it ends.
struct Open(Metrics);

impl Open {
    fn new(metrics: &Metrics) -> Self {
        metrics.connections.add(1);
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.add(-1);
    }
}
