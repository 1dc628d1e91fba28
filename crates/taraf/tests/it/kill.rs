//! The program is killed again and again under load; afterwards nothing that it said is lost or there twice.
//!
//! A short form in the suite; `cargo xtask long kill --rounds 1000 [--seed N]` runs it as long as wanted.

mod client;
mod keys;
mod ledger;
mod load;
mod upstream;
mod verdict;

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use taraf_base::{Rng, random_u64};

use self::ledger::Ledger;
use self::load::Target;
use self::upstream::Upstream;
use super::program::{Program, Site};

const ROUNDS: u64 = 12;
/// Of so many rounds, one kills a program that is still starting.
const EARLY_EVERY: u64 = 5;
/// Milliseconds from its start to the kill of a program that is still starting, at most.
const EARLY_MS_MAX: u64 = 150;
/// Milliseconds under load before the kill.
const LOAD_MS: std::ops::Range<u64> = 120..520;

/// The flow of the load: a step that computes, and two calls that the upstream counts.
const PAY: &str = "document: { dsl: '1.0.3', namespace: test, name: pay, version: '1.0.0' }
do:
  - mark: { set: '${ { n: .n } }' }
  - debit: { call: http, with: { method: post, endpoint: 'http://upstream.service/debit/{n}' } }
  - credit: { call: http, with: { method: post, endpoint: 'http://upstream.service/credit/{n}' } }
";

/// `--rounds` and `--seed` of the long form.
fn option(name: &str) -> Option<u64> {
    let text = std::env::var(format!("TARAF_LONG_{name}")).ok()?;
    Some(text.parse().unwrap())
}

#[test]
fn nothing_acknowledged_is_lost_or_done_twice_however_often_the_program_is_killed() {
    let rounds = option("ROUNDS").unwrap_or(ROUNDS);
    let seed = option("SEED").unwrap_or_else(random_u64);
    println!("{rounds} rounds, --seed {seed}");
    let began = Instant::now();
    let mut rng = Rng::new(seed);
    let site = Site::new("");
    let ledger = Ledger::default();
    let mut upstreams = Vec::new();
    let mut is_published = false;
    for round in 1..=rounds {
        let upstream = Upstream::start(round);
        configure(&site, &upstream);
        if rng.below(EARLY_EVERY) == 0 {
            kill_early(&site, Duration::from_millis(rng.below(EARLY_MS_MAX)));
            ledger.counts(|counts| counts.early += 1);
        } else {
            let time = LOAD_MS.start + rng.below(LOAD_MS.end - LOAD_MS.start);
            let target = Target::new(&site, start(&site, &ledger), round, rng.next_u64());
            if !is_published {
                is_published = true;
                site.publish(&target.program, "test/pay/1.0.0", PAY);
            }
            load::until_killed(target, &ledger, Duration::from_millis(time));
        }
        ledger.counts(|counts| counts.rounds += 1);
        upstreams.push(upstream.end());
        if round % 50 == 0 {
            println!(
                "round {round} after {} s: {}",
                began.elapsed().as_secs(),
                ledger.line()
            );
        }
    }
    let last = Upstream::start(rounds + 1);
    configure(&site, &last);
    let target = Target::new(&site, start(&site, &ledger), rounds + 1, rng.next_u64());
    let charged = verdict::settle(&target.door, &ledger);
    // The last upstream ends when its caller has.
    target.program.stop();
    upstreams.push(last.end());
    let verdict = verdict::reach(&ledger, &charged, &upstreams);
    let mut text = verdict.table(&ledger);
    writeln!(text, "\nSeed {seed}, {} s.", began.elapsed().as_secs()).unwrap();
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, text).unwrap(),
        None => println!("{text}"),
    }
    verdict.assert();
}

/// The upstream has another address after each kill, so that each call is known to be of one process.
fn configure(site: &Site, upstream: &Upstream) {
    let address = upstream.address();
    let text = format!(
        "gateway.listen = '127.0.0.1:0'\noperator.listen = '127.0.0.1:0'\ndata.dir = 'data'\n\
         log.segment_bytes = 1048576\nengine.keep_finished = 5000\ntelemetry.level = 'error'\n\
         accounts.default_plan = 'metered'\n\
         services.upstream.endpoints = ['{address}']\nservices.companies.endpoints = ['{address}']\n\
         services.rates.endpoints = ['{address}']\nservices.validate.endpoints = ['{address}']\n\
         [accounts.plans.metered]\nrate_per_second = 100000\nburst = 100000\nquota_per_month = {}\n",
        keys::QUOTA
    );
    std::fs::write(site.config(), text).unwrap();
}

/// Starts the program and waits until it is ready.
fn start(site: &Site, ledger: &Ledger) -> Program {
    let began = Instant::now();
    let program = site.serve();
    let took = began.elapsed();
    ledger.counts(|counts| counts.slowest_start = counts.slowest_start.max(took));
    program
}

/// Starts the program and kills it soon, most often before it is ready.
fn kill_early(site: &Site, after: Duration) {
    let mut child: Child = Command::new(env!("CARGO_BIN_EXE_taraf"))
        .args(["serve", "--config"])
        .arg(site.config())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + after;
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(rest);
    }
    assert!(
        child.try_wait().unwrap().is_none(),
        "the program ended by itself"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
