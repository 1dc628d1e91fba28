//! `taraf-sim gossip`: simulates clusters of members, one seed after the other, and prints what came of each.

use std::process::ExitCode;
use std::time::Duration;

use taraf_sim::gossip::{Bug, FrozenPlan, Plan, simulate, simulate_frozen};

pub(crate) const HELP: &str = "\
cargo xtask sim gossip [--members N] [--seeds N] [--from SEED] [--loss PERCENT] [--faults N] [--fault-seconds S]
                       [--events N] [--deaths N] [--delay MICROSECONDS] [--bug NAME]
cargo xtask sim gossip --seed SEED [...]     that one alone, with everything that happens
cargo xtask sim gossip --plain N [...]       members that stand still instead, among whom N do what Serf does alone

Simulates clusters of N members (100), N seeds (1) from SEED (a fresh one).
";

/// Runs the words after `gossip`.
pub(crate) fn run(words: &[String]) -> Result<ExitCode, String> {
    let (mut plan, mut seeds) = (Plan::new(taraf_base::random_u64() >> 16, 100), 1);
    let (mut deaths, mut plain) = (None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        if word == "--bug" {
            let bug = Bug::ALL.into_iter().find(|bug| bug.name() == *value);
            let names = || Bug::ALL.map(Bug::name).join(", ");
            plan.bug = Some(bug.ok_or_else(|| format!("no such bug; there are {}", names()))?);
            continue;
        }
        let number = value
            .parse::<u64>()
            .map_err(|_no_number| format!("{word} needs a number, not {value}"))?;
        let size = usize::try_from(number).unwrap_or(usize::MAX);
        match word.as_str() {
            "--members" => plan.members = size.clamp(1, 1 << 20),
            "--seeds" => seeds = number,
            "--from" => plan.seed = number,
            "--seed" => (plan.seed, plan.prints) = (number, true),
            "--loss" => plan.loss_percent = number,
            "--faults" => plan.faults = size,
            "--fault-seconds" => plan.fault_time = Duration::from_secs(number),
            "--events" => plan.events = size,
            "--plain" => plain = Some(size),
            "--deaths" => deaths = Some(size),
            "--delay" => plan.mean_us = number,
            other => return Err(format!("no such argument: {other}")),
        }
    }
    plan.deaths = deaths.unwrap_or_else(|| (plan.members / 20).max(1));
    for seed in plan.seed..plan.seed.saturating_add(seeds) {
        plan.seed = seed;
        if let Some(plain) = plain {
            let mut frozen = FrozenPlan::new(seed, plan.members);
            (frozen.plain, frozen.loss_percent) = (plain, plan.loss_percent);
            let report = simulate_frozen(&frozen);
            println!("{report}");
            if report.failure.is_some() {
                return Ok(ExitCode::FAILURE);
            }
            continue;
        }
        let report = simulate(&plan);
        println!("{report}");
        if report.failure.is_some() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
