//! Fuzz targets: built with libFuzzer's instrumentation on the stable compiler, run for a bounded time.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{ask, program, root};
use crate::tidy;

/// One target.
struct Target {
    name: &'static str,
    feeds: &'static str,
    /// Folders of fixtures that inputs begin from, beside `fuzz/corpus/NAME`.
    seeds: &'static [&'static str],
    /// Longest input in bytes.
    bytes_max: u32,
}

const TARGETS: [Target; 16] = [
    Target {
        name: "log_record",
        feeds: "records with right checksums to the decoder",
        seeds: &["crates/log/tests/golden"],
        bytes_max: 4096,
    },
    Target {
        name: "log_segment",
        feeds: "segments with right checksums to recovery",
        seeds: &["crates/log/tests/golden"],
        bytes_max: 16_384,
    },
    Target {
        name: "flow",
        feeds: "documents to the reader and the checker of flows",
        seeds: &[
            "apps/romania/flows/company-profile",
            "apps/romania/flows/supplier-check",
        ],
        bytes_max: 8192,
    },
    Target {
        name: "expression",
        feeds: "expressions and their input to the guarded evaluator",
        seeds: &[],
        bytes_max: 1024,
    },
    Target {
        name: "gateway",
        feeds: "a connection's bytes to a gateway before a strict upstream",
        seeds: &[],
        bytes_max: 4096,
    },
    Target {
        name: "answers",
        feeds: "answers of services, in pieces, to the reader of those that pass as bytes",
        seeds: &[],
        bytes_max: 4096,
    },
    Target {
        name: "rates",
        feeds: "files of the National Bank to their reader",
        seeds: &["apps/romania/tests/fixtures/bnr"],
        bytes_max: 16_384,
    },
    Target {
        name: "companies",
        feeds: "answers of the tax office to their readers",
        seeds: &["apps/romania/tests/fixtures/anaf"],
        bytes_max: 16_384,
    },
    Target {
        name: "register_rows",
        feeds: "published files to the reader of an import",
        seeds: &["apps/romania/tests/fixtures/onrc"],
        bytes_max: 8192,
    },
    Target {
        name: "register_file",
        feeds: "register files to the search",
        seeds: &["apps/romania/tests/golden"],
        bytes_max: 16_384,
    },
    Target {
        name: "gossip_packets",
        feeds: "packets of gossip with right seals and checksums to their reader",
        seeds: &[],
        bytes_max: 2048,
    },
    Target {
        name: "gossip_streams",
        feeds: "streams of gossip, in pieces, to their reader",
        seeds: &[],
        bytes_max: 4096,
    },
    Target {
        name: "gossip_messages",
        feeds: "Serf's messages to their readers",
        seeds: &[],
        bytes_max: 2048,
    },
    Target {
        name: "gossip_rpc",
        feeds: "requests and answers of Serf's RPC, in pieces, to their readers",
        seeds: &[],
        bytes_max: 2048,
    },
    Target {
        name: "names",
        feeds: "packets to the name server",
        seeds: &[],
        bytes_max: 1024,
    },
    Target {
        name: "msgpack",
        feeds: "msgpack to the reader of both dialects, beside another reader",
        seeds: &[],
        bytes_max: 1024,
    },
];

/// What the compiler must add for libFuzzer to see where an input leads. These are code generation
/// options of the stable compiler; `cargo fuzz` passes the same.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Ccodegen-units=4",
];
/// Of each target, unless it is said.
const SECONDS: u32 = 60;
/// Of each target before a commit.
const SECONDS_OF_CHECK: u32 = 12;
/// Before a commit chance is the same each time: the gate says the same of the same project, and new
/// inputs are for longer runs.
const SEED_OF_CHECK: u32 = 1;
/// One input may not take longer.
const INPUT_SECONDS_MAX: u32 = 30;
const MEMORY_MB_MAX: u32 = 2048;
/// Of libFuzzer's output, when it found something.
const TAIL_LINES: usize = 30;

