//! Clusters of agents beside Serf's: what they cost, how fast they know, what they lose.
//!
//! `cargo xtask bench gossip [sizes=5,20,50,100] [rounds=N] [events=N] [ours|serf]`: real `taraf agent` and real
//! `serf agent` processes in a network namespace of the benchmark's own, one cluster at a time in alternating rounds,
//! steered and listened to over Serf's RPC.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints, and stops at the first surprise"
)]

mod agents;
mod namespace;
mod phases;
mod process;
mod report;

use std::fmt::Write as _;

use agents::Cluster;
use report::{Results, Who};

/// At which size half of the agents are also Serf's, members are frozen in turns, and the thousand events are told
/// without loss too; the nearest of those asked for.
const MIDDLE: usize = 20;

struct Options {
    sizes: Vec<usize>,
    rounds: usize,
    events: usize,
    only: Option<Who>,
}

fn options() -> Options {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let of = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let number = |name, usual| of(name).map_or(usual, |text: &str| text.parse().unwrap());
    let sizes = of("sizes=").unwrap_or("5,20,50,100").split(',');
    let only = [
        ("ours", Who::Ours),
        ("serf", Who::Serf),
        ("mixed", Who::Mixed),
    ];
    let mut only = only
        .into_iter()
        .filter(|(name, _)| words.iter().any(|word| word == name));
    Options {
        sizes: sizes.map(|size| size.parse().unwrap()).collect(),
        rounds: number("rounds=", 1),
        events: number("events=", 1_000),
        only: only.next().map(|(_, who)| who),
    }
}

fn main() {
    namespace::enter();
    let options = options();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let mut results = Results::default();
    runtime.unwrap().block_on(async {
        for round in 1..=options.rounds {
            for size in &options.sizes {
                for who in [Who::Ours, Who::Serf, Who::Mixed] {
                    if is_asked(&options, *size, who) {
                        println!("round {round}: {size} agents, {}", who.title());
                        take(&options, *size, who, &mut results).await;
                        println!("{}", results.said(*size, who));
                    }
                }
            }
        }
    });
    finish(&options, &results);
}

fn middle(options: &Options) -> usize {
    let sizes = options.sizes.iter().copied();
    sizes.min_by_key(|size| size.abs_diff(MIDDLE)).unwrap()
}

fn is_asked(options: &Options, size: usize, who: Who) -> bool {
    let is_here = who != Who::Mixed || size == middle(options);
    is_here && options.only.is_none_or(|only| only == who)
}

async fn take(options: &Options, size: usize, who: Who, results: &mut Results) {
    let mut found = Vec::new();
    let mut cluster = Cluster::start(who, size).await;
    phases::gather(&mut cluster, &mut found).await;
    phases::idle(&mut cluster, &mut found).await;
    phases::events(&mut cluster, &mut found).await;
    phases::queries(&mut cluster, &mut found).await;
    phases::calls(&mut cluster, &mut found).await;
    let is_middle = size == middle(options);
    if is_middle {
        phases::many(&mut cluster, options.events, 0, &mut found).await;
    }
    if is_middle || Some(&size) == options.sizes.iter().max() {
        phases::many(&mut cluster, options.events, 10, &mut found).await;
    }
    phases::verdicts(&mut cluster, &mut found).await;
    if is_middle {
        phases::frozen_in_turns(&mut cluster, &mut found).await;
    }
    for (measure, value) in found {
        results.take(size, who, measure, value);
    }
}

/// Prints the tables, or leaves them where `cargo xtask bench` wants them.
fn finish(options: &Options, results: &Results) {
    let mut text = String::new();
    writeln!(
        text,
        "Rounds: {}; {} events in a row. Medians, where nothing else is said.\n",
        options.rounds, options.events
    )
    .unwrap();
    text.push_str(&report::tables(results, &options.sizes));
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, text).unwrap(),
        None => println!("\n{text}"),
    }
}
