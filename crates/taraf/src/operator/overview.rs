//! The node at a glance: status, services, routes, metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use taraf_base::Timestamp;
use taraf_gateway::{Auth, Authenticator, Route, Target};
use taraf_service::{Directory, PoolView, Problem, metrics, problem};

use super::request::Body;
use super::{Parts, Shared, health, latency, page};
use crate::adapters::{discovery, problems};
use crate::membership::{Membership, word};

/// `GET /v1/status`.
pub(crate) async fn status(State(parts): State<Shared>) -> Result<Json<Value>, Problem> {
    let directory = parts.directory.borrow().clone();
    let services: Map<_, _> = directory
        .iter()
        .map(|(name, endpoints)| (name.to_string(), json!(endpoints.len())))
        .collect();
    let reasons = health::reasons(&parts);
    let settings = parts.settings.borrow().clone();
    let mut troubles = parts.routes.borrow().authenticators().troubles();
    troubles.sort_unstable();
    let settings = json!({
        "loaded": settings.loaded,
        "error": settings.error,
        "troubles": troubles,
    });
    let now = Timestamp::now();
    let uptime = now.since(parts.node.started).as_millis();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_ms": u64::try_from(uptime).unwrap_or(u64::MAX),
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "held": parts.engine.is_held(),
        "gateway": format!("http://{}", parts.node.gateway),
        "operator": format!("http://{}", parts.node.operator),
        "data": parts.node.data,
        "space": parts.space.borrow().as_str(),
        "services": services,
        "gossip": parts.membership.as_deref().map(membership_item),
        "names": parts.naming.item(),
        "flows": parts.engine.flows().iter().count(),
        "runs": count_runs(&parts).await?,
        "settings": settings,
    })))
}

/// This node as a member, and how many members there are.
fn membership_item(membership: &Membership) -> Value {
    let members = membership.members().borrow().clone();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in &members.all {
        *counts.entry(word(seen)).or_default() += 1;
    }
    json!({
        "name": membership.reading().me.to_string(),
        "address": membership.address(),
        "rpc": membership.rpc(),
        "encrypted": membership.key().is_some(),
        "members": counts,
    })
}

/// `POST /v1/release`: what `taraf serve --hold` holds is performed from here on.
pub(crate) async fn release(State(parts): State<Shared>) -> Json<Value> {
    let released = parts.engine.release();
    if released {
        tracing::info!("runs that were held go on");
    }
    Json(json!({ "released": released }))
}

/// Runs by status.
async fn count_runs(parts: &Parts) -> Result<BTreeMap<&'static str, u64>, Problem> {
    let counts = parts.engine.count().await;
    let counts = counts.map_err(|error| problems::engine(&error))?;
    let named = counts
        .into_iter()
        .map(|(status, count)| (status.as_str(), count));
    Ok(named.collect())
}

