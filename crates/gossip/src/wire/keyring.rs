//! [pure] Gossip keys, and what is sealed and opened with them: AES-GCM, its version in front.
//!
//! ```text
//! version | nonce (12) | ciphertext | tag (16)
//! ```
//!
//! Version 1 seals what it is given; version 0, which is only opened here, pads it to a multiple of 16 first.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aes::Aes192;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, KeyInit, Tag};
use bytes::{BufMut, BytesMut};
use taraf_base::Secret;

use super::Nonce;

/// The most keys in a ring: what no key opens costs a try with each of them.
pub const KEYS_MAX: usize = 64;
/// Bytes that sealing adds.
pub const SEAL_BYTES: usize = 1 + NONCE_BYTES + TAG_BYTES;

const NONCE_BYTES: usize = 12;
/// What follows the ciphertext.
pub(super) const TAG_BYTES: usize = 16;
/// Seals to blocks of [`BLOCK_BYTES`], as memberlist's protocol 1 did.
const PADDED: u8 = 0;
/// Seals as it is.
const PLAIN: u8 = 1;
const BLOCK_BYTES: usize = 16;

/// Why a ring is not changed. The words are those of Serf, since other members read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key has another length.
    #[error("key size must be 16, 24 or 32 bytes")]
    Size,
    /// A ring encrypts with its first key, so there must be one.
    #[error("Removing the primary key is not allowed")]
    Primary,
    /// A key that is not in the ring cannot be the first.
    #[error("Requested key is not in the keyring")]
    Unknown,
    /// There are [`KEYS_MAX`].
    #[error("the keyring is full")]
    Full,
}

/// Keys of a cluster: the first encrypts, each may decrypt.
///
/// A clone shares the keys. Invariant: there is a first key, since [`Keyring::new`] wants it and
/// [`Keyring::remove`] refuses to take it.
#[derive(Clone)]
pub struct Keyring {
    primary: Arc<Key>,
    others: Vec<Arc<Key>>,
}

struct Key {
    bytes: Secret<Vec<u8>>,
    cipher: Cipher,
}

type Aes192Gcm = AesGcm<Aes192, U12>;

enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<Aes192Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl Keyring {
    /// A ring of one key.
    ///
    /// # Errors
    /// When the key does not have 16, 24 or 32 bytes.
    pub fn new(primary: &[u8]) -> Result<Self, Error> {
        Ok(Self {
            primary: Key::new(primary)?,
            others: Vec::new(),
        })
    }

    /// The keys, the first one first.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.all().map(|key| key.bytes.expose().as_slice())
    }

    /// The key that encrypts.
    #[must_use]
    pub fn primary(&self) -> &[u8] {
        self.primary.bytes.expose()
    }

    /// Adds a key to decrypt with. One that is there already stays where it is.
    ///
    /// # Errors
    /// When the key does not have 16, 24 or 32 bytes, or there are [`KEYS_MAX`].
    pub fn add(&mut self, key: &[u8]) -> Result<(), Error> {
        let key = Key::new(key)?;
        if self.all().any(|other| other.bytes == key.bytes) {
            return Ok(());
        }
        if self.others.len().saturating_add(1) >= KEYS_MAX {
            return Err(Error::Full);
        }
        self.others.push(key);
        Ok(())
    }

    /// Makes a key that is in the ring the first.
    ///
    /// # Errors
    /// When it is not in the ring.
    pub fn use_key(&mut self, key: &[u8]) -> Result<(), Error> {
        let key = Key::new(key).map_err(|_size| Error::Unknown)?;
        if self.primary.bytes == key.bytes {
            return Ok(());
        }
        let place = self
            .others
            .iter_mut()
            .find(|other| other.bytes == key.bytes);
        let place = place.ok_or(Error::Unknown)?;
        std::mem::swap(place, &mut self.primary);
        Ok(())
    }

    /// Takes a key out of the ring; none when it is not in there.
    ///
    /// # Errors
    /// When it is the first.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), Error> {
        let key = Secret::new(key.to_vec());
        if self.primary.bytes == key {
            return Err(Error::Primary);
        }
        self.others.retain(|other| other.bytes != key);
        Ok(())
    }

    /// Makes room for what stands before the ciphertext. What is to be sealed is written behind it.
    pub(super) fn begin(out: &mut BytesMut) {
        out.put_u8(PLAIN);
        out.put_bytes(0, NONCE_BYTES);
    }

    /// Seals in place what was written since [`Keyring::begin`], which was at `start`. The same nonce must
    /// never come twice with the same key.
    pub(super) fn seal(&self, nonce: Nonce, associated: &[u8], start: usize, out: &mut BytesMut) {
        let begun = out.get_mut(start.saturating_add(1)..).unwrap_or_default();
        let parts = begun.split_first_chunk_mut::<NONCE_BYTES>();
        let (place, text) = parts.expect("`begin` made room at `start`");
        *place = nonce;
        let tag = self.primary.cipher.seal(&nonce, associated, text);
        out.put_slice(&tag);
    }

    /// Opens `sealed` in place; answers where in it the plain bytes are. What no key opens is as it was.
    ///
    /// # Errors
    /// When it is too short, of an unknown version, or no key opens it.
    pub(super) fn open(
        &self,
        associated: &[u8],
        sealed: &mut [u8],
    ) -> Result<std::ops::Range<usize>, super::Error> {
        let too_short = super::Error::Incomplete {
            missing: SEAL_BYTES.saturating_sub(sealed.len()),
        };
        let total = sealed.len();
        let Some((&mut version, behind)) = sealed.split_first_mut() else {
            return Err(too_short);
        };
        if version > PLAIN {
            return Err(super::Error::Unknown {
                what: "version of encryption",
                code: version.into(),
            });
        }
        let parts = behind.split_first_chunk_mut::<NONCE_BYTES>();
        let parts = parts.and_then(|(nonce, behind)| {
            let (text, tag) = behind.split_last_chunk_mut::<TAG_BYTES>()?;
            Some((nonce, text, tag))
        });
        let Some((nonce, text, tag)) = parts else {
            return Err(too_short);
        };
        let fits = self
            .all()
            .any(|key| key.cipher.open(nonce, associated, text, *tag));
        if !fits {
            return Err(super::Error::NoKey);
        }
        let padding = if version == PADDED { padding(text)? } else { 0 };
        let start = 1_usize.saturating_add(NONCE_BYTES);
        let behind = TAG_BYTES.saturating_add(padding);
        Ok(start..total.saturating_sub(behind))
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.primary)
            .chain(&self.others)
            .map(AsRef::as_ref)
    }
}

