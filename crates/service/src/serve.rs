//! Serves our own services over HTTP/1.1: one listener, told apart by host.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use taraf_base::Tasks;
use tokio::net::{TcpListener, TcpStream};

use crate::listen::{self, Places};
use crate::metrics::Registry;
use crate::{Descriptor, Service, ServiceName};

mod answer;
mod body;
mod config;
mod dispatch;
mod watched;
mod write_limit;

pub use config::Config;
pub use watched::{InCall, Phase, Waits, Watched};
pub use write_limit::WriteLimit;

use dispatch::Dispatch;

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
    Duplicate(ServiceName),
}

/// Serves the services until the tasks stop; calls under way then end, and connections that wait
/// for a request close.
///
/// With several services a request's `Host: NAME.service` says which one answers; one service alone
/// answers any host. Each has `/health/live`, `/health/ready`, `/metrics` and `/openapi.json`, which
/// its router cannot replace. Errors without a document of their own are answered as problems.
///
/// # Errors
/// When there is no service, two have one name, or the listener has no address.
#[expect(
    clippy::unused_async,
    reason = "callers await it, so that starting may come to wait"
)]
pub async fn serve(
    listener: TcpListener,
    services: Vec<Service>,
    config: Config,
    tasks: &Tasks,
) -> Result<Served, Error> {
    let metrics = Registry::new();
    let dispatch = Dispatch::new(services, true, &metrics)?;
    let addr = start(listener, dispatch, config, tasks)?;
    Ok(Served { addr, metrics })
}

/// Serves one router as it is, with the limits and the graceful stop of [`serve`] but without the
/// pages that every service has. `name` stands for it in traces.
///
/// # Errors
/// When the listener has no address.
#[expect(
    clippy::unused_async,
    reason = "callers await it, so that starting may come to wait"
)]
pub async fn serve_router(
    listener: TcpListener,
    name: ServiceName,
    router: axum::Router,
    config: Config,
    tasks: &Tasks,
) -> Result<SocketAddr, Error> {
    let descriptor = Descriptor {
        title: name.to_string(),
        name,
        version: String::new(),
        openapi: serde_json::Value::Null,
    };
    let services = vec![Service::new(descriptor, router)];
    let dispatch = Dispatch::new(services, false, &Registry::new())?;
    start(listener, dispatch, config, tasks)
}

fn start(
    listener: TcpListener,
    dispatch: Dispatch,
    config: Config,
    tasks: &Tasks,
) -> Result<SocketAddr, Error> {
    let addr = listener.local_addr().map_err(Error::Listener)?;
    let places = Places::new(config.connections_max);
    let server = Arc::new(Server {
        dispatch,
        config,
        tasks: tasks.clone(),
    });
    let group = tasks.clone();
    tasks.spawn("service listener", async move {
        let serve = |stream, _peer| converse(stream, Arc::clone(&server));
        listen::admit(listener, places, "service connection", &group, serve).await;
    });
    Ok(addr)
}

struct Server {
    dispatch: Dispatch,
    config: Config,
    tasks: Tasks,
}

/// Answers the requests of one connection until it ends, fails, or the server stops.
async fn converse(stream: TcpStream, server: Arc<Server>) {
    let phase = Arc::new(Phase::new());
    let stream = Watched::new(stream, Arc::clone(&phase), server.config.waits());
    let answer = {
        let server = Arc::clone(&server);
        service_fn(move |request| {
            let (server, call) = (Arc::clone(&server), Phase::begin(&phase));
            async move { answer::answer(&server.dispatch, &server.config, request, call).await }
        })
    };
    let mut connection = pin!(
        http1::Builder::new()
            // `Watched` tells a slow head from an idle connection, which hyper's timer does not.
            .header_read_timeout(None)
            .max_headers(server.config.headers_max)
            .max_buf_size(server.config.head_bytes_max.max(watched::BUFFER_BYTES_MIN))
            .serve_connection(TokioIo::new(stream), answer)
    );
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = server.tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