/// What the words of the command ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    targets: Vec<String>,
    seconds: Option<u32>,
    replay: Option<PathBuf>,
    minimise: bool,
    check: bool,
}

/// How targets are run.
#[derive(Clone, Copy)]
struct Manner {
    seconds: u32,
    /// Every run from the project's own inputs and with the same chance; else what was found goes on.
    is_check: bool,
}

/// What runs before a commit: every target, from the inputs in the project, for a short time.
///
/// # Errors
/// As [`run_named`].
pub(crate) fn check() -> Result<()> {
    run_named(&["--check"])
}

/// `fuzz [TARGET…] [--seconds N] [--check]`, `fuzz TARGET --replay FILE`, `fuzz TARGET… --minimise`,
/// `fuzz --list`.
///
/// # Errors
/// When an input was found that a target does not survive; it is kept, and how to run it again printed.
pub(crate) fn run_named(words: &[&str]) -> Result<()> {
    if words == ["--list"] {
        for target in &TARGETS {
            println!("{:<14} {}", target.name, target.feeds);
        }
        return Ok(());
    }
    let asked = read(words)?;
    let chosen: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| {
            asked.targets.is_empty() || asked.targets.iter().any(|name| name == target.name)
        })
        .collect();
    let folder = build(&chosen)?;
    if let Some(file) = &asked.replay {
        let [target] = chosen.as_slice() else {
            bail!("--replay FILE belongs to one target");
        };
        let file = root().join(file);
        let file = file.to_str().context("the path is not UTF-8")?;
        let status = program(&path_of(&folder, target)?, &[file])?.status()?;
        ensure!(
            status.success(),
            "`{}` does not survive {file}",
            target.name
        );
        return Ok(());
    }
    if asked.minimise {
        return chosen
            .iter()
            .try_for_each(|target| minimise(&folder, target));
    }
    let usual = if asked.check {
        SECONDS_OF_CHECK
    } else {
        SECONDS
    };
    let manner = Manner {
        seconds: asked.seconds.unwrap_or(usual),
        is_check: asked.check,
    };
    run_all(&folder, &chosen, manner)
}

fn read(words: &[&str]) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seconds" => {
                let number = words.next().context("--seconds wants a number")?;
                let number = number
                    .parse()
                    .with_context(|| format!("`{number}` is no number"))?;
                asked.seconds = Some(number);
            }
            "--replay" => {
                asked.replay = Some(words.next().context("--replay wants a file")?.into());
            }
            "--minimise" => asked.minimise = true,
            "--check" => asked.check = true,
            name if TARGETS.iter().any(|target| target.name == name) => {
                asked.targets.push(name.to_owned());
            }
            name => bail!("no fuzz target named `{name}`; `cargo xtask fuzz --list` shows them"),
        }
    }
    Ok(asked)
}

/// Builds the targets; answers the folder of the programs.
fn build(targets: &[&Target]) -> Result<PathBuf> {
    let begun = Instant::now();
    let host = ask("rustc", &["-vV"]).context("rustc does not answer")?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc names no host")?.to_owned();
    // The versions of the program itself; what only the targets need is added.
    fs::copy(
        root().join("Cargo.lock"),
        root().join("fuzz").join("Cargo.lock"),
    )?;
    let place =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let place = place.join("fuzz");
    let shown = place.to_str().context("the target folder is not UTF-8")?;
    // With a target named, build scripts and macros are compiled without the instrumentation.
    let mut arguments = vec!["build", "--release", "--manifest-path", "fuzz/Cargo.toml"];
    arguments.extend(["--target", &host, "--target-dir", shown]);
    for target in targets {
        arguments.extend(["--bin", target.name]);
    }
    println!(
        "\n$ RUSTFLAGS='{}' cargo {}",
        FLAGS.join(" "),
        arguments.join(" ")
    );
    let status = program("cargo", &arguments)?
        .env("RUSTFLAGS", FLAGS.join(" "))
        .status()?;
    ensure!(status.success(), "the fuzz targets do not build");
    tidy::run_on("fuzz/Cargo.toml", &host)?;
    println!("built in {} s", begun.elapsed().as_secs());
    Ok(place.join(host).join("release"))
}

