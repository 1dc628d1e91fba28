//! Everything that must hold before a commit, cheapest first.

use std::time::Instant;

use anyhow::Result;

use crate::shell::run;
use crate::{setup, tidy};

/// Runs every step and stops at the first that fails.
///
/// # Errors
/// Says which step failed.
pub(crate) fn run_all() -> Result<()> {
    let begun = Instant::now();
    setup::run()?;
    run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run()?;
    // One build profile for all that follows: the tests' own.
    run(
        "cargo",
        &[
            "clippy",
            "--locked",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    run(
        "cargo",
        &[
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--profile",
            "ci",
        ],
    )?;
    run("cargo", &["test", "--locked", "--workspace", "--doc"])?;
    run(
        "cargo",
        &[
            "run", "--locked", "--quiet", "--bin", "taraf", "--", "flow", "test", "apps",
        ],
    )?;
    println!("\nall steps passed in {} s", begun.elapsed().as_secs());
    Ok(())
}
