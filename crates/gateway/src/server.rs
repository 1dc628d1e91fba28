//! The listener: a door on each core, connections within limits, a stop without a lost call.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taraf_base::Tasks;
use taraf_service::listen::{self, Places};
use taraf_service::{Client, cores};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::cache::Cache;
use crate::config::Config;
use crate::connection;
use crate::error::Error;
use crate::flows::Flows;
use crate::metrics::Metrics;
use crate::routes::Routes;
use crate::tls::Tls;
use crate::tunnel::GOODBYE;

/// How long a core may take for its end beside the calls under way.
const CORE_GRACE: Duration = Duration::from_secs(3);

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
    tls: Option<Arc<Tls>>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) accounts: Accounts,
    pub(crate) routes: watch::Receiver<Arc<Routes>>,
    pub(crate) flows: Arc<dyn Flows>,
    pub(crate) client: Client,
    pub(crate) openapi: watch::Receiver<Arc<Bytes>>,
    pub(crate) metrics: Metrics,
    pub(crate) cache: Cache,
    /// Work beside calls: it is told to end at a stop, and not waited for.
    pub(crate) background: Tasks,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) token: CancellationToken,
}

impl Gateway {
    /// Listens and serves until `tasks` stop. A stop accepts nothing more, waits for the calls in
    /// flight (`limits.drain` at most), and returns unspent quota. For that the tasks of the client
    /// and of the accounts must outlive these: each part has a group of its own, and this one is
    /// drained first, with more time than `limits.drain`.
    ///
    /// # Errors
    /// When the address cannot be listened on or certificates cannot be used.
    #[expect(
        clippy::unused_async,
        reason = "callers await it, so that starting may come to wait"
    )]
    pub async fn start(config: Config, parts: Parts, tasks: &Tasks) -> Result<Handle, Error> {
        let listening = |source| Error::Listen {
            address: config.listen,
            source,
        };
        let cores = config.cores.map_or_else(cores::available, NonZero::get);
        let doors = listen::share(config.listen, cores).map_err(listening)?;
        let address = doors[0].local_addr().map_err(listening)?;
        let metrics = Metrics::new();
        let cache = Cache::new(&config.cache);
        metrics.watch(&cache);
        let tls = config.tls.clone();
        let tls = tls.map(|files| Tls::load(files, config.http2.tls).map(Arc::new));
        let tls = tls.transpose()?;
        if let Some(tls) = &tls {
            tasks.spawn("certificates", Arc::clone(tls).follow(tasks.clone()));
        }
        let shared = Arc::new(Shared {
            config,
            tls: tls.clone(),
            accounts: parts.accounts,
            routes: parts.routes,
            flows: parts.flows,
            client: parts.client,
            openapi: parts.openapi,
            metrics: metrics.clone(),
            cache,
            background: tasks.child(),
            token: tasks.token(),
        });
        tasks.spawn("gateway", run(shared, doors, tasks.child()));
        Ok(Handle {
            address,
            metrics,
            tls,
        })
    }
}

impl Handle {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether callers must come by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes over certificates whose files have changed. Those that cannot be used are told in the
    /// trace and change nothing; connections notice nothing either way. Reads files: not for a thread
    /// that serves calls.
    pub fn reload_certificates(&self) {
        if let Some(tls) = &self.tls {
            tls.reload();
        }
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
            let serve = |stream, peer| {
                connection::serve(Arc::clone(&gateway), stream, peer, connections.clone())
            };
            // When this returns, connection attempts are refused at once and go to another node.
            listen::admit(listener, places, "gateway connection", &connections, serve).await;
        }
        Err(error) => tracing::error!(%error, "a core cannot listen"),
    }
    let cut = connections.drain(limit + GOODBYE).await;
    if !cut.is_empty() {
        tracing::warn!(
            connections = cut.len(),
            ?limit,
            "calls were cut at the stop"
        );
    }
}
