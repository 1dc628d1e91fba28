//! Benchmarks: plain programs under `benches/` of the crates, each beside its peer in the same run.

use anyhow::{Result, bail};

use crate::report::{self, Measurement, PROFILE};

const DOCUMENT: &str = "docs/reference/performance.md";
const MINUTES_MAX: u32 = 15;

/// Name, package, target, and what it measures.
const BENCHES: [(&str, &str, &str, &str); 9] = [
    (
        "log",
        "taraf-log",
        "append",
        "durable records a second beside the disk's own syncs",
    ),
    (
        "calls",
        "taraf-service",
        "calls",
        "calls a second through a pool beside bare connections",
    ),
    (
        "gateway",
        "taraf-gateway",
        "proxy",
        "processor time of a proxied call beside nginx and HAProxy",
    ),
    (
        "keys",
        "taraf-gateway",
        "keys",
        "memory, start and lookups with a million API keys",
    ),
    (
        "wire",
        "taraf-gossip",
        "wire",
        "messages, packets and streams of gossip a second on one core",
    ),
    (
        "gossip",
        "taraf",
        "gossip",
        "clusters of agents beside Serf's (needs serf, iproute2, nftables and a network namespace)",
    ),
    (
        "engine",
        "taraf-engine",
        "throughput",
        "durable runs a second at 1, 64 and 256 in flight, without HTTP",
    ),
    (
        "growth",
        "taraf-engine",
        "growth",
        "memory and restart with 100,000 waiting runs, and a run of a million steps",
    ),
    (
        "flows",
        "taraf",
        "flows",
        "durable runs a second over HTTP beside Restate (needs node, npm and strace)",
    ),
];

/// Runs one benchmark, or lists them. `--print` leaves the document as it is; all other words go to
/// the benchmark.
///
/// # Errors
/// When there is no benchmark of that name, or it fails.
pub(crate) fn run_named(words: &[&str]) -> Result<()> {
    let Some((wanted, rest)) = words.split_first() else {
        for (name, _, _, what) in BENCHES {
            println!("{name:<10} {what}");
        }
        return Ok(());
    };
    let Some((name, package, target, _)) = BENCHES.into_iter().find(|(name, ..)| name == wanted)
    else {
        bail!("no benchmark named `{wanted}`; `cargo xtask bench` lists them");
    };
    let (print, rest): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| **word == "--print");
    report::take(&Measurement {
        command: &format!("bench {name}"),
        cargo: &[
            "bench",
            "--profile",
            PROFILE,
            "--package",
            package,
            "--bench",
            target,
        ],
        words: &rest,
        variables: &[],
        minutes_max: MINUTES_MAX,
        document: DOCUMENT,
        given: &format!("bench {}", words.join(" ")),
        print_only: !print.is_empty(),
    })
}
