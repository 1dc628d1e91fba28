//! [pure] Calls from pages of other origins: what a browser is told (Fetch standard, CORS protocol).

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN,
    VARY,
};
use http::{HeaderMap, Method, Response, StatusCode};
use serde::Deserialize;
use taraf_service::{Body, Problem, body, problem};

use super::Wrong;

/// The most origins of one route.
const ORIGINS_MAX: usize = 100;
/// Stands for any origin, or any header.
const ANY: &str = "*";

/// Which pages of other origins may call a route in a browser.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// `https://shop.example`, `https://*.shop.example` for all below it, `http://localhost:*` for
    /// all ports, or `*` alone for all origins.
    pub origins: Vec<String>,
    /// The methods that a page may use: those of the route.
    pub methods: Vec<String>,
    /// The headers that a page may send beside the harmless ones: `x-api-key`, `authorization`,
    /// `content-type` and `idempotency-key`. `*` alone for all.
    pub headers: Vec<String>,
    /// The headers of the answer that a page may read beside the harmless ones: none.
    pub expose: Vec<String>,
    /// Whether a page may send cookies and the browser's certificates: false.
    pub credentials: bool,
    /// How long a browser may remember what it was told: 10 min.
    #[serde(with = "taraf_base::duration::serde")]
    pub max_age: Duration,
}

impl Default for Cors {
    fn default() -> Self {
        let headers = [
            "x-api-key",
            "authorization",
            "content-type",
            "idempotency-key",
        ];
        Self {
            origins: Vec::new(),
            methods: Vec::new(),
            headers: headers.map(str::to_owned).to_vec(),
            expose: Vec::new(),
            credentials: false,
            max_age: Duration::from_secs(600),
        }
    }
}

/// What a route tells browsers, made once.
#[derive(Debug)]
pub(crate) struct Policy {
    origins: Origins,
    methods: HeaderValue,
    /// Nothing when whatever is asked for is allowed.
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

#[derive(Debug)]
enum Origins {
    Any,
    These(Vec<Origin>),
}

/// `SCHEME://HOST[:PORT]`, each part of which may be open.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    /// With a dot before it: all names below.
    host: String,
    port: Port,
}

#[derive(Debug, PartialEq, Eq)]
enum Port {
    Any,
    Is(String),
}

/// What the answer to a call of a page carries.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// The origin, or `*`; nothing for one that may not read the answer.
    origin: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    /// Whether another origin would be told something else.
    varies: bool,
}

impl Policy {
    pub(crate) fn build(cors: &Cors, methods: &[Method]) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let origins = origins(&cors.origins, cors.credentials, &mut wrong);
        let methods: Vec<String> = if cors.methods.is_empty() {
            methods.iter().map(ToString::to_string).collect()
        } else {
            cors.methods.clone()
        };
        for (at, method) in methods.iter().enumerate() {
            if method.parse::<Method>().is_err() || method == ANY {
                let why = format!("`{method}` is not a method");
                wrong.push(Wrong::new(format!("cors.methods.{at}"), why));
            }
        }
        let headers = names("headers", &cors.headers, &mut wrong);
        let is_any = cors.headers.len() == 1 && cors.headers[0] == ANY;
        let expose = names("expose", &cors.expose, &mut wrong);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            origins,
            methods: list(&methods),
            headers: (!is_any).then_some(headers),
            expose: (!cors.expose.is_empty()).then_some(expose),
            credentials: cors.credentials,
            max_age: HeaderValue::from(cors.max_age.as_secs()),
        })
    }

    /// What a call with these headers is told; nothing when no page makes it and it would not be
    /// told anything else.
    pub(crate) fn grant(&self, headers: &HeaderMap) -> Option<Grant> {
        let varies = matches!(self.origins, Origins::These(_));
        let origin = headers.get(ORIGIN);
        if origin.is_none() && !varies {
            return None;
        }
        Some(Grant {
            origin: origin.and_then(|origin| self.allowed(origin)),
            expose: self.expose.clone(),
            credentials: self.credentials,
            varies,
        })
    }

    /// The answer to the question that a browser asks before a call.
    pub(crate) fn preflight(&self, headers: &HeaderMap) -> Result<Response<Body>, Problem> {
        let grant = self.grant(headers);
        if grant.as_ref().is_none_or(|grant| grant.origin.is_none()) {
            return Err(problem::FORBIDDEN.with_detail("pages of this origin may not call here"));
        }
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let told = response.headers_mut();
        told.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(allowed) = self.headers.as_ref().or(asked) {
            told.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        told.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        for name in [
            ACCESS_CONTROL_REQUEST_METHOD,
            ACCESS_CONTROL_REQUEST_HEADERS,
        ] {
            told.append(VARY, HeaderValue::from(name));
        }
        Ok(response)
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static(ANY)),
            Origins::These(origins) => {
                let text = origin.to_str().ok()?;
                let is_named = origins.iter().any(|known| known.takes(text));
                is_named.then(|| origin.clone())
            }
        }
    }
}

