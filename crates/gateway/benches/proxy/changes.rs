//! What it costs that routes and pools change all the time: one gateway in a process of its own, asked
//! in turn to stand still and to change a hundred times a second.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use taraf_base::Tasks;
use taraf_gateway::quota::Plan;
use taraf_gateway::{
    Accounts, AccountsConfig, Config, FlowCall, FlowFuture, Flows, Gateway, Parts, Route, Routes,
    Target,
};
use taraf_log::MemoryLog;
use taraf_service::{Client, Directory, Endpoint, ServiceName, client, problem};
use tokio::sync::watch;

use crate::load::{Load, Measured};
use crate::process::Process;
use crate::{CONNECTIONS, WARM, median, request};

/// The argument by which this program is that gateway.
pub(crate) const ROLE: &str = "gateway-that-changes";
const INTERVAL: Duration = Duration::from_millis(10);
const ROUTES: usize = 100;
const AIM_PERCENT: f64 = 5.0;

struct NoFlows;

impl Flows for NoFlows {
    fn start(&self, _call: FlowCall) -> FlowFuture<'_> {
        Box::pin(async { Err(problem::NOT_FOUND.new()) })
    }

    fn run<'a>(&'a self, _id: &'a str, _account: &'a str) -> FlowFuture<'a> {
        Box::pin(async { Err(problem::RUN_NOT_FOUND.new()) })
    }
}

/// Measures, and says in a line of Markdown what it came to.
pub(crate) fn measure(service: SocketAddr, rounds: u32, time: Duration) -> String {
    let own = std::env::current_exe().expect("a program has a path");
    let mut command = Command::new(own);
    command.arg(ROLE).arg(service.to_string());
    command.stdout(Stdio::piped()).stdin(Stdio::piped());
    let mut process = Process(command.spawn().expect("this program starts once more"));
    let mut orders = process.0.stdin.take().expect("it is piped");
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().expect("it is piped"))
        .read_line(&mut line)
        .expect("it says where it listens");
    let (address, key) = line.trim().split_once(' ').expect("an address and a key");
    let load = Load {
        to: address.parse().expect("an address"),
        requests: Arc::new(vec![request(key)]),
        connections: CONNECTIONS,
        rate: None,
    };
    let (mut costs, mut failed) = (Vec::new(), 0);
    for _ in 0..rounds {
        let (still, _) = round(&load, &process, &mut orders, "still", time);
        let (changing, measured) = round(&load, &process, &mut orders, "change", time);
        costs.push((changing / still - 1.0) * 100.0);
        failed += measured.failed;
    }
    let cost = median(&costs);
    let word = if cost < AIM_PERCENT && failed == 0 {
        "reached"
    } else {
        "missed"
    };
    format!(
        "- routes and pools changed 100 times a second: {cost:+.1} % processor time a call, {failed} \
         calls failed (aim under {AIM_PERCENT:.0} % and none, {word})\n"
    )
}

/// Processor time a call in microseconds.
fn round(
    load: &Load,
    process: &Process,
    orders: &mut ChildStdin,
    order: &str,
    time: Duration,
) -> (f64, Measured) {
    writeln!(orders, "{order}").expect("it listens to its orders");
    let (mut before, mut after) = (Duration::ZERO, Duration::ZERO);
    let measured = load.measure(
        WARM,
        time,
        || before = process.processor_time(),
        || after = process.processor_time(),
    );
    let used = after.saturating_sub(before).as_secs_f64() * 1e6;
    (used / measured.calls as f64, measured)
}

/// The gateway of that process.
pub(crate) fn run(service: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(serve(service));
}

async fn serve(service: SocketAddr) {
    let tasks = Tasks::new();
    let plan = Plan {
        rate_per_second: 1_000_000,
        burst: 1_000_000,
        quota_per_month: Some(1_000_000_000),
    };
    let config = AccountsConfig {
        plans: [("free".to_owned(), plan)].into(),
        ..AccountsConfig::default()
    };
    let accounts = Accounts::start(Arc::new(MemoryLog::new()), config, &tasks);
    let accounts = accounts.await.unwrap();
    let key = accounts.create_key("bench", None, "").await.unwrap();
    let (directory, follow) = watch::channel(pool(service, 0));
    let (routes, table) = watch::channel(table(0));
    let (_openapi, openapi) = watch::channel(Arc::new(Bytes::new()));
    let parts = Parts {
        accounts,
        routes: table,
        flows: Arc::new(NoFlows),
        client: Client::new(follow, client::Config::default(), &tasks),
        openapi,
    };
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..Config::default()
    };
    let handle = Gateway::start(config, parts, &tasks).await.unwrap();
    println!("{} {}", handle.addr(), key.secret.expose());
    let is_changing = Arc::new(AtomicBool::new(false));
    let ordered = Arc::clone(&is_changing);
    std::thread::spawn(move || {
        for order in std::io::stdin().lines().map_while(Result::ok) {
            ordered.store(order == "change", Ordering::Relaxed);
        }
        std::process::exit(0);
    });
    let mut tick = tokio::time::interval(INTERVAL);
    for number in 0.. {
        tick.tick().await;
        if is_changing.load(Ordering::Relaxed) {
            directory.send_replace(pool(service, number));
            routes.send_replace(self::table(number));
        }
    }
}

/// The service's one endpoint beside another service that comes and goes.
fn pool(service: SocketAddr, number: u32) -> Arc<Directory> {
    let name = |name: &str| ServiceName::new(name).unwrap();
    let directory = Directory::new().with(name("companies"), vec![Endpoint::new(service)]);
    Arc::new(if number.is_multiple_of(2) {
        directory
    } else {
        directory.with(name("other"), vec![Endpoint::new(service)])
    })
}

fn table(number: u32) -> Arc<Routes> {
    let route = |path: &str| {
        let service = "companies".to_owned();
        Route::new(
            Method::GET,
            path,
            Target::Service {
                service,
                path: None,
            },
        )
    };
    let mut routes = vec![route("/api/companies/{cif}")];
    routes.extend((1..ROUTES).map(|of| route(&format!("/other/{number}/{of}"))));
    Arc::new(Routes::build(routes).unwrap())
}
