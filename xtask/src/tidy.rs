//! What a machine can check of `CONTRIBUTING.md`: every finding names a file and says what to do.

mod dependencies;
mod files;
mod layers;
mod licence;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::shell::{ask, root};

/// `xtask/tidy.toml`: limits, floors and exceptions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// May import anything, imported by nothing.
    #[serde(default)]
    beside: Vec<String>,
    floors: BTreeMap<String, u32>,
    imports: BTreeMap<String, Vec<String>>,
    banned: BTreeMap<String, String>,
    limits: Limits,
    long_files: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    file_lines: usize,
    base_lines: usize,
    architecture_lines: usize,
}

/// Checks the whole project.
///
/// # Errors
/// When something is found; the findings are printed.
pub(crate) fn run() -> Result<()> {
    let findings = check(&root())?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} things", findings.len());
    }
    println!("tidy: nothing found");
    Ok(())
}

/// Checks what another workspace of the project takes in, whose lock file is there.
///
/// # Errors
/// When something is not allowed.
pub(crate) fn run_on(manifest: &str, host: &str) -> Result<()> {
    let all = metadata(&["--manifest-path", manifest, "--filter-platform", host])?;
    let findings = dependencies::allowed(&root(), &all)?;
    if !findings.is_empty() {
        bail!("{manifest}: {}", findings.join("; "));
    }
    Ok(())
}

fn check(root: &Path) -> Result<Vec<String>> {
    let rules = read_rules(root)?;
    let members = metadata(&["--no-deps"])?;
    let host = ask("rustc", &["-vV"]).context("rustc does not answer")?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let all = metadata(&["--filter-platform", host.context("rustc names no host")?])?;
    let mut findings = Vec::new();
    findings.extend(layers::check(&members, &rules));
    findings.extend(dependencies::check(root, &members, &all)?);
    findings.extend(files::check(root, &rules)?);
    findings.extend(text::check(root, &rules)?);
    Ok(findings)
}

fn read_rules(root: &Path) -> Result<Rules> {
    let text = fs::read_to_string(root.join("xtask").join("tidy.toml"))?;
    toml::from_str(&text).context("xtask/tidy.toml")
}

fn metadata(arguments: &[&str]) -> Result<Value> {
    let all: Vec<&str> = ["metadata", "--format-version", "1", "--locked"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let text = ask("cargo", &all).context("`cargo metadata --locked` fails")?;
    Ok(serde_json::from_str(&text)?)
}

/// The members of a JSON array, or none.
fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A text member, or the empty text.
fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_tidy() {
        let findings = check(&root()).unwrap();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
