//! Files that are written whole: after a crash there is the old one or the new one.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::Error;

/// Keyrings and tags are far smaller.
const BYTES_MAX: u64 = 1024 * 1024;

/// Who may read a file that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Everybody who may by the process's mask.
    Open,
    /// The owner alone, where the file system knows that.
    Owner,
}

/// Reads a small file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    let mut held = Vec::new();
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut held)
        .map_err(Error::io("read", path))?;
    if u64::try_from(held.len()).is_ok_and(|bytes| bytes > BYTES_MAX) {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            max: BYTES_MAX,
        });
    }
    Ok(held)
}

/// Replaces a file by another of this content, which is first written beside it with `ending` in its name.
pub(super) fn replace(
    path: &Path,
    ending: &str,
    content: &[u8],
    secrecy: Secrecy,
) -> Result<(), Error> {
    let beside = beside(path, ending);
    write(&beside, content, secrecy).map_err(Error::io("write", &beside))?;
    fs::rename(&beside, path).map_err(Error::io("replace", path))?;
    sync_folder(path).map_err(Error::io("make durable", path))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn write(path: &Path, content: &[u8], secrecy: Secrecy) -> io::Result<()> {
    // What a crash left behind may have been made with another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if secrecy == Secrecy::Owner {
        owner_only(&mut options);
    }
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(unix)]
fn owner_only(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn owner_only(_options: &mut OpenOptions) {}

/// A new name is durable only with the folder that holds it.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// JSON as Go writes it: two spaces, and three characters of HTML escaped.
pub(super) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Maps of text to text and lists of text are always JSON.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let text = text
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e");
    text.replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
        .into_bytes()
}
