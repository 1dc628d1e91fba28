//! Which service answers a host, and the pages that every service has.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::MatchedPath;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use serde_json::json;

use super::Error;
use crate::descriptor::DOMAIN_SUFFIX;
use crate::metrics::{self, Counter, Family, Histogram, Registry};
use crate::{Health, Problem, Service, problem};

/// The services of one listener.
pub(super) struct Dispatch {
    apps: BTreeMap<String, App>,
    registry: Registry,
    /// Whether the pages that every service has are added.
    has_pages: bool,
    pub(super) requests: Family<Counter>,
    pub(super) latency: Family<Histogram>,
}

/// One service as it is served.
pub(super) struct App {
    service: Service,
    pub(super) router: Router,
    openapi: Bytes,
}

/// The route template that answered, for metrics and the trace.
#[derive(Clone)]
pub(super) struct Route(pub(super) MatchedPath);

impl Dispatch {
    pub(super) fn new(
        services: Vec<Service>,
        has_pages: bool,
        registry: &Registry,
    ) -> Result<Self, Error> {
        if services.is_empty() {
            return Err(Error::NoServices);
        }
        let mut apps = BTreeMap::new();
        for service in services {
            let name = service.descriptor.name.clone();
            let before = apps.insert(name.as_str().to_owned(), App::new(service));
            if before.is_some() {
                return Err(Error::Duplicate(name));
            }
        }
        Ok(Self {
            apps,
            requests: registry.counters(
                "taraf_service_requests_total",
                "Requests answered, by route template.",
                &["service", "route", "method", "status"],
            ),
            latency: registry.histograms(
                "taraf_service_latency_seconds",
                "Time from a request's head to the answer's.",
                &["service", "route"],
            ),
            registry: registry.clone(),
            has_pages,
        })
    }

    /// The service that a request names, by its `Host` header or an absolute URI.
    pub(super) fn app(&self, headers: &HeaderMap, uri: &Uri) -> Option<&App> {
        if self.apps.len() == 1 {
            return self.apps.values().next();
        }
        let host = match uri.host() {
            Some(host) => host,
            None => headers.get(HOST)?.to_str().ok()?,
        };
        let host = host.split(':').next().unwrap_or_default();
        let host = host.to_ascii_lowercase();
        self.apps.get(host.strip_suffix(DOMAIN_SUFFIX)?)
    }

    /// The pages that every service has. Without a service they speak of all of them together, so
    /// that a probe needs to know the address alone.
    pub(super) fn page(&self, app: Option<&App>, method: &Method, path: &str) -> Option<Response> {
        if !self.has_pages {
            return None;
        }
        let answer = match path {
            "/health/live" => json_answer(StatusCode::OK, &json!({"status": "live"})),
            "/health/ready" => match app {
                Some(app) => ready((app.service.health)()),
                None => ready(self.health()),
            },
            "/metrics" => self.metrics(app),
            "/openapi.json" => match app {
                Some(app) => bytes_answer("application/json", app.openapi.clone()),
                None => return None,
            },
            _other => return None,
        };
        if matches!(*method, Method::GET | Method::HEAD) {
            return Some(answer);
        }
        let allow = HeaderValue::from_static("GET, HEAD");
        let problem = problem::METHOD_NOT_ALLOWED.new().with_header(ALLOW, allow);
        Some(problem.response().map(Into::into))
    }

    /// What to say to a host that names no service here.
    pub(super) fn misdirected(&self) -> Problem {
        let names: Vec<_> = self.apps.keys().map(String::as_str).collect();
        problem::MISDIRECTED_REQUEST
            .with_detail("the host names no service that is served here")
            .with("services", names)
    }

    fn health(&self) -> Health {
        let reasons = self.apps.iter().flat_map(|(name, app)| {
            let reasons = (app.service.health)().reasons.into_iter();
            reasons.map(move |reason| format!("{name}: {reason}"))
        });
        Health {
            reasons: reasons.collect(),
        }
    }

    fn metrics(&self, app: Option<&App>) -> Response {
        let mut text = self.registry.text();
        let of_app = app.and_then(|app| app.service.metrics.as_ref());
        if let Some(registry) = of_app {
            text.push_str(&registry.text());
        }
        bytes_answer(metrics::MEDIA_TYPE, text.into())
    }
}

impl App {
    fn new(service: Service) -> Self {
        Self {
            router: service.router.clone().layer(from_fn(remember_route)),
            openapi: service.descriptor.openapi.to_string().into(),
            service,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.service.descriptor.name.as_str()
    }
}

/// Only within the router is the matched template known; the answer carries it out.
async fn remember_route(request: Request<axum::body::Body>, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

fn ready(health: Health) -> Response {
    if health.is_ready() {
        json_answer(StatusCode::OK, &json!({"status": "ready"}))
    } else {
        let problem = problem::NOT_READY
            .with_detail(health.reasons.join("; "))
            .with("reasons", health.reasons);
        problem.response().map(Into::into)
    }
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Response {
    let mut answer = bytes_answer("application/json", value.to_string().into());
    *answer.status_mut() = status;
    answer
}

fn bytes_answer(media_type: &'static str, bytes: Bytes) -> Response {
    let mut answer = Response::new(axum::body::Body::from(bytes));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
