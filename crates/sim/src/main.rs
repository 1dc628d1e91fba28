//! Simulates seeds until told otherwise: `cargo xtask sim` builds this and hands its arguments over.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to its caller"
)]

mod clusters;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use taraf_sim::{Bug, Outcome, simulate};

const HELP: &str = "\
cargo xtask sim [--seeds N] [--from SEED] [--minutes M] [--jobs J] [--bug NAME]
cargo xtask sim --seed SEED [--bug NAME]     that one alone, with everything that happens
cargo xtask sim gossip [...]                 clusters of members instead

Simulates N seeds (1000) from SEED (a fresh one), for M minutes at most, on J threads (1).
The first failure is printed with the command that shows it again, and ends with exit code 1.
";

struct Arguments {
    seeds: u64,
    from: u64,
    minutes: u64,
    jobs: usize,
    seed: Option<u64>,
    bug: Option<Bug>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("gossip", rest)) = words
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return clusters::run(rest).unwrap_or_else(|why| {
            eprintln!("sim gossip: {why}\n\n{}", clusters::HELP);
            ExitCode::from(2)
        });
    }
    let arguments = match parse(&words) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("sim: {why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = arguments.seed {
        let outcome = simulate(seed, arguments.bug, true);
        println!("{outcome:?}");
        return ExitCode::from(u8::from(outcome.failure.is_some()));
    }
    run(&arguments)
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: 1_000,
        from: taraf_base::random_u64() >> 16,
        minutes: u64::MAX,
        jobs: 1,
        seed: None,
        bug: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        let number = || {
            let number = value.parse::<u64>();
            number.map_err(|_no_number| format!("{word} needs a number, not {value}"))
        };
        match word.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--from" => arguments.from = number()?,
            "--minutes" => arguments.minutes = number()?,
            "--jobs" => arguments.jobs = usize::try_from(number()?.max(1)).unwrap_or(1),
            "--seed" => arguments.seed = Some(number()?),
            "--bug" => {
                let bug = Bug::ALL.into_iter().find(|bug| bug.name() == *value);
                let names = || Bug::ALL.map(Bug::name).join(", ");
                arguments.bug =
                    Some(bug.ok_or_else(|| format!("no such bug; there are {}", names()))?);
            }
            other => return Err(format!("no such argument: {other}")),
        }
    }
    Ok(arguments)
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    simulated_us: u64,
    events: u64,
    runs: usize,
    processes: u64,
    failed: Option<Outcome>,
}

fn run(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let limit = Duration::from_secs(arguments.minutes.saturating_mul(60));
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) && begun.elapsed() < limit {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= arguments.seeds {
                        return;
                    }
                    let outcome = simulate(arguments.from + n, arguments.bug, false);
                    let mut sum = sum
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    sum.seeds += 1;
                    sum.simulated_us += outcome.simulated_us;
                    sum.events += outcome.events;
                    sum.runs += outcome.runs;
                    sum.processes += outcome.processes;
                    if outcome.failure.is_some() {
                        is_over.store(true, Ordering::Relaxed);
                        sum.failed.get_or_insert(outcome);
                    }
                }
            });
        }
    });
    let sum = sum
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    println!(
        "{} seeds from {}, {:.1} simulated hours, {} events, {} runs, {} processes, in {} s",
        sum.seeds,
        arguments.from,
        Duration::from_micros(sum.simulated_us).as_secs_f64() / 3_600.0,
        sum.events,
        sum.runs,
        sum.processes,
        begun.elapsed().as_secs()
    );
    let Some(failed) = sum.failed else {
        return ExitCode::SUCCESS;
    };
    let bug = arguments
        .bug
        .map_or_else(String::new, |bug| format!(" --bug {}", bug.name()));
    println!(
        "seed {} failed: {}",
        failed.seed,
        failed.failure.unwrap_or_default()
    );
    println!("to see it: cargo xtask sim --seed {}{bug}", failed.seed);
    ExitCode::FAILURE
}
