//! Bytes on a connection to the gateway. What a strict reader sees as whole requests is answered one
//! by one; nothing hangs; and the upstream never sees a request that the strict reader does not.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use libfuzzer_sys::{Corpus, fuzz_target};
use taraf_base::{Secret, Tasks};
use taraf_gateway::quota::Plan;
use taraf_gateway::{
    Accounts, AccountsConfig, Config, FlowCall, FlowFuture, Flows, Gateway, Parts, Route, Routes,
    Target,
};
use taraf_log::MemoryLog;
use taraf_service::{Client, Directory, Endpoint, ServiceName, client, problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

#[path = "../support/http.rs"]
mod strict;

use strict::{Outcome, Rest};

/// Longer than any answer takes; what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a strange request is given to be answered.
const PAUSE: Duration = Duration::from_millis(30);
/// Stands for the key, which no input can guess.
const KEY: &[u8] = b"{key}";
/// Says that an answer is the upstream's.
const UPSTREAM_MARK: &str = "x-upstream";

struct Stack {
    runtime: Runtime,
    address: std::net::SocketAddr,
    key: String,
    seen: Arc<AtomicUsize>,
    _tasks: [Tasks; 2],
    _follow: (
        watch::Sender<Arc<Directory>>,
        watch::Sender<Arc<Routes>>,
        watch::Sender<Arc<Bytes>>,
    ),
}

struct NoFlows;

impl Flows for NoFlows {
    fn start(&self, _call: FlowCall) -> FlowFuture<'_> {
        Box::pin(async { Err(problem::NOT_FOUND.new()) })
    }

    fn run<'a>(&'a self, _id: &'a str, _account: &'a str) -> FlowFuture<'a> {
        Box::pin(async { Err(problem::RUN_NOT_FOUND.new()) })
    }
}

thread_local! {
    static STACK: RefCell<Option<Stack>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    STACK.with_borrow_mut(|stack| {
        let stack = stack.get_or_insert_with(Stack::start);
        stack.run(bytes)
    })
});

