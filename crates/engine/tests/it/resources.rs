//! What the engine promises of documents elsewhere: had at publication, pinned, told when they cannot
//! be had.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use taraf_base::{Secret, Tasks};
use taraf_engine::{Beside, Config, Engine, Error, Status};
use taraf_flow::ErrorKind;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control::start;
use crate::wire::{engine, open};

const LIMIT: Duration = Duration::from_secs(20);
const SECRET: &str = "moldovan-plum-brandy-1989";
const SCHEMA: &str = "{\"type\": \"object\", \"required\": [\"id\"]}";

/// A server of documents, which counts what it is asked.
struct Library {
    base: String,
    /// What `/order` is now.
    order: watch::Sender<Option<String>>,
    asked: watch::Sender<usize>,
}

async fn answer(State(library): State<Arc<Library>>, uri: Uri, headers: HeaderMap) -> Response {
    library.asked.send_modify(|asked| *asked += 1);
    assert!(!headers.contains_key("idempotency-key"), "no run asks");
    let of = |type_: &'static str, text: &str| {
        ([("content-type", type_)], text.to_owned()).into_response()
    };
    let order = library.order.borrow().clone();
    match uri.path() {
        "/order" => match order {
            Some(text) => of("application/schema+json; charset=utf-8", &text),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not now: {SECRET}"),
            )
                .into_response(),
        },
        "/yaml" => of(
            "text/plain",
            "# as code hosts serve it\ntype: object\nrequired: [id]\n",
        ),
        "/bare" => SCHEMA.as_bytes().to_vec().into_response(),
        "/moved" => (StatusCode::FOUND, [("location", "/order")]).into_response(),
        "/page" => of("text/html", "<html></html>"),
        "/broken" => of("application/json", "{"),
        "/outside" => of(
            "application/json",
            "{\"$ref\": \"http://127.0.0.1:1/x.json\"}",
        ),
        "/latin" => (
            [("content-type", "application/json")],
            vec![b'"', 0xe9, b'"'],
        )
            .into_response(),
        "/large" => vec![b' '; 2 << 20].into_response(),
        "/mine"
            if headers
                .get("authorization")
                .is_some_and(|shown| shown == &format!("Bearer {SECRET}")) =>
        {
            of("application/yaml", "required: [id]")
        }
        "/mine" => (StatusCode::UNAUTHORIZED, format!("{headers:?}")).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Library {
    async fn start(tasks: &Tasks) -> Arc<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let library = Arc::new(Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            order: watch::Sender::new(Some(SCHEMA.to_owned())),
            asked: watch::Sender::new(0),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&library));
        let stopped = tasks.token().cancelled_owned();
        tasks.spawn("library", async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
                .unwrap();
        });
        library
    }

    /// A definition whose input must satisfy the document there.
    fn flow(&self, path: &str) -> String {
        self.flow_of(&format!("'{}{path}'", self.base))
    }

    fn flow_of(&self, endpoint: &str) -> String {
        format!(
            "document: {{dsl: '1.0.3', namespace: test, name: flow, version: 1.0.0}}\n\
             use: {{secrets: [token]}}\n\
             input: {{schema: {{resource: {{name: order, endpoint: {endpoint}}}}}}}\n\
             do:\n- s: {{set: {{done: true}}}}\n"
        )
    }
}

fn config() -> Config {
    Config {
        partitions: 1,
        secrets: [("token".to_owned(), Secret::new(SECRET.to_owned()))].into(),
        ..Config::default()
    }
}

async fn fresh(tasks: &Tasks) -> Engine {
    engine(Arc::new(taraf_log::MemoryLog::new()), config(), tasks).await
}

