//! A million keys: the memory that they take, the time of a start, of a lookup and of a change.
//!
//! `cargo xtask bench keys [KEYS]`. Three processes: one that makes the keys and is stopped, one that
//! starts again on what the first left, and one without keys, whose memory is what idle means.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench speaks on its output and stops at whatever goes wrong"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;
use taraf_base::{Secret, Tasks};
use taraf_gateway::quota::Plan;
use taraf_gateway::{Accounts, AccountsConfig};
use taraf_log::{FileLog, file};
use tokio::sync::mpsc;

/// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The environment variable that names the file which takes the result as Markdown.
const REPORT: &str = "TARAF_REPORT";
const KEYS: usize = 1_000_000;
/// The most that an account may have.
const KEYS_PER_ACCOUNT: usize = 100;
/// Keys that are being made at once.
const AT_ONCE: usize = 200;
/// Keys that call.
const ACTIVE: usize = 10_000;
const ROUNDS: usize = 20;
const CHANGES: usize = 200;
const LIMIT: Duration = Duration::from_secs(60);
const MEMORY_AIM_MB: f64 = 120.0;
const LOOKUP_AIM_NS: f64 = 2_000.0;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if let [step, dir, keys] = &words[..] {
        let (dir, keys) = (Path::new(dir), keys.parse().unwrap());
        return match step.as_str() {
            "make" => make(dir, keys).await,
            "start" => start(dir, keys).await,
            _idle => idle(dir).await,
        };
    }
    let keys = words.first().map_or(KEYS, |word| word.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let process = |step: &str, dir: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(step).arg(folder.path().join(dir));
        command.arg(keys.to_string()).stdout(Stdio::piped());
        let ended = command.spawn().unwrap().wait_with_output().unwrap();
        assert!(ended.status.success(), "{step}");
        String::from_utf8(ended.stdout).unwrap()
    };
    let found = process("idle", "none") + &process("make", "keys") + &process("start", "keys");
    let report = report(&found, keys);
    println!("{report}");
    if let Some(file) = std::env::var_os(REPORT) {
        std::fs::write(file, report).unwrap();
    }
}

fn report(found: &str, keys: usize) -> String {
    let value = |name: &str| -> f64 {
        let mut lines = found.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| unreachable!("no {name}"))
            .parse()
            .unwrap()
    };
    let mut text = format!("{keys} keys of {} accounts.\n\n", keys / KEYS_PER_ACCOUNT);
    let mut line = |what: &str, how: String| writeln!(text, "- {what}: {how}").unwrap();
    let idle = value("idle-kib");
    let mb = |name: &str| value(name) * 1_024.0 / 1e6;
    let above = |name: &str| (value(name) - idle) * 1_024.0 / 1e6;
    let word = |is: bool| if is { "reached" } else { "missed" };
    for (what, name) in [
        ("memory above idle, after a start", "start-kib"),
        ("memory above idle, where they were made", "make-kib"),
    ] {
        let mb = above(name);
        let word = word(mb <= MEMORY_AIM_MB);
        line(what, format!("{mb:.1} MB (aim {MEMORY_AIM_MB:.0}, {word})"));
    }
    let ns = value("lookup-ns");
    let aim = format!("(aim 2 µs, {})", word(ns <= LOOKUP_AIM_NS));
    line(
        "lookup of a key that called before, its hash included",
        format!("{ns:.0} ns {aim}"),
    );
    let (first, unknown) = (value("lookup-first-ns"), value("lookup-unknown-ns"));
    line("first lookup of a key", format!("{first:.0} ns"));
    line("lookup of what is no key", format!("{unknown:.0} ns"));
    line(
        &format!("memory more with {ACTIVE} of them calling"),
        format!("{:.1} MB", mb("active-kib")),
    );
    line("idle", format!("{:.1} MB", mb("idle-kib")));
    line(
        "start",
        format!(
            "{:.2} s from the newest snapshot and the records behind it, at most {:.0} MB on the way",
            value("start-s"),
            mb("start-peak-kib")
        ),
    );
    line(
        "making them",
        format!(
            "{:.1} s, {AT_ONCE} at once, each durable when it is answered; at most {:.0} MB on the way, \
             with the snapshots",
            value("make-s"),
            mb("make-peak-kib")
        ),
    );
    line(
        "rotating, revoking one of them",
        format!(
            "{:.2} ms, {:.2} ms, one after the other, each synced",
            value("rotate-ms"),
            value("revoke-ms")
        ),
    );
    text
}

