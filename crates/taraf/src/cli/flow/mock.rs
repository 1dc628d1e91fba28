//! The services around a flow under test: loopback servers that answer as its case says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use taraf_base::Tasks;
use tokio::net::TcpListener;
use url::Url;

use super::case::{Answer, Calls, Mock, Request};
use super::diff::{self, Mode};

const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The mocked services of one case. Each origin of the case (`http://rates.service`) is a listener
/// of its own, so that requests need no mark that says where they wanted to go.
pub(super) struct Mocks {
    origins: BTreeMap<String, SocketAddr>,
    state: Arc<Mutex<State>>,
}

struct State {
    mocks: Vec<Counted>,
    seen: Vec<Seen>,
}

struct Counted {
    mock: Mock,
    answered: u32,
}

/// A request that arrived.
struct Seen {
    method: String,
    uri: String,
    is_expected: bool,
}

impl Mocks {
    /// Starts the listeners.
    pub(super) async fn start(mocks: &[Mock], tasks: &Tasks) -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            mocks: mocks
                .iter()
                .map(|mock| Counted {
                    mock: mock.clone(),
                    answered: 0,
                })
                .collect(),
            seen: Vec::new(),
        }));
        let mut origins = BTreeMap::new();
        for mock in mocks {
            let origin = origin_of(&mock.request.uri)?;
            if origins.contains_key(&origin) {
                continue;
            }
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            origins.insert(origin.clone(), listener.local_addr()?);
            listen(listener, origin, Arc::clone(&state), tasks);
        }
        Ok(Self { origins, state })
    }

    /// Which beginnings of URIs lead to which listener.
    pub(super) fn rewrites(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.origins
            .iter()
            .map(|(origin, address)| (origin.clone(), format!("http://{address}")))
    }

    /// What is wrong with the requests that arrived.
    pub(super) fn complaints(&self, expected: Option<&Calls>) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let unexpected = state.seen.iter().filter(|seen| !seen.is_expected);
        let mut lines: Vec<String> = unexpected
            .map(|seen| format!("no mock answers {} {}", seen.method, seen.uri))
            .collect();
        match expected {
            None => {}
            Some(Calls::Total(wanted)) => {
                let made = state.seen.len();
                if made != *wanted {
                    lines.push(format!("calls: expected {wanted}, made {made}"));
                }
            }
            Some(Calls::Each(each)) => {
                for (request, wanted) in each {
                    let made = state.seen.iter().filter(|seen| seen.is_of(request)).count();
                    if made != *wanted {
                        lines.push(format!(
                            "calls of {request}: expected {wanted}, made {made}"
                        ));
                    }
                }
            }
        }
        lines
    }
}

impl Seen {
    /// `METHOD URI`, with or without the query.
    fn is_of(&self, request: &str) -> bool {
        let (method, uri) = request.split_once(' ').unwrap_or(("GET", request));
        method.eq_ignore_ascii_case(&self.method) && is_uri(uri, &self.uri)
    }
}

/// Scheme, host and port of a URI, as the egress rewrite table has them.
fn origin_of(uri: &str) -> anyhow::Result<String> {
    Ok(Url::parse(uri)?.origin().ascii_serialization())
}

fn listen(listener: TcpListener, origin: String, state: Arc<Mutex<State>>, tasks: &Tasks) {
    let connections = tasks.clone();
    let token = tasks.token();
    tasks.spawn("mock listener", async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = token.cancelled() => return,
            };
            // A client that went away before it was accepted; the next one is none the worse.
            let Ok((stream, _)) = accepted else { continue };
            let (state, origin) = (Arc::clone(&state), origin.clone());
            let service =
                service_fn(move |request| answer(request, origin.clone(), Arc::clone(&state)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            let token = token.clone();
            connections.spawn("mock connection", async move {
                tokio::select! {
                    // The client sees what broke; the mock has nobody to tell.
                    ended = connection => drop(ended),
                    () = token.cancelled() => {}
                }
            });
        }
    });
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
    origin: String,
    state: Arc<Mutex<State>>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let method = request.method().to_string();
    let uri = format!("{origin}{}", request.uri());
    let body = Limited::new(request.into_body(), REQUEST_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_or_else(|_cut_off| Bytes::new(), http_body_util::Collected::to_bytes);
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let found = state
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .find(&method, &uri, &body);
    let Some(answer) = found else {
        return Ok(respond(&Answer {
            status: 500,
            text: Some(format!("no mock answers {method} {uri}")),
            ..Answer::default()
        }));
    };
    if let Some(delay) = answer.delay {
        tokio::time::sleep(delay).await;
    }
    Ok(respond(&answer))
}

