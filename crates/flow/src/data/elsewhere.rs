//! [pure] Documents that are not here: kept by somebody under the name of their content, or made when first
//! looked at.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Data;

/// The name of a document that is kept elsewhere: what its text is, hashed, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DataName {
    /// The SHA-256 of its text.
    #[serde(with = "serde_bytes")]
    pub hash: [u8; 32],
    /// How many bytes the text has.
    pub len: u64,
}

impl DataName {
    /// The name of this text.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        Self {
            hash: Sha256::digest(text).into(),
            len: u64::try_from(text.len()).unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for DataName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.hash {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{}", self.len)
    }
}

/// Who keeps documents. Called where one is looked at, which may be on a thread that should not wait
/// long.
pub trait Keeper: Send + Sync {
    /// The document of that name. When it cannot be had, whoever asked sees `null`: the keeper
    /// remembers why, and who began the work asks it afterwards.
    fn fetch(&self, name: &DataName) -> Option<Data>;
}

/// A document that is not here, and where it is had from.
pub(super) struct Elsewhere {
    from: From,
    found: OnceLock<Data>,
}

enum From {
    Keeper(DataName, Option<Arc<dyn Keeper>>),
    Making(Box<dyn Fn() -> Data + Send + Sync>),
}

impl Elsewhere {
    pub(super) fn kept(name: DataName, by: Option<Arc<dyn Keeper>>) -> Self {
        Self {
            from: From::Keeper(name, by),
            found: OnceLock::new(),
        }
    }

    pub(super) fn made(make: impl Fn() -> Data + Send + Sync + 'static) -> Self {
        Self {
            from: From::Making(Box::new(make)),
            found: OnceLock::new(),
        }
    }

    pub(super) const fn name(&self) -> Option<&DataName> {
        match &self.from {
            From::Keeper(name, _) => Some(name),
            From::Making(_) => None,
        }
    }

    /// The document, brought here at the first look that can have it.
    pub(super) fn look(&self) -> Option<&Data> {
        if let Some(found) = self.found.get() {
            return Some(found);
        }
        let found = match &self.from {
            From::Keeper(name, keeper) => keeper.as_ref()?.fetch(name)?,
            From::Making(make) => make(),
        };
        Some(self.found.get_or_init(|| found))
    }
}