fn path_of(folder: &Path, target: &Target) -> Result<String> {
    let path = folder.join(target.name);
    Ok(path
        .to_str()
        .context("the target folder is not UTF-8")?
        .to_owned())
}

/// Runs the targets, as many at once as there are processors.
fn run_all(folder: &Path, targets: &[&Target], manner: Manner) -> Result<()> {
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let mut waiting: VecDeque<&Target> = targets.iter().copied().collect();
    let mut found = Vec::new();
    let mut running: VecDeque<(&Target, Child)> = VecDeque::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < at_once
            && let Some(target) = waiting.pop_front()
        {
            running.push_back((target, start(folder, target, manner)?));
        }
        if let Some((target, child)) = running.pop_front() {
            found.extend(finish(target, child)?);
        }
    }
    ensure!(
        found.is_empty(),
        "fuzzing found {} inputs:\n{}",
        found.len(),
        found.join("\n")
    );
    Ok(())
}

/// The corpus that grows is kept beside the build; the one in the project is its seed.
fn start(folder: &Path, target: &Target, manner: Manner) -> Result<Child> {
    let growing = growing(folder, target, manner.is_check);
    if manner.is_check && growing.exists() {
        fs::remove_dir_all(&growing)?;
    }
    let artifacts = artifacts(target);
    fs::create_dir_all(&growing)?;
    fs::create_dir_all(&artifacts)?;
    let mut arguments = vec![
        format!("-max_total_time={}", manner.seconds),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MB_MAX}"),
        format!("-max_len={}", target.bytes_max),
        format!("-artifact_prefix={}/", artifacts.display()),
        "-print_final_stats=1".to_owned(),
        "-use_value_profile=1".to_owned(),
    ];
    let dictionary = root().join("fuzz/dictionaries").join(target.name);
    if dictionary.exists() {
        arguments.push(format!("-dict={}", dictionary.display()));
    }
    if manner.is_check {
        arguments.push(format!("-seed={SEED_OF_CHECK}"));
    }
    arguments.push(growing.display().to_string());
    arguments.extend(seeds(target));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = program(&path_of(folder, target)?, &arguments)?;
    // libFuzzer talks on standard error, targets may too.
    let log = fs::File::create(log_of(target))?;
    // The message of a panic is enough here; a replay tells where it came from.
    command.env("RUST_BACKTRACE", "0");
    let child = command.stdout(Stdio::null()).stderr(log).spawn();
    child.with_context(|| format!("cannot start `{}`", target.name))
}

fn growing(folder: &Path, target: &Target, is_check: bool) -> PathBuf {
    let name = if is_check {
        "corpus-of-check"
    } else {
        "corpus"
    };
    folder.join(name).join(target.name)
}

fn artifacts(target: &Target) -> PathBuf {
    root().join("fuzz/artifacts").join(target.name)
}

fn log_of(target: &Target) -> PathBuf {
    artifacts(target).join("last.log")
}

fn seeds(target: &Target) -> Vec<String> {
    let own = format!("fuzz/corpus/{}", target.name);
    let all = std::iter::once(own.as_str()).chain(target.seeds.iter().copied());
    all.map(|folder| root().join(folder))
        .filter(|folder| folder.is_dir())
        .map(|folder| folder.display().to_string())
        .collect()
}

