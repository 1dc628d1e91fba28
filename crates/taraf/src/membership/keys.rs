//! The gossip keys of a node: kept in the data directory, made there when there are none.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taraf_base::{Secret, random_bytes};
use taraf_gossip::snapshot::keyring_file;
use taraf_gossip::wire::keyring::Keyring;

use crate::config::Gossip;
use crate::node::data;

/// The file of the gossip keys in a data directory, in the form of Serf's keyring file.
pub(crate) const KEYRING: &str = "gossip.keyring";

/// The bytes of a key that we make: AES-256.
const KEY_BYTES: usize = 32;

/// What a member seals with.
pub(super) struct Keys {
    /// The file that is followed by key rotations.
    pub(super) file: Option<PathBuf>,
    /// The keys themselves where there is no file.
    pub(super) keyring: Option<Keyring>,
    /// The primary key in base64.
    pub(super) key: Option<Secret>,
}

/// The keys that a configuration asks for.
///
/// A keyring that is kept goes before a key that is configured: keys may have been rotated since.
pub(super) fn of(config: &Gossip, folder: Option<&Path>) -> anyhow::Result<Keys> {
    if !config.is_encrypted() {
        return Ok(Keys {
            file: None,
            keyring: None,
            key: None,
        });
    }
    let configured = configured(config)?;
    let Some(folder) = folder else {
        let keyring = configured.map_or_else(made, Ok)?;
        return Ok(Keys {
            file: None,
            key: Some(text(keyring.primary())),
            keyring: Some(keyring),
        });
    };
    let file = folder.join(KEYRING);
    if !file.exists() {
        data::create(folder)?;
        let keyring = configured.clone().map_or_else(made, Ok)?;
        let keys: Vec<_> = keyring
            .keys()
            .map(|key| Secret::new(key.to_vec()))
            .collect();
        keyring_file::save(&file, &keys).context("failed to keep the gossip key")?;
    }
    let keyring = keyring_file::load(&file).context("failed to read the gossip keys")?;
    if let Some(configured) = configured
        && !keyring.keys().any(|known| known == configured.primary())
    {
        tracing::warn!(file = %file.display(),
            "the configured gossip key is not among those that are kept: they hold, the configured one is not used; \
             remove the file to begin anew with it");
    }
    Ok(Keys {
        key: Some(text(keyring.primary())),
        file: Some(file),
        keyring: None,
    })
}

/// The keys that the configuration says: one in itself, or a file of one, or a keyring file of Serf's.
fn configured(config: &Gossip) -> anyhow::Result<Option<Keyring>> {
    let written = match (&config.encrypt_key, &config.encrypt_key_file) {
        (Some(_), Some(_)) => {
            anyhow::bail!(
                "gossip.encrypt_key and gossip.encrypt_key_file: only one of them can hold"
            )
        }
        (Some(key), None) => Some((key.clone(), "gossip.encrypt_key".to_owned())),
        (None, Some(file)) => {
            let place = file.display().to_string();
            let key = data::read_secret(file)?;
            if key
                .as_ref()
                .is_some_and(|key| key.expose().trim_start().starts_with('['))
            {
                let keyring = keyring_file::load(file);
                return keyring.map(Some).context("gossip.encrypt_key_file");
            }
            Some((
                key.with_context(|| format!("there is no gossip key in {place}"))?,
                place,
            ))
        }
        (None, None) => None,
    };
    let Some((key, place)) = written else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(key.expose().trim());
    let bytes =
        bytes.with_context(|| format!("{place}: a gossip key is 16, 24 or 32 bytes in base64"))?;
    Keyring::new(&bytes).with_context(|| place).map(Some)
}

fn made() -> anyhow::Result<Keyring> {
    Keyring::new(&random_bytes::<KEY_BYTES>()).context("failed to make a gossip key")
}

fn text(key: &[u8]) -> Secret {
    Secret::new(STANDARD.encode(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(encrypt: Option<bool>, key: Option<&str>) -> Gossip {
        Gossip {
            encrypt,
            encrypt_key: key.map(|key| key.to_owned().into()),
            ..Gossip::default()
        }
    }

    fn exposed(keys: &Keys) -> Option<&str> {
        keys.key.as_ref().map(|key| key.expose().as_str())
    }

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";

    #[test]
    fn nothing_is_encrypted_unless_asked_for_and_a_key_asks_for_it() {
        assert_eq!(exposed(&of(&asking(None, None), None).unwrap()), None);
        assert_eq!(
            exposed(&of(&asking(None, Some(KEY)), None).unwrap()),
            Some(KEY)
        );
        assert_eq!(
            exposed(&of(&asking(Some(false), Some(KEY)), None).unwrap()),
            None
        );
        let made = of(&asking(Some(true), None), None).unwrap();
        assert_eq!(exposed(&made).unwrap().len(), 44);
    }

    #[test]
    fn a_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let first = of(&asking(Some(true), None), Some(&dir)).unwrap();
        let second = of(&asking(Some(true), None), Some(&dir)).unwrap();
        assert_eq!(exposed(&first), exposed(&second));
        assert_eq!(first.file, Some(dir.join(KEYRING)));
        // What is kept goes before what is configured later.
        let third = of(&asking(None, Some(KEY)), Some(&dir)).unwrap();
        assert_eq!(exposed(&third), exposed(&first));
    }

    #[test]
    fn the_keyring_of_another_node_is_taken_whole() {
        let folder = tempfile::tempdir().unwrap();
        let other = of(&asking(Some(true), None), Some(folder.path())).unwrap();
        let config = Gossip {
            encrypt_key_file: other.file.clone(),
            ..Gossip::default()
        };
        let keys = of(&config, None).unwrap();
        assert_eq!(exposed(&keys), exposed(&other));
        let plain = folder.path().join("key");
        std::fs::write(&plain, format!("{KEY}\n")).unwrap();
        let config = Gossip {
            encrypt_key_file: Some(plain),
            ..Gossip::default()
        };
        assert_eq!(exposed(&of(&config, None).unwrap()), Some(KEY));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_place() {
        let refused = |key| format!("{:#}", of(&asking(None, Some(key)), None).err().unwrap());
        assert!(refused("!").starts_with("gossip.encrypt_key: a gossip key is 16, 24 or 32 bytes"));
        assert!(refused("AAEC").starts_with("gossip.encrypt_key: "));
        let mut both = asking(None, Some(KEY));
        both.encrypt_key_file = Some("key".into());
        assert!(of(&both, None).is_err());
    }
}
