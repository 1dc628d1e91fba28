//! The operator API: one table of operations, a token before `/v1`, problems for all errors.

mod auth;
mod backup;
mod document;
mod events;
mod flows;
mod gossip;
mod health;
mod keys;
mod latency;
mod members;
mod overview;
mod request;
mod runs;

pub(crate) use backup::{BYTES_HEADER as BACKUP_BYTES, Kept};
pub(crate) use flows::PUBLICATION;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{MethodRouter, delete, get, post, put};
use serde_json::Value;
use taraf_base::{Secret, Tasks, Timestamp};
use taraf_engine::Engine;
use taraf_gateway::{Accounts, Routes};
use taraf_log::Space;
use taraf_service::metrics::Registry;
use taraf_service::{Client, Directory, ServiceName, problem, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::membership::Membership;
use crate::node::directories::Directories;
use crate::node::names::Naming;

/// The largest body that any call may have: a definition or the input of a run.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Operators are few.
const CONNECTIONS_MAX: usize = 256;

/// What the operator API shows and steers.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) accounts: Accounts,
    pub(crate) client: Client,
    pub(crate) directory: watch::Receiver<Arc<Directory>>,
    /// Takes endpoints out by an operator's word.
    pub(crate) directories: Arc<Directories>,
    /// Nothing when the node is no member of a cluster.
    pub(crate) membership: Option<Arc<Membership>>,
    /// What answers for names and publishes them.
    pub(crate) naming: Naming,
    pub(crate) routes: watch::Receiver<Arc<Routes>>,
    pub(crate) registries: Vec<Registry>,
    pub(crate) token: Secret,
    /// Why the node does not take calls now; it does when this is empty.
    pub(crate) reasons: watch::Receiver<Vec<String>>,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    /// Where the streams of events run; they end when it stops.
    pub(crate) tasks: Tasks,
    /// What a backup holds; nothing when all is in memory.
    pub(crate) kept: Option<Kept>,
    /// How much room is left for what must survive.
    pub(crate) space: watch::Receiver<Space>,
    pub(crate) node: NodeInfo,
}

/// What became of the settings that were read last.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// When those that hold were read.
    pub(crate) loaded: Timestamp,
    /// Why the last ones are not taken over, if so.
    pub(crate) error: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            loaded: Timestamp::now(),
            error: None,
        }
    }
}

/// What the node says of itself.
pub(crate) struct NodeInfo {
    pub(crate) gateway: SocketAddr,
    pub(crate) operator: SocketAddr,
    /// Where the data lie.
    pub(crate) data: String,
    pub(crate) started: Timestamp,
}

type Shared = Arc<Parts>;

/// One operation: what it answers to, and which query parameters it knows.
#[derive(Clone, Copy)]
struct Operation {
    method: &'static str,
    path: &'static str,
    query: &'static [&'static str],
}

/// An operation and what answers it.
type Entry = (Operation, MethodRouter<Shared>);

impl Operation {
    /// Health and metrics are read by programs that hold no token; all else needs it.
    fn needs_token(&self) -> bool {
        self.path.starts_with("/v1/")
    }
}

/// Every operation of the API; `openapi.yaml` describes exactly these.
fn operations() -> Vec<Entry> {
    let all = [of_node(), of_gossip(), of_keys_and_flows()];
    all.into_iter().flatten().collect()
}

fn op(
    method: &'static str,
    path: &'static str,
    query: &'static [&'static str],
    handler: MethodRouter<Shared>,
) -> Entry {
    let operation = Operation {
        method,
        path,
        query,
    };
    (operation, handler)
}

/// What the node is and how it fares.
fn of_node() -> Vec<Entry> {
    vec![
        op("get", "/health/live", &[], get(health::live)),
        op("get", "/health/ready", &[], get(health::ready)),
        op("get", "/health/startup", &[], get(health::startup)),
        op("get", "/metrics", &[], get(overview::metrics)),
        op("get", "/v1/openapi.json", &[], get(document::show)),
        op("get", "/v1/status", &[], get(overview::status)),
        op("get", "/v1/backup", &[], get(backup::stream)),
        op("get", "/v1/services", &[], get(overview::services)),
        op(
            "post",
            "/v1/services/{name}/drain",
            &[],
            post(overview::drain),
        ),
        op(
            "post",
            "/v1/services/{name}/resume",
            &[],
            post(overview::resume),
        ),
        op("get", "/v1/routes", &[], get(overview::routes)),
        op("get", "/v1/metrics/summary", &[], get(overview::summary)),
        op("get", "/v1/events/stream", &[], get(events::stream)),
    ]
}

