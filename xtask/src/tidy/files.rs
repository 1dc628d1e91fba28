//! Rust files: a first line that says what happens here, a bounded length, purity where it is claimed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Rules;

/// What a file that calls itself pure must not name.
const IMPURE: [&str; 11] = [
    "std::fs",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "std::env",
    "tokio::",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "random_bytes",
    "random_u64",
];
/// Where our Rust is.
const FOLDERS: [&str; 4] = ["crates", "apps", "xtask", "fuzz"];
const BANNED_NAMES: [&str; 5] = ["utils", "helpers", "common", "types", "misc"];

pub(super) fn check(root: &Path, rules: &Rules) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut base_lines = 0;
    for path in rust_files(root)? {
        let shown = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path)?;
        if shown.starts_with("crates/base/") {
            base_lines += text.lines().count();
        }
        findings.extend(check_file(&shown, &text, rules));
    }
    if base_lines > rules.limits.base_lines {
        findings.push(format!(
            "crates/base: {base_lines} lines; a type belongs beside its interface"
        ));
    }
    Ok(findings)
}

fn check_file(path: &str, text: &str, rules: &Rules) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//! ") {
        findings.push(format!(
            "{path}:1: open with one `//!` sentence that says what happens here"
        ));
    }
    let name = Path::new(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    if BANNED_NAMES.contains(&name) {
        findings.push(format!(
            "{path}: `{name}` says nothing; name the file after its subject"
        ));
    }
    let code = without_tests(text);
    let lines = code.lines().count();
    let is_test = name == "tests" || path.contains("/tests/");
    if lines > rules.limits.file_lines && !is_test && !rules.long_files.contains_key(path) {
        findings.push(format!(
            "{path}: {lines} lines without tests; which two subjects is it?"
        ));
    }
    if text.starts_with("//! [pure]") {
        findings.extend(impurities(path, code));
    }
    if path.ends_with("src/lib.rs") {
        findings.extend(code_in_lib(path, code));
    }
    findings
}

fn impurities(path: &str, code: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let line_code = line.split("//").next().unwrap_or_default();
        for name in IMPURE.into_iter().filter(|name| line_code.contains(name)) {
            findings.push(format!("{path}:{}: a pure file names `{name}`", index + 1));
        }
    }
    findings
}

/// `lib.rs` is the table of contents: `mod`, `pub use`, documentation, and one place for macros.
fn code_in_lib(path: &str, code: &str) -> Option<String> {
    let line = code.lines().position(|line| {
        let is_item = [
            "fn ",
            "pub fn ",
            "struct ",
            "pub struct ",
            "enum ",
            "pub enum ",
            "impl ",
        ];
        is_item.iter().any(|start| line.starts_with(start))
    })?;
    Some(format!(
        "{path}:{}: lib.rs holds `mod` and `pub use` only",
        line + 1
    ))
}

/// The file up to its unit tests.
fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ")
        .map_or(text, |end| &text[..end])
}

fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let rules = toml::from_str(
            r#"
            floors = {}
            imports = {}
            banned = {}
            limits = { file_lines = 4, base_lines = 1, architecture_lines = 1 }
            [long_files]
            "crates/a/src/long.rs" = "a table"
            "#,
        )
        .unwrap();
        let findings = check_file(path, text, &rules);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, part) in findings.iter().zip(expected) {
            assert!(finding.contains(part), "{finding}");
        }
    }

    #[test]
    fn a_file_says_what_happens_in_it() {
        check("crates/a/src/b.rs", "//! Counts.\nfn b() {}\n", &[]);
        check("crates/a/src/b.rs", "fn b() {}\n", &["open with"]);
        check("crates/a/src/utils.rs", "//! Things.\n", &["says nothing"]);
    }

    #[test]
    fn long_files_are_found_and_their_tests_do_not_count() {
        let long = "//! Long.\n\n\n\n\n";
        check("crates/a/src/b.rs", long, &["which two subjects"]);
        check("crates/a/src/long.rs", long, &[]);
        check("crates/a/src/b/tests.rs", long, &[]);
        check(
            "crates/a/src/b.rs",
            "//! Short.\n\n#[cfg(test)]\nmod tests {\n\n\n\n}\n",
            &[],
        );
    }

    #[test]
    fn a_pure_file_names_no_clock_socket_or_file() {
        let text = "//! [pure] Sums.\nuse std::fs;\n// std::env is only mentioned\n";
        check("crates/a/src/b.rs", text, &["`std::fs`"]);
        check("crates/a/src/b.rs", "//! Reads.\nuse std::fs;\n", &[]);
    }

    #[test]
    fn a_table_of_contents_holds_no_code() {
        check(
            "crates/a/src/lib.rs",
            "//! A.\nmod b;\npub use b::B;\n",
            &[],
        );
        check(
            "crates/a/src/lib.rs",
            "//! A.\npub fn b() {}\n",
            &["lib.rs"],
        );
    }
}
