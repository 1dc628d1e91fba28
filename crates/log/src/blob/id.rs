//! [pure] The name of a blob: what it contains, hashed, and how long it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// The name of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId {
    /// The SHA-256 of its bytes.
    #[serde(with = "serde_bytes")]
    pub hash: [u8; HASH_BYTES],
    /// How many bytes it has.
    pub len: u64,
}

/// Why a text is not the name of a blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a payload (64 hexadecimal digits, a dash, a length)")]
pub struct ParseBlobIdError(String);

impl BlobId {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            hash: Sha256::digest(bytes).into(),
            len: bytes.len().try_into().expect("memory is below 2^64"),
        }
    }
}

/// As in file names: the hash in hexadecimal, a dash, the length.
impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.hash {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{}", self.len)
    }
}

impl FromStr for BlobId {
    type Err = ParseBlobIdError;

    fn from_str(text: &str) -> Result<Self, ParseBlobIdError> {
        let parse = || {
            let (digits, len) = text.split_once('-')?;
            let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            let is_sound = digits.len() == HASH_BYTES * 2 && digits.bytes().all(is_hex);
            let mut hash = [0; HASH_BYTES];
            for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
                *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
            }
            let id = Self {
                hash,
                len: len.parse().ok()?,
            };
            // One name only: no sign, no leading zero.
            (is_sound && id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| ParseBlobIdError(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_and_read() {
        let id = BlobId::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad-3";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_no_names() {
        let text = BlobId::of(b"abc").to_string();
        let others = [
            String::new(),
            "-".to_owned(),
            text.replace("-3", ""),
            text.replace("-3", "-"),
            text.replace("-3", "-03"),
            text.replace("-3", "-+3"),
            text.to_uppercase(),
            format!("0{text}"),
            text.replacen("ba", "ăb", 1),
            text.replacen("ba", "+a", 1),
        ];
        for other in others {
            assert!(other.parse::<BlobId>().is_err(), "{other}");
        }
    }
}