/// `GET /v1/services`.
pub(crate) async fn services(State(parts): State<Shared>) -> Json<Value> {
    let directory = parts.directory.borrow().clone();
    let mut items = service_items(&directory, &parts.client.pools());
    if let Some(membership) = &parts.membership {
        name_members(&mut items, membership);
    }
    page(items, None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    /// `IP:PORT` of one; all that there are without it.
    endpoint: Option<SocketAddr>,
}

/// `POST /v1/services/{name}/drain`: this node sends no more calls there; those under way end.
pub(crate) async fn drain(
    state: State<Shared>,
    name: Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    take_out(state, name, &body, true)
}

/// `POST /v1/services/{name}/resume`: what was drained takes calls again.
pub(crate) async fn resume(
    state: State<Shared>,
    name: Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    take_out(state, name, &body, false)
}

fn take_out(
    State(parts): State<Shared>,
    Path(name): Path<String>,
    body: &Body,
    out: bool,
) -> Result<Json<Value>, Problem> {
    let Meant { endpoint } = body.json()?;
    if !parts.directories.drain(&name, endpoint, out) {
        let what = match endpoint {
            Some(address) => format!("the service `{name}` has no endpoint at {address}"),
            None => format!("no service is called `{name}`, or nobody answers for it"),
        };
        return Err(problem::NOT_FOUND.with_detail(what));
    }
    let directory = parts.directory.borrow().clone();
    let items = service_items(&directory, &parts.client.pools());
    let item = items.into_iter().find(|item| item["name"] == name);
    Ok(Json(item.unwrap_or(Value::Null)))
}

/// Says of each endpoint which member of the cluster offers it.
fn name_members(services: &mut [Value], membership: &Membership) {
    let members = membership.members().borrow().clone();
    let mut offered: BTreeMap<(String, String), String> = BTreeMap::new();
    for seen in &members.all {
        for (name, endpoint) in discovery::offer(&seen.member).services {
            let at = (name.to_string(), endpoint.address.to_string());
            offered
                .entry(at)
                .or_insert_with(|| seen.member.name.to_string());
        }
    }
    for service in services {
        let name = service["name"].as_str().unwrap_or_default().to_owned();
        let endpoints = service["endpoints"].as_array_mut();
        for endpoint in endpoints.into_iter().flatten() {
            let address = endpoint["address"].as_str().unwrap_or_default().to_owned();
            if let Some(member) = offered.get(&(name.clone(), address)) {
                endpoint["member"] = member.as_str().into();
            }
        }
    }
}

/// The directory's endpoints, each with what the pools know of it.
fn service_items(directory: &Directory, pools: &[PoolView]) -> Vec<Value> {
    let known = |service: &str, address: &str| {
        let pool = pools.iter().find(|pool| pool.name == service)?;
        let mut endpoints = pool.endpoints.iter();
        endpoints.find(|endpoint| endpoint.address == address)
    };
    directory
        .iter()
        .map(|(name, endpoints)| {
            let endpoints: Vec<_> = endpoints
                .iter()
                .map(|endpoint| {
                    let mut item = json!(endpoint);
                    let address = endpoint.address.to_string();
                    if let Some(view) = known(name.as_str(), &address) {
                        merge(&mut item, &json!(view));
                    }
                    item
                })
                .collect();
            json!({"name": name, "endpoints": endpoints})
        })
        .collect()
}

fn merge(item: &mut Value, more: &Value) {
    if let (Value::Object(item), Value::Object(more)) = (item, more) {
        item.extend(more.clone());
    }
}

/// `GET /v1/routes`.
pub(crate) async fn routes(State(parts): State<Shared>) -> Json<Value> {
    let routes = parts.routes.borrow().clone();
    page(routes.iter().map(route_item).collect(), None)
}

fn route_item(route: &Route) -> Value {
    let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
    json!({
        "id": route.id,
        "methods": methods,
        "path": route.path,
        "target": target_item(&route.target),
        "auth": match &route.auth {
            Auth::Key => json!("key"),
            Auth::Open => json!("open"),
            Auth::Any(accepted) => accepted.iter().map(authenticator_item).collect(),
        },
        "cost": route.cost,
    })
}

fn authenticator_item(one: &Authenticator) -> Value {
    match one {
        Authenticator::Key => json!("key"),
        Authenticator::Jwt { issuer, scopes } => json!({"jwt": issuer, "scopes": scopes}),
        Authenticator::Certificate => json!("certificate"),
    }
}

fn target_item(target: &Target) -> Value {
    match target {
        Target::Service { service, path } => json!({"service": service, "path": path}),
        Target::Flow {
            namespace,
            name,
            version,
            wait,
        } => json!({
            "flow": {"namespace": namespace, "name": name, "version": version},
            "wait": taraf_base::duration::format(*wait),
        }),
        Target::Account(view) => json!({"account": format!("{view:?}").to_lowercase()}),
        Target::Builtin(page) => json!({"builtin": format!("{page:?}").to_lowercase()}),
    }
}

/// `GET /metrics`: the metrics of all parts, one text after the other, as their names differ.
pub(crate) async fn metrics(State(parts): State<Shared>) -> Response {
    ([(CONTENT_TYPE, metrics::MEDIA_TYPE)], text(&parts)).into_response()
}

fn text(parts: &Parts) -> String {
    parts
        .registries
        .iter()
        .map(metrics::Registry::text)
        .collect()
}

/// `GET /v1/metrics/summary`.
pub(crate) async fn summary(State(parts): State<Shared>) -> Json<Value> {
    let text = text(&parts);
    Json(
        json!({"at": Timestamp::now(), "metrics": sums(&text), "routes": latency::by_route(&text)}),
    )
}

/// Every name with its values summed over the labels; the buckets of histograms are left out.
fn sums(text: &str) -> BTreeMap<&str, f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let name = series.split_once('{').map_or(series, |(name, _)| name);
        if let Ok(value) = value.parse::<f64>()
            && !name.ends_with("_bucket")
        {
            *sums.entry(name).or_default() += value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use taraf_service::{Endpoint, ServiceName};

    use super::*;

    #[test]
    fn values_are_summed_over_labels_without_buckets() {
        let text = "# HELP a A.\na{x=\"1\"} 2\na{x=\"y 2\"} 3\nb 0.5\nc_bucket{le=\"1\"} 9\n";
        assert_eq!(sums(text), BTreeMap::from([("a", 5.0), ("b", 0.5)]));
    }

    #[test]
    fn an_endpoint_without_calls_is_listed() {
        let address = "127.0.0.1:1".parse().unwrap();
        let name = ServiceName::new("rates").unwrap();
        let directory = Directory::new().with(name, vec![Endpoint::new(address)]);
        let items = service_items(&directory, &[]);
        assert_eq!(
            json!(items),
            json!([{"name": "rates", "endpoints": [{"address": "127.0.0.1:1", "weight": 1, "transport": "http1"}]}])
        );
    }
}
