//! The data directory: for its owner alone, with files that hold one secret each.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use taraf_base::{Secret, random_bytes};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The file of the operator token in the data directory.
pub(crate) const OPERATOR_TOKEN: &str = "operator.token";

/// Says how the directory is laid out. The log in it is locked by who uses it, and has a format of
/// its own.
const FORMAT: &str = "FORMAT";
const FORMAT_LINE: &str = "taraf data ";
const FORMAT_VERSION: u32 = 1;

/// Makes the directory, and those above it, where they are missing; refuses one of a newer program.
pub(crate) fn create(dir: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(dir)
        .with_context(|| format!("failed to make the data directory {}", dir.display()))?;
    let path = dir.join(FORMAT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = format!("{FORMAT_LINE}{FORMAT_VERSION}\n");
            return write_private(&path, text.as_bytes());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", path.display()));
        }
    };
    let version = text.strip_prefix(FORMAT_LINE).map(str::trim);
    match version.and_then(|version| version.parse::<u32>().ok()) {
        Some(version) if version <= FORMAT_VERSION => Ok(()),
        Some(version) => anyhow::bail!(
            "the data directory {} has format {version} and this program knows formats up to \
             {FORMAT_VERSION}; use the newer program",
            dir.display()
        ),
        None => anyhow::bail!(
            "{} does not say which format the data directory has; restore a backup",
            path.display()
        ),
    }
}

/// Reads a secret from its file; makes both when there is no file.
pub(crate) fn secret(path: &Path, make: impl FnOnce() -> Secret) -> anyhow::Result<Secret> {
    if let Some(secret) = read_secret(path)? {
        return Ok(secret);
    }
    let secret = make();
    write_private(path, secret.expose().as_bytes())?;
    Ok(secret)
}

/// The secret in a file, without the line end; nothing when there is no file.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<Option<Secret>> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => {
            anyhow::bail!("{} holds no secret", path.display())
        }
        Ok(text) => Ok(Some(Secret::new(text.trim_end().to_owned()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

/// Writes a file that only its owner reads. It is there whole or not at all, and survives a crash.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let doing = || format!("failed to write {}", path.display());
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&fresh)
        .with_context(doing)?;
    file.write_all(content).with_context(doing)?;
    file.sync_all().with_context(doing)?;
    fs::rename(&fresh, path).with_context(doing)?;
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let sync_dir = fs::File::open(dir).and_then(|dir| dir.sync_all());
    sync_dir.with_context(doing)
}

/// A token of 256 random bits.
pub(crate) fn new_token() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_made_once_and_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b");
        create(&dir).unwrap();
        create(&dir).unwrap();
        let path = dir.join(OPERATOR_TOKEN);
        let first = secret(&path, new_token).unwrap();
        assert_eq!(secret(&path, new_token).unwrap(), first);
        assert_eq!(first.expose().len(), 43);
        assert_eq!((mode(&dir), mode(&path)), (DIRECTORY_MODE, FILE_MODE));
    }

    #[test]
    fn a_directory_of_a_newer_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path()).unwrap();
        let format = folder.path().join(FORMAT);
        assert_eq!(fs::read_to_string(&format).unwrap(), "taraf data 1\n");
        create(folder.path()).unwrap();
        for (text, part) in [("taraf data 2\n", "format 2"), ("what\n", "does not say")] {
            fs::write(&format, text).unwrap();
            let error = create(folder.path()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "\n").unwrap();
        assert!(secret(&path, new_token).is_err());
        fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(secret(&path, new_token).unwrap().expose(), "hunter2");
    }
}
