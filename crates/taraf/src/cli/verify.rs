//! `taraf verify`: is what is kept what was written?

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taraf_engine::Inventory;
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
        let mut inventory = Inventory::of_directory(path);
        let report =
            backup::verify_directory(path, &mut inventory, &mut |bytes| progress.advance(bytes));
        progress.end();
        report.map_err(|error| failure_of(&error))?
    };
    if !report.is_sound() {
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
    let mut inventory = Inventory::of_backup();
    let report = backup::verify_backup(path, &mut inventory, &mut |bytes| progress.advance(bytes));
    progress.end();
    report.map_err(|error| failure_of(&error))
}

/// What is said of something that cannot be trusted: each finding a line.
pub(super) fn failure(path: &Path, report: &Report) -> Failure {
    let how = match report.findings.is_empty() {
        true => "lacks something",
        false => "is damaged",
    };
    told(format!("{} {how}", path.display()), report)
}

/// The same in other words.
pub(super) fn told(mut message: String, report: &Report) -> Failure {
    for finding in report.findings.iter().chain(&report.lacks) {
        message.push_str("\n  ");
        message.push_str(finding);
    }
    Failure::new(Exit::Failed, message)
}

pub(super) fn document(report: &Report) -> Value {
    json!({
        "created": report.created, "files": report.files, "bytes": report.bytes,
        "segments": report.segments, "frames": report.frames, "records": report.records,
        "snapshots": report.snapshots, "blobs": report.blobs, "absent": report.absent,
    })
}

fn summary(path: &Path, report: &Report) -> String {
    let absent = match report.absent {
        0 => String::new(),
        absent => format!(
            "; {absent} payloads of archived runs are not there, as is right when their time was over"
        ),
    };
    format!(
        "{} is sound: {} records in {} segments, {} snapshots, {} payloads{absent}",
        path.display(),
        report.records,
        report.segments,
        report.snapshots,
        report.blobs
    )
}