/// Waits for a target; answers how to run again what it found.
fn finish(target: &Target, mut child: Child) -> Result<Option<String>> {
    let status = child.wait()?;
    let log = fs::read(log_of(target))?;
    let log = String::from_utf8_lossy(&log);
    let statistic = |name: &str| {
        let line = log.lines().rev().find(|line| line.contains(name));
        line.and_then(|line| line.split_whitespace().last())
            .unwrap_or("?")
            .to_owned()
    };
    if status.success() {
        println!(
            "{:<14} {} inputs, {} a second, at most {} MB",
            target.name,
            statistic("number_of_executed_units"),
            statistic("average_exec_per_sec"),
            statistic("peak_rss_mb"),
        );
        return Ok(None);
    }
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines.len().saturating_sub(TAIL_LINES);
    for line in lines.iter().skip(tail) {
        println!("{line}");
    }
    Ok(Some(replay(target, &log)))
}

/// How to run again what a target did not survive, from what libFuzzer said. Without an input the target
/// itself could not run, and its log says why.
fn replay(target: &Target, log: &str) -> String {
    let written = log.lines().rev();
    let written = written.filter_map(|line| line.split_once("Test unit written to "));
    let Some((_, file)) = written.into_iter().next() else {
        return format!(
            "`{}` ended early: {}",
            target.name,
            log_of(target).display()
        );
    };
    let file = Path::new(file);
    let file = file.strip_prefix(root()).unwrap_or(file);
    let name = target.name;
    format!("cargo xtask fuzz {name} --replay {}", file.display())
}

/// Puts into the project's corpus the fewest inputs that lead wherever those found so far lead.
fn minimise(folder: &Path, target: &Target) -> Result<()> {
    let own = root().join("fuzz/corpus").join(target.name);
    fs::create_dir_all(&own)?;
    let growing = growing(folder, target, false);
    fs::create_dir_all(&growing)?;
    let mut arguments = vec![
        "-merge=1".to_owned(),
        format!("-max_len={}", target.bytes_max.min(2048)),
        own.display().to_string(),
    ];
    arguments.extend(seeds(target).into_iter().skip(1));
    arguments.push(growing.display().to_string());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = program(&path_of(folder, target)?, &arguments)?.status()?;
    ensure!(
        status.success(),
        "`{}` cannot merge its corpus",
        target.name
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of all targets.
    const CORPUS_BYTES_MAX: u64 = 300 << 10;

    #[test]
    fn the_words_of_the_command_are_read() {
        let asked = read(&["flow", "--seconds", "5", "rates"]).unwrap();
        assert_eq!(asked.targets, ["flow", "rates"]);
        assert_eq!(asked.seconds, Some(5));
        let asked = read(&["flow", "--replay", "x"]).unwrap();
        assert_eq!(asked.replay, Some("x".into()));
        assert!(read(&["--check"]).unwrap().check && !asked.check);
        for words in [&["flw"][..], &["--seconds"], &["--seconds", "x"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn what_was_found_is_told_with_the_command_that_runs_it_again() {
        let [first, ..] = &TARGETS;
        let file = artifacts(first).join("crash-1");
        let log = format!(
            "==1== ERROR\nartifact_prefix='x/'; Test unit written to {}\n",
            file.display()
        );
        let expected = "cargo xtask fuzz log_record --replay fuzz/artifacts/log_record/crash-1";
        assert_eq!(replay(first, &log), expected);
        assert!(replay(first, "no such option").contains("last.log"));
    }

    #[test]
    fn the_inputs_kept_in_the_project_are_few() {
        let mut bytes = 0;
        for target in fs::read_dir(root().join("fuzz/corpus")).unwrap() {
            for input in fs::read_dir(target.unwrap().path()).unwrap() {
                bytes += input.unwrap().metadata().unwrap().len();
            }
        }
        assert!(bytes < CORPUS_BYTES_MAX, "{bytes} bytes in fuzz/corpus");
    }

    #[test]
    fn every_target_has_its_program_and_something_to_begin_from() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for target in &TARGETS {
            assert!(manifest.contains(&format!("name = \"{}\"", target.name)));
            assert!(
                root()
                    .join(format!("fuzz/targets/{}.rs", target.name))
                    .is_file()
            );
            assert!(!seeds(target).is_empty(), "{}", target.name);
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
