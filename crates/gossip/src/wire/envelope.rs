//! [pure] What lies around all packets and streams of a cluster: its label and its encryption.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use super::Error;
use super::keyring::{Keyring, SEAL_BYTES};
use super::memberlist::code;

/// The longest label, in bytes.
pub const LABEL_BYTES_MAX: usize = 255;

/// A number used once with a key. Drawn from the operating system: two members with the same key and the
/// same nonce would give the key's secret away.
pub type Nonce = [u8; 12];

/// How packets and streams are closed and opened. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    label: Bytes,
    keyring: Option<Keyring>,
    /// Whether plain packets and streams are taken although there are keys.
    pub takes_plain: bool,
    /// Whether packets and streams are sent in plain although there are keys. Both are for the days in which
    /// a running cluster gets its first key.
    pub sends_plain: bool,
}

impl Envelope {
    /// For a cluster with this label (empty for none) and these keys.
    ///
    /// # Errors
    /// When the label is longer than [`LABEL_BYTES_MAX`].
    pub fn new(label: &[u8], keyring: Option<Keyring>) -> Result<Self, Error> {
        if label.len() > LABEL_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "a label in bytes",
                found: u64::try_from(label.len()).unwrap_or(u64::MAX),
                max: LABEL_BYTES_MAX,
            });
        }
        Ok(Self {
            label: Bytes::copy_from_slice(label),
            keyring,
            takes_plain: false,
            sends_plain: false,
        })
    }

    /// The keys.
    #[must_use]
    pub fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_ref()
    }

    /// The same with other keys.
    #[must_use]
    pub fn with_keyring(&self, keyring: Option<Keyring>) -> Self {
        Self {
            keyring,
            ..self.clone()
        }
    }

    /// Bytes that it adds to a packet.
    #[must_use]
    pub fn packet_bytes(&self) -> usize {
        let sealed = self.sealing().map_or(0, |_| SEAL_BYTES);
        self.label_bytes().saturating_add(sealed)
    }

    /// The keys to seal with, if what is sent is sealed.
    pub(super) fn sealing(&self) -> Option<&Keyring> {
        self.keyring.as_ref().filter(|_| !self.sends_plain)
    }

    pub(super) fn label(&self) -> &[u8] {
        &self.label
    }

    pub(super) fn label_bytes(&self) -> usize {
        if self.label.is_empty() {
            0
        } else {
            self.label.len().saturating_add(2)
        }
    }

    /// Writes the label with its code and length, if there is one.
    pub(super) fn put_label(&self, out: &mut BytesMut) {
        // Invariant: `new` lets no longer one in.
        if let Ok(length @ 1..) = u8::try_from(self.label.len()) {
            out.put_u8(code::LABEL);
            out.put_u8(length);
            out.put_slice(&self.label);
        }
    }

    /// How many bytes the label takes at the beginning of a packet or stream.
    ///
    /// # Errors
    /// When it is another than ours, or there is none where there should be one, and when it is cut.
    pub(super) fn check_label(&self, bytes: &[u8]) -> Result<usize, Error> {
        let found = match bytes {
            [] => return Err(Error::Incomplete { missing: 1 }),
            [code::LABEL] => return Err(Error::Incomplete { missing: 1 }),
            [code::LABEL, length, behind @ ..] => {
                let length = usize::from(*length);
                let missing = length.saturating_sub(behind.len());
                let label = behind.get(..length);
                label.ok_or(Error::Incomplete { missing })?
            }
            _ => &[],
        };
        if found != self.label {
            let found = String::from_utf8_lossy(found).into_owned();
            return Err(Error::Label { found });
        }
        Ok(self.label_bytes())
    }
}
