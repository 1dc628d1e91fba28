//! Running other programs, from the project's root, with what they run printed first.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The folder that holds the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// A program of the `PATH`, started in the project's root, that finds the tests' Python first.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(name);
    command
        .args(arguments)
        .current_dir(root())
        .env("PATH", path()?);
    Ok(command)
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Result<()> {
    println!("\n$ {name} {}", arguments.join(" "));
    let status = program(name, arguments)?
        .status()
        .with_context(|| format!("cannot start `{name}`: is it installed?"))?;
    if !status.success() {
        bail!("`{name} {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// What a program prints, or `None` when it cannot be started or fails.
pub(crate) fn ask(name: &str, arguments: &[&str]) -> Option<String> {
    let output = program(name, arguments).ok()?.output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The Python environment of the tests.
pub(crate) fn python_environment() -> PathBuf {
    root().join("target").join("python")
}

fn path() -> Result<OsString> {
    let own = python_environment().join("bin");
    let given = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(own).chain(std::env::split_paths(&given));
    std::env::join_paths(all).context("PATH cannot be extended")
}
