//! The keyring file: gossip keys in base64, the primary first, readable by its owner alone.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taraf_base::Secret;

use super::Error;
use super::whole::{self, Secrecy};
use crate::wire::keyring::Keyring;

/// Reads a keyring. The file must be there and hold a key.
///
/// # Errors
/// When it cannot be read, or holds something that is no key; says which.
pub fn load(path: &Path) -> Result<Keyring, Error> {
    let held = Secret::new(whole::read(path)?);
    let keys: Vec<String> = serde_json::from_slice(held.expose()).map_err(|source| {
        let expected = "a JSON array of keys in base64";
        Error::Json {
            path: path.to_owned(),
            expected,
            source,
        }
    })?;
    let mut keyring: Option<Keyring> = None;
    for (number, key) in (1..).zip(&keys) {
        let decoded = STANDARD.decode(key).map_err(|source| Error::Base64 {
            number,
            path: path.to_owned(),
            source,
        })?;
        let decoded = Secret::new(decoded);
        let added = match &mut keyring {
            None => Keyring::new(decoded.expose()).map(|new| keyring = Some(new)),
            Some(keyring) => keyring.add(decoded.expose()),
        };
        added.map_err(|source| Error::Key {
            number,
            path: path.to_owned(),
            source,
        })?;
    }
    keyring.ok_or_else(|| Error::NoKeys {
        path: path.to_owned(),
    })
}

/// Replaces the file by these keys, the primary first.
///
/// # Errors
/// When it cannot be written; then it is as it was.
pub fn save(path: &Path, keys: &[Secret<Vec<u8>>]) -> Result<(), Error> {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| STANDARD.encode(key.expose()))
        .collect();
    whole::replace(path, ".new", &whole::json(&keys), Secrecy::Owner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/files/serf-0.9.4-keyring.json");

    fn load_text(text: &[u8]) -> Result<Keyring, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        fs::write(&path, text).unwrap();
        load(&path)
    }

    #[test]
    fn golden_keyring_of_serf_is_read_and_written_the_same() {
        let keyring = load_text(GOLDEN).unwrap();
        assert_eq!(keyring.keys().count(), 2);
        assert_eq!(keyring.keys().next(), Some(keyring.primary()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        fs::write(&path, "what was there").unwrap();
        let keys: Vec<_> = keyring
            .keys()
            .map(|key| Secret::new(key.to_vec()))
            .collect();
        save(&path, &keys).unwrap();
        assert_eq!(fs::read(&path).unwrap(), GOLDEN);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        save(&path, &[Secret::new(vec![1; 16])]).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, end: &str| {
            let error = load_text(text.as_bytes()).unwrap_err().to_string();
            assert!(error.ends_with(end), "{error}");
            assert!(!error.contains("c2VjcmV0"), "a key is shown: {error}");
        };
        check("[]", "contains no keys; write one made by `keygen`");
        check("{}", "is not a JSON array of keys in base64");
        check("[\"c2VjcmV0\", 7]", "is not a JSON array of keys in base64");
        check(
            "[\"c2VjcmV0c2VjcmV0c2VjcmV0\", \"AAAA\"]",
            ": key size must be 16, 24 or 32 bytes",
        );
        check("[\"c2VjcmV0!\"]", "is not base64");
        let folder = tempfile::tempdir().unwrap();
        let error = load(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.starts_with("failed to open "), "{error}");
        assert!(save(&folder.path().join("no/where"), &[]).is_err());
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let error = load_text(&vec![b' '; 1024 * 1024 + 1])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("has more than 1048576 bytes"), "{error}");
    }
}
