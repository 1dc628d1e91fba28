//! Processor time of a proxied call beside nginx and HAProxy on the same work, and its latency.
//!
//! `cargo xtask bench gateway [ROUNDS] [SECONDS]`. Each proxy is a
//! process of its own and does the same for a call: finds the key among 10,000, asks a limiter, passes
//! on a request whose answer has 515 bytes, over 64 connections that stay on both sides. Ours also
//! spends quota that is reserved in its log, counts and times the call, and gives it a request and a
//! trace id. Rounds alternate between the proxies, so that what else the machine does falls on all of
//! them; of a round's processor time only what the proxy's own processes used counts. The access log
//! is off in all.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::exit,
    reason = "a bench speaks on its output, waits on its own threads, and stops at whatever goes wrong"
)]

mod changes;
mod load;
mod process;
mod proxies;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use load::{Load, Measured};
use proxies::Proxy;

/// The environment variable that names the file which takes the result as Markdown.
const REPORT: &str = "TARAF_REPORT";
const CONNECTIONS: usize = 64;
/// Before a round counts, its connections are made and used.
const WARM: Duration = Duration::from_millis(300);
/// The rate, calls a second, at which latency is measured beside that under full load.
const CALM_RATE: u64 = 1_000;
const AIMS: [(&str, f64); 2] = [("nginx", 1.0), ("haproxy", 1.2)];
const MEMORY_AIM_MIB: f64 = 15.0;

/// What the rounds of one proxy came to.
#[derive(Default)]
struct Rounds {
    cpu_us: Vec<f64>,
    calls_per_second: Vec<f64>,
    full: Latencies,
    calm: Latencies,
    failed: u64,
    resident_mib: f64,
    anonymous_mib: f64,
}

#[derive(Default)]
struct Latencies {
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

impl Latencies {
    fn add(&mut self, measured: &Measured) {
        self.p50_us.push(measured.quantile(0.5) as f64);
        self.p99_us.push(measured.quantile(0.99) as f64);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, service] = arguments.as_slice()
        && role == changes::ROLE
    {
        return changes::run(service.parse().unwrap());
    }
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u32>().ok());
    let rounds = numbers.next().unwrap_or(9);
    let time = Duration::from_secs(numbers.next().unwrap_or(3).into());
    let folder = Folder::new();
    let service = load::service();
    let (taraf, keys) = proxies::taraf(&folder.0, service);
    let proxies = [
        taraf,
        proxies::nginx(&folder.0, service, &keys),
        proxies::haproxy(&folder.0, service, &keys),
    ];
    let requests: Vec<_> = keys.iter().map(|key| request(key)).collect();
    let requests = Arc::new(requests);
    let mut found = [Rounds::default(), Rounds::default(), Rounds::default()];
    for proxy in &proxies {
        first_use(proxy, &requests);
    }
    for round in 0..rounds {
        for (proxy, found) in proxies.iter().zip(&mut found) {
            measure(proxy, &requests, time, found);
            let cpu = found.cpu_us.last().copied().unwrap_or_default();
            let rate = found.calls_per_second.last().copied().unwrap_or_default();
            println!(
                "round {round} {:<8} {cpu:6.2} µs/call {rate:8.0} calls/s",
                proxy.name
            );
        }
    }
    for found in &found {
        assert_eq!(found.failed, 0, "calls failed");
    }
    let report = report(&proxies, &found, rounds, time);
    drop(proxies);
    let report = report + &changes::measure(service, rounds, time);
    println!("\n{report}");
    if let Some(file) = std::env::var_os(REPORT) {
        std::fs::write(file, report).unwrap();
    }
}

fn request(key: &str) -> Vec<u8> {
    format!(
        "GET /api/companies/13548146 HTTP/1.1\r\nhost: gateway\r\naccept: */*\r\n\
         user-agent: bench\r\nx-api-key: {key}\r\n\r\n"
    )
    .into_bytes()
}

/// Each key is used once before anything counts: the first use of the day is recorded, and the first
/// block of a quota reserved.
fn first_use(proxy: &Proxy, requests: &Arc<Vec<Vec<u8>>>) {
    let load = Load {
        to: proxy.address,
        requests: Arc::clone(requests),
        connections: CONNECTIONS,
        rate: None,
    };
    let mut calls = 0;
    while calls < requests.len() as u64 * 2 {
        let measured = load.measure(Duration::ZERO, Duration::from_secs(2), || {}, || {});
        assert!(measured.calls > 0, "{} does not answer", proxy.name);
        calls += measured.calls;
    }
}

fn measure(proxy: &Proxy, requests: &Arc<Vec<Vec<u8>>>, time: Duration, found: &mut Rounds) {
    let load = |rate| Load {
        to: proxy.address,
        requests: Arc::clone(requests),
        connections: CONNECTIONS,
        rate,
    };
    let (mut before, mut after) = (Duration::ZERO, Duration::ZERO);
    let full = load(None).measure(
        WARM,
        time,
        || before = proxy.process.processor_time(),
        || after = proxy.process.processor_time(),
    );
    let used = after.saturating_sub(before);
    found
        .cpu_us
        .push(used.as_secs_f64() * 1e6 / full.calls as f64);
    found
        .calls_per_second
        .push(full.calls as f64 / time.as_secs_f64());
    found.full.add(&full);
    found.resident_mib = proxy.process.resident_kib() as f64 / 1024.0;
    found.anonymous_mib = proxy.process.anonymous_kib() as f64 / 1024.0;
    let calm = load(Some(CALM_RATE)).measure(WARM, time / 2, || {}, || {});
    found.calm.add(&calm);
    found.failed += full.failed + calm.failed;
}

fn report(proxies: &[Proxy], found: &[Rounds], rounds: u32, time: Duration) -> String {
    let mut text = format!(
        "{rounds} alternating rounds of {} s; medians of the rounds. Latency at full load and at \
         {CALM_RATE} calls a second, p50 / p99.\n\n\
         | proxy | processor time a call | calls a second | latency, full | latency, calm | memory | of it not files |\n\
         |---|---|---|---|---|---|---|\n",
        time.as_secs()
    );
    for (proxy, found) in proxies.iter().zip(found) {
        let row = format!(
            "| {} | {:.2} µs | {:.0} | {:.2} / {:.2} ms | {:.2} / {:.2} ms | {:.1} MiB | {:.1} MiB |",
            proxy.name,
            median(&found.cpu_us),
            median(&found.calls_per_second),
            median(&found.full.p50_us) / 1e3,
            median(&found.full.p99_us) / 1e3,
            median(&found.calm.p50_us) / 1e3,
            median(&found.calm.p99_us) / 1e3,
            found.resident_mib,
            found.anonymous_mib,
        );
        writeln!(text, "{row}").unwrap();
    }
    text.push('\n');
    for ((name, aim), other) in AIMS.into_iter().zip(&found[1..]) {
        let ratios: Vec<_> = other
            .cpu_us
            .iter()
            .zip(&found[0].cpu_us)
            .map(|(other, ours)| other / ours)
            .collect();
        let ratio = median(&ratios);
        let word = if ratio >= aim { "reached" } else { "missed" };
        writeln!(
            text,
            "- calls for the same processor time, beside {name}: {ratio:.2} (aim {aim:.2}, {word})"
        )
        .unwrap();
    }
    let memory = found[0].resident_mib;
    let word = if memory <= MEMORY_AIM_MIB {
        "reached"
    } else {
        "missed"
    };
    writeln!(
        text,
        "- memory: {memory:.1} MiB (aim {MEMORY_AIM_MIB:.0}, {word})"
    )
    .unwrap();
    text
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("taraf-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary things.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}
