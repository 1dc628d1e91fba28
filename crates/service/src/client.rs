//! Calls to services by name and to hosts outside: chosen, limited, tried again, streamed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, USER_AGENT};
use http::{Request, Response, Version};
use taraf_base::{Rng, Tasks};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metrics::{Counter, Family, Histogram, Registry};
use crate::pool::{self, Place, Standing};
use crate::retry::Budget;
use crate::{Body, CallError, Directory, EndpointState, EndpointView, PoolView, ServiceName};

mod at_hand;
mod attempt;
mod config;
mod direct;
mod egress;
mod headers;
mod roots;
mod switch;
mod table;

pub use config::{Config, Egress, Rewrite};
pub use direct::{DirectBody, DirectRequest, Missed};
pub use headers::{is_hop_by_hop, is_stream, is_stream_type, remove_hop_by_hop};
pub use roots::{Roots, RootsError};
pub use switch::{Raw, Switched};

use egress::Destination;
pub(crate) use egress::origin_form;
use table::Table;

/// How often kept connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("taraf/", env!("CARGO_PKG_VERSION")));

const NO_LENGTH: HeaderValue = HeaderValue::from_static("0");

/// What one call may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPolicy {
    /// From the call to the head of its answer, retries and waits included. Default 10 s.
    pub deadline: Duration,
    /// For one attempt; the deadline when absent.
    pub attempt: Option<Duration>,
    /// The longest pause within the answer's body. Default 30 s.
    pub body_idle: Duration,
    /// The same for a body that goes on for as long as there is something to tell: an event stream, a
    /// stream of gRPC. Default 30 s.
    pub stream_idle: Duration,
    /// The protocol that the caller wants to speak instead of HTTP. An answer of 101 then has a
    /// [`Switched`]; without it, and from a service that was not asked, 101 is an error.
    pub switch: Option<&'static str>,
    /// Whether asking twice is as asking once although the method does not say so (an
    /// `Idempotency-Key`).
    pub idempotent: bool,
    /// Whether it must not be asked twice although the method says that it may: it is sent again
    /// only when nothing of it was sent.
    pub once: bool,
    /// Attempts after the first. Default 1.
    pub retries: u32,
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            attempt: None,
            body_idle: Duration::from_secs(30),
            stream_idle: Duration::from_secs(30),
            switch: None,
            idempotent: false,
            once: false,
            retries: 1,
        }
    }
}

/// Whom a forwarded request goes to; made once for a route.
#[derive(Clone, Debug)]
pub struct Target {
    name: ServiceName,
    host: HeaderValue,
}

impl Target {
    /// A service of the directory.
    ///
    /// # Panics
    /// Never: service names fit a header.
    #[must_use]
    pub fn service(name: ServiceName) -> Self {
        let host = HeaderValue::try_from(name.host()).expect("service names fit a header");
        Self { name, host }
    }

    /// The service.
    #[must_use]
    pub const fn name(&self) -> &ServiceName {
        &self.name
    }

    /// What its requests are told as their host.
    #[must_use]
    pub const fn host(&self) -> &HeaderValue {
        &self.host
    }
}

/// Calls services and hosts. Cheap to clone; clones share connections.
///
/// Dropping a call, or the body of its answer, gives it up and closes its connection. A call counts
/// as under way until its body was read to the end or dropped. A new directory disturbs no call
/// under way. A request is sent again only when nothing of it was sent, or when it is idempotent (by
/// method or by policy) and its body is at hand.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    table: Table,
    shared: Arc<Shared>,
}

/// What pools and calls share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    began: Instant,
    seed: u64,
    choices: AtomicU64,
    roots: Roots,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    service_tls: OnceLock<Arc<rustls::ClientConfig>>,
    /// Drive the connections that calls share.
    pub(crate) tasks: Tasks,
    counts: Counts,
    registry: Registry,
}

struct Counts {
    calls: Family<Counter>,
    retries: Family<Counter>,
    connections: Family<Counter>,
    latency: Family<Histogram>,
}

