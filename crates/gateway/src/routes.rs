//! [pure] The route table: which path and method go to which target.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use taraf_service::openapi::Source;

use crate::auth::Authenticators;
use crate::features::{Beside, Features, Settings, Wrong};
use crate::metrics::RouteSeries;
use crate::path::{Pattern, PatternError, Segments};

mod builtin;
mod tree;

pub use builtin::Builtin;
use tree::Node;

/// The most routes of one table.
pub(crate) const ROUTES_MAX: usize = 10_000;

/// One way through the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Names the route in metrics and logs; unique in its table.
    pub id: String,
    /// Which methods it takes. A route that takes GET takes HEAD.
    pub methods: Vec<Method>,
    /// `/api/companies/{cif}`, `/files/{rest...}`.
    pub path: String,
    /// Where calls go.
    pub target: Target,
    /// Who may call.
    pub auth: Auth,
    /// Units of the plan that one call costs.
    pub cost: u32,
    /// Path parameters and query are kept out of logs.
    pub is_sensitive: bool,
    /// The largest request body; the gateway's own limit without it.
    pub body_bytes_max: Option<u64>,
    /// The longest time to the answer's head; the gateway's own limit without it.
    pub deadline: Option<Duration>,
    /// Whether a call may be repeated; without it GET, HEAD, PUT and DELETE may.
    pub is_idempotent: Option<bool>,
    /// A line for people, shown in the OpenAPI document.
    pub title: Option<String>,
    /// Groups of the OpenAPI document that it belongs to.
    pub tags: Vec<String>,
    /// What is done with calls beside passing them on.
    pub settings: Settings,
}

impl Route {
    /// A route with the usual settings: a key, one unit a call, the gateway's limits.
    #[must_use]
    pub fn new(method: Method, path: &str, target: Target) -> Self {
        Self {
            id: format!("{method} {path}"),
            methods: vec![method],
            path: path.to_owned(),
            target,
            auth: Auth::Key,
            cost: 1,
            is_sensitive: false,
            body_bytes_max: None,
            deadline: None,
            is_idempotent: None,
            title: None,
            tags: Vec::new(),
            settings: Settings::default(),
        }
    }
}

/// Who may call a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Whoever shows an API key; the call counts against its plan.
    Key,
    /// Everybody.
    Open,
    /// Whoever shows one of these; the call counts against the plan of the account that it stands for.
    Any(Vec<Authenticator>),
}

/// A way in which a caller can prove who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authenticator {
    /// An API key.
    Key,
    /// A token of an issuer.
    Jwt {
        /// The issuer's name in the settings.
        issuer: String,
        /// Scopes that the token must have beside those of the issuer.
        scopes: Vec<String>,
    },
    /// A client certificate, verified by the listener.
    Certificate,
}

/// Where the calls of a route go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a service, streamed both ways.
    Service {
        /// The service's name.
        service: String,
        /// The path there, with the route's parameters: `/v1/companies/{cif}`. The request's own
        /// path without it.
        path: Option<String>,
    },
    /// To a flow: the request becomes its input.
    Flow {
        /// The flow's namespace.
        namespace: String,
        /// The flow's name.
        name: String,
        /// The flow's version; the latest without it.
        version: Option<String>,
        /// How long the answer may wait for the output of a durable run.
        wait: Duration,
    },
    /// To the accounts that the gateway itself keeps.
    Account(AccountView),
    /// To a page of the gateway itself; such routes are in every table.
    Builtin(Builtin),
}

/// What the gateway answers about accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountView {
    /// `POST {"email"}` makes an account and its first key.
    Register,
    /// What the caller's account used this month.
    Usage,
    /// The keys of the caller's account.
    Keys,
}

