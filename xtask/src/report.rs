//! What a measurement found becomes a section of a document: its text between two marks, with its recipe.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::shell::{ask, program, root};

/// Names the file into which a measuring program writes its result, in Markdown.
const VARIABLE: &str = "TARAF_REPORT";

/// What is measured is what one deploys.
pub(crate) const PROFILE: &str = "dist";

/// A measurement: a program that cargo builds and runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measurement<'a> {
    /// Its command without options, such as `bench flows`; the second word names its section.
    pub(crate) command: &'a str,
    pub(crate) cargo: &'a [&'a str],
    /// What goes to the program behind `--`.
    pub(crate) words: &'a [&'a str],
    pub(crate) variables: &'a [(String, String)],
    /// How long it may run once it is built; it is ended after that.
    pub(crate) minutes_max: u32,
    /// Where its result belongs, below the project's root.
    pub(crate) document: &'a str,
    /// The command as it was given, for the recipe.
    pub(crate) given: &'a str,
    /// The result is printed and the document left as it is.
    pub(crate) print_only: bool,
}

/// Builds and runs a measurement, prints what it reports, and puts that into its document.
///
/// # Errors
/// When it fails, takes too long, or reports nothing.
pub(crate) fn take(of: &Measurement<'_>) -> Result<()> {
    let built = program("cargo", of.cargo)?.arg("--no-run").status()?;
    if !built.success() {
        bail!("`cargo {} --no-run` ended with {built}", of.cargo.join(" "));
    }
    let folder = root().join("target");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.report.md", of.command.replace(' ', "-")));
    if file.exists() {
        fs::remove_file(&file)?;
    }
    // Of the machine before the measurement, which loads it.
    let recipe = recipe(of)?;
    run(of, &file)?;
    let text = fs::read_to_string(&file)
        .with_context(|| format!("the program wrote no report into ${VARIABLE}"))?;
    let text = format!("{recipe}\n\n{}", text.trim());
    println!("\n{text}");
    if of.print_only {
        return Ok(());
    }
    let path = root().join(of.document);
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, put(&before, of.command, &text)?)?;
    println!("\nwritten into {}", of.document);
    Ok(())
}

/// `timeout` ends the whole group of processes, so that nothing the program started is left.
fn run(of: &Measurement<'_>, report: &Path) -> Result<()> {
    let limit = format!("{}m", of.minutes_max);
    let mut all = vec!["--kill-after=10s", &limit, "cargo"];
    all.extend(of.cargo);
    all.push("--");
    all.extend(of.words);
    println!("\n$ timeout {}", all.join(" "));
    let status = program("timeout", &all)?
        .env(VARIABLE, report)
        .envs(of.variables.iter().map(|(name, value)| (name, value)))
        .status()
        .context("cannot start `timeout` of coreutils")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(124 | 137) => bail!("`{}` took more than {limit}", of.command),
        _ => bail!("`{}` ended with {status}", of.command),
    }
}

/// When, of which commit, on what and how.
fn recipe(of: &Measurement<'_>) -> Result<String> {
    let date = ask("date", &["-u", "+%F"]).context("`date` does not answer")?;
    let commit = ask("git", &["rev-parse", "--short=10", "HEAD"]).unwrap_or_default();
    let changed = ask("git", &["status", "--porcelain", "--untracked-files=no"]);
    let changed = changed.is_some_and(|list| !list.trim().is_empty());
    let changed = if changed { " with changes" } else { "" };
    Ok(format!(
        "Measured on {}, commit {}{changed}, by `cargo xtask {}` on {}.",
        date.trim(),
        commit.trim(),
        of.given,
        machine(),
    ))
}

/// Processors, memory, kernel and file system of the build folder, and how busy it was.
fn machine() -> String {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (file("/proc/cpuinfo"), file("/proc/meminfo"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field(&processors, "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kib = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok());
    let gib = kib.map_or(0, |kib: u64| (kib + (1 << 19)) >> 20);
    let place = root().to_string_lossy().into_owned();
    let kind = ask("stat", &["--file-system", "--format=%T", &place]).unwrap_or_default();
    let kernel = ask("uname", &["-sr"]).unwrap_or_default();
    let load = file("/proc/loadavg");
    format!(
        "{count} × {model}, {gib} GiB of memory, {}, {}, load average {} before it",
        kernel.trim(),
        kind.trim(),
        load.split(' ').next().unwrap_or("unknown"),
    )
}

/// The document with `text` in place of what stood between the marks, or with a new section at its end.
fn put(document: &str, command: &str, text: &str) -> Result<String> {
    let (open, close) = marks(command);
    let text = format!("{open}\n{text}\n{close}");
    let Some((head, rest)) = document.split_once(&open) else {
        let name = command.split(' ').next_back().unwrap_or(command);
        let gap = if document.is_empty() { "" } else { "\n" };
        return Ok(format!("{document}{gap}## {name}\n\n{text}\n"));
    };
    let Some((_, tail)) = rest.split_once(&close) else {
        bail!(
            "the document has `{open}` without `{close}` behind it; write it where the result ends"
        );
    };
    Ok(format!("{head}{text}{tail}"))
}

fn marks(command: &str) -> (String, String) {
    (
        format!("<!-- begin: written by `cargo xtask {command}` -->"),
        format!("<!-- end: {command} -->"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_result_replaces_the_old_one_and_nothing_else() {
        let first = put("# Performance\n\nWords.\n", "bench flows", "old").unwrap();
        let first = put(&first, "bench log", "other").unwrap();
        let second = put(&first, "bench flows", "new\n\nlines").unwrap();
        assert_eq!(second, first.replace("old", "new\n\nlines"));
        assert!(second.starts_with("# Performance\n\nWords.\n\n## flows\n\n<!-- begin"));
        assert!(second.contains("\nother\n"), "{second}");
    }

    #[test]
    fn a_mark_without_its_end_is_refused() {
        let (open, _) = marks("bench flows");
        let error = put(&format!("{open}\nold\n"), "bench flows", "new").unwrap_err();
        assert!(
            error.to_string().contains("<!-- end: bench flows -->"),
            "{error}"
        );
    }
}
