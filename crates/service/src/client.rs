//! Calls to services by name and to hosts outside: chosen, limited, tried again, streamed.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use taraf_base::Tasks;
use tokio::sync::watch;

use crate::metrics::Registry;
use crate::{Body, CallError, Directory, PoolView, ServiceName};

mod config;

pub use config::{Config, Egress, Rewrite};

/// What one call may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPolicy {
    /// From the call to the head of its answer, retries and waits included. Default 10 s.
    pub deadline: Duration,
    /// For one attempt; the deadline when absent.
    pub attempt: Option<Duration>,
    /// The longest pause within the answer's body. Default 30 s.
    pub body_idle: Duration,
    /// Whether asking twice is as asking once although the method does not say so (an
    /// `Idempotency-Key`).
    pub idempotent: bool,
    /// Attempts after the first. Default 1.
    pub retries: u32,
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            attempt: None,
            body_idle: Duration::from_secs(30),
            idempotent: false,
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
    #[must_use]
    pub fn service(name: ServiceName) -> Self {
        let host = HeaderValue::try_from(name.host()).expect("service names fit a header");
        Self { name, host }
    }
}

/// Calls services and hosts. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {}

impl Client {
    /// A client that follows the directory.
    #[must_use]
    pub fn new(directory: watch::Receiver<Arc<Directory>>, config: Config, tasks: &Tasks) -> Self {
        todo!()
    }

    /// Calls the host of the request's URI: `NAME.service` is the service of the directory, any
    /// other host is resolved and connected to, with TLS for `https`.
    pub async fn call(
        &self,
        request: Request<Body>,
        policy: &CallPolicy,
    ) -> Result<Response<Body>, CallError> {
        todo!()
    }

    /// Forwards a request whose target is known already.
    pub async fn forward(
        &self,
        request: Request<Body>,
        target: &Target,
        policy: &CallPolicy,
    ) -> Result<Response<Body>, CallError> {
        todo!()
    }

    /// All pools, for operators.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolView> {
        todo!()
    }

    /// What the client counts, for `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        todo!()
    }
}