/// Runs with and without what the schema asks for.
async fn holds(engine: &Engine) {
    let id = engine.start_run(start(json!({"id": 1}))).await.unwrap().id;
    assert_eq!(
        engine.wait(id, LIMIT).await.unwrap().status,
        Status::Completed
    );
    let id = engine.start_run(start(json!({}))).await.unwrap().id;
    let error = engine.wait(id, LIMIT).await.unwrap().error.unwrap();
    assert!(error.is(ErrorKind::Validation), "{error:?}");
    assert!(error.detail.unwrap().contains("id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_fetched_once_and_stays_what_it_was_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (server, log_tasks, tasks) = (Tasks::new(), Tasks::new(), Tasks::new());
    let library = Library::start(&server).await;
    let log = open(dir.path(), &log_tasks);
    let first = engine(Arc::clone(&log), config(), &tasks).await;
    let source = library.flow("/order");
    let published = first.publish(&source).await.unwrap();
    assert!(published.created);
    holds(&first).await;
    assert_eq!(*library.asked.borrow(), 1);
    let again = first.publish(&source).await.unwrap();
    assert_eq!((again.created, &again.hash), (false, &published.hash));

    library
        .order
        .send_replace(Some("{\"required\": [\"other\"]}".to_owned()));
    let changed = first.publish(&source).await.unwrap_err();
    let Error::Changed { places, .. } = &changed else {
        panic!("{changed}");
    };
    assert_eq!(places, &["/input/schema/resource"]);
    assert!(
        changed.to_string().contains("give it a new version"),
        "{changed}"
    );
    let other = source.replace("done: true", "done: false");
    assert!(matches!(
        first.publish(&other).await,
        Err(Error::Conflict(_))
    ));

    // A library that is closed does not keep what is there from starting again.
    library.order.send_replace(None);
    let kept = first.publish(&source).await.unwrap();
    assert_eq!((kept.created, &kept.hash), (false, &published.hash));
    let warning = &kept.warnings[0];
    assert_eq!((warning.code, warning.line), ("T0417", 3));
    assert!(warning.message.contains("503"), "{}", warning.message);
    assert!(tasks.drain(LIMIT).await.is_empty());
    drop((first, log));
    assert!(log_tasks.drain(LIMIT).await.is_empty());

    let (log_tasks, tasks) = (Tasks::new(), Tasks::new());
    let log = open(dir.path(), &log_tasks);
    let second = engine(Arc::clone(&log), config(), &tasks).await;
    let asked = *library.asked.borrow();
    holds(&second).await;
    assert_eq!(*library.asked.borrow(), asked, "no run looks at it again");
    let next = source.replace("version: 1.0.0", "version: 1.0.1");
    let refused = second.publish(&next).await.unwrap_err();
    assert!(!refused.to_string().contains(SECRET), "{refused}");
    assert!(tasks.drain(LIMIT).await.is_empty());
    drop((second, log));
    assert!(log_tasks.drain(LIMIT).await.is_empty());
    server.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_and_yaml_are_taken_by_any_name_with_redirects_and_credentials() {
    let server = Tasks::new();
    let library = Library::start(&server).await;
    let mine = format!(
        "{{uri: '{}/mine', authentication: {{bearer: {{token: '${{ $secrets.token }}'}}}}}}",
        library.base
    );
    let constant = format!("'${{ \"{}\" + \"/order\" }}'", library.base);
    for source in [
        library.flow("/yaml"),
        library.flow("/bare"),
        library.flow("/moved"),
        library.flow_of(&mine),
        library.flow_of(&constant),
    ] {
        let tasks = Tasks::new();
        let engine = fresh(&tasks).await;
        engine.publish(&source).await.unwrap();
        holds(&engine).await;
        assert!(tasks.drain(LIMIT).await.is_empty());
    }
    server.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cannot_be_had_or_used_is_told_at_its_place() {
    let (server, tasks) = (Tasks::new(), Tasks::new());
    let library = Library::start(&server).await;
    let engine = fresh(&tasks).await;
    let of = |path: &str| format!("'{}{path}'", library.base);
    let wrong = format!(
        "{{uri: '{}/mine', authentication: {{basic: {{username: u, password: '${{ $secrets.token }}'}}}}}}",
        library.base
    );
    for (endpoint, told) in [
        (of("/nowhere"), "(status 404)"),
        (of("/page"), "`text/html`, which is neither JSON nor YAML"),
        (of("/broken"), "line 1"),
        (of("/outside"), "lies elsewhere"),
        (of("/latin"), "not UTF-8"),
        (of("/large"), "1048576"),
        ("'http://127.0.0.1:1/x'".to_owned(), "(status 503)"),
        ("'ftp://a.example/x'".to_owned(), "neither http nor https"),
        ("'${ .id }'".to_owned(), "its address"),
        (
            "schemas/order.json".to_owned(),
            "a file beside the document",
        ),
        ("file:///etc/passwd".to_owned(), "a server opens none"),
        (wrong, "(status 401)"),
    ] {
        let refused = engine
            .publish(&library.flow_of(&endpoint))
            .await
            .unwrap_err();
        let Error::Invalid(findings) = &refused else {
            panic!("{refused}");
        };
        let finding = &findings[0];
        assert_eq!((finding.code, finding.line), ("T0417", 3), "{endpoint}");
        assert!(
            finding.message.contains(told),
            "{endpoint}: {}",
            finding.message
        );
        assert!(!refused.to_string().contains(SECRET) && !refused.to_string().contains("root:"));
    }
    assert!(tasks.drain(LIMIT).await.is_empty());
    server.drain(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_beside_is_brought_along_and_pinned_as_any_other() {
    let (server, tasks) = (Tasks::new(), Tasks::new());
    let library = Library::start(&server).await;
    let engine = fresh(&tasks).await;
    let source = library.flow_of("schemas/order.json");
    let beside = |text: &str| Beside::from([("schemas/order.json".to_owned(), text.to_owned())]);
    assert!(
        engine
            .publish_with(&source, &beside(SCHEMA))
            .await
            .unwrap()
            .created
    );
    holds(&engine).await;
    assert!(
        !engine
            .publish_with(&source, &beside(SCHEMA))
            .await
            .unwrap()
            .created
    );
    let changed = engine.publish_with(&source, &beside("true")).await;
    assert!(matches!(changed, Err(Error::Changed { .. })), "{changed:?}");
    let unused = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let absolute = library.flow_of(&format!("file://{}", unused.display()));
    assert!(
        engine
            .publish_with(&absolute, &beside(SCHEMA))
            .await
            .is_err()
    );
    assert!(tasks.drain(LIMIT).await.is_empty());
    server.drain(LIMIT).await;
}
