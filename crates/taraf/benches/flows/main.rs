//! Durable runs a second over HTTP beside Restate: five steps, and three calls one after the other.
//!
//! `cargo xtask bench flows [ours] [rounds=N] [milliseconds=N]`: the real `taraf serve` and the real Restate server with a
//! handler in Node, each on data of its own on the same disk, called by the same loader in alternating rounds.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops at the first surprise"
)]

mod load;
mod ours;
mod process;
mod report;
mod restate;
mod syncs;
mod upstream;

use std::time::Duration;

use load::Sample;
use report::{Contender, Results};
use upstream::Upstream;

/// Callers that wait for a run's end before they start the next.
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];
const MOST: usize = 256;
/// Before each measured time, so that connections are open and code is warm.
const WARM: Duration = Duration::from_millis(300);
/// Once for each server, since Node compiles what is hot.
const FIRST_WARM: Duration = Duration::from_secs(2);

/// What one run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Five,
    Three,
}

impl Work {
    const ALL: [Self; 2] = [Self::Five, Self::Three];

    /// The name of its flow and of its handler.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Five => "five",
            Self::Three => "three",
        }
    }

    /// What an answer holds only when every step was made.
    pub(crate) const fn proof(self) -> &'static str {
        match self {
            Self::Five => "\"n\":5",
            Self::Three => upstream::PROOF,
        }
    }
}

/// A running server that can be asked to run both flows.
pub(crate) struct Server {
    pub(crate) contender: Contender,
    pub(crate) address: std::net::SocketAddr,
    /// The request that starts a run and waits for its end, whole.
    pub(crate) requests: [Vec<u8>; 2],
    /// Its processes; the first is the one that keeps what is durable.
    pub(crate) processes: Vec<process::Process>,
    /// Where its syncs are recorded, when they are.
    pub(crate) trace: Option<syncs::Trace>,
    _data: tempfile::TempDir,
}

impl Server {
    async fn load(&self, work: Work, in_flight: usize, time: Duration) -> Sample {
        let request = &self.requests[usize::from(work == Work::Three)];
        load::run(self.address, request, work.proof(), in_flight, time).await
    }
}

struct Options {
    ours_only: bool,
    rounds: u32,
    time: Duration,
}

fn options() -> Options {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, usual: u32| {
        let found = words.iter().find_map(|word| word.strip_prefix(name));
        found.map_or(usual, |text| text.parse().unwrap())
    };
    Options {
        ours_only: words.iter().any(|word| word == "ours"),
        rounds: number("rounds=", 3),
        time: Duration::from_millis(u64::from(number("milliseconds=", 2_500))),
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let options = options();
    let upstream = Upstream::start();
    let contenders: &[Contender] = if options.ours_only {
        &[Contender::Ours]
    } else {
        restate::install();
        &Contender::ALL
    };
    let mut results = Results::default();
    runtime.block_on(async {
        rounds(&options, contenders, &upstream, &mut results).await;
        for contender in contenders {
            let server = start(*contender, &upstream, Some(syncs::Trace::new())).await;
            for work in Work::ALL {
                let counted = syncs::count(&server, work, options.time).await;
                println!("{contender:?} {work:?}: {counted:.3} syncs a run");
                results.syncs.push((*contender, work, counted));
            }
        }
    });
    report::finish(&results, options.rounds, options.time);
}

async fn rounds(
    options: &Options,
    contenders: &[Contender],
    upstream: &Upstream,
    results: &mut Results,
) {
    let mut servers = Vec::new();
    for contender in contenders {
        let server = start(*contender, upstream, None).await;
        // What it needs before anybody asked for anything but the flows.
        results.idle.push((*contender, memory(&server)));
        servers.push(server);
    }
    for server in &servers {
        for work in Work::ALL {
            server.load(work, 16, FIRST_WARM).await;
        }
    }
    for round in 1..=options.rounds {
        for work in Work::ALL {
            for in_flight in IN_FLIGHT {
                for server in &servers {
                    server.load(work, in_flight, WARM).await;
                    let (calls, before) = (upstream.calls(), cpu(server));
                    let sample = server.load(work, in_flight, options.time).await;
                    let calls = upstream.calls() - calls;
                    assert!(work == Work::Five || calls >= 3 * sample.runs(), "{calls}");
                    let spent = cpu(server) - before;
                    let contender = server.contender;
                    println!(
                        "round {round}: {contender:?} {work:?}, {in_flight} in flight: {:.0} runs/s",
                        sample.rate()
                    );
                    if in_flight == MOST {
                        results.loaded.push((contender, memory(server)));
                    }
                    results.take(contender, work, in_flight, sample, spent);
                }
            }
        }
    }
}

async fn start(contender: Contender, upstream: &Upstream, trace: Option<syncs::Trace>) -> Server {
    match contender {
        Contender::Ours => ours::start(upstream, trace).await,
        Contender::Restate => restate::start(contender, None, upstream, trace).await,
        Contender::Restate4 => restate::start(contender, Some(4), upstream, trace).await,
    }
}

/// Bytes in memory of each process.
fn memory(server: &Server) -> Vec<u64> {
    let processes = server.processes.iter();
    processes.map(process::Process::memory).collect()
}

/// Time that all processes of a server have computed.
fn cpu(server: &Server) -> Duration {
    let processes = server.processes.iter();
    processes.map(process::Process::cpu).sum()
}
