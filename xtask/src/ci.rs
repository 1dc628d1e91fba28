//! Everything that must hold before a commit, cheapest first.

use std::time::Instant;

use anyhow::Result;

use crate::shell::run;
use crate::{fuzz, setup, tidy};

/// The fuzz targets are a workspace of their own.
const FORMAT: [&str; 2] = [
    "fmt --all --check",
    "fmt --manifest-path fuzz/Cargo.toml --check",
];
/// What needs a build. The whole workspace at once, so that each dependency is built once.
const STEPS: [&str; 4] = [
    "clippy --locked --workspace --all-targets -- -D warnings",
    "nextest run --locked --workspace --profile ci",
    "test --locked --workspace --doc",
    "run --locked --quiet --bin taraf -- flow test apps",
];

/// Runs every step and stops at the first that fails.
///
/// # Errors
/// Says which step failed.
pub(crate) fn run_all() -> Result<()> {
    let begun = Instant::now();
    setup::run()?;
    for step in FORMAT {
        cargo(step)?;
    }
    tidy::run()?;
    for step in STEPS {
        cargo(step)?;
    }
    fuzz::check()?;
    println!("\nall steps passed in {} s", begun.elapsed().as_secs());
    Ok(())
}

fn cargo(step: &str) -> Result<()> {
    run("cargo", &step.split(' ').collect::<Vec<_>>())
}
