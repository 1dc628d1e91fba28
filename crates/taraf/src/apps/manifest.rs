//! [pure] `app.yaml` and a project's `services/*.yaml`: which services, which routes, which flows.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer};
use serde_json::Value;
use taraf_engine::Beside;
use taraf_flow::yaml::{self, Node};
use taraf_gateway::openapi::Source;
use taraf_gateway::{
    AccountView, Auth, Authenticator, Cache, Canary, Cors, Mirror, Route, RouteError, RouteLimits,
    Routes, Settings, Target, Transform, Validate,
};

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
    /// The OpenAPI documents of services that run elsewhere.
    pub(crate) documents: Vec<Source>,
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
    /// The file of its OpenAPI document, from the project's folder on.
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
    cors: Option<Cors>,
    limits: Option<RouteLimits>,
    validate: Option<Validate>,
    #[serde(default)]
    mock: bool,
    cache: Option<Cache>,
    transform: Option<Transform>,
    canary: Option<Canary>,
    mirror: Option<Mirror>,
}

/// What is wrong with an entry of a list, and where in it: names and numbers from the entry down.
struct Wrong {
    at: String,
    why: String,
}

/// Who may call: `key`, `none`, or a list of what is taken.
#[derive(Default, Deserialize)]
#[serde(from = "Ways")]
enum WrittenAuth {
    #[default]
    Key,
    None,
    Any(Vec<WrittenWay>),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`key`, `none`, or a list of `key`, `certificate` and `{ jwt: ISSUER }`"
)]
enum Ways {
    Word(WrittenWord),
    List(Vec<WrittenWay>),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenWord {
    Key,
    None,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenWay {
    Word(WrittenWayWord),
    Jwt(WrittenJwt),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenWayWord {
    Key,
    Certificate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenJwt {
    /// The issuer's name in `[gateway.auth.jwt]`.
    jwt: String,
    #[serde(default)]
    scopes: Vec<String>,
}

impl From<Ways> for WrittenAuth {
    fn from(written: Ways) -> Self {
        match written {
            Ways::Word(WrittenWord::Key) => Self::Key,
            Ways::Word(WrittenWord::None) => Self::None,
            Ways::List(list) => Self::Any(list),
        }
    }
}

impl From<WrittenAuth> for Auth {
    fn from(written: WrittenAuth) -> Self {
        let way = |way| match way {
            WrittenWay::Word(WrittenWayWord::Key) => Authenticator::Key,
            WrittenWay::Word(WrittenWayWord::Certificate) => Authenticator::Certificate,
            WrittenWay::Jwt(WrittenJwt { jwt, scopes }) => Authenticator::Jwt {
                issuer: jwt,
                scopes,
            },
        };
        match written {
            WrittenAuth::Key => Self::Key,
            WrittenAuth::None => Self::Open,
            WrittenAuth::Any(list) => Self::Any(list.into_iter().map(way).collect()),
        }
    }
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
                .map_err(|wrong| error(position(&root, "services", index, &wrong), wrong.why))?;
            app.services.push(service);
        }
        for (index, value) in written.routes.into_iter().enumerate() {
            let route = read(value)
                .and_then(route)
                .map_err(|wrong| error(position(&root, "routes", index, &wrong), wrong.why))?;
            app.routes.push(route);
        }
        Ok(app)
    }
}

/// A service is its name, or a mapping with its name and more.
fn service(value: Value) -> Result<ServiceEntry, Wrong> {
    if let Value::String(name) = value {
        return Ok(ServiceEntry {
            name,
            endpoints: Vec::new(),
            openapi: None,
        });
    }
    let written: WrittenService = read(value)?;
    Ok(ServiceEntry {
        name: written.name,
        endpoints: written.endpoints,
        openapi: written.openapi,
    })
}

/// Reads an entry, and says where in it something is wrong.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(value).map_err(|refused| {
        let at = refused.path().to_string();
        let why = refused.into_inner().to_string();
        Wrong { at, why }
    })
}

