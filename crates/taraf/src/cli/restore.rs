//! `taraf restore`: a backup becomes a data directory again.

use std::path::PathBuf;

use serde_json::json;
use taraf_engine::Inventory;
use taraf_log::backup;

use super::backup::failure_of;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::progress::Progress;
use super::verify;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf restore taraf-backup-2026-11-23T024000.tar --data /var/lib/taraf
  taraf restore backup.tar --data .taraf     and then `taraf dev`")]
pub(crate) struct Args {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data directory to make; it must not exist.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let total = std::fs::metadata(&args.file).map(|found| found.len());
    let mut progress = Progress::new("restoring", total.ok(), output);
    let restored = backup::restore(&args.file, &args.data, &mut |bytes| progress.advance(bytes));
    progress.end();
    let restored = restored.map_err(|error| failure_of(&error))?;
    let mut inventory = Inventory::of_directory(&args.data);
    let report = backup::verify_names(&args.data, &mut inventory);
    let report = report.map_err(|error| failure_of(&error))?;
    let data = args.data.display();
    if !report.is_sound() {
        let message = format!("{data} is put back, and lacks what the node lacked already");
        return Err(verify::told(message, &report));
    }
    if output.is_structured() {
        let document = json!({
            "data": args.data, "created": restored.created,
            "files": restored.files, "bytes": restored.bytes,
        });
        output.one(&document, &[])?;
    } else {
        output.line(&format!(
            "{data}: {} files, {} bytes, as they were at {}",
            restored.files, restored.bytes, restored.created
        ))?;
    }
    Ok(Exit::Done)
}
