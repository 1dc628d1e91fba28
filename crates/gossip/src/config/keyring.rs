//! The file that keeps the gossip keys: a JSON list of them in base64, the one that encrypts first (Serf 0.9.4).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::rpc::dial::text_of;
use crate::wire::keyring::{self, Keyring};

/// The longest file that is read: far more keys than anybody rotates.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A keyring file is not to be used; the text is Serf's.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFileError {
    /// There is no such file, or it cannot be looked at.
    #[error("stat {}: {}", .path.display(), text_of(.error))]
    Missing {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not to be read.
    #[error("Failed to read keyring file: {}", text_of(.0))]
    Read(#[source] io::Error),
    /// It is no list of texts.
    #[error("Failed to decode keyring file: {0}")]
    Decode(#[source] serde_json::Error),
    /// A text in it is no base64.
    #[error("Failed to decode key from keyring: {0}")]
    Base64(#[source] base64::DecodeError),
    /// It has no keys.
    #[error("Keyring file contains no keys")]
    Empty,
    /// A key in it is of no use.
    #[error("Failed to restore keyring: {0}")]
    Keyring(#[source] keyring::Error),
}

/// The file in which an agent keeps its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringFile(PathBuf);

impl KeyringFile {
    /// The file of this path, which must exist.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The keys in it.
    ///
    /// # Errors
    /// When it cannot be read, has no keys, or something else than keys.
    pub fn read(&self) -> Result<Keyring, KeyringFileError> {
        let metadata = fs::metadata(&self.0).map_err(|error| KeyringFileError::Missing {
            path: self.0.clone(),
            error,
        })?;
        if metadata.len() > FILE_BYTES_MAX {
            return Err(KeyringFileError::Read(io::ErrorKind::FileTooLarge.into()));
        }
        let text = fs::read(&self.0).map_err(KeyringFileError::Read)?;
        let keys: Vec<String> = serde_json::from_slice(&text).map_err(KeyringFileError::Decode)?;
        let decoded = keys.iter().map(|key| STANDARD.decode(key));
        let decoded: Vec<Vec<u8>> = decoded
            .collect::<Result<_, _>>()
            .map_err(KeyringFileError::Base64)?;
        let (primary, others) = decoded.split_first().ok_or(KeyringFileError::Empty)?;
        let mut keyring = Keyring::new(primary).map_err(KeyringFileError::Keyring)?;
        for key in others {
            keyring.add(key).map_err(KeyringFileError::Keyring)?;
        }
        Ok(keyring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_what_is_wrong_is_told_in_serfs_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let file = KeyringFile::new(&path);
        let missing = file.read().unwrap_err().to_string();
        assert_eq!(
            missing,
            format!("stat {}: no such file or directory", path.display())
        );
        let check = |text: &str, expected: &str| {
            fs::write(&path, text).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check("[]", "Keyring file contains no keys");
        check("x", "Failed to decode keyring file: ");
        check("[\"abc\"]", "Failed to decode key from keyring: ");
        check(
            "[\"aGVsbG8=\"]",
            "Failed to restore keyring: key size must be 16, 24 or 32 bytes",
        );
        fs::write(
            &path,
            "[\n  \"MDEyMzQ1Njc4OWFiY2RlZg==\",\n  \"ZmVkY2JhOTg3NjU0MzIxMA==\"\n]",
        )
        .unwrap();
        let keyring = file.read().unwrap();
        assert_eq!(keyring.primary(), b"0123456789abcdef");
        assert_eq!(keyring.keys().count(), 2);
    }
}
