//! Documents: paths that exist, open ends that say what is missing.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Rules;
use crate::shell::ask;

const MAP: &str = "ARCHITECTURE.md";
/// Endings of the files that people write.
const WRITTEN: [&str; 7] = ["rs", "md", "toml", "yaml", "py", "html", "sh"];

pub(super) fn check(root: &Path, rules: &Rules) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let map = fs::read_to_string(root.join(MAP))?;
    let lines = map.lines().count();
    if lines > rules.limits.architecture_lines {
        findings.push(format!(
            "{MAP}: {lines} lines; it is a map, not the country"
        ));
    }
    for (line, path) in paths(&map) {
        if !root.join(path).exists() {
            findings.push(format!("{MAP}:{line}: `{path}` does not exist"));
        }
    }
    let listed = ask("git", &["ls-files"]).unwrap_or_default();
    for path in listed.lines().filter(|path| is_written(path)) {
        if let Ok(text) = fs::read_to_string(root.join(path)) {
            findings.extend(open_ends(path, &text));
        }
    }
    Ok(findings)
}

/// Words in backticks that look like paths of the project, with their lines.
fn paths(text: &str) -> Vec<(usize, &str)> {
    let roots = [
        "crates/", "apps/", "docs/", "xtask/", "tests/", "fuzz/", "web/", "deploy/", ".ci/",
    ];
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        found.extend(
            quoted
                .filter(|word| roots.iter().any(|root| word.starts_with(root)))
                .filter(|word| !word.contains(['*', '<', '{', ' ']))
                .map(|word| (index + 1, word)),
        );
    }
    found
}

fn is_written(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    let is_foreign = ["/ctk/", "/recorded/", "/fixtures/"]
        .iter()
        .any(|part| path.contains(part));
    extension.is_some_and(|extension| WRITTEN.contains(&extension)) && !is_foreign
}

fn open_ends(path: &str, text: &str) -> Vec<String> {
    // Written apart, so that this file does not find itself.
    let mark = concat!("TO", "DO");
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let says_what = |rest: &str| rest.starts_with('(') || rest.starts_with('`');
        if line.split(mark).skip(1).any(|rest| !says_what(rest)) {
            findings.push(format!(
                "{path}:{}: say what is missing: `{mark}(what): …`",
                index + 1
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_quoted_words_that_begin_with_a_folder_of_ours() {
        let text = "see `crates/log/src/record.rs` and `cargo`\n`docs/` `apps/*/app.yaml`";
        assert_eq!(paths(text), [(1, "crates/log/src/record.rs"), (2, "docs/")]);
    }

    #[test]
    fn an_open_end_without_a_subject_is_found() {
        let mark = concat!("TO", "DO");
        assert_eq!(
            open_ends(
                "a.rs",
                &format!("// {mark}: later\n// {mark}(IPv6): bind\n")
            )
            .len(),
            1
        );
    }
}
