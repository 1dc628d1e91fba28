//! [pure] A member's name: bytes, as Serf treats them, shared by all that mention it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The name of a member. Any non-empty bytes (Serf 0.9.4 checks no more); cheap to clone.
///
/// It has an allocation of its own, so that keeping a name does not keep the packet it came in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// A copy of `bytes` as a name.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }

    /// The name as it goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::new(name.as_bytes())
    }
}

/// Lookups by the bytes of a packet need no allocation.
impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    /// What is not UTF-8 is replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_name_is_found_by_its_bytes() {
        let names: HashMap<Name, u32> = [(Name::from("a1"), 7)].into();
        assert_eq!(names.get(b"a1".as_slice()), Some(&7));
        assert_eq!(names.get(b"a2".as_slice()), None);
    }

    #[test]
    fn a_name_that_is_no_text_is_shown_with_replacements() {
        assert_eq!(Name::new(b"a\xff").to_string(), "a\u{fffd}");
    }
}