async fn open(dir: &Path, log: &Tasks, tasks: &Tasks) -> Accounts {
    let log = FileLog::open(dir, file::Config::default(), log).unwrap();
    let plan = Plan {
        rate_per_second: 10,
        burst: 20,
        quota_per_month: Some(10_000),
    };
    let config = AccountsConfig {
        plans: [("standard".to_owned(), plan)].into(),
        default_plan: "standard".to_owned(),
        ..AccountsConfig::default()
    };
    Accounts::start(Arc::new(log), config, tasks).await.unwrap()
}

/// Fifty letters that no other number has.
fn text(number: usize) -> Secret {
    Secret::new(format!("{number:050}"))
}

async fn idle(dir: &Path) {
    let (log, tasks) = (Tasks::new(), Tasks::new());
    let accounts = open(dir, &log, &tasks).await;
    println!("idle-kib {}", status_kib("VmRSS:"));
    drop((accounts, tasks, log));
}

async fn make(dir: &Path, keys: usize) {
    let (log, tasks, makers) = (Tasks::new(), Tasks::new(), Tasks::new());
    let accounts = open(dir, &log, &tasks).await;
    let began = Instant::now();
    let (done, mut all) = mpsc::channel::<()>(1);
    for first in 0..AT_ONCE {
        let (accounts, done) = (accounts.clone(), done.clone());
        makers.spawn("keys", async move {
            for number in (first..keys).step_by(AT_ONCE) {
                let account = format!("account {}", number / KEYS_PER_ACCOUNT);
                let secret = text(number);
                let made = accounts.adopt_key(&account, "standard", &secret);
                made.await.unwrap();
            }
            drop(done);
        });
    }
    drop(done);
    assert!(all.recv().await.is_none());
    println!("make-s {}", began.elapsed().as_secs_f64());
    accounts.settle().await;
    // With the tasks the last snapshot ends; what it took is not of the keys.
    assert!(tasks.drain(LIMIT).await.is_empty());
    println!("make-kib {}", status_kib("VmRSS:"));
    println!("make-peak-kib {}", status_kib("VmHWM:"));
    assert!(accounts.identify(text(keys - 1).expose()).is_some());
    assert!(log.drain(LIMIT).await.is_empty());
}

async fn start(dir: &Path, keys: usize) {
    let (log, tasks) = (Tasks::new(), Tasks::new());
    let began = Instant::now();
    let accounts = open(dir, &log, &tasks).await;
    println!("start-s {}", began.elapsed().as_secs_f64());
    let after = status_kib("VmRSS:");
    println!("start-kib {after}");
    println!("start-peak-kib {}", status_kib("VmHWM:"));
    let step = (keys / ACTIVE).max(1);
    let active: Vec<Secret> = (0..keys).step_by(step).map(text).collect();
    println!("lookup-first-ns {}", lookups(&accounts, &active, true));
    println!("active-kib {}", status_kib("VmRSS:") - after);
    let times: Vec<f64> = (0..ROUNDS)
        .map(|_| lookups(&accounts, &active, true))
        .collect();
    println!("lookup-ns {}", median(times));
    let strangers: Vec<Secret> = (keys..keys + ACTIVE).map(text).collect();
    println!(
        "lookup-unknown-ns {}",
        lookups(&accounts, &strangers, false)
    );
    change(&accounts, keys).await;
    assert!(tasks.drain(LIMIT).await.is_empty());
    assert!(log.drain(LIMIT).await.is_empty());
}

/// Nanoseconds of each.
fn lookups(accounts: &Accounts, texts: &[Secret], are_known: bool) -> f64 {
    let began = Instant::now();
    for text in texts {
        let found = black_box(accounts.identify(text.expose()));
        assert_eq!(found.is_some(), are_known);
    }
    began.elapsed().as_nanos() as f64 / texts.len() as f64
}

/// Rotates keys, then revokes their successors.
async fn change(accounts: &Accounts, keys: usize) {
    let step = keys / CHANGES;
    let ids = |number| accounts.identify(text(number).expose()).unwrap().key;
    let old: Vec<_> = (0..CHANGES).map(|number| ids(number * step)).collect();
    let (mut new, began) = (Vec::new(), Instant::now());
    for id in old {
        new.push(accounts.rotate(id, LIMIT).await.unwrap());
    }
    let each_ms = |began: Instant| began.elapsed().as_secs_f64() * 1e3 / CHANGES as f64;
    println!("rotate-ms {}", each_ms(began));
    let began = Instant::now();
    for key in &new {
        accounts.revoke(key.id).await.unwrap();
    }
    println!("revoke-ms {}", each_ms(began));
    for (number, key) in new.iter().enumerate() {
        assert!(accounts.identify(key.secret.expose()).is_none());
        assert!(accounts.identify(text(number * step).expose()).is_some());
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn status_kib(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.unwrap().split_whitespace().next().unwrap();
    kib.parse().unwrap()
}
