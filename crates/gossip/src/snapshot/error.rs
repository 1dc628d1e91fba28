//! [pure] Why one of a member's files cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refuses.
    #[error("failed to {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no JSON of the right form.
    #[error("{path} is not {expected}")]
    Json {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// Where it is not.
        source: serde_json::Error,
    },
    /// A key is not written in base64.
    #[error("key {number} in {path} is not base64")]
    Base64 {
        /// Which, counted from 1.
        number: usize,
        /// In which file.
        path: PathBuf,
        /// Where it is not.
        source: base64::DecodeError,
    },
    /// A key cannot be used.
    #[error("key {number} in {path}: {source}")]
    Key {
        /// Which, counted from 1.
        number: usize,
        /// In which file.
        path: PathBuf,
        /// Why not.
        source: crate::wire::keyring::Error,
    },
    /// A keyring without a key could not encrypt.
    #[error("{path} contains no keys; write one made by `keygen`")]
    NoKeys {
        /// Which file.
        path: PathBuf,
    },
    /// The file is larger than one that we would write.
    #[error("{path} has more than {max} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
}

impl Error {
    /// Makes an error of the operating system into one that says what was tried.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
