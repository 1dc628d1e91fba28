//! `taraf verify`: is what is kept what was written?

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taraf_log::backup::{self, Report};

use super::backup::failure_of;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::progress::Progress;

/// Only backups have it.
const MANIFEST: &str = "MANIFEST";

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf verify taraf-backup-2026-11-23T024000.tar
  taraf verify /var/lib/taraf             a data directory that no server uses")]
pub(crate) struct Args {
    /// A backup, or a data directory.
    #[arg(value_name = "FILE|DIR", default_value = ".taraf")]
    path: PathBuf,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let path = &args.path;
    let is_backup = path.is_file() || path.join(MANIFEST).is_file();
    let report = if is_backup {
        backup(path, output)?
    } else {
        let mut progress = Progress::new("verifying", None, output);
        let report = backup::verify_directory(path, &mut |bytes| progress.advance(bytes));
        progress.end();
        report.map_err(|error| failure_of(&error))?
    };
    if !report.findings.is_empty() {
        return Err(failure(path, &report));
    }
    if output.is_structured() {
        output.one(&document(&report), &[])?;
    } else {
        output.line(&summary(path, &report))?;
    }
    Ok(Exit::Done)
}

/// Checks a backup, telling how far it is.
pub(super) fn backup(path: &Path, output: &Output) -> Result<Report, Failure> {
    let mut progress = Progress::new("verifying", None, output);
    let report = backup::verify_backup(path, &mut |bytes| progress.advance(bytes));
    progress.end();
    report.map_err(|error| failure_of(&error))
}

/// What is said of something that cannot be trusted: each finding a line.
pub(super) fn failure(path: &Path, report: &Report) -> Failure {
    let mut message = format!("{} is damaged", path.display());
    for finding in &report.findings {
        message.push_str("\n  ");
        message.push_str(finding);
    }
    Failure::new(Exit::Failed, message)
}

pub(super) fn document(report: &Report) -> Value {
    json!({
        "created": report.created, "files": report.files, "bytes": report.bytes,
        "segments": report.segments, "frames": report.frames, "records": report.records,
        "snapshots": report.snapshots, "blobs": report.blobs,
    })
}

fn summary(path: &Path, report: &Report) -> String {
    format!(
        "{} is sound: {} records in {} segments, {} snapshots, {} payloads",
        path.display(),
        report.records,
        report.segments,
        report.snapshots,
        report.blobs
    )
}
