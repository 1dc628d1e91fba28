//! What the engine promises of tokens: had once, masked, and told when they cannot be had.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use serde_json::{Value, json};
use taraf_base::{Secret, Tasks};
use taraf_engine::{Config, Engine, JournalPage, Run, Status};
use taraf_flow::ErrorKind;
use tokio::net::TcpListener;
use tokio::sync::{Barrier, watch};

use crate::bench::flow;
use crate::control::start;
use crate::wire::{engine, holds, open};

const LIMIT: Duration = Duration::from_secs(20);
const SECRET: &str = "moldovan-plum-brandy-1989";
const TOKEN: &str = "token-of-the-provider";

/// A provider and a service in one.
struct Provider {
    /// Tokens given so far.
    given: AtomicUsize,
    /// Calls that the service answered at the same time.
    together: Barrier,
    /// What the token endpoint was asked.
    asked: watch::Sender<Vec<(String, String)>>,
}

async fn token(
    State(provider): State<Arc<Provider>>,
    UrlPath(kind): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let type_ = headers["content-type"].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    provider
        .asked
        .send_modify(|asked| asked.push((type_, body.clone())));
    let n = provider.given.fetch_add(1, Ordering::SeqCst) + 1;
    let granted =
        json!({"access_token": format!("{TOKEN}-{n}"), "token_type": "bearer", "expires_in": 3600});
    match &*kind {
        "good" => axum::Json(granted).into_response(),
        "echo" => {
            let said = json!({"error": "invalid_client", "error_description": body});
            (StatusCode::BAD_REQUEST, axum::Json(said)).into_response()
        }
        "busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "moved" => (StatusCode::FOUND, [("location", "/token/good")]).into_response(),
        "html" => "<html>".into_response(),
        "large" => vec![b' '; 1 << 20].into_response(),
        "mac" => axum::Json(json!({"access_token": TOKEN, "token_type": "mac"})).into_response(),
        _ => std::future::pending().await,
    }
}

/// Answers when as many ask as wait together; `/first` refuses the first token.
async fn service(State(provider): State<Arc<Provider>>, uri: Uri, headers: HeaderMap) -> Response {
    let shown = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let shown = shown.unwrap_or_default().to_owned();
    let is_first = shown == format!("Bearer {TOKEN}-1");
    match uri.path() {
        "/api/never" => (StatusCode::UNAUTHORIZED, shown).into_response(),
        "/api/first" if is_first => {
            provider.together.wait().await;
            StatusCode::UNAUTHORIZED.into_response()
        }
        "/api/together" => {
            provider.together.wait().await;
            axum::Json(json!({"ok": true})).into_response()
        }
        _ => axum::Json(json!({"ok": true})).into_response(),
    }
}

struct World {
    provider: Arc<Provider>,
    base: String,
    engine: Engine,
    tasks: Tasks,
    server: Tasks,
}

impl World {
    async fn start(together: usize, config: Config) -> Self {
        let log = Arc::new(taraf_log::MemoryLog::new());
        let tasks = Tasks::new();
        let engine = engine(log, config, &tasks).await;
        Self::around(engine, tasks, together).await
    }

    async fn around(engine: Engine, tasks: Tasks, together: usize) -> Self {
        let provider = Arc::new(Provider {
            given: AtomicUsize::new(0),
            together: Barrier::new(together),
            asked: watch::Sender::new(Vec::new()),
        });
        let router = Router::new()
            .route("/token/{kind}", post(token))
            .route("/api/{path}", any(service))
            .with_state(Arc::clone(&provider));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = Tasks::new();
        let stopped = server.token().cancelled_owned();
        server.spawn("provider", async move {
            tokio::select! {
                served = async { axum::serve(listener, router).await } => served.unwrap(),
                // Without grace: some requests hang on purpose.
                () = stopped => {}
            }
        });
        Self {
            provider,
            base,
            engine,
            tasks,
            server,
        }
    }

    fn call(&self, kind: &str, path: &str, more: &Value) -> String {
        let mut oauth2 = json!({
            "authority": self.base, "grant": "client_credentials",
            "client": {"id": "c", "secret": "${ $secrets.secret }"},
            "endpoints": {"token": format!("/token/{kind}")},
        });
        for (name, value) in more.as_object().unwrap() {
            oauth2[name] = value.clone();
        }
        let endpoint = json!({"uri": format!("{}/api/{path}", self.base), "authentication": {"oauth2": oauth2}});
        json!({"call": "http", "with": {
            "method": "get", "endpoint": endpoint,
            "headers": {"x-scheme": "${ $authorization.scheme }"}, "output": "response",
        }})
        .to_string()
    }

