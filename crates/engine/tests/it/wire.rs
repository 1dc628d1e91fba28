//! What the engine promises of calls, against a server on loopback and a log in files.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use taraf_base::{Secret, Tasks};
use taraf_engine::{Config, Engine, JournalPage, Start, Status};
use taraf_log::{FileLog, Log, file};
use taraf_service::{Client, Directory, client};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::bench::flow;
use crate::control::start;

const LIMIT: Duration = Duration::from_secs(10);
const SECRET: &str = "moldovan-plum-brandy-1989";

/// A server that notes each request's line and headers.
struct Server {
    addr: SocketAddr,
    seen: watch::Receiver<Vec<String>>,
}

impl Server {
    async fn start(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, seen) = watch::channel(Vec::new());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::new(Mutex::new(sender)));
        let stopped = tasks.token().cancelled_owned();
        tasks.spawn("wire-server", async move {
            tokio::select! {
                served = async { axum::serve(listener, router).await } => served.unwrap(),
                // Without grace: some requests hang on purpose.
                () = stopped => {}
            }
        });
        Self { addr, seen }
    }
}

type Noted = Arc<Mutex<watch::Sender<Vec<String>>>>;

/// `/hang` never answers, `/echo` refuses with what it was sent, everything else is fine.
async fn answer(State(noted): State<Noted>, request: Request) -> Response {
    let text = format!("{} {:?}", request.uri(), request.headers());
    noted
        .lock()
        .unwrap()
        .send_modify(|seen| seen.push(text.clone()));
    match request.uri().path() {
        "/hang" => std::future::pending().await,
        "/echo" => (StatusCode::BAD_REQUEST, text).into_response(),
        "/large" => axum::Json(json!({"text": "x".repeat(200_000)})).into_response(),
        _ => axum::Json(json!({"ok": true})).into_response(),
    }
}

pub(crate) async fn engine<L: Log>(log: Arc<L>, config: Config, tasks: &Tasks) -> Engine {
    let (_, directory) = watch::channel(Arc::new(Directory::default()));
    let client = Client::new(directory, client::Config::default(), tasks);
    Engine::start(log, config, client, tasks).await.unwrap()
}

pub(crate) fn open(dir: &Path, tasks: &Tasks) -> Arc<FileLog> {
    let config = file::Config {
        segment_bytes: 1 << 20,
        ballast_bytes: 0,
        ..file::Config::default()
    };
    Arc::new(FileLog::open(dir, config, tasks).unwrap())
}

