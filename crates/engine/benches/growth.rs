//! What many and long runs cost: memory and restart with 100,000 runs that wait, with small and with
//! longer inputs, and one run of a million steps. Each figure is of a process of its own: this
//! program, started again.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::exit,
    reason = "a measurement for people"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;
use serde_json::{Value, json};
use taraf_base::Tasks;
use taraf_engine::{Config, Engine, FlowRef, JournalPage, Start, Status};
use taraf_flow::Data;
use taraf_log::{FileLog, file};
use taraf_service::{Client, Directory, client};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const WAITS: &str = "document: {dsl: '1.0.3', namespace: growth, name: waits, version: 1.0.0}
do:
  - a: {set: '${ . + {seen: true} }'}
  - w: {wait: P30D}
";
const LONG: &str = "document: {dsl: '1.0.3', namespace: growth, name: long, version: 1.0.0}
do:
  - l: {for: {in: '[range(1000)]'}, do: [{m: {for: {in: '[range(1000)]'}, do: [{s: {set: {n: '${ $index }'}}}]}}]}
";
const RUNS: usize = 100_000;
const IN_FLIGHT: usize = 256;
const LIMIT: Duration = Duration::from_secs(540);
/// How long memory may take to settle: a snapshot may be under way, a sweep of journals, a move.
const SETTLE: Duration = Duration::from_secs(20);
/// Names the part of the measurement that a child does.
const PART: &str = "TARAF_GROWTH";

struct World {
    engine: Engine,
    tasks: Tasks,
    _log_tasks: Tasks,
}

impl World {
    async fn open(dir: &Path) -> Self {
        let (tasks, log_tasks) = (Tasks::new(), Tasks::new());
        let log = FileLog::open(&dir.join("log"), file::Config::default(), &log_tasks).unwrap();
        let (_, directory) = watch::channel(Arc::new(Directory::default()));
        let client = Client::new(directory, client::Config::default(), &tasks);
        let config = Config {
            archive_dir: Some(dir.join("archive")),
            runs_dir: Some(dir.join("runs")),
            ..Config::default()
        };
        let engine = Engine::start(Arc::new(log), config, client, &tasks).await;
        Self {
            engine: engine.unwrap(),
            tasks,
            _log_tasks: log_tasks,
        }
    }

    async fn waiting(&self) -> usize {
        let counts = self.engine.count().await.unwrap();
        let waiting = counts.get(&Status::Waiting).copied().unwrap_or(0);
        usize::try_from(waiting).unwrap()
    }
}

fn flow(name: &str) -> FlowRef {
    FlowRef {
        namespace: "growth".to_owned(),
        name: name.to_owned(),
        version: None,
    }
}

/// Memory of this process by that name in MB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1_024.0 / 1e6
}

/// Resident memory once it has not changed by a twentieth for three seconds.
async fn settled() -> f64 {
    let began = Instant::now();
    let (mut last, mut same) = (memory("VmRSS"), 0);
    while same < 3 && began.elapsed() < SETTLE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = memory("VmRSS");
        same = if (now - last).abs() <= last / 20.0 {
            same + 1
        } else {
            0
        };
        last = now;
    }
    last
}

fn input(n: usize, payload: usize) -> Data {
    Data::from(json!({"n": n, "text": "x".repeat(payload)}))
}