/// The table is wrong; each finding names its route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The pattern cannot be read.
    #[error("route `{id}`: {reason}")]
    Pattern {
        /// The route.
        id: String,
        /// Why.
        #[source]
        reason: PatternError,
    },
    /// The target's path names a parameter that the route does not have.
    #[error("route `{id}`: the target's path names `{parameter}`, which `{path}` does not have")]
    UnknownParameter {
        /// The route.
        id: String,
        /// The parameter.
        parameter: String,
        /// The route's pattern.
        path: String,
    },
    /// Two routes take the same calls.
    #[error("route `{second}` takes {method} {path} as route `{first}` does")]
    Clash {
        /// The route that came first.
        first: String,
        /// The route that clashes with it.
        second: String,
        /// The method of both.
        method: Method,
        /// The path of the second.
        path: String,
    },
    /// Two routes have one name.
    #[error("two routes are named `{0}`")]
    DuplicateId(String),
    /// A route without a method takes no call.
    #[error("route `{0}` has no method")]
    NoMethod(String),
    /// A service's name is not one.
    #[error("route `{id}`: `{service}` is not a service's name")]
    ServiceName {
        /// The route.
        id: String,
        /// The name.
        service: String,
    },
    /// A setting of the route is wrong.
    #[error("route `{id}`: `{at}`: {why}")]
    Setting {
        /// The route.
        id: String,
        /// The setting: names and numbers from the route down, as `cors.origins.0`.
        at: String,
        /// Why.
        why: String,
    },
    /// The table is too large.
    #[error("{0} routes are more than {ROUTES_MAX}")]
    TooMany(usize),
}

/// A route that was built: its patterns are parsed.
#[derive(Debug)]
pub struct Entry {
    /// As it was given.
    pub route: Route,
    pub(crate) pattern: Pattern,
    pub(crate) target_path: Option<Pattern>,
    pub(crate) service: Option<taraf_service::Target>,
    /// Nothing for most routes: a call of those passes straight through.
    pub(crate) features: Option<Box<Features>>,
    fingerprint: OnceLock<u64>,
    /// Its metrics, looked up at its first call.
    pub(crate) series: OnceLock<RouteSeries>,
}

/// The whole table. Immutable: a change is a new table, swapped in through a `watch`.
///
/// A path belongs to one pattern: at each segment a literal is tried before a parameter and a
/// parameter before a tail, going back when the rest does not fit. Methods are looked at after that,
/// so a path that is known with other methods is answered 405, never passed to a looser pattern.
pub struct Routes {
    entries: Vec<Arc<Entry>>,
    root: Node,
    authenticators: Arc<Authenticators>,
}

/// A route and the values of its parameters.
#[derive(Debug)]
pub struct Match<'a> {
    /// The route.
    pub entry: &'a Arc<Entry>,
    /// Its parameters' values, decoded, in the order of the pattern.
    pub values: Vec<String>,
}

/// No route takes the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// No route has this path.
    NotFound,
    /// The path is known with these methods only.
    MethodNotAllowed(Vec<Method>),
}

impl Routes {
    /// Builds the table, with the gateway's own pages beside `routes`.
    ///
    /// # Errors
    /// All that is wrong with the table, not only the first finding.
    pub fn build(routes: Vec<Route>) -> Result<Self, Vec<RouteError>> {
        Self::build_with(routes, &[])
    }

    /// Builds the table, with the services' OpenAPI documents for the routes that use them.
    ///
    /// # Errors
    /// All that is wrong with the table, not only the first finding.
    pub fn build_with(routes: Vec<Route>, documents: &[Source]) -> Result<Self, Vec<RouteError>> {
        if routes.len() > ROUTES_MAX {
            return Err(vec![RouteError::TooMany(routes.len())]);
        }
        let mut table = Self {
            entries: Vec::with_capacity(routes.len()),
            root: Node::default(),
            authenticators: Arc::default(),
        };
        let is_kept = routes.iter().any(|route| route.settings.cache.is_some());
        let mut ids = BTreeSet::new();
        let mut errors = Vec::new();
        for route in builtin::routes(&routes).into_iter().chain(routes) {
            if !ids.insert(route.id.clone()) {
                errors.push(RouteError::DuplicateId(route.id.clone()));
            }
            if let Err(wrong) = table.add(route, documents, is_kept) {
                errors.extend(wrong);
            }
        }
        if errors.is_empty() {
            Ok(table)
        } else {
            Err(errors)
        }
    }

