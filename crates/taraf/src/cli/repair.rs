//! `taraf repair`: what can be done about a damaged log when there is no backup.

use std::path::{Path, PathBuf};

use taraf_log::file::truncate_at;

use super::failure::{Exit, Failure};
use super::output::Output;

/// Every log directory has this file.
const MARK: &str = "FORMAT";

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf repair --truncate-at .taraf/log/stripes/0/0000000000000001.segment:4096
  taraf repair --truncate-at SEGMENT:OFFSET --yes    as the refusing server printed it")]
pub(crate) struct Args {
    /// Give up all records from this byte of a segment on; the bytes are kept under another name.
    #[arg(long, value_name = "FILE:OFFSET", required = true)]
    truncate_at: String,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let (file, offset) = place(&args.truncate_at)?;
    let dir = log_of(&file)?;
    let question = format!(
        "Give up every record from byte {offset} of {} on, and all segments after it?",
        file.display()
    );
    output.confirm(args.yes, &question)?;
    truncate_at(&dir, &file, offset)
        .map_err(|error| Failure::new(Exit::Failed, format!("failed to repair: {error}")))?;
    output.line(&format!(
        "gave up what followed byte {offset}; the bytes lie beside as *.removed"
    ))?;
    Ok(Exit::Done)
}

fn place(text: &str) -> Result<(PathBuf, u64), Failure> {
    let wrong = || {
        Failure::usage(format!(
            "`{text}` is not FILE:OFFSET, such as a.segment:4096"
        ))
    };
    let (file, offset) = text.rsplit_once(':').ok_or_else(wrong)?;
    let offset = offset.parse().map_err(|_not_a_number| wrong())?;
    let file = Path::new(file);
    let found = file.canonicalize().map_err(|error| {
        Failure::not_found(format!("failed to find {}: {error}", file.display()))
    })?;
    Ok((found, offset))
}

fn log_of(file: &Path) -> Result<PathBuf, Failure> {
    let dir = file
        .ancestors()
        .skip(1)
        .find(|dir| dir.join(MARK).is_file());
    let none = || Failure::usage(format!("{} is in no log directory", file.display()));
    dir.map(Path::to_path_buf).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_and_a_number() {
        assert_eq!(place("Cargo.toml:12").unwrap().1, 12);
        for (text, exit) in [
            ("Cargo.toml", Exit::Usage),
            ("Cargo.toml:x", Exit::Usage),
            ("Cargo.toml:-1", Exit::Usage),
            ("not-there.segment:0", Exit::NotFound),
        ] {
            assert_eq!(place(text).unwrap_err().exit, exit, "{text}");
        }
    }

    #[test]
    fn a_file_outside_a_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stripes/0/1.segment");
        assert_eq!(log_of(&file).unwrap_err().exit, Exit::Usage);
        std::fs::write(folder.path().join(MARK), "").unwrap();
        assert_eq!(log_of(&file).unwrap(), folder.path());
    }
}