fn route(written: WrittenRoute) -> Result<Route, Wrong> {
    let wrong = |at: &str, why: String| Wrong {
        at: at.to_owned(),
        why,
    };
    let method = Method::from_str(&written.method)
        .map_err(|_invalid| wrong("method", format!("`{}` is not a method", written.method)))?;
    let target = target(&written).map_err(|why| wrong("", why))?;
    let mut route = Route::new(method, &written.path, target);
    if matches!(&written.auth, WrittenAuth::Any(list) if list.is_empty()) {
        let why = "name at least one way; `none` lets everybody call".to_owned();
        return Err(wrong("auth", why));
    }
    route.auth = written.auth.into();
    route.cost = written.cost.unwrap_or(route.cost);
    route.deadline = written.deadline;
    route.body_bytes_max = written.body_max;
    route.is_sensitive = written.sensitive;
    route.is_idempotent = written.idempotent;
    route.title = written.title;
    route.tags = written.tags;
    route.settings = Settings {
        cors: written.cors,
        limits: written.limits,
        validate: written.validate,
        mock: written.mock,
        cache: written.cache,
        transform: written.transform,
        canary: written.canary,
        mirror: written.mirror,
    };
    match Routes::check(&route).into_iter().next() {
        Some(RouteError::Setting { at, why, .. }) => Err(Wrong { at, why }),
        Some(other) => Err(wrong("", other.to_string())),
        None => Ok(route),
    }
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

/// Where in an entry of one of the lists something is wrong: at the member that the path leads to, as
/// far as there is one, and there at the unknown name, if that is what is wrong.
fn position(root: &Node, list: &str, index: usize, wrong: &Wrong) -> (u32, u32) {
    let entry = root
        .get(list)
        .and_then(Node::as_array)
        .and_then(|entries| entries.get(index));
    let Some(mut node) = entry else {
        return (1, 1);
    };
    let mut span = node.span;
    // A name may have dots in it, as that of a header: the longest that is there is meant.
    let mut rest = wrong.at.replace('[', ".").replace(']', "");
    while let Some((next, place, left)) = step(node, &rest) {
        (node, span, rest) = (next, place, left);
    }
    let unknown = wrong.why.strip_prefix("unknown field `");
    let unknown = unknown.and_then(|rest| rest.split('`').next());
    let members = node.as_object().unwrap_or_default().iter();
    if let Some(member) = members
        .into_iter()
        .find(|member| Some(&*member.key) == unknown)
    {
        span = member.span;
    }
    (span.line, span.column)
}

/// The part of a node that a path leads to first, where it stands, and the rest of the path.
fn step<'n>(node: &'n Node, path: &str) -> Option<(&'n Node, yaml::Span, String)> {
    let left = |name: &str| {
        let rest = path.strip_prefix(name)?;
        let rest = match rest.strip_prefix('.') {
            None if rest.is_empty() => rest,
            rest => rest?,
        };
        Some(rest.to_owned())
    };
    if let Some(items) = node.as_array() {
        let number = path.split('.').next()?;
        let item = items.get(number.parse::<usize>().ok()?)?;
        return Some((item, item.span, left(number)?));
    }
    let members = node.as_object()?.iter();
    let fitting = members.filter_map(|member| Some((member, left(&member.key)?)));
    let (member, rest) = fitting.max_by_key(|(member, _)| member.key.len())?;
    Some((&member.node, member.span, rest))
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

    #[test]
    fn a_route_names_who_may_call_it() {
        let auth = |written: &str| {
            let text = format!(
                "app: x\nroutes:\n- {{ method: GET, path: /a, service: s, auth: {written} }}\n"
            );
            parse(&text).map(|app| app.routes[0].auth.clone())
        };
        assert_eq!(auth("none"), Ok(Auth::Open));
        let jwt = Authenticator::Jwt {
            issuer: "p".to_owned(),
            scopes: vec!["a".to_owned()],
        };
        let any = Auth::Any(vec![Authenticator::Key, jwt, Authenticator::Certificate]);
        assert_eq!(auth("[key, { jwt: p, scopes: [a] }, certificate]"), Ok(any));
        for wrong in ["[]", "all", "[none]", "[{ jwt: p, scope: a }]"] {
            let error = auth(wrong).unwrap_err();
            assert!(error.starts_with("services/x.yaml:3:"), "{error}");
        }
    }

    fn check_refused(route: &str, expected: &str) {
        let text = format!(
            "app: x\nroutes:\n  - {{ method: GET, path: /a, account: usage }}\n  - {route}\n"
        );
        let error = parse(&text).unwrap_err();
        let prefix = format!("services/x.yaml:4:{expected}");
        assert!(error.starts_with(&prefix), "{error}");
    }

    #[test]
    fn a_wrong_setting_is_refused_at_its_own_place() {
        let check = |setting: &str, expected: &str| {
            let text = format!(
                "app: x\nroutes:\n- method: GET\n  path: /a/{{id}}\n  service: s\n{setting}"
            );
            let error = parse(&text).unwrap_err();
            assert!(
                error.starts_with(&format!("services/x.yaml:{expected}")),
                "{error}"
            );
        };
        check("  cors:\n    orgins: []\n", "7:5: unknown field `orgins`");
        check(
            "  cors:\n    origins: [https://a.test, b]\n",
            "7:31: `b` is not an origin",
        );
        check(
            "  cors:\n    max_age: soon\n",
            "7:5: `soon` is not a duration",
        );
        check(
            "  transform:\n    request:\n      headers:\n        set: { x-a: \"{cif}\" }\n",
            "9:16: `{cif}` names `cif`",
        );
        check(
            "  transform:\n    response:\n      body: '{a: .b'\n",
            "8:7: ",
        );
    }

    #[test]
    fn a_wrong_route_is_refused_with_its_place() {
        check_refused(
            "{ method: GET, path: /b }",
            "5: the route of /b names one of",
        );
        check_refused(
            "{ method: GET, path: /b, service: s, flow: a/b }",
            "5: the route of /b names one of",
        );
        check_refused(
            "{ method: GET, path: /b, service: s, wait: 5s }",
            "5: the route of /b names one of",
        );
        check_refused(
            "{ method: GET, path: /b, flow: alone }",
            "5: `alone` is not",
        );
        check_refused(
            "{ method: 'G T', path: /b, service: s }",
            "7: `G T` is not a method",
        );
        check_refused(
            "{ metod: GET, path: /b, service: s }",
            "7: unknown field `metod`",
        );
    }

    #[test]
    fn a_manifest_that_is_none_is_refused() {
        assert!(parse("app: [").is_err());
        assert!(parse("").is_err());
        assert!(parse("app: x\nrouts: []\n").is_err());
    }
}
