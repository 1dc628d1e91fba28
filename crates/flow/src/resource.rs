//! [pure] Documents that lie elsewhere and that a definition needs: fetched when it is published,
//! part of its identity ever after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::finding::Finding;
use crate::uri::{Endpoint, Uri};
use crate::yaml::{self, Span};

/// Documents that one definition may need.
pub(crate) const RESOURCES_MAX: usize = 64;

/// A document that a definition needs.
#[derive(Debug)]
pub struct Resource {
    /// Where the definition names it, as a JSON Pointer.
    pub pointer: String,
    /// Where it lies, and how it is asked for.
    pub endpoint: Endpoint,
    pub(crate) span: Span,
}

impl Resource {
    /// An error about it, at its place in the definition.
    #[must_use]
    pub fn finding(&self, message: String) -> Finding {
        Finding::error("T0417", self.span, &self.pointer, message)
    }

    /// Where it lies, when it lies beside the definition: a relative reference, or a `file:` URI.
    #[must_use]
    pub fn local(&self) -> Option<String> {
        let Uri::Template(template) = &self.endpoint.uri else {
            return None;
        };
        let text = template.as_literal()?;
        is_local(&text).then_some(text)
    }
}

/// Whether an address leads to a file and not to a server.
#[must_use]
pub fn is_local(address: &str) -> bool {
    match address.split_once(':') {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => true,
        // A colon behind a slash is no scheme's.
        Some((scheme, _)) => scheme.is_empty() || !scheme.chars().all(is_of_scheme),
        None => true,
    }
}

const fn is_of_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// The texts of the documents that a definition needs, by the pointers of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents(BTreeMap<String, String>);

impl Contents {
    /// No document.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the document of that place.
    pub fn insert(&mut self, pointer: &str, text: String) {
        self.0.insert(pointer.to_owned(), text);
    }

    /// The document of that place.
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<&str> {
        self.0.get(pointer).map(String::as_str)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Places whose documents differ, or are in one of both only.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let pointers = self.0.keys().chain(other.0.keys());
        let mut changed: Vec<String> = pointers
            .filter(|pointer| self.0.get(*pointer) != other.0.get(*pointer))
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }

    /// Goes into the hash of the definition that needs them.
    pub(crate) fn hash_into(&self, hash: &mut Sha256) {
        for (pointer, text) in &self.0 {
            // No text of a definition holds this byte, and no pointer does.
            hash.update([0]);
            hash.update(pointer.as_bytes());
            hash.update([0]);
            hash.update(Sha256::digest(text.as_bytes()));
        }
    }
}

/// The JSON of a document in JSON or YAML.
pub(crate) fn read(text: &str) -> Result<serde_json::Value, String> {
    if text.len() > yaml::MAX_BYTES {
        return Err(format!("it has more than {} bytes", yaml::MAX_BYTES));
    }
    if let Ok(json) = serde_json::from_str(text) {
        return Ok(json);
    }
    match yaml::parse(text) {
        Ok(node) => Ok(node.to_json()),
        Err(findings) => Err(match findings.first() {
            Some(finding) => format!("its line {}: {}", finding.line, finding.message),
            None => "it is neither JSON nor YAML".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_servers() {
        for (address, expected) in [
            ("schemas/order.json", true),
            ("./a:b.json", true),
            ("/etc/passwd", true),
            ("file:///etc/passwd", true),
            ("FILE:order.json", true),
            ("http://a.example/x", false),
            ("https://a.example", false),
            ("ftp://a.example", false),
            ("", true),
        ] {
            assert_eq!(is_local(address), expected, "{address}");
        }
    }

    #[test]
    fn what_changed_is_named() {
        let of = |pairs: &[(&str, &str)]| {
            let mut contents = Contents::new();
            for (pointer, text) in pairs {
                contents.insert(pointer, (*text).to_owned());
            }
            contents
        };
        let one = of(&[("/a", "1"), ("/b", "2")]);
        assert!(one.changed(&one).is_empty());
        assert_eq!(one.changed(&of(&[("/a", "1"), ("/b", "3")])), ["/b"]);
        assert_eq!(of(&[]).changed(&one), ["/a", "/b"]);
    }
}