/// Members of the cluster, what is said to them and asked of them.
fn of_gossip() -> Vec<Entry> {
    vec![
        op(
            "get",
            "/v1/members",
            &["status", "service"],
            get(members::list),
        ),
        op("post", "/v1/members", &[], post(members::join)),
        op("get", "/v1/members/{name}", &[], get(members::show)),
        op(
            "delete",
            "/v1/members/{name}",
            &["prune"],
            delete(members::remove),
        ),
        op("get", "/v1/gossip/history", &[], get(members::history)),
        op("post", "/v1/gossip/events", &[], post(gossip::say)),
        op("post", "/v1/gossip/queries", &[], post(gossip::ask)),
    ]
}

fn of_keys_and_flows() -> Vec<Entry> {
    const FLOW: &str = "/v1/flows/{namespace}/{name}/{version}";
    vec![
        op("get", "/v1/keys", &["account"], get(keys::list)),
        op("post", "/v1/keys", &[], post(keys::create)),
        op("delete", "/v1/keys/{id}", &[], delete(keys::revoke)),
        op("post", "/v1/keys/{id}/rotate", &[], post(keys::rotate)),
        op("get", "/v1/keys/{id}/usage", &[], get(keys::usage)),
        op("get", "/v1/flows", &[], get(flows::list)),
        op(
            "get",
            "/v1/flows/{namespace}/{name}",
            &[],
            get(flows::versions),
        ),
        op("get", FLOW, &[], get(flows::show)),
        op("put", FLOW, &[], put(flows::publish)),
        op(
            "post",
            "/v1/flows/{namespace}/{name}/runs",
            &["wait", "version"],
            post(runs::start),
        ),
        op("get", "/v1/runs", runs::LIST_QUERY, get(runs::list)),
        op("get", "/v1/runs/{id}", &["wait"], get(runs::show)),
        op(
            "get",
            "/v1/runs/{id}/journal",
            &["after", "limit"],
            get(runs::journal),
        ),
        op("post", "/v1/runs/{id}/cancel", &[], post(runs::cancel)),
        op("post", "/v1/runs/{id}/suspend", &[], post(runs::suspend)),
        op("post", "/v1/runs/{id}/resume", &[], post(runs::resume)),
        op("post", "/v1/release", &[], post(overview::release)),
    ]
}

/// What answers on the operator's listener.
pub(crate) fn router(parts: Parts) -> Router {
    let parts: Shared = Arc::new(parts);
    let mut router = Router::new();
    for (operation, handler) in operations() {
        let mut handler = handler.layer(middleware::from_fn(move |request, next| {
            request::pass(operation, request, next)
        }));
        if operation.needs_token() {
            handler = handler.layer(middleware::from_fn_with_state(
                Arc::clone(&parts),
                auth::check,
            ));
        }
        router = router.route(operation.path, handler);
    }
    router
        .fallback(async || problem::NOT_FOUND.with_detail("no operation has this path"))
        .method_not_allowed_fallback(async || problem::METHOD_NOT_ALLOWED)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(parts)
}

/// Serves the API until the tasks stop; calls under way then end.
pub(crate) async fn serve(
    listener: TcpListener,
    parts: Parts,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let config = serve::Config {
        connections_max: CONNECTIONS_MAX,
        body_bytes_max: BODY_BYTES_MAX,
        // Longer than any wait for a run.
        answer_timeout: request::WAIT_MAX.saturating_mul(2),
        ..serve::Config::default()
    };
    let name = ServiceName::new("operator").context("the operator API has a name")?;
    serve::serve_router(listener, name, router(parts), config, tasks).await?;
    Ok(())
}

/// The form of every list.
fn page(items: Vec<Value>, next: Option<String>) -> axum::Json<Value> {
    let next = next.map_or(Value::Null, Value::String);
    let members = [("items", Value::Array(items)), ("next", next)];
    let members = members.map(|(name, value)| (name.to_owned(), value));
    axum::Json(Value::Object(members.into_iter().collect()))
}

#[cfg(test)]
mod tests;
