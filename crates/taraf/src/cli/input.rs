//! Values given on the command line: JSON itself, `@FILE`, or `-` for standard input.

use std::io::Read as _;

use serde_json::Value;

use super::failure::Failure;

/// More than this is refused, as the engine would refuse it later.
const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads the value of an option such as `--input`. JSON, or YAML from a file that is named so.
pub(crate) fn read(option: &str, given: &str) -> Result<Value, Failure> {
    let (text, source) = match given.strip_prefix('@') {
        Some(file) => (read_file(option, file)?, file.to_owned()),
        None if given == "-" => (read_stdin(option)?, "standard input".to_owned()),
        None => (given.to_owned(), format!("the value of {option}")),
    };
    let is_yaml = [".yaml", ".yml"].iter().any(|end| source.ends_with(end));
    if given.starts_with('@') && is_yaml {
        return parse_yaml(&text, &source);
    }
    serde_json::from_str(&text).map_err(|error| {
        let failure = Failure::usage(format!("{source} is not JSON: {error}"));
        if looks_like_file(given) {
            failure.with_help(format!("to read a file, write {option} @{given}"))
        } else {
            failure.with_help(format!(
                "{option} takes JSON, @FILE, or - for standard input"
            ))
        }
    })
}

/// Reads a YAML (or JSON) text into a JSON value.
pub(crate) fn parse_yaml(text: &str, source: &str) -> Result<Value, Failure> {
    match taraf_flow::yaml::parse(text) {
        Ok(node) => Ok(node.to_json()),
        Err(findings) => {
            let first = findings.first().map_or_else(String::new, |finding| {
                format!(":{}:{}: {}", finding.line, finding.column, finding.message)
            });
            Err(Failure::usage(format!("{source}{first}")))
        }
    }
}

fn looks_like_file(given: &str) -> bool {
    !given.starts_with(['{', '[', '"']) && std::path::Path::new(given).is_file()
}

fn read_file(option: &str, file: &str) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::usage(format!("failed to read {option} @{file}: {error}"));
    let file = std::fs::File::open(file).map_err(failed)?;
    limited(option, file)
}

fn read_stdin(option: &str) -> Result<String, Failure> {
    limited(option, std::io::stdin().lock())
}

fn limited(option: &str, from: impl std::io::Read) -> Result<String, Failure> {
    let mut text = String::new();
    from.take(INPUT_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("failed to read {option}: {error}")))?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= INPUT_BYTES_MAX) {
        Ok(text)
    } else {
        Err(Failure::usage(format!(
            "{option} is larger than {} MiB",
            INPUT_BYTES_MAX / 1024 / 1024
        )))
    }
}