impl Stack {
    fn start() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let started = runtime.block_on(async move {
            let (tasks, back) = (Tasks::new(), Tasks::new());
            let upstream = upstream(&back, counted).await;
            let plan = Plan {
                rate_per_second: 1_000_000_000,
                burst: 1_000_000_000,
                quota_per_month: None,
            };
            let settings = AccountsConfig {
                plans: [("wide".to_owned(), plan)].into(),
                ..AccountsConfig::default()
            };
            let accounts = Accounts::start(Arc::new(MemoryLog::new()), settings, &back).await;
            let accounts = accounts.expect("accounts start");
            let key = accounts
                .create_key("fuzz", Some("wide"), "")
                .await
                .expect("a key");
            let key: &Secret = &key.secret;
            let endpoint = Endpoint::new(upstream);
            let name = ServiceName::new("up").expect("a name");
            let (directory, follow) =
                watch::channel(Arc::new(Directory::new().with(name, vec![endpoint])));
            let client = Client::new(follow, client::Config::default(), &back);
            let routes = [Method::GET, Method::POST, Method::PUT].map(|method| {
                let service = "up".to_owned();
                Route::new(
                    method,
                    "/up/{rest}",
                    Target::Service {
                        service,
                        path: None,
                    },
                )
            });
            let routes = Routes::build(routes.into()).expect("sound routes");
            let (routes, table) = watch::channel(Arc::new(routes));
            let (openapi, document) = watch::channel(Arc::new(Bytes::from_static(b"{}")));
            let config = Config {
                listen: "127.0.0.1:0".parse().expect("an address"),
                ..Config::default()
            };
            let parts = Parts {
                accounts,
                routes: table,
                flows: Arc::new(NoFlows),
                client,
                openapi: document,
            };
            let handle = Gateway::start(config, parts, &tasks)
                .await
                .expect("a gateway");
            (
                handle.addr(),
                key.expose().to_owned(),
                [tasks, back],
                (directory, routes, openapi),
            )
        });
        let (address, key, tasks, follow) = started;
        Self {
            runtime,
            address,
            key,
            seen,
            _tasks: tasks,
            _follow: follow,
        }
    }

    fn run(&self, bytes: &[u8]) -> Corpus {
        let sent = with_key(bytes, &self.key);
        let expected = strict::requests(&sent);
        let before = self.seen.load(Ordering::SeqCst);
        let answered = self.runtime.block_on(self.converse(&sent, &expected));
        let seen = self.seen.load(Ordering::SeqCst) - before;
        if expected.rest == Rest::Open {
            let answers = strict::responses(&answered, &expected.messages);
            let forwarded = answers
                .iter()
                .filter(|answer| answer.has(UPSTREAM_MARK))
                .count();
            assert!(
                forwarded <= seen,
                "{forwarded} answers of the upstream, which saw {seen} requests"
            );
            let whole = expected.messages.len();
            assert!(
                seen <= whole,
                "the upstream saw {seen} requests of {whole}: smuggled"
            );
            assert!(
                answers.len() <= whole + 1,
                "{} answers for {whole} requests",
                answers.len()
            );
        }
        if answered.is_empty() {
            Corpus::Reject
        } else {
            Corpus::Keep
        }
    }

    /// Sends it all, reads until each whole request is answered or the gateway closes, then closes.
    async fn converse(&self, sent: &[u8], expected: &Outcome) -> Vec<u8> {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("the gateway listens");
        let (mut reader, mut writer) = stream.into_split();
        let mut answered = Vec::new();
        let write = async {
            // A gateway that has heard enough closes, which a writer sees as an error.
            drop(writer.write_all(sent).await);
            writer
        };
        let read = async {
            let (mut part, whole) = ([0; 16 << 10], expected.messages.len());
            loop {
                // How many answers something strange has is not known: some time must do.
                let (limit, answers) = match expected.rest {
                    Rest::Strange => (PAUSE, 0),
                    Rest::Open => (
                        LIMIT,
                        strict::responses(&answered, &expected.messages).len(),
                    ),
                };
                if expected.rest == Rest::Open && answers >= whole {
                    return;
                }
                match timeout(limit, reader.read(&mut part)).await {
                    Ok(Ok(0) | Err(_)) => return,
                    Ok(Ok(count)) => answered.extend_from_slice(&part[..count]),
                    Err(_) if expected.rest == Rest::Strange => return,
                    Err(_) => panic!("no answer to request {answers} of {whole} whole ones"),
                }
            }
        };
        let (mut writer, ()) = tokio::join!(write, read);
        // What is left is cut off: the gateway must let go of it.
        drop(writer.shutdown().await);
        let closing = timeout(LIMIT, reader.read_to_end(&mut answered)).await;
        assert!(
            closing.is_ok(),
            "the gateway keeps a connection that was shut down"
        );
        answered
    }
}

fn with_key(bytes: &[u8], key: &str) -> Vec<u8> {
    let mut sent = Vec::with_capacity(bytes.len() + key.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(KEY.len()).position(|part| part == KEY) {
        sent.extend_from_slice(&rest[..at]);
        sent.extend_from_slice(key.as_bytes());
        rest = &rest[at + KEY.len()..];
    }
    sent.extend_from_slice(rest);
    sent
}

/// A server that reads as strictly as can be: what it cannot read, the gateway must not send.
async fn upstream(tasks: &Tasks, seen: Arc<AtomicUsize>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let group = tasks.clone();
    tasks.spawn("upstream", async move {
        while let Ok((stream, _)) = listener.accept().await {
            group.spawn("upstream connection", serve(stream, Arc::clone(&seen)));
        }
    });
    address
}

/// What the gateway sends says who calls, once and by nobody but the gateway, and keeps the key to itself.
fn judge(message: &strict::Message) {
    let is_right = message.target.starts_with("/up/")
        && ["x-taraf-account", "x-taraf-plan", "x-request-id", "host"]
            .iter()
            .all(|name| message.count(name) == 1)
        && !message.has("x-api-key")
        && !message.has("authorization");
    if !is_right {
        eprintln!("the gateway sent what it must not: {message:?}");
        std::process::abort();
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<AtomicUsize>) {
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        let outcome = strict::requests(&bytes);
        if outcome.rest == Rest::Strange {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // Not a panic: that would end this task alone.
            eprintln!("the gateway sent what a strict reader refuses: {text:?}");
            std::process::abort();
        }
        for message in &outcome.messages {
            judge(message);
            seen.fetch_add(1, Ordering::SeqCst);
            let body = if message.method == "HEAD" { "" } else { "ok" };
            let answer =
                format!("HTTP/1.1 200 OK\r\n{UPSTREAM_MARK}: 1\r\ncontent-length: 2\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        bytes.drain(..outcome.used);
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
        }
    }
}
