//! [pure] `app.yaml` and a project's `services/*.yaml`: which services, which routes, which flows.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value;
use taraf_engine::Beside;
use taraf_flow::yaml::{self, Node};
use taraf_gateway::{AccountView, Auth, Route, Target};

/// How long a call to a flow waits for its output where its route does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(20);

/// An application: its services, its routes, its flows.
#[derive(Clone, Debug, Default)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) services: Vec<ServiceEntry>,
    pub(crate) routes: Vec<Route>,
    /// A glob of the flow documents, as the manifest says.
    pub(crate) flows: Vec<FlowSource>,
}

/// A flow document and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct FlowSource {
    /// A path for messages.
    pub(crate) place: String,
    pub(crate) source: String,
    /// Documents beside it.
    pub(crate) beside: Beside,
}

/// A service that an application has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceEntry {
    pub(crate) name: String,
    /// Where it answers when it is not started here.
    pub(crate) endpoints: Vec<SocketAddr>,
    /// The file of its OpenAPI document, beside the manifest.
    pub(crate) openapi: Option<String>,
}

/// The document as it is written; the lists are read one entry at a time, so that an error knows
/// its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    app: String,
    #[serde(default, rename = "title")]
    _title: Option<String>,
    #[serde(default)]
    services: Vec<Value>,
    #[serde(default)]
    routes: Vec<Value>,
    #[serde(default, rename = "flows")]
    _flows: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenService {
    name: String,
    #[serde(default)]
    endpoints: Vec<SocketAddr>,
    #[serde(default)]
    openapi: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRoute {
    method: String,
    path: String,
    service: Option<String>,
    /// The path at the service, where it differs.
    to: Option<String>,
    /// `NAMESPACE/NAME` or `NAMESPACE/NAME@VERSION`.
    flow: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    wait: Option<Duration>,
    account: Option<WrittenView>,
    #[serde(default)]
    auth: WrittenAuth,
    cost: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    deadline: Option<Duration>,
    body_max: Option<u64>,
    #[serde(default)]
    sensitive: bool,
    idempotent: Option<bool>,
    title: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenAuth {
    #[default]
    Key,
    None,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenView {
    Usage,
    Keys,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    taraf_base::duration::parse(&text)
        .map(Some)
        .map_err(de::Error::custom)
}

/// Why a manifest cannot be used: `PLACE:LINE:COLUMN: why`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}:{line}:{column}: {message}")]
pub(crate) struct Error {
    place: String,
    line: u32,
    column: u32,
    message: String,
}

impl App {
    /// Reads a manifest. Its flows are not read here, as this touches no file.
    pub(crate) fn parse(place: &str, text: &str) -> Result<Self, Error> {
        let error = |(line, column): (u32, u32), message: String| Error {
            place: place.to_owned(),
            line,
            column,
            message,
        };
        let root = yaml::parse(text).map_err(|findings| {
            let first = findings.into_iter().next();
            first.map_or_else(
                || error((1, 1), "cannot be read".to_owned()),
                |finding| error((finding.line, finding.column), finding.message),
            )
        })?;
        let written: Written = serde_json::from_value(root.to_json())
            .map_err(|refused| error((1, 1), refused.to_string()))?;
        let mut app = Self {
            name: written.app,
            ..Self::default()
        };
        for (index, value) in written.services.into_iter().enumerate() {
            let service = service(value)
                .map_err(|message| error(position(&root, "services", index), message))?;
            app.services.push(service);
        }
        for (index, value) in written.routes.into_iter().enumerate() {
            let route = serde_json::from_value(value)
                .map_err(|refused| refused.to_string())
                .and_then(route)
                .map_err(|message| error(position(&root, "routes", index), message))?;
            app.routes.push(route);
        }
        Ok(app)
    }
}

/// A service is its name, or a mapping with its name and more.
fn service(value: Value) -> Result<ServiceEntry, String> {
    if let Value::String(name) = value {
        return Ok(ServiceEntry {
            name,
            endpoints: Vec::new(),
            openapi: None,
        });
    }
    let written: WrittenService =
        serde_json::from_value(value).map_err(|refused| refused.to_string())?;
    Ok(ServiceEntry {
        name: written.name,
        endpoints: written.endpoints,
        openapi: written.openapi,
    })
}

fn route(written: WrittenRoute) -> Result<Route, String> {
    let method = Method::from_str(&written.method)
        .map_err(|_invalid| format!("`{}` is not a method", written.method))?;
    let target = target(&written)?;
    let mut route = Route::new(method, &written.path, target);
    route.auth = match written.auth {
        WrittenAuth::Key => Auth::Key,
        WrittenAuth::None => Auth::Open,
    };
    route.cost = written.cost.unwrap_or(route.cost);
    route.deadline = written.deadline;
    route.body_bytes_max = written.body_max;
    route.is_sensitive = written.sensitive;
    route.is_idempotent = written.idempotent;
    route.title = written.title;
    route.tags = written.tags;
    Ok(route)
}

fn target(written: &WrittenRoute) -> Result<Target, String> {
    match (&written.service, &written.flow, written.account) {
        (Some(service), None, None) if written.wait.is_none() => Ok(Target::Service {
            service: service.clone(),
            path: written.to.clone(),
        }),
        (None, Some(flow), None) if written.to.is_none() => flow_target(flow, written.wait),
        (None, None, Some(view)) if written.wait.is_none() && written.to.is_none() => {
            Ok(Target::Account(match view {
                WrittenView::Usage => AccountView::Usage,
                WrittenView::Keys => AccountView::Keys,
            }))
        }
        _ => Err(format!(
            "the route of {} names one of `service` (with `to`), `flow` (with `wait`) and `account`",
            written.path
        )),
    }
}

fn flow_target(flow: &str, wait: Option<Duration>) -> Result<Target, String> {
    let (id, version) = match flow.split_once('@') {
        Some((id, version)) => (id, Some(version.to_owned())),
        None => (flow, None),
    };
    let (namespace, name) = id
        .split_once('/')
        .ok_or_else(|| format!("`{flow}` is not NAMESPACE/NAME or NAMESPACE/NAME@VERSION"))?;
    Ok(Target::Flow {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version,
        wait: wait.unwrap_or(WAIT_DEFAULT),
    })
}

/// Where an entry of one of the lists begins.
fn position(root: &Node, list: &str, index: usize) -> (u32, u32) {
    let entry = root
        .get(list)
        .and_then(Node::as_array)
        .and_then(|entries| entries.get(index));
    entry.map_or((1, 1), |entry| (entry.span.line, entry.span.column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<App, String> {
        App::parse("services/x.yaml", text).map_err(|error| error.to_string())
    }

    #[test]
    fn services_and_routes_are_read() {
        let app = parse(
            "app: shop\nservices:\n  - stock\n  - { name: mail, endpoints: ['127.0.0.1:9000'] }\n\
             routes:\n  - { method: GET, path: '/api/stock/{id}', service: stock, to: '/{id}' }\n\
             \x20 - { method: POST, path: /api/order, flow: shop/order@1.0.0, wait: 5s, cost: 3 }\n\
             \x20 - { method: GET, path: /api/usage, account: usage, auth: none }\n",
        )
        .unwrap();
        assert_eq!(app.services[0].name, "stock");
        assert_eq!(app.services[1].endpoints.len(), 1);
        assert_eq!(app.routes[0].id, "GET /api/stock/{id}");
        let flow = Target::Flow {
            namespace: "shop".to_owned(),
            name: "order".to_owned(),
            version: Some("1.0.0".to_owned()),
            wait: Duration::from_secs(5),
        };
        assert_eq!((&app.routes[1].target, app.routes[1].cost), (&flow, 3));
        assert_eq!(app.routes[2].auth, Auth::Open);
    }

    fn check_refused(route: &str, expected: &str) {
        let text = format!(
            "app: x\nroutes:\n  - {{ method: GET, path: /a, account: usage }}\n  - {route}\n"
        );
        let error = parse(&text).unwrap_err();
        let prefix = format!("services/x.yaml:4:5: {expected}");
        assert!(error.starts_with(&prefix), "{error}");
    }

    #[test]
    fn a_wrong_route_is_refused_with_its_place() {
        check_refused("{ method: GET, path: /b }", "the route of /b names one of");
        check_refused(
            "{ method: GET, path: /b, service: s, flow: a/b }",
            "the route of /b names one of",
        );
        check_refused(
            "{ method: GET, path: /b, service: s, wait: 5s }",
            "the route of /b names one of",
        );
        check_refused("{ method: GET, path: /b, flow: alone }", "`alone` is not");
        check_refused(
            "{ method: 'G T', path: /b, service: s }",
            "`G T` is not a method",
        );
        check_refused(
            "{ metod: GET, path: /b, service: s }",
            "unknown field `metod`",
        );
    }

    #[test]
    fn a_manifest_that_is_none_is_refused() {
        assert!(parse("app: [").is_err());
        assert!(parse("").is_err());
        assert!(parse("app: x\nrouts: []\n").is_err());
    }
}