    async fn publish(&self, name: &str, tasks: &str) {
        let source = flow(tasks).replace("name: flow", &format!("name: {name}"));
        self.engine
            .publish(&(source + "use: {secrets: [secret]}\n"))
            .await
            .unwrap();
    }

    async fn run(&self, name: &str) -> Run {
        run(&self.engine, name).await
    }

    async fn stop(self) {
        assert!(self.tasks.drain(LIMIT).await.is_empty());
        self.server.drain(LIMIT).await;
    }
}

async fn run(engine: &Engine, name: &str) -> Run {
    let mut begin = start(json!({}));
    name.clone_into(&mut begin.flow.name);
    let id = engine.start_run(begin).await.unwrap().id;
    engine.wait(id, LIMIT).await.unwrap()
}

fn config() -> Config {
    Config {
        partitions: 1,
        secrets: [("secret".to_owned(), Secret::new(SECRET.to_owned()))].into(),
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_parallel_calls_have_one_token_and_after_a_refusal_one_more() {
    let world = World::start(100, config()).await;
    for (path, tokens) in [("together", 1), ("first", 2)] {
        let call = world.call("good", path, &json!({}));
        world.publish(path, &format!("- c: {call}")).await;
        let mut runs = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let engine = world.engine.clone();
            runs.spawn(async move { run(&engine, path).await });
        }
        for run in runs.join_all().await {
            assert_eq!(run.status, Status::Completed, "{:?}", run.error);
        }
        assert_eq!(
            world.provider.given.load(Ordering::SeqCst),
            tokens,
            "{path}"
        );
    }
    world.stop().await;
}

/// The authority's kind, what its policy says beside, and the error that the call ends with.
type Trouble = (&'static str, Value, &'static str, u16, &'static str);

fn troubles(free: &str) -> [Trouble; 10] {
    let none = json!({});
    [
        (
            "echo",
            none.clone(),
            "authentication",
            401,
            "invalid_client: ",
        ),
        ("busy", none.clone(), "authentication", 503, "answers 503"),
        ("moved", none.clone(), "authentication", 502, "answers 302"),
        ("html", none.clone(), "authentication", 502, "not JSON"),
        ("large", none.clone(), "authentication", 502, "262144"),
        ("mac", none, "authentication", 502, "not Bearer"),
        (
            "good",
            json!({ "authority": free }),
            "authentication",
            503,
            "connect",
        ),
        (
            "good",
            json!({"authority": "ftp://a/b"}),
            "configuration",
            400,
            "neither http nor https",
        ),
        (
            "good",
            json!({"client": {"id": "c", "secret": "x", "authentication": "private_key_jwt"}}),
            "configuration",
            400,
            "private key in PEM",
        ),
        (
            "good",
            json!({"grant": "authorization_code"}),
            "configuration",
            400,
            "browser",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_token_away_is_an_authentication_error_that_a_flow_catches() {
    let world = World::start(1, config()).await;
    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let free = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let troubles = troubles(&free).into_iter().enumerate();
    for (n, (kind, more, error, status, told)) in troubles {
        let name = format!("flow-{n}");
        let call = world.call(kind, "x", &more);
        let filter = format!(
            "{{with: {{type: 'https://serverlessworkflow.io/spec/1.0.0/errors/{error}', status: {status}}}}}"
        );
        let tasks = format!(
            "- t: {{try: [{{c: {call}}}], catch: {{errors: {filter}, as: e, do: [{{h: {{set: {{e: '${{ $e }}'}}}}}}]}}}}"
        );
        world.publish(&name, &tasks).await;
        let run = world.run(&name).await;
        assert_eq!(
            run.status,
            Status::Completed,
            "{kind} {more}: {:?}",
            run.error
        );
        let output = run.output.unwrap().to_json();
        let detail = output["e"]["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{kind} {more}: {detail}");
        assert!(!detail.contains(SECRET), "{detail}");
    }
    assert!(
        run(&world.engine, "flow-0")
            .await
            .output
            .unwrap()
            .to_string()
            .contains("***")
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_authority_takes_no_longer_than_the_call_may() {
    let short = Config {
        call_deadline: Duration::from_millis(200),
        ..config()
    };
    let world = World::start(1, short).await;
    let call = world.call("slow", "x", &json!({}));
    world.publish("slow", &format!("- c: {call}")).await;
    let error = world.run("slow").await.error.unwrap();
    assert!(
        error.is(ErrorKind::Authentication) && error.status == 504,
        "{error:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_every_token_is_asked_twice_and_its_answer_is_the_error() {
    let world = World::start(1, config()).await;
    let call = world.call("good", "never", &json!({}));
    world.publish("never", &format!("- c: {call}")).await;
    let error = world.run("never").await.error.unwrap();
    assert!(
        error.is(ErrorKind::Communication) && error.status == 401,
        "{error:?}"
    );
    // What the service repeats of the token is masked.
    assert_eq!(error.detail.as_deref(), Some("Bearer ***"));
    assert_eq!(world.provider.given.load(Ordering::SeqCst), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_tokens_are_written_as_the_policy_says() {
    let world = World::start(1, config()).await;
    let more = json!({
        "grant": "password", "username": "ana", "password": "p&=", "scopes": ["a", "b"], "audiences": ["x", "y"],
    });
    let mut as_json = more.clone();
    as_json["request"] = json!({"encoding": "application/json"});
    for (name, more) in [("form", &more), ("json", &as_json)] {
        world
            .publish(name, &format!("- c: {}", world.call("good", "x", more)))
            .await;
        assert_eq!(world.run(name).await.status, Status::Completed);
    }
    let asked = world.provider.asked.borrow().clone();
    let form = "grant_type=password&username=ana&password=p%26%3D&scope=a+b&audience=x&audience=y&client_id=c";
    assert_eq!(asked[0].0, "application/x-www-form-urlencoded");
    assert_eq!(asked[0].1, format!("{form}&client_secret={SECRET}"));
    assert_eq!(asked[1].0, "application/json");
    let sent: Value = serde_json::from_str(&asked[1].1).unwrap();
    let expected = json!({
        "grant_type": "password", "username": "ana", "password": "p&=", "scope": "a b",
        "audience": ["x", "y"], "client_id": "c", "client_secret": SECRET,
    });
    assert_eq!(sent, expected);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_tokens_nor_what_gets_them_reach_the_log_the_journal_or_events() {
    let dir = tempfile::tempdir().unwrap();
    let (log_tasks, tasks) = (Tasks::new(), Tasks::new());
    let log = open(dir.path(), &log_tasks);
    let engine = engine(Arc::clone(&log), config(), &tasks).await;
    let world = World::around(engine, tasks, 1).await;
    let mut told = world.engine.subscribe();
    let shown = world.call("good", "x", &json!({}));
    let refused = world.call("echo", "x", &json!({}));
    let never = world.call("good", "never", &json!({}));
    let tasks = format!(
        "- kept-as-it-is: {shown}\n- t: {{try: [{{c: {refused}}}], catch: {{}}}}\n- n: {never}"
    );
    world.publish("flow", &tasks).await;
    let id = world.engine.start_run(start(json!({}))).await.unwrap().id;
    let run = world.engine.wait(id, LIMIT).await.unwrap();
    assert_eq!(run.error.as_ref().unwrap().status, 401, "{run:?}");
    let journal = format!(
        "{run:?} {:?}",
        world.engine.journal(id, 0, JournalPage::MAX).await.unwrap()
    );
    assert!(
        journal.contains("***") && journal.contains("Bearer"),
        "{journal}"
    );
    let mut events = String::new();
    while !events.contains("workflow.faulted") {
        events.extend([format!("{:?}", told.recv().await.unwrap())]);
    }
    for hidden in [SECRET, TOKEN] {
        assert!(
            !journal.contains(hidden) && !events.contains(hidden),
            "{hidden}"
        );
    }
    world.stop().await;
    drop(log);
    assert!(log_tasks.drain(LIMIT).await.is_empty());
    let has = |text: &str, dir: &Path| holds(dir, text.as_bytes());
    assert!(has("kept-as-it-is", dir.path()), "the log is read right");
    assert!(!has(SECRET, dir.path()) && !has(TOKEN, dir.path()));
}
