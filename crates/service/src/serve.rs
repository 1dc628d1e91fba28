//! Serves our own services over HTTP/1.1: one listener, told apart by host.

use std::net::SocketAddr;

use taraf_base::Tasks;
use tokio::net::TcpListener;

use crate::Service;
use crate::metrics::Registry;

mod config;

pub use config::Config;

/// A running server.
#[derive(Clone, Debug)]
pub struct Served {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What it counts, all services together.
    pub metrics: Registry,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener has no address.
    #[error("failed to read the listener's address")]
    Listener(#[source] std::io::Error),
    /// Nothing to serve.
    #[error("no service to serve")]
    NoServices,
    /// A name cannot tell two services apart.
    #[error("two services are called `{0}`")]
    Duplicate(crate::ServiceName),
}

/// Serves the services until the tasks stop; calls under way then end.
///
/// # Errors
/// When there is no service, two have one name, or the listener has no address.
#[expect(clippy::unused_async, reason = "starting may come to wait")]
pub async fn serve(
    listener: TcpListener,
    services: Vec<Service>,
    config: Config,
    tasks: &Tasks,
) -> Result<Served, Error> {
    todo!()
}