impl Shared {
    /// The time since the client began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Chance for one choice.
    pub(crate) fn rng(&self) -> Rng {
        pool::rng_of(self.seed, self.choices.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(self.tls.get_or_init(|| pool::web_tls(&self.roots)))
    }

    pub(crate) fn service_tls(&self) -> Arc<rustls::ClientConfig> {
        let made = || pool::service_tls(&self.tls());
        Arc::clone(self.service_tls.get_or_init(made))
    }

    fn standing(&self, name: &str, label: &str) -> Arc<Standing> {
        Arc::new(Standing {
            name: name.to_owned(),
            budget: Budget::new(&self.config.retry),
            answered: self.counts.calls.with(&[label, "answered"]),
            answered_error: self.counts.calls.with(&[label, "answered_error"]),
            failed: self.counts.calls.with(&[label, "failed"]),
            retries: self.counts.retries.with(&[label]),
            connections: self.counts.connections.with(&[label]),
            latency: self.counts.latency.with(&[label]),
        })
    }
}

impl Client {
    /// A client that follows the directory, looking after its connections in one of the tasks.
    #[must_use]
    pub fn new(directory: watch::Receiver<Arc<Directory>>, config: Config, tasks: &Tasks) -> Self {
        Self::with_roots(directory, config, Roots::default(), tasks)
    }

    /// The same, trusting these authorities too.
    #[must_use]
    pub fn with_roots(
        directory: watch::Receiver<Arc<Directory>>,
        config: Config,
        roots: Roots,
        tasks: &Tasks,
    ) -> Self {
        let registry = Registry::new();
        let counts = Counts {
            calls: registry.counters(
                "taraf_client_calls_total",
                "Attempts of calls to services, by how they ended.",
                &["service", "outcome"],
            ),
            retries: registry.counters(
                "taraf_client_retries_total",
                "Attempts after the first.",
                &["service"],
            ),
            connections: registry.counters(
                "taraf_client_connections_total",
                "Connections made.",
                &["service"],
            ),
            latency: registry.histograms(
                "taraf_client_latency_seconds",
                "Time from an attempt's beginning to the head of its answer.",
                &["service"],
            ),
        };
        let shared = Arc::new(Shared {
            seed: config.seed.unwrap_or_else(taraf_base::random_u64),
            config,
            began: Instant::now(),
            choices: AtomicU64::new(0),
            roots,
            tls: OnceLock::new(),
            service_tls: OnceLock::new(),
            tasks: tasks.clone(),
            counts,
            registry,
        });
        let inner = Arc::new(Inner {
            table: Table::new(directory),
            shared,
        });
        inner.register_views();
        tasks.spawn(
            "service client",
            look_after(Arc::downgrade(&inner), tasks.clone()),
        );
        Self { inner }
    }

    /// Calls the host of the request's URI: `NAME.service` is the service of the directory, any
    /// other host is resolved and connected to, with TLS for `https`. An answer is an answer,
    /// whatever its status.
    ///
    /// # Errors
    /// When no answer came within the policy's limits.
    pub async fn call(
        &self,
        mut request: Request<Body>,
        policy: &CallPolicy,
    ) -> Result<Response<Body>, CallError> {
        let shared = &self.inner.shared;
        let (destination, uri) = egress::destination(request.uri(), &shared.config)?;
        let (pool, host) = match destination {
            Destination::Service(name) => {
                let pool = self.inner.table.service(&name, shared)?;
                (pool, format!("{name}{}", crate::descriptor::DOMAIN_SUFFIX))
            }
            Destination::Origin { host, port, tls } => {
                let place = Place::Origin { host, port, tls };
                let authority = uri.authority().map_or("", |authority| authority.as_str());
                let host = authority.rsplit('@').next().unwrap_or_default().to_owned();
                (self.inner.table.origin(place, shared)?, host)
            }
        };
        let invalid = |error| CallError::Invalid(format!("host `{host}`: {error}"));
        let value = HeaderValue::try_from(&host).map_err(invalid)?;
        request.headers_mut().insert(HOST, value);
        request
            .headers_mut()
            .entry(USER_AGENT)
            .or_insert(USER_AGENT_VALUE);
        *request.uri_mut() = origin_form(&uri);
        if let Some(bytes) = at_hand::written(&request, &pool, shared, policy) {
            let request = DirectRequest {
                method: request.method(),
                bytes: &bytes,
            };
            return at_hand::perform(shared, &pool, request, policy).await;
        }
        if at_hand::means_content(request.method()) && request.body().is_empty() {
            let headers = request.headers_mut();
            headers.entry(CONTENT_LENGTH).or_insert(NO_LENGTH);
        }
        let progress = attempt::Progress::first(Instant::now() + policy.deadline);
        // A call of a host may meet TLS and addresses: what waits for it should not carry all of that.
        Box::pin(attempt::resume(shared, &pool, request, policy, progress)).await
    }