/// Whether any file under the folder holds these bytes.
pub(crate) fn holds(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let content = std::fs::read(&path).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_wire_and_neither_the_log_nor_the_journal_nor_events() {
    let dir = tempfile::tempdir().unwrap();
    let (server_tasks, log_tasks, tasks) = (Tasks::new(), Tasks::new(), Tasks::new());
    let server = Server::start(&server_tasks).await;
    let log = open(dir.path(), &log_tasks);
    let config = Config {
        partitions: 1,
        secrets: [("token".to_owned(), Secret::new(SECRET.to_owned()))].into(),
        ..Config::default()
    };
    let engine = engine(Arc::clone(&log), config, &tasks).await;
    let mut told = engine.subscribe();
    let at = server.addr;
    let definition = flow(&format!(
        r"
- shown:
    call: http
    with:
      method: get
      endpoint: {{uri: 'http://{at}/shown', authentication: {{bearer: {{token: '${{ $secrets.token }}'}}}}}}
      headers: {{x-own: '${{ $secrets.token }}'}}
      query: {{key: '${{ $secrets.token }}'}}
      output: response
- echoed:
    try: [{{e: {{call: http, with: {{method: get, endpoint: 'http://{at}/echo', headers: {{x-own: '${{ $secrets.token }}'}}}}}}}}]
    catch: {{as: e, do: [{{h: {{set: {{echoed: '${{ $e }}'}}}}}}]}}
- wrong: {{call: http, with: {{method: get, endpoint: 'http://{at}/never', headers: {{x: '${{ $secrets.token.member }}'}}}}}}"
    )) + "use: {secrets: [token]}\n";
    engine.publish(&definition).await.unwrap();
    let id = engine
        .start_run(start(json!({"mark": "kept-as-it-is"})))
        .await
        .unwrap()
        .id;
    let run = engine.wait(id, LIMIT).await.unwrap();
    assert_eq!(run.status, Status::Faulted, "{run:?}");
    assert!(run.error.as_ref().unwrap().type_.ends_with("/expression"));
    let seen = server.seen.borrow().clone();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].matches(SECRET).count(), 3, "{}", seen[0]);
    let journal = format!(
        "{run:?} {:?}",
        engine.journal(id, 0, JournalPage::MAX).await.unwrap()
    );
    assert!(journal.contains("kept-as-it-is") && journal.contains("***"));
    assert!(!journal.contains(SECRET), "{journal}");
    let mut events = String::new();
    while !events.contains("workflow.faulted") {
        events.extend([format!("{:?}", told.recv().await.unwrap())]);
    }
    assert!(!events.contains(SECRET));
    drop(engine);
    assert!(tasks.drain(LIMIT).await.is_empty());
    drop(log);
    assert!(log_tasks.drain(LIMIT).await.is_empty());
    assert!(holds(dir.path(), b"kept-as-it-is"), "the log is read right");
    assert!(!holds(dir.path(), SECRET.as_bytes()));
    server_tasks.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_at_most_once_call_cut_by_a_stop_is_made_once_and_uncertain() {
    let dir = tempfile::tempdir().unwrap();
    let (server_tasks, log_tasks, tasks) = (Tasks::new(), Tasks::new(), Tasks::new());
    let server = Server::start(&server_tasks).await;
    let log = open(dir.path(), &log_tasks);
    let first = engine(Arc::clone(&log), Config::default(), &tasks).await;
    let definition = flow(&format!(
        r"
- t:
    try:
      - pay: {{call: http, with: {{method: put, endpoint: 'http://{}/hang'}}, metadata: {{taraf: {{atMostOnce: true}}}}}}
    catch:
      errors: {{with: {{type: https://serverlessworkflow.io/spec/1.0.0/errors/uncertain}}}}
      do: [{{ask: {{set: {{ask: a person}}}}}}]",
        server.addr
    ));
    first.publish(&definition).await.unwrap();
    let id = first.start_run(start(json!({}))).await.unwrap().id;
    let mut seen = server.seen.clone();
    seen.wait_for(|seen| seen.len() == 1).await.unwrap();
    assert!(tasks.drain(LIMIT).await.is_empty());
    drop((first, log));
    assert!(log_tasks.drain(LIMIT).await.is_empty());

    let (log_tasks, tasks) = (Tasks::new(), Tasks::new());
    let log = open(dir.path(), &log_tasks);
    let second = engine(Arc::clone(&log), Config::default(), &tasks).await;
    let run = second.wait(id, LIMIT).await.unwrap();
    assert_eq!(run.output.unwrap().to_json(), json!({"ask": "a person"}));
    assert_eq!(server.seen.borrow().len(), 1);
    assert!(tasks.drain(LIMIT).await.is_empty());
    drop((second, log));
    assert!(log_tasks.drain(LIMIT).await.is_empty());
    server_tasks.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlives_its_task_is_the_tasks_timeout() {
    let (server_tasks, tasks) = (Tasks::new(), Tasks::new());
    let server = Server::start(&server_tasks).await;
    let log = Arc::new(taraf_log::MemoryLog::new());
    let engine = engine(log, Config::default(), &tasks).await;
    let slow = "timeout: {after: PT0.05S}";
    let call = format!(
        "- c: {{call: http, with: {{method: get, endpoint: 'http://{}/hang'}}, {slow}}}",
        server.addr
    );
    engine.publish(&flow(&call)).await.unwrap();
    for _ in 0..10 {
        let id = engine.start_run(start(json!({}))).await.unwrap().id;
        let error = engine.wait(id, LIMIT).await.unwrap().error.unwrap();
        assert!(error.type_.ends_with("/timeout"), "{error}");
    }
    assert!(tasks.drain(LIMIT).await.is_empty());
    server_tasks.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_and_is_larger_than_a_batch_faults_the_run_and_says_the_limit() {
    let (server_tasks, tasks) = (Tasks::new(), Tasks::new());
    let server = Server::start(&server_tasks).await;
    let log = taraf_log::MemoryLog::new().with_batch_bytes_max(128 << 10);
    let engine = engine(Arc::new(log), Config::default(), &tasks).await;
    let big = "- big: {set: {x: '${ [range(60000)] }'}}";
    let call = |path: &str| {
        let at = server.addr;
        format!("{{call: http, with: {{method: get, endpoint: 'http://{at}/{path}'}}}}")
    };
    let large = call("large");
    for (name, tasks) in [
        ("after a timer", format!("- w: {{wait: PT0.01S}}\n{big}")),
        ("after an answer", format!("- c: {}\n{big}", call("small"))),
        ("a large answer", format!("- c: {large}")),
        (
            "a large handler of a large answer",
            format!(
                "- t: {{try: [{{c: {large}}}], catch: {{do: [{{{}}}]}}}}",
                &big[2..]
            ),
        ),
        (
            "after a turn",
            format!("- l: {{for: {{in: '[range(600)]'}}, do: [{{s: {{set: {{n: 1}}}}}}]}}\n{big}"),
        ),
    ] {
        let name_of_flow = name.replace(' ', "-");
        let source = flow(&tasks).replace("name: flow", &format!("name: {name_of_flow}"));
        engine.publish(&source).await.unwrap();
        let mut begin = start(json!({}));
        begin.flow.name = name_of_flow;
        let id = engine.start_run(begin).await.unwrap().id;
        let run = engine.wait(id, LIMIT).await.unwrap();
        assert_eq!(run.status, Status::Faulted, "{name}: {}", run.why);
        let error = run.error.unwrap();
        assert!(error.type_.ends_with("/runtime"), "{name}: {error}");
        let detail = error.detail.unwrap();
        assert!(
            detail.contains("more than the 131072 bytes"),
            "{name}: {detail}"
        );
    }
    engine.publish(&flow(big)).await.unwrap();
    let refused = engine.start_run(start(json!({}))).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("more than the 131072 bytes"), "{text}");
    assert!(!refused.is_retryable());
    assert!(tasks.drain(LIMIT).await.is_empty());
    server_tasks.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_run_whose_caller_went_away_is_cancelled() {
    let tasks = Tasks::new();
    let log = Arc::new(taraf_log::MemoryLog::new());
    let engine = engine(log, Config::default(), &tasks).await;
    engine.publish(&flow("- w: {wait: PT1H}")).await.unwrap();
    let mut told = engine.subscribe();
    let asked = engine.run_ephemeral(start(json!({})), Duration::from_secs(3_600));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), asked)
            .await
            .is_err()
    );
    while !told
        .recv()
        .await
        .unwrap()
        .type_
        .contains("workflow.cancelled")
    {}
    assert!(tasks.drain(LIMIT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_keeps_its_number_of_partitions_whatever_is_configured() {
    let log = Arc::new(taraf_log::MemoryLog::new());
    let mut first = None;
    for partitions in [3, 1, 7] {
        let tasks = Tasks::new();
        let config = Config {
            partitions,
            ..Config::default()
        };
        let engine = engine(Arc::clone(&log), config, &tasks).await;
        engine.publish(&flow("- s: {set: {x: 1}}")).await.unwrap();
        let mut ids = Vec::new();
        for n in 0..20 {
            let begin = Start {
                idempotency_key: Some(format!("order-{n}")),
                ..start(json!({}))
            };
            ids.push(engine.start_run(begin).await.unwrap().id);
        }
        assert_eq!(&ids, first.get_or_insert_with(|| ids.clone()));
        assert!(tasks.drain(LIMIT).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_run_of_a_partition_that_stops_is_told_so() {
    let tasks = Tasks::new();
    let log = Arc::new(taraf_log::MemoryLog::new());
    let engine = engine(log, Config::default(), &tasks).await;
    engine.publish(&flow("- w: {wait: PT1H}")).await.unwrap();
    let id = engine.start_run(start(json!({}))).await.unwrap().id;
    let (waited, left) = tokio::join!(
        engine.wait(id, Duration::from_secs(3_600)),
        tasks.drain(LIMIT)
    );
    assert!(waited.is_err() && left.is_empty());
}