/// Begins runs that wait.
async fn fill(dir: &Path, payload: usize) -> Value {
    let world = World::open(dir).await;
    world.engine.publish(WAITS).await.unwrap();
    world
        .engine
        .run(start(0, payload), Duration::ZERO)
        .await
        .unwrap();
    let idle = settled().await;
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 1..=IN_FLIGHT {
        let engine = world.engine.clone();
        workers.spawn(async move {
            for n in (worker..RUNS).step_by(IN_FLIGHT) {
                engine.start_run(start(n, payload)).await.unwrap();
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(world.waiting().await, RUNS);
    let resident = settled().await;
    json!({"idle": idle, "above": resident - idle, "peak": memory("VmHWM") - idle, "seconds": seconds})
}

fn start(n: usize, payload: usize) -> Start {
    Start::new(flow("waits"), Some(input(n, payload)))
}

/// Opens what `fill` left, as after a kill.
async fn restart(dir: &Path, payload: usize) -> Value {
    let began = Instant::now();
    let world = World::open(dir).await;
    let opened = began.elapsed().as_secs_f64();
    world
        .engine
        .run(start(RUNS, payload), Duration::ZERO)
        .await
        .unwrap();
    let answered = began.elapsed().as_secs_f64();
    assert_eq!(world.waiting().await, RUNS + 1);
    let resident = settled().await;
    json!({"opened": opened, "answered": answered, "resident": resident})
}

/// One run of a million steps, and its journal read from both ends.
async fn long(dir: &Path) -> Value {
    let world = World::open(dir).await;
    world.engine.publish(LONG).await.unwrap();
    let idle = settled().await;
    let began = Instant::now();
    let run = world
        .engine
        .run(Start::new(flow("long"), None), LIMIT)
        .await
        .unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(run.status, Status::Completed, "{}", run.why);
    let peak = memory("VmHWM") - idle;
    let mut after = 0;
    let mut entries = 0;
    let reading = Instant::now();
    loop {
        let page = world
            .engine
            .journal(run.id, after, JournalPage::MAX)
            .await
            .unwrap();
        entries += page.entries.len();
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let read = reading.elapsed().as_secs_f64();
    let resident = settled().await;
    assert!(world.tasks.drain(LIMIT).await.is_empty());
    json!({"idle": idle, "peak": peak, "above": resident - idle, "seconds": seconds, "entries": entries, "read": read})
}

/// One part in a process of its own.
fn part(name: &str, dir: &Path, payload: usize) -> Value {
    let program = std::env::current_exe().unwrap();
    let of = format!("{name} {payload} {}", dir.display());
    let done = Command::new(program).env(PART, of).output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let told = String::from_utf8(done.stdout).unwrap();
    serde_json::from_str(told.lines().last().unwrap()).unwrap()
}

fn child(of: &str) {
    let mut words = of.splitn(3, ' ');
    let mut word = || words.next().unwrap();
    let (name, payload, dir) = (word(), word().parse().unwrap(), Path::new(word()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let told = runtime.block_on(async {
        match name {
            "fill" => fill(dir, payload).await,
            "restart" => restart(dir, payload).await,
            _ => long(dir).await,
        }
    });
    println!("{told}");
    // Nothing is drained: what comes next finds what a kill leaves.
    std::process::exit(0);
}

fn main() {
    if let Ok(of) = std::env::var(PART) {
        return child(&of);
    }
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_asked = |word: &str| asked.is_empty() || asked.iter().any(|asked| asked == word);
    let number = |value: &Value, name: &str| value[name].as_f64().unwrap();
    let mut table = "| | aim | found |\n|---|---|---|\n".to_owned();
    for (word, payload) in [("waiting", 20), ("payloads", 2_000)] {
        if !is_asked(word) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let filled = part("fill", dir.path(), payload);
        let of = |name| number(&filled, name);
        writeln!(
            table,
            "| {RUNS} waiting runs, input of {payload} bytes: resident above idle ({:.1} MB) | ≤ 80 MB | {:.1} MB (peak {:.1} MB) |",
            of("idle"), of("above"), of("peak")
        )
        .unwrap();
        writeln!(table, "| the same: begun in | | {:.1} s |", of("seconds")).unwrap();
        let opened = part("restart", dir.path(), payload);
        let of = |name| number(&opened, name);
        writeln!(
            table,
            "| the same: start after a kill to the first answer | ≤ 1 s | {:.2} s ({:.2} s to open), {:.1} MB resident |",
            of("answered"), of("opened"), of("resident")
        )
        .unwrap();
    }
    if is_asked("long") {
        let dir = tempfile::tempdir().unwrap();
        let done = part("long", dir.path(), 0);
        let of = |name| number(&done, name);
        writeln!(
            table,
            "| a run of 1,000,000 steps: most memory above idle ({:.1} MB) while it ran | that of its state | {:.1} MB ({:.1} MB after it) |",
            of("idle"), of("peak"), of("above")
        )
        .unwrap();
        writeln!(
            table,
            "| the same: from start to end; its {} journal entries read in pages in | | {:.1} s; {:.1} s |",
            of("entries"), of("seconds"), of("read")
        )
        .unwrap();
    }
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, table).unwrap(),
        None => println!("{table}"),
    }
}