impl State {
    fn find(&mut self, method: &str, uri: &str, body: &Value) -> Option<Answer> {
        let found = self.mocks.iter_mut().find(|counted| {
            let has_answers = counted
                .mock
                .times
                .is_none_or(|times| counted.answered < times);
            has_answers && matches(&counted.mock.request, method, uri, body)
        });
        let answer = found.map(|counted| {
            counted.answered += 1;
            counted.mock.answer.clone()
        });
        self.seen.push(Seen {
            method: method.to_owned(),
            uri: uri.to_owned(),
            is_expected: answer.is_some(),
        });
        answer
    }
}

fn matches(wanted: &Request, method: &str, uri: &str, body: &Value) -> bool {
    let has_body = |wanted| diff::compare(wanted, body, Mode::Contains).is_empty();
    wanted.method.eq_ignore_ascii_case(method)
        && is_uri(&wanted.uri, uri)
        && wanted.body.as_ref().is_none_or(has_body)
}

/// Whether a request went to the wanted URI: the query in any order, any query when none is named.
fn is_uri(wanted: &str, actual: &str) -> bool {
    let (Ok(wanted), Ok(actual)) = (Url::parse(wanted), Url::parse(actual)) else {
        return false;
    };
    let query = |url: &Url| {
        let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        pairs.sort();
        pairs
    };
    wanted.origin() == actual.origin()
        && wanted.path() == actual.path()
        && (wanted.query().is_none() || query(&wanted) == query(&actual))
}

fn respond(answer: &Answer) -> http::Response<Full<Bytes>> {
    let (media_type, body) = match (&answer.json, &answer.text) {
        (Some(json), _) => ("application/json", json.to_string()),
        (None, Some(text)) => ("text/plain; charset=utf-8", text.clone()),
        (None, None) => ("", String::new()),
    };
    let mut response = http::Response::builder().status(answer.status);
    let names_type = answer
        .headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("content-type"));
    if !media_type.is_empty() && !names_type {
        response = response.header("content-type", media_type);
    }
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response
        .body(Full::new(Bytes::from(body)))
        .unwrap_or_else(|error| {
            // A header that HTTP does not allow: the case is told by a status it cannot expect.
            let text = format!("the mock's answer cannot be sent: {error}");
            let mut response = http::Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = http::StatusCode::NOT_IMPLEMENTED;
            response
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_uri_matches_by_path_and_by_its_query_in_any_order() {
        let check = |wanted: &str, actual: &str, expected: bool| {
            assert_eq!(is_uri(wanted, actual), expected, "{wanted} {actual}");
        };
        check("http://a.service/x", "http://a.service/x", true);
        check("http://a.service/x", "http://a.service/x?a=1", true);
        check(
            "http://a.service/x?b=2&a=1",
            "http://a.service/x?a=1&b=2",
            true,
        );
        check("http://a.service/x?a=1", "http://a.service/x?a=2", false);
        check("http://a.service/x", "http://a.service/y", false);
        check("http://a.service/x", "http://b.service/x", false);
    }

    #[test]
    fn a_mock_with_a_count_gives_way_to_the_next() {
        let mock = |status, times| {
            let value = json!({"request": {"uri": "http://a/"}, "answer": {"status": status},
                               "times": times});
            Counted {
                mock: serde_json::from_value(value).unwrap(),
                answered: 0,
            }
        };
        let mut state = State {
            mocks: vec![mock(503, Some(2)), mock(200, None)],
            seen: Vec::new(),
        };
        let statuses: Vec<u16> = (0..4)
            .filter_map(|_| state.find("GET", "http://a/", &Value::Null))
            .map(|answer| answer.status)
            .collect();
        assert_eq!(statuses, [503, 503, 200, 200]);
        assert!(state.find("POST", "http://a/", &Value::Null).is_none());
        assert_eq!(state.seen.len(), 5);
    }

    #[test]
    fn a_body_must_contain_what_the_mock_names() {
        let wanted = Request {
            method: "post".to_owned(),
            uri: "http://a/x".to_owned(),
            body: Some(json!({"cui": "1"})),
        };
        let body = json!({"cui": "1", "more": true});
        assert!(matches(&wanted, "POST", "http://a/x", &body));
        assert!(!matches(
            &wanted,
            "POST",
            "http://a/x",
            &json!({"cui": "2"})
        ));
    }
}
