//! [pure] What a route does with calls beside passing them on: as it is written, and as it is built.
//!
//! A route without any of it has no [`Features`], and a call of it pays for one look.

use serde::Deserialize;
use serde_json::Value;
use taraf_service::openapi::{self, Source};

use crate::cache;
use crate::path::Pattern;
use crate::routes::{Route, Target};

pub(crate) mod canary;
pub(crate) mod cors;
pub(crate) mod json;
pub(crate) mod limits;
pub(crate) mod mirror;
pub(crate) mod mock;
pub(crate) mod operation;
pub(crate) mod text;
pub(crate) mod transform;
pub(crate) mod validate;

pub use canary::{Canary, Sticky, When};
pub use cors::Cors;
pub use limits::RouteLimits;
pub use mirror::Mirror;
pub use transform::{HeaderChanges, QueryChanges, RequestTransform, ResponseTransform, Transform};
pub use validate::Validate;

/// What a route's settings say beside its target. All of it is off unless it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which pages of other origins may call the route in a browser.
    pub cors: Option<Cors>,
    /// What the route takes, whoever calls.
    pub limits: Option<RouteLimits>,
    /// Checks of the request against the service's OpenAPI document.
    pub validate: Option<Validate>,
    /// Answers from the examples of the service's OpenAPI document, in place of the service's.
    pub mock: bool,
    /// Keeping answers for the next call.
    pub cache: Option<cache::Settings>,
    /// Changes of requests and answers on their way.
    pub transform: Option<Transform>,
    /// Another service that gets a part of the calls.
    pub canary: Option<Canary>,
    /// Another service that gets a copy of the calls.
    pub mirror: Option<Mirror>,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where: the names of the members and numbers of the items from the route down, `cors.origins.0`.
    pub(crate) at: String,
    /// Why.
    pub(crate) why: String,
}

impl Wrong {
    pub(crate) fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            why: why.into(),
        }
    }
}

/// A route's settings, compiled once.
#[derive(Debug, Default)]
pub(crate) struct Features {
    pub(crate) cors: Option<cors::Policy>,
    pub(crate) limits: Option<limits::Plan>,
    pub(crate) validate: Option<validate::Plan>,
    pub(crate) mock: Option<mock::Plan>,
    pub(crate) cache: Option<cache::Plan>,
    pub(crate) transform: Option<transform::Plan>,
    pub(crate) canary: Option<canary::Plan>,
    pub(crate) mirror: Option<mirror::Plan>,
    /// Whether what is kept of a path is forgotten when a call changes it.
    pub(crate) forgets: bool,
}

/// What is built beside a route: its pattern, and the services' documents where they are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside<'a> {
    pub(crate) pattern: &'a Pattern,
    pub(crate) documents: Option<&'a [Source]>,
}

impl Features {
    /// Compiles a route's settings; nothing when it has none. Without documents, what needs one is
    /// left out: it is built when they are there.
    pub(crate) fn build(
        route: &Route,
        beside: Beside<'_>,
    ) -> Result<Option<Box<Self>>, Vec<Wrong>> {
        let settings = &route.settings;
        if *settings == Settings::default() {
            return Ok(None);
        }
        let mut wrong = for_services_alone(route);
        let pattern = beside.pattern;
        let cors = settings.cors.as_ref();
        let cors = cors.map(|cors| cors::Policy::build(cors, &route.methods));
        let limits = settings.limits.as_ref().map(limits::Plan::build);
        let transform = settings.transform.as_ref();
        let transform = transform.map(|of| transform::Plan::build(of, pattern));
        let canary = settings.canary.as_ref();
        let canary = canary.map(|canary| canary::Plan::build(canary, &route.id, pattern));
        let mirror = settings.mirror.as_ref();
        let mirror = mirror.map(|mirror| mirror::Plan::build(mirror, pattern));
        let mut features = Self {
            cors: kept(&mut wrong, cors),
            limits: kept(&mut wrong, limits),
            cache: settings.cache.as_ref().map(cache::Plan::build),
            transform: kept(&mut wrong, transform),
            canary: kept(&mut wrong, canary),
            mirror: kept(&mut wrong, mirror),
            ..Self::default()
        };
        if let Some(documents) = beside.documents {
            features.described(route, documents, &mut wrong);
        }
        if wrong.is_empty() {
            Ok(Some(Box::new(features)))
        } else {
            Err(wrong)
        }
    }

    /// What is made from the service's document.
    fn described(&mut self, route: &Route, documents: &[Source], wrong: &mut Vec<Wrong>) {
        let settings = &route.settings;
        let Target::Service { service, path } = &route.target else {
            return;
        };
        let to = path.as_deref().unwrap_or(&route.path);
        let document = || -> Result<Value, String> {
            let source = documents.iter().find(|source| source.name == *service);
            let source =
                source.ok_or_else(|| format!("the service `{service}` has no OpenAPI document"))?;
            openapi::lifted(source).map_err(|error| error.to_string())
        };
        if settings.mock {
            let built =
                document().and_then(|document| mock::Plan::build(&document, &route.methods, to));
            self.mock = kept(
                wrong,
                Some(built.map_err(|why| vec![Wrong::new("mock", why)])),
            );
        }
        if let Some(validate) = &settings.validate {
            let built = document().and_then(|document| {
                validate::Plan::build(validate, &document, &route.methods, to)
            });
            self.validate = kept(
                wrong,
                Some(built.map_err(|why| vec![Wrong::new("validate", why)])),
            );
        }
    }
}

fn kept<T>(wrong: &mut Vec<Wrong>, built: Option<Result<T, Vec<Wrong>>>) -> Option<T> {
    match built? {
        Ok(built) => Some(built),
        Err(errors) => {
            wrong.extend(errors);
            None
        }
    }
}

/// Settings that only a route of a service can have.
fn for_services_alone(route: &Route) -> Vec<Wrong> {
    if matches!(route.target, Target::Service { .. }) {
        return Vec::new();
    }
    let settings = &route.settings;
    let named = [
        ("validate", settings.validate.is_some()),
        ("mock", settings.mock),
        ("cache", settings.cache.is_some()),
        ("transform", settings.transform.is_some()),
        ("canary", settings.canary.is_some()),
        ("mirror", settings.mirror.is_some()),
    ];
    let named = named.into_iter().filter(|(_, is_set)| *is_set);
    named
        .map(|(name, _)| Wrong::new(name, "only a route of a service can have this"))
        .collect()
}

/// Another service that a route names, and the path there.
fn other_target(
    at: &str,
    service: &str,
    to: Option<&str>,
    pattern: &Pattern,
    wrong: &mut Vec<Wrong>,
) -> (Option<taraf_service::Target>, Option<Pattern>) {
    let name = service.parse().map(taraf_service::Target::service);
    if name.is_err() {
        wrong.push(Wrong::new(
            format!("{at}.service"),
            format!("`{service}` is not a service's name"),
        ));
    }
    let path = to.map(|to| {
        let read = Pattern::parse(to).map_err(|error| error.to_string())?;
        let unknown = read
            .parameters()
            .find(|name| !pattern.parameters().any(|known| known == *name));
        match unknown {
            Some(unknown) => Err(format!(
                "`{to}` names `{unknown}`, which the route's path does not have"
            )),
            None => Ok(read),
        }
    });
    let path = match path.transpose() {
        Ok(path) => path,
        Err(why) => {
            wrong.push(Wrong::new(format!("{at}.to"), why));
            None
        }
    };
    (name.ok(), path)
}