impl Grant {
    /// Puts it on an answer, in place of what a service may have said.
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        // Those of a preflight are ours: a service's own never reaches here for OPTIONS.
        for name in [
            ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            headers.remove(name);
        }
        if self.varies {
            headers.append(VARY, HeaderValue::from(ORIGIN));
        }
        let Some(origin) = self.origin else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if let Some(expose) = self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose);
        }
    }
}

/// The method that a browser asks about, when the request is such a question.
pub(crate) fn asked(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

fn origins(written: &[String], credentials: bool, wrong: &mut Vec<Wrong>) -> Origins {
    if written.len() == 1 && written[0] == ANY {
        if credentials {
            let why = "every origin with credentials would let any page act for its visitor; name the origins";
            wrong.push(Wrong::new("cors.origins", why));
        }
        return Origins::Any;
    }
    if written.is_empty() || written.len() > ORIGINS_MAX {
        let why = format!("name 1 to {ORIGINS_MAX} origins, or `*` alone for all");
        wrong.push(Wrong::new("cors.origins", why));
    }
    let mut origins = Vec::new();
    for (at, text) in written.iter().enumerate() {
        match Origin::parse(text) {
            Some(origin) => origins.push(origin),
            None => wrong.push(Wrong::new(
                format!("cors.origins.{at}"),
                format!(
                    "`{text}` is not an origin such as https://shop.example, \
                     https://*.shop.example or http://localhost:*"
                ),
            )),
        }
    }
    Origins::These(origins)
}

fn names(of: &str, written: &[String], wrong: &mut Vec<Wrong>) -> HeaderValue {
    for (at, name) in written.iter().enumerate() {
        let is_any = name == ANY && written.len() == 1;
        if !is_any && (name == ANY || HeaderName::try_from(name).is_err()) {
            let why = format!("`{name}` is not the name of a header");
            wrong.push(Wrong::new(format!("cors.{of}.{at}"), why));
        }
    }
    list(written)
}

fn list(names: &[String]) -> HeaderValue {
    // Names that are none were told already, and nothing is built with them.
    HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_wrong| HeaderValue::from_static(""))
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = match rest.rsplit_once(':') {
            // An address of IPv6 has colons of its own, within brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _none => (rest, None),
        };
        let port = match port {
            None => Port::Is(String::new()),
            Some(ANY) => Port::Any,
            Some(port) => {
                port.parse::<u16>().ok()?;
                Port::Is(port.to_owned())
            }
        };
        let (below, name) = match host.strip_prefix("*.") {
            Some(name) => (".", name),
            None => ("", host),
        };
        let is_scheme = !scheme.is_empty()
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        let is_name = !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_host);
        (is_scheme && is_name).then(|| Self {
            scheme: scheme.to_owned(),
            host: format!("{below}{name}"),
            port,
        })
    }

    /// Whether an origin as a browser writes it is meant.
    fn takes(&self, origin: &str) -> bool {
        let Some(given) = Self::parse(origin) else {
            return false;
        };
        // A star is for those who configure, not for those who call.
        let is_plain = !given.host.starts_with('.') && given.port != Port::Any;
        let is_host = if self.host.starts_with('.') {
            given.host.len() > self.host.len() && given.host.ends_with(&self.host)
        } else {
            given.host == self.host
        };
        let is_port = self.port == Port::Any || self.port == given.port;
        is_plain && is_host && is_port && self.scheme == given.scheme
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(origins: &[&str], credentials: bool) -> Result<Policy, Vec<Wrong>> {
        let cors = Cors {
            origins: origins.iter().map(ToString::to_string).collect(),
            credentials,
            ..Cors::default()
        };
        Policy::build(&cors, &[Method::GET])
    }

    fn told(policy: &Policy, origin: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())]);
        let mut answer = HeaderMap::new();
        policy.grant(&headers).unwrap().apply(&mut answer);
        let value = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_origin_is_told_only_when_it_is_named() {
        let these = policy(
            &[
                "https://shop.example",
                "https://*.shop.example",
                "http://localhost:*",
            ],
            true,
        )
        .unwrap();
        for origin in [
            "https://shop.example",
            "https://a.shop.example",
            "https://a.b.shop.example",
            "http://localhost",
            "http://localhost:5173",
        ] {
            assert_eq!(told(&these, origin).as_deref(), Some(origin));
        }
        for origin in [
            "http://shop.example",
            "https://shop.example:8443",
            "https://evilshop.example",
            "https://shop.example.evil.test",
            "https://*.shop.example",
            "http://localhost:*",
            "https://localhost",
            "null",
            "",
        ] {
            assert_eq!(told(&these, origin), None, "{origin}");
        }
    }

    #[test]
    fn caches_learn_that_the_origin_matters() {
        let these = policy(&["https://shop.example"], false).unwrap();
        let mut answer = HeaderMap::new();
        these.grant(&HeaderMap::new()).unwrap().apply(&mut answer);
        assert_eq!(answer[VARY], "origin");
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        let any = policy(&["*"], false).unwrap();
        assert!(any.grant(&HeaderMap::new()).is_none());
        assert_eq!(told(&any, "null").as_deref(), Some("*"));
    }

    #[test]
    fn what_a_service_says_of_origins_is_replaced() {
        let mut answer = HeaderMap::from_iter([
            (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            (
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            ),
        ]);
        let these = policy(&["https://shop.example"], false).unwrap();
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("https://x.test"))]);
        these.grant(&headers).unwrap().apply(&mut answer);
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn a_wrong_policy_names_its_member() {
        let at = |origins: &[&str], credentials| -> Vec<String> {
            let wrong = policy(origins, credentials).unwrap_err();
            wrong.into_iter().map(|wrong| wrong.at).collect()
        };
        assert_eq!(at(&[], false), ["cors.origins"]);
        assert_eq!(at(&["*"], true), ["cors.origins"]);
        assert_eq!(at(&["https://a.test", "*"], false), ["cors.origins.1"]);
        assert_eq!(at(&["https://a.test/x"], false), ["cors.origins.0"]);
        assert_eq!(at(&["a.test"], false), ["cors.origins.0"]);
    }

    #[test]
    fn only_a_question_of_a_browser_is_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(asked(&Method::OPTIONS, &headers), None);
        headers.insert(ORIGIN, HeaderValue::from_static("https://a.test"));
        assert_eq!(asked(&Method::OPTIONS, &headers), None);
        headers.insert(
            ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static("PUT"),
        );
        assert_eq!(asked(&Method::OPTIONS, &headers), Some(Method::PUT));
        assert_eq!(asked(&Method::GET, &headers), None);
    }
}
