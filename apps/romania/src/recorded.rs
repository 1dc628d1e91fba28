//! A loopback source: recorded answers on the paths of the real services, and faults on command.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use taraf_base::Tasks;
use taraf_service::{Body, body};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

mod answers;
mod cut;

use answers::Answers;

/// A question to the source is small.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Requests that are remembered for tests.
const MAX_LOG: usize = 10_000;
/// Where faults are set and requests read, when that is allowed.
const FAULT_PATH: &str = "/-/fault";
const REQUESTS_PATH: &str = "/-/requests";
const WEB_PAGE: &str = "<html><head><title>Request Rejected</title></head><body>The requested URL \
    was rejected. Please consult with your administrator.</body></html>";

/// What goes wrong with every answer until another fault is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The answer comes after this many milliseconds.
    Slow(u64),
    /// A web page with status 200, as the web firewall sends it.
    Html,
    /// Status 429.
    TooManyRequests,
    /// Status 500.
    ServerError,
    /// The connection ends in the middle of the body.
    CutBody,
    /// A connection that was kept is closed when it is used again.
    DropKept,
    /// Every connection is closed at once.
    Refuse,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Path and query.
    pub path: String,
    /// Fiscal codes asked for.
    pub codes: usize,
    /// Which one on its connection, from 1.
    pub nth: usize,
}

/// How the source runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// Faults may be set, and requests read, over HTTP.
    pub control: bool,
}

/// The running source; cheap to clone.
#[derive(Clone)]
pub struct Recorded {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Answers,
    config: Config,
    fault: Mutex<Fault>,
    seen: Mutex<Vec<Seen>>,
}

/// Starts the source on a listener.
///
/// # Errors
/// When the listener has no address.
pub async fn start(listener: TcpListener, tasks: &Tasks) -> std::io::Result<Recorded> {
    start_with(listener, Config::default(), tasks).await
}

/// Starts the source with settings.
///
/// # Errors
/// As [`start`].
#[expect(clippy::unused_async, reason = "started like every other part")]
pub async fn start_with(
    listener: TcpListener,
    config: Config,
    tasks: &Tasks,
) -> std::io::Result<Recorded> {
    let recorded = Recorded {
        addr: listener.local_addr()?,
        shared: Arc::new(Shared {
            answers: Answers::load(),
            config,
            fault: Mutex::default(),
            seen: Mutex::default(),
        }),
    };
    let (shared, group, token) = (Arc::clone(&recorded.shared), tasks.clone(), tasks.token());
    tasks.spawn("recorded source", async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = accept(&listener, &shared, &group) => {}
        }
    });
    Ok(recorded)
}

impl Recorded {
    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base address for both institutions.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Breaks, or mends, every answer from now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.shared.fault() = fault;
    }

    /// What was asked so far, at most the first 10,000 requests.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// How many requests had a path that begins so.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        let seen = self.shared.seen();
        seen.iter().filter(|one| one.path.starts_with(path)).count()
    }
}

impl Shared {
    fn fault(&self) -> std::sync::MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, tasks: &Tasks) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if *shared.fault() == Fault::Refuse {
            continue;
        }
        let (shared, token) = (Arc::clone(shared), tasks.token());
        tasks.spawn("recorded connection", async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = converse(stream, shared) => {}
            }
        });
    }
}

/// Serves one connection.
async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let served = AtomicUsize::new(0);
    let service = service_fn(|request| {
        let nth = served.fetch_add(1, Ordering::Relaxed) + 1;
        respond(Arc::clone(&shared), request, nth)
    });
    let ended = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = ended {
        // A client that goes away, or a fault that was asked for.
        tracing::debug!(%error, "a recorded connection ended early");
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the fault that was asked for")]
struct Dropped;

async fn respond(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    nth: usize,
) -> Result<Response<Body>, Dropped> {
    let (parts, incoming) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(bytes) = body::collect(incoming, MAX_REQUEST_BYTES).await else {
        return Ok(text(StatusCode::BAD_REQUEST, "text/plain", "bad body"));
    };
    if shared.config.control && path.starts_with("/-/") {
        return Ok(control(&shared, &parts.method, path, &bytes));
    }
    let fault = *shared.fault();
    let reply = shared.answers.reply(&parts.method, path, &bytes);
    {
        let mut seen = shared.seen();
        if seen.len() < MAX_LOG {
            seen.push(Seen {
                at: Instant::now(),
                path: path.to_owned(),
                codes: reply.codes,
                nth,
            });
        }
    }
    match fault {
        Fault::None | Fault::Refuse => Ok(reply.into_response()),
        Fault::Slow(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(reply.into_response())
        }
        Fault::Html => Ok(text(StatusCode::OK, "text/html", WEB_PAGE)),
        Fault::TooManyRequests => {
            let status = StatusCode::TOO_MANY_REQUESTS;
            Ok(text(status, "text/plain", "too many requests"))
        }
        Fault::ServerError => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Ok(text(status, "text/html", WEB_PAGE))
        }
        Fault::CutBody => {
            let cut = Body::new(cut::CutBody::new(&reply.body));
            Ok(reply.into_response().map(|_whole| cut))
        }
        Fault::DropKept if nth > 1 => Err(Dropped),
        Fault::DropKept => Ok(reply.into_response()),
    }
}

fn text(status: StatusCode, media_type: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    let value = http::HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

/// `PUT /-/fault` with a fault as JSON; `GET /-/requests` answers how many came, by path.
fn control(shared: &Shared, method: &Method, path: &str, bytes: &[u8]) -> Response<Body> {
    match (method, path) {
        (&Method::PUT, FAULT_PATH) => match serde_json::from_slice(bytes) {
            Ok(fault) => {
                *shared.fault() = fault;
                text(StatusCode::OK, "text/plain", "set")
            }
            Err(_unreadable) => text(StatusCode::BAD_REQUEST, "text/plain", "no such fault"),
        },
        (&Method::GET, REQUESTS_PATH) => {
            let seen = shared.seen();
            let paths: Vec<&str> = seen.iter().map(|one| one.path.as_str()).collect();
            let counted = serde_json::json!({"requests": paths.len(), "paths": paths});
            let mut response = Response::new(body::full(counted.to_string()));
            let value = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, value);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "text/plain", "no such control"),
    }
}
