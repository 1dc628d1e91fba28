//! The snapshot file itself: read whole at the start, then appended to and now and then replaced.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::whole::{self, Secrecy};
use super::{Effect, Error};

/// A snapshot of a hundred thousand members with long names takes less.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An open snapshot file. It blocks: to be used where that does no harm.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    /// None after a failure: then only replacing the whole file helps.
    file: Option<fs::File>,
}

impl File {
    /// Opens the file, or makes an empty one; returns what it holds.
    ///
    /// # Errors
    /// When it cannot be read or made, or is larger than any snapshot.
    pub fn open(path: &Path) -> Result<(Self, Vec<u8>), Error> {
        let mut file = append_to(path).map_err(Error::io("open snapshot", path))?;
        let mut held = Vec::new();
        let read = (&mut file).take(BYTES_MAX + 1).read_to_end(&mut held);
        read.map_err(Error::io("read snapshot", path))?;
        if u64::try_from(held.len()).is_ok_and(|bytes| bytes > BYTES_MAX) {
            return Err(Error::TooLarge {
                path: path.to_owned(),
                max: BYTES_MAX,
            });
        }
        Ok((
            Self {
                path: path.to_owned(),
                file: Some(file),
            },
            held,
        ))
    }

    /// Does one thing to the file.
    ///
    /// # Errors
    /// When it cannot be done. From then on appending fails until the file is replaced, for what is appended after a
    /// gap would say something else.
    pub fn perform(&mut self, effect: &Effect) -> Result<(), Error> {
        let result = match effect {
            Effect::Append(lines) => self.open_file()?.write_all(lines),
            Effect::Sync => self.open_file()?.sync_all(),
            Effect::Replace(lines) => {
                // Closed first: Windows replaces no open file.
                self.file = None;
                whole::replace(&self.path, ".compact", lines, Secrecy::Open)?;
                self.file =
                    Some(append_to(&self.path).map_err(Error::io("open snapshot", &self.path))?);
                return Ok(());
            }
        };
        result.map_err(|source| {
            self.file = None;
            Error::io("write snapshot", &self.path)(source)
        })
    }

    fn open_file(&mut self) -> Result<&mut fs::File, Error> {
        let gone = || std::io::Error::other("an earlier write failed");
        self.file
            .as_mut()
            .ok_or_else(gone)
            .map_err(Error::io("write snapshot", &self.path))
    }
}

fn append_to(path: &Path) -> std::io::Result<fs::File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn append(text: &'static str) -> Effect {
        Effect::Append(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn what_was_written_is_read_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snap");
        let (mut file, held) = File::open(&path).unwrap();
        assert!(held.is_empty());
        file.perform(&append("clock: 1\n")).unwrap();
        file.perform(&append("clock: 2\n")).unwrap();
        file.perform(&Effect::Sync).unwrap();
        let (mut file, held) = File::open(&path).unwrap();
        assert_eq!(held, b"clock: 1\nclock: 2\n");
        file.perform(&Effect::Replace(Bytes::from_static(b"clock: 2\n")))
            .unwrap();
        file.perform(&append("leave\n")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"clock: 2\nleave\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no").join("snap");
        let error = File::open(&path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("failed to open snapshot {}", path.display())
        );
        assert!(File::open(folder.path()).is_err());
    }

    #[test]
    fn after_a_failure_only_the_whole_file_helps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in").join("snap");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let (mut file, _) = File::open(&path).unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(
            file.perform(&Effect::Replace(Bytes::from_static(b"clock: 1\n")))
                .is_err()
        );
        let error = file.perform(&append("clock: 2\n")).unwrap_err();
        assert!(
            error.to_string().starts_with("failed to write snapshot"),
            "{error}"
        );
        fs::create_dir(path.parent().unwrap()).unwrap();
        file.perform(&Effect::Replace(Bytes::from_static(b"clock: 3\n")))
            .unwrap();
        file.perform(&append("clock: 4\n")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"clock: 3\nclock: 4\n");
    }
}
