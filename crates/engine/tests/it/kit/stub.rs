//! The hosts that the kit's scenarios call, answered on loopback; every request is kept.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use serde_json::{Value, json};
use taraf_base::Tasks;
use tokio::net::TcpListener;

/// A running stub.
pub(crate) struct Stub {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) is_expected: bool,
}

struct Pets {
    pets: Vec<Value>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    /// Starts answering with the pets of the kit's folder.
    pub(crate) async fn start(pets: &str, tasks: &Tasks) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let pets: Vec<Value> = serde_json::from_str(pets).unwrap();
        let state = Arc::new(Pets {
            pets,
            seen: Arc::clone(&seen),
        });
        let router = Router::new().fallback(answer).with_state(state);
        let stopped = tasks.token().cancelled_owned();
        tasks.spawn("kit-stub", async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
                .unwrap();
        });
        Self { addr, seen }
    }

    /// What arrived so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(State(pets): State<Arc<Pets>>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let query = parts.uri.query().unwrap_or_default();
    let response = match path.as_slice() {
        ["v2", "pet", "findByStatus"] => Some(by_status(&pets.pets, query)),
        ["v2", "pet", "getPetByName", _] => Some(not_found()),
        ["v2", "pet", number] => Some(by_number(&pets.pets, number)),
        ["basic-auth", user, password] => Some(basic(&parts.headers, user, password)),
        _ => None,
    };
    pets.seen.lock().unwrap().push(Seen {
        line: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers,
        is_expected: response.is_some(),
    });
    response.unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn by_status(pets: &[Value], query: &str) -> Response {
    let wanted: BTreeSet<&str> = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("status="))
        .collect();
    let found = pets
        .iter()
        .filter(|pet| wanted.contains(pet["status"].as_str().unwrap_or("")));
    axum::Json(found.cloned().collect::<Vec<_>>()).into_response()
}

fn by_number(pets: &[Value], number: &str) -> Response {
    let found = pets
        .iter()
        .find(|pet| number.parse() == Ok(pet["id"].as_u64().unwrap_or(0)));
    found.map_or_else(not_found, |pet| axum::Json(pet.clone()).into_response())
}

fn not_found() -> Response {
    let body = json!({"code": 1, "type": "error", "message": "Pet not found"});
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

fn basic(headers: &HeaderMap, user: &str, password: &str) -> Response {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    if headers
        .get(header::AUTHORIZATION)
        .is_some_and(|given| *given == *format!("Basic {pair}"))
    {
        return axum::Json(json!({"authenticated": true, "user": user})).into_response();
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"stub\"")];
    (StatusCode::UNAUTHORIZED, challenge, Body::empty()).into_response()
}
