//! `taraf backup`: everything a node keeps, in one file, while the node works.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;
use serde_json::json;
use taraf_base::Timestamp;
use taraf_log::backup;

use super::failure::{Exit, Failure};
use super::operator::{Call, Operator, ServerArgs};
use super::output::Output;
use super::progress::Progress;
use super::verify;
use crate::operator::BACKUP_BYTES;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf backup                            taraf-backup-DATE.tar in this folder
  taraf backup --to /mnt/backups          the same there; the node goes on working")]
pub(crate) struct Args {
    /// The file to write, or an existing folder to put it in.
    #[arg(long, value_name = "FILE|DIR", default_value = ".")]
    to: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let to = target(&args.to)?;
    let operator = Operator::find(&args.server)?;
    let partial = partial_of(&to);
    let result = download(&operator, &partial, output).await;
    let checked = result.and_then(|()| verify::backup(&partial, output));
    let report = match checked {
        Ok(report) if report.findings.is_empty() => report,
        other => {
            // What is not whole must not be taken for a backup; nothing else has this name.
            drop(fs::remove_file(&partial));
            let report = other?;
            return Err(verify::failure(&partial, &report));
        }
    };
    put_in_place(&partial, &to).map_err(|error| cannot_write(&to, &error))?;
    if !report.lacks.is_empty() {
        // Better than none: the rest of what the node keeps is in it.
        let message = format!("{} is made, and lacks what the node lacks", to.display());
        return Err(verify::told(message, &report));
    }
    if output.is_structured() {
        let mut document = verify::document(&report);
        document["file"] = json!(to);
        output.one(&document, &[])?;
    } else {
        let (files, bytes) = (report.files, report.bytes);
        let text = format!("{}: {files} files, {bytes} bytes, checked", to.display());
        output.line(&text)?;
    }
    Ok(Exit::Done)
}

/// The file that is written: what was named, or a name with the time in the folder that was.
fn target(to: &Path) -> Result<PathBuf, Failure> {
    let file = if to.is_dir() {
        let now = Timestamp::now().to_string();
        let time: String = now.chars().take(19).filter(|c| *c != ':').collect();
        to.join(format!("taraf-backup-{time}.tar"))
    } else {
        to.to_owned()
    };
    if file.exists() {
        let message = format!("{} is there already", file.display());
        return Err(Failure::new(Exit::Conflict, message).with_help("name another file with --to"));
    }
    Ok(file)
}

fn partial_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

async fn download(operator: &Operator, to: &Path, output: &Output) -> Result<(), Failure> {
    let answer = operator.open(Call::get("/v1/backup")).await?;
    let total = answer.headers().get(BACKUP_BYTES);
    let total = total.and_then(|total| total.to_str().ok()?.parse().ok());
    let mut progress = Progress::new("backing up", total, output);
    let mut file = create(to).map_err(|error| cannot_write(to, &error))?;
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let message = format!("the server broke the backup off: {error}");
            Failure::new(Exit::Failed, message).with_help("the node's trace says why")
        })?;
        if let Ok(bytes) = frame.into_data() {
            // Local files; between two pieces others have their turn.
            file.write_all(&bytes)
                .map_err(|error| cannot_write(to, &error))?;
            progress.advance(bytes.len() as u64);
        }
    }
    progress.end();
    file.sync_all().map_err(|error| cannot_write(to, &error))
}

/// For its owner alone: it holds tokens and what flows worked with.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.mode(0o600).open(path)
}

fn put_in_place(partial: &Path, to: &Path) -> std::io::Result<()> {
    fs::rename(partial, to)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("failed to write {}: {error}", path.display());
    Failure::new(Exit::Failed, message)
}

/// The failure of something about a backup.
pub(super) fn failure_of(error: &backup::Error) -> Failure {
    let source = std::error::Error::source(error);
    let kind = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    let exit = match error {
        backup::Error::Exists(_) | backup::Error::Log(taraf_log::Error::Locked { .. }) => {
            Exit::Conflict
        }
        _ if kind.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) => {
            Exit::NotFound
        }
        _ => Exit::Failed,
    };
    let message = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    Failure::new(exit, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gets_a_name_with_the_time_and_no_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let inside = target(folder.path()).unwrap();
        let name = inside.file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with("taraf-backup-20") && name.ends_with(".tar"),
            "{name}"
        );
        assert!(!name.contains(':'), "{name}");
        let file = folder.path().join("mine.tar");
        assert_eq!(target(&file).unwrap(), file);
        fs::write(&file, "x").unwrap();
        assert_eq!(target(&file).unwrap_err().exit, Exit::Conflict);
    }
}