    /// Forwards a request whose target is known already, without the headers that concern one
    /// connection alone; the answer comes without them too. Only the URI's path and query are used.
    ///
    /// # Errors
    /// When no answer came within the policy's limits.
    pub async fn forward(
        &self,
        request: Request<Body>,
        target: &Target,
        policy: &CallPolicy,
    ) -> Result<Response<Body>, CallError> {
        let progress = attempt::Progress::first(Instant::now() + policy.deadline);
        self.forward_from(progress, request, target, policy).await
    }

    async fn forward_from(
        &self,
        progress: attempt::Progress,
        mut request: Request<Body>,
        target: &Target,
        policy: &CallPolicy,
    ) -> Result<Response<Body>, CallError> {
        let shared = &self.inner.shared;
        let pool = self.inner.table.service(target.name.as_str(), shared)?;
        if request.uri().authority().is_some() {
            *request.uri_mut() = origin_form(request.uri());
        }
        let headers = request.headers_mut();
        remove_hop_by_hop(headers);
        if let Some(protocol) = policy.switch {
            switch::ask(headers, protocol);
        }
        headers.insert(HOST, target.host.clone());
        let mut response = attempt::resume(shared, &pool, request, policy, progress).await?;
        remove_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }

    /// Whether the directory names the service now.
    #[must_use]
    pub fn knows(&self, name: &ServiceName) -> bool {
        let inner = &self.inner;
        inner.table.service(name.as_str(), &inner.shared).is_ok()
    }

    /// All pools, for operators.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolView> {
        self.inner.table.refresh(&self.inner.shared);
        self.inner.table.views(&self.inner.shared)
    }

    /// What the client counts, for `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.inner.shared.registry
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Inner {
    /// Gauges of all pools, asked for when the metrics are read.
    fn register_views(self: &Arc<Self>) {
        type Number = fn(&EndpointView) -> i64;
        let gauges: [(&str, &str, Number); 3] = [
            (
                "taraf_client_in_flight",
                "Calls under way, bodies included.",
                |endpoint| endpoint.in_flight.into(),
            ),
            (
                "taraf_client_idle_connections",
                "Connections kept for the next call.",
                |endpoint| endpoint.idle.into(),
            ),
            (
                "taraf_client_endpoint_usable",
                "1 while the endpoint takes calls, 0 while its breaker refuses or it is ejected.",
                |endpoint| i64::from(endpoint.state == EndpointState::Closed),
            ),
        ];
        for (name, help, number) in gauges {
            let inner = Arc::downgrade(self);
            let ask = move || {
                let pools = inner
                    .upgrade()
                    .map(|inner| inner.table.views(&inner.shared));
                let of_pool = |pool: PoolView| {
                    let name = pool.name;
                    let endpoints = pool.endpoints.into_iter();
                    endpoints.map(move |endpoint| {
                        let number = number(&endpoint);
                        (vec![name.clone(), endpoint.address], number)
                    })
                };
                pools.into_iter().flatten().flat_map(of_pool).collect()
            };
            self.shared
                .registry
                .asked(name, help, &["service", "endpoint"], ask);
        }
    }
}

/// Closes connections kept too long and judges the pools, until the tasks stop or nobody calls any
/// more.
async fn look_after(inner: Weak<Inner>, tasks: Tasks) {
    let mut judged = Duration::ZERO;
    loop {
        let is_stopping = tokio::select! {
            () = tokio::time::sleep(SWEEP_INTERVAL) => false,
            () = tasks.stopping() => true,
        };
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let shared = &inner.shared;
        let now = shared.now();
        inner.table.refresh(shared);
        let is_due = now.saturating_sub(judged) >= shared.config.outlier.interval;
        if is_due {
            judged = now;
        }
        for pool in inner.table.pools() {
            if is_stopping {
                pool.retire();
                continue;
            }
            pool.sweep(shared.config.idle_timeout, now);
            if is_due {
                pool.judge(&shared.config.outlier, now);
            }
        }
        if is_stopping {
            return;
        }
    }
}