    /// Finds the route of a call.
    ///
    /// # Errors
    /// [`NoMatch`] when there is none.
    pub fn find(&self, method: &Method, path: &Segments<'_>) -> Result<Match<'_>, NoMatch> {
        let entry = self.entry(method, path)?;
        Ok(Match {
            entry,
            values: entry.pattern.capture(path.as_slice()),
        })
    }

    /// The route alone, without the values of its parameters.
    pub(crate) fn entry(
        &self,
        method: &Method,
        path: &Segments<'_>,
    ) -> Result<&Arc<Entry>, NoMatch> {
        let methods = self.root.find(path.as_slice()).ok_or(NoMatch::NotFound)?;
        let Some(index) = methods.get(method.as_str()) else {
            let mut allowed: Vec<_> = methods.keys().map(String::as_str).collect();
            allowed.sort_unstable();
            return Err(NoMatch::MethodNotAllowed(
                allowed
                    .iter()
                    .filter_map(|name| name.parse().ok())
                    .collect(),
            ));
        };
        Ok(&self.entries[*index])
    }

    /// The table with those who may call its routes beside the holders of keys: one value, so that no
    /// call meets a new route with the old ones.
    ///
    /// # Errors
    /// When a route names an issuer that is not among them.
    pub fn with(mut self, authenticators: Arc<Authenticators>) -> Result<Self, String> {
        authenticators.check(self.iter())?;
        self.authenticators = authenticators;
        Ok(self)
    }

    /// Who may call beside the holders of keys.
    #[must_use]
    pub fn authenticators(&self) -> &Authenticators {
        &self.authenticators
    }

    /// All routes, the gateway's own pages first.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.entries.iter().map(|entry| &entry.route)
    }

    /// What is wrong with the settings of a route, before it is put into a table with others.
    #[must_use]
    pub fn check(route: &Route) -> Vec<RouteError> {
        let Ok(pattern) = parse(&route.id, &route.path) else {
            // The table says so, with all else that is wrong with paths.
            return Vec::new();
        };
        let beside = Beside {
            pattern: &pattern,
            documents: None,
        };
        features(route, beside).err().unwrap_or_default()
    }

    /// Adds a route; where some routes keep their answers, others make them forget.
    fn add(
        &mut self,
        route: Route,
        documents: &[Source],
        is_kept: bool,
    ) -> Result<(), Vec<RouteError>> {
        let id = &route.id;
        let pattern = parse(id, &route.path).map_err(|error| vec![error])?;
        let target_path = target_path(&route, &pattern).map_err(|error| vec![error])?;
        let service = service(&route).map_err(|error| vec![error])?;
        let beside = Beside {
            pattern: &pattern,
            documents: Some(documents),
        };
        let mut features = features(&route, beside)?;
        if is_kept && !route.methods.iter().all(Method::is_safe) {
            features.get_or_insert_default().forgets = true;
        }
        if route.methods.is_empty() {
            return Err(vec![RouteError::NoMethod(id.clone())]);
        }
        let index = self.entries.len();
        let methods = self.root.insert(pattern.segments());
        for method in with_head(&route.methods) {
            if let Some(first) = methods.get(method.as_str()) {
                return Err(vec![RouteError::Clash {
                    first: self.entries[*first].route.id.clone(),
                    second: route.id,
                    method,
                    path: route.path,
                }]);
            }
            methods.insert(method.as_str().to_owned(), index);
        }
        self.entries.push(Arc::new(Entry {
            fingerprint: OnceLock::new(),
            route,
            pattern,
            target_path,
            service,
            features,
            series: OnceLock::new(),
        }));
        Ok(())
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|route| &route.id))
            .finish()
    }
}

