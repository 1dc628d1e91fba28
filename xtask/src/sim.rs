//! Builds the simulation, fast and with all checks, and hands it its arguments.

use anyhow::Result;

use crate::shell::run;

/// Runs `taraf-sim` with these words.
///
/// # Errors
/// When it cannot be built, or a seed fails.
pub(crate) fn run_words(words: &[&str]) -> Result<()> {
    let mut arguments = vec![
        "run",
        "--quiet",
        "--profile",
        "sim",
        "--package",
        "taraf-sim",
        "--",
    ];
    arguments.extend(words);
    run("cargo", &arguments)
}