/// Keys are not shown.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.all().count())
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Result<Arc<Self>, Error> {
        let cipher = if let Ok(bytes) = <&[u8; 16]>::try_from(bytes) {
            Cipher::Aes128(Box::new(Aes128Gcm::new(bytes.into())))
        } else if let Ok(bytes) = <&[u8; 24]>::try_from(bytes) {
            Cipher::Aes192(Box::new(Aes192Gcm::new(bytes.into())))
        } else if let Ok(bytes) = <&[u8; 32]>::try_from(bytes) {
            Cipher::Aes256(Box::new(Aes256Gcm::new(bytes.into())))
        } else {
            return Err(Error::Size);
        };
        let bytes = Secret::new(bytes.to_vec());
        Ok(Arc::new(Self { bytes, cipher }))
    }
}

impl Cipher {
    fn seal(&self, nonce: &Nonce, associated: &[u8], text: &mut [u8]) -> [u8; TAG_BYTES] {
        let nonce = nonce.into();
        let sealed = match self {
            Self::Aes128(cipher) => cipher.encrypt_inout_detached(nonce, associated, text.into()),
            Self::Aes192(cipher) => cipher.encrypt_inout_detached(nonce, associated, text.into()),
            Self::Aes256(cipher) => cipher.encrypt_inout_detached(nonce, associated, text.into()),
        };
        sealed.expect("nothing of 64 GiB is sent").into()
    }

    /// Leaves the text as it is when it does not fit.
    fn open(
        &self,
        nonce: &Nonce,
        associated: &[u8],
        text: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> bool {
        let (nonce, tag) = (nonce.into(), Tag::from(tag));
        let text = text.into();
        match self {
            Self::Aes128(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, &tag),
            Self::Aes192(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, &tag),
            Self::Aes256(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, &tag),
        }
        .is_ok()
    }
}

/// How much of the text is padding: as many bytes as the last one says, all of them the same.
fn padding(text: &[u8]) -> Result<usize, super::Error> {
    let last = text.last().copied().unwrap_or(0);
    let length = usize::from(last);
    let start = text.len().checked_sub(length);
    let padding = start.and_then(|start| text.get(start..));
    let is_right = (1..=BLOCK_BYTES).contains(&length)
        && padding.is_some_and(|padding| padding.iter().all(|byte| *byte == last));
    if is_right {
        Ok(length)
    } else {
        Err(super::Error::Padding)
    }
}

#[cfg(test)]
mod tests;
