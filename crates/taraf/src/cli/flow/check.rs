//! `taraf flow check`: silence when the documents are sound, else one finding a line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use taraf_engine::Beside;
use taraf_flow::{Definition, Finding, Report, Severity};

use crate::apps::beside;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::table::Column;

const COLUMNS: [Column; 6] = [
    Column::text("file", "file"),
    Column::number("line", "line"),
    Column::number("column", "column"),
    Column::text("severity", "severity"),
    Column::text("code", "code"),
    Column::text("message", "message"),
];
/// A larger file is no flow; the language allows 1 MiB and the checker says that with a position.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf flow check flow.yaml
  taraf flow check flows/*/flow.yaml --format json")]
pub(crate) struct Args {
    /// Flow documents, YAML or JSON.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Tell warnings too; they do not change the exit code.
    #[arg(short = 'W', long)]
    warnings: bool,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    let mut is_sound = true;
    for file in &args.files {
        let (report, _) = report(file, &read(file)?);
        is_sound &= report.definition.is_some();
        let told = report
            .findings
            .iter()
            .filter(|finding| args.warnings || finding.severity == Severity::Error);
        for finding in told {
            if output.is_structured() {
                found.push(as_json(file, finding));
            } else {
                output.line(&line(file, finding))?;
            }
        }
    }
    if output.is_structured() {
        output.list(&found, &COLUMNS)?;
    }
    Ok(if is_sound { Exit::Done } else { Exit::Failed })
}

/// The text of a flow document.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let failed =
        |reason: String| Failure::usage(format!("failed to read {}: {reason}", file.display()));
    let size = std::fs::metadata(file)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if size > FILE_BYTES_MAX {
        return Err(failed(format!("{size} bytes are no flow document")));
    }
    std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))
}

/// What is found in a document and in the documents beside its file, which are given back. What lies
/// on a server is not looked at here.
pub(super) fn report(file: &Path, source: &str) -> (Report, Beside) {
    let report = taraf_flow::check(source);
    let Some(definition) = &report.definition else {
        return (report, Beside::new());
    };
    match beside::read(file, definition) {
        Ok(beside) if beside.is_empty() => (report, beside),
        Ok(beside) => {
            let contents = beside::contents(definition, &beside);
            (taraf_flow::check_with(source, &contents), beside)
        }
        Err(findings) => {
            let report = Report {
                definition: None,
                findings: report.findings.into_iter().chain(findings).collect(),
            };
            (report, Beside::new())
        }
    }
}

/// The definition of a sound document, and the documents beside it; the findings of another on
/// stderr, and `exit`.
pub(super) fn sound(
    file: &Path,
    source: &str,
    exit: Exit,
    output: &Output,
) -> Result<(Arc<Definition>, Beside), Failure> {
    let (report, beside) = report(file, source);
    if let Some(definition) = report.definition {
        for finding in &report.findings {
            output.say(&line(file, finding));
        }
        return Ok((definition, beside));
    }
    let errors = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    for finding in errors {
        crate::cli::output::complain(&line(file, finding));
    }
    Err(Failure::silent(exit))
}

/// `FILE:LINE:COL: error[CODE]: message`.
pub(super) fn line(file: &Path, finding: &Finding) -> String {
    let word = word(finding.severity);
    let Finding {
        code,
        line,
        column,
        message,
        ..
    } = finding;
    let file = file.display();
    // A finding is one line, whatever a document put into it.
    let message: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match &finding.help {
        Some(help) => format!("{file}:{line}:{column}: {word}[{code}]: {message} ({help})"),
        None => format!("{file}:{line}:{column}: {word}[{code}]: {message}"),
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn as_json(file: &Path, finding: &Finding) -> Value {
    json!({
        "file": file.display().to_string(),
        "line": finding.line,
        "column": finding.column,
        "severity": word(finding.severity),
        "code": finding.code,
        "pointer": finding.pointer,
        "message": finding.message,
        "help": finding.help,
    })
}