impl Entry {
    /// What the route is, as a number: that of a changed route is another. It holds on this node and for
    /// as long as it runs.
    pub(crate) fn fingerprint(&self) -> u64 {
        // Most routes of most tables are not called before the next table comes.
        *self.fingerprint.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            format!("{:?}", self.route).hash(&mut hasher);
            hasher.finish()
        })
    }

    /// The parameters by name.
    pub(crate) fn parameters<'v>(
        &'v self,
        values: &'v [String],
    ) -> impl Iterator<Item = (&'v str, &'v str)> {
        self.pattern
            .parameters()
            .zip(values.iter().map(String::as_str))
    }

    /// The path at the service of a call whose path fits the route.
    pub(crate) fn path_at_service(&self, path: &Segments<'_>) -> String {
        match &self.target_path {
            Some(target) => self.fill(target, &self.pattern.capture(path.as_slice())),
            None => path.canonical(),
        }
    }

    /// A path of the route with the values of a call, percent-encoded.
    pub(crate) fn fill(&self, path: &Pattern, values: &[String]) -> String {
        // There are few, and finding one among them costs less than a map.
        path.fill(|wanted| {
            let mut parameters = self.parameters(values);
            let found = parameters.find(|(name, _)| *name == wanted);
            found.map_or("", |(_, value)| value)
        })
    }
}

impl Match<'_> {
    /// The parameters by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entry.parameters(&self.values)
    }

    /// The path of the target, percent-encoded; nothing when it is the request's own.
    #[must_use]
    pub fn target_path(&self) -> Option<String> {
        let target = self.entry.target_path.as_ref()?;
        Some(self.entry.fill(target, &self.values))
    }
}

fn features(route: &Route, beside: Beside<'_>) -> Result<Option<Box<Features>>, Vec<RouteError>> {
    let told = |Wrong { at, why }| RouteError::Setting {
        id: route.id.clone(),
        at,
        why,
    };
    let built = Features::build(route, beside);
    built.map_err(|wrong| wrong.into_iter().map(told).collect())
}

fn target_path(route: &Route, pattern: &Pattern) -> Result<Option<Pattern>, RouteError> {
    let Target::Service {
        path: Some(path), ..
    } = &route.target
    else {
        return Ok(None);
    };
    let target = parse(&route.id, path)?;
    let unknown = target
        .parameters()
        .find(|name| !pattern.parameters().any(|known| known == *name));
    if let Some(parameter) = unknown {
        return Err(RouteError::UnknownParameter {
            id: route.id.clone(),
            parameter: parameter.to_owned(),
            path: route.path.clone(),
        });
    }
    Ok(Some(target))
}

fn service(route: &Route) -> Result<Option<taraf_service::Target>, RouteError> {
    let Target::Service { service, .. } = &route.target else {
        return Ok(None);
    };
    match service.parse() {
        Ok(name) => Ok(Some(taraf_service::Target::service(name))),
        Err(_) => Err(RouteError::ServiceName {
            id: route.id.clone(),
            service: service.clone(),
        }),
    }
}

fn parse(id: &str, path: &str) -> Result<Pattern, RouteError> {
    Pattern::parse(path).map_err(|reason| RouteError::Pattern {
        id: id.to_owned(),
        reason,
    })
}

fn with_head(methods: &[Method]) -> Vec<Method> {
    let mut all: Vec<Method> = Vec::with_capacity(methods.len() + 1);
    for method in methods {
        if !all.contains(method) {
            all.push(method.clone());
        }
    }
    if all.contains(&Method::GET) && !all.contains(&Method::HEAD) {
        all.push(Method::HEAD);
    }
    all
}

#[cfg(test)]
mod tests;
