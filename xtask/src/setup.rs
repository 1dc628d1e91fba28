//! What the tests need on a machine that has Rust and nothing else.

use std::fs;

use anyhow::{Result, bail};

use crate::shell::{self, ask, python_environment, root};

/// Debian packages, and a program with an argument by which each shows that it is there.
const DEBIAN: [(&str, &str, &str); 12] = [
    ("python3", "python3", "--version"),
    ("curl", "curl", "--version"),
    ("openssl", "openssl", "version"),
    // The peer that gossip, its RPC and its command line are compared with.
    ("serf", "serf", "version"),
    // Ask our name server, and take its updates.
    ("bind9", "/usr/sbin/named", "-v"),
    ("bind9-dnsutils", "dig", "-v"),
    ("knot-dnsutils", "kdig", "--version"),
    // What the guides to clusters set up.
    ("haproxy", "/usr/sbin/haproxy", "-v"),
    ("jq", "jq", "--version"),
    ("nutcracker", "/usr/sbin/nutcracker", "--version"),
    ("redis-server", "redis-server", "--version"),
    // Builds the library of the fuzz targets.
    ("g++", "g++", "--version"),
];
const PYTHON_REQUIREMENTS: &str = "tests/interop/requirements.txt";

/// Installs what is missing; a second run finds all of it and is done at once.
///
/// # Errors
/// When something is missing and cannot be installed.
pub(crate) fn run() -> Result<()> {
    debian()?;
    nextest()?;
    python()
}

fn debian() -> Result<()> {
    let mut missing: Vec<&str> = DEBIAN
        .into_iter()
        .filter(|(_, program, version)| ask(program, &[version]).is_none())
        .map(|(package, ..)| package)
        .collect();
    if ask("python3", &["-c", "import ensurepip, venv"]).is_none() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let is_root = ask("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    if ask("apt-get", &["--version"]).is_none() {
        bail!("the tests need these Debian packages, or their like: {packages}");
    }
    let apt = |arguments: &[&str]| {
        if is_root {
            return shell::run("apt-get", arguments);
        }
        let with_sudo: Vec<&str> = ["apt-get"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        shell::run("sudo", &with_sudo)
    };
    apt(&["update", "-q"])?;
    let install: Vec<&str> = ["install", "-y", "-q", "--no-install-recommends"]
        .into_iter()
        .chain(missing)
        .collect();
    apt(&install)
}

fn nextest() -> Result<()> {
    if ask("cargo", &["nextest", "--version"]).is_some() {
        return Ok(());
    }
    shell::run("cargo", &["install", "cargo-nextest", "--locked"])
}

/// An environment of its own under `target/`, renewed when the list of packages changes.
fn python() -> Result<()> {
    let environment = python_environment();
    let wanted = fs::read_to_string(root().join(PYTHON_REQUIREMENTS))?;
    let mark = environment.join("installed.txt");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let place = environment.to_string_lossy().into_owned();
    shell::run("python3", &["-m", "venv", "--clear", &place])?;
    let python = environment
        .join("bin")
        .join("python3")
        .to_string_lossy()
        .into_owned();
    shell::run(
        &python,
        &["-m", "pip", "install", "-q", "-r", PYTHON_REQUIREMENTS],
    )?;
    Ok(fs::write(mark, wanted)?)
}
