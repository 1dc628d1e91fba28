//! [pure] The last file of a backup: what it holds, each with its size and hash.
//!
//! ```text
//! taraf backup 1
//! created 2026-11-23T02:40:00.000Z
//! SHA-256 in hexadecimal, two spaces, size, two spaces, path: a line for each file
//! files N
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use taraf_base::Timestamp;

/// The name of the manifest in the backup.
pub(super) const MANIFEST: &str = "MANIFEST";
const VERSION: u32 = 1;
const FIRST_LINE: &str = "taraf backup ";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// When it was begun, as text of RFC 3339.
    pub created: String,
    /// Size and SHA-256 of each file, by its path in the data directory.
    pub files: BTreeMap<String, (u64, [u8; 32])>,
}

impl Manifest {
    pub(super) fn new(created: Timestamp) -> Self {
        Self {
            created: created.to_string(),
            files: BTreeMap::new(),
        }
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sizes = self.files.values().map(|(size, _)| *size);
        sizes.fold(0, u64::saturating_add)
    }

    pub(super) fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}{VERSION}\ncreated {}\n", self.created);
        for (path, (size, hash)) in &self.files {
            for byte in hash {
                // Writing to a text cannot fail.
                let _infallible = write!(text, "{byte:02x}");
            }
            let _infallible = writeln!(text, "  {size}  {path}");
        }
        let _infallible = writeln!(text, "files {}", self.files.len());
        text
    }

    /// Reads a manifest; the error says what is wrong with it.
    pub(super) fn decode(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let first = lines.next().and_then(|line| line.strip_prefix(FIRST_LINE));
        let version: u32 = first
            .and_then(|version| version.parse().ok())
            .ok_or("it is not a manifest of a backup")?;
        if version > VERSION {
            return Err(format!(
                "the backup has format {version} and this program knows formats up to {VERSION}; \
                 use the newer program"
            ));
        }
        let created = lines.next().and_then(|line| line.strip_prefix("created "));
        let created = created.ok_or("the manifest does not say when it was made")?;
        let mut files = BTreeMap::new();
        for line in lines {
            if let Some(number) = line.strip_prefix("files ") {
                if number.parse() != Ok(files.len()) {
                    return Err("the manifest lists another number of files".to_owned());
                }
                let created = created.to_owned();
                return Ok(Self { created, files });
            }
            let file = parse_file(line);
            let (path, file) = file.ok_or_else(|| format!("the line `{line}` is not a file's"))?;
            files.insert(path, file);
        }
        Err("the manifest is cut off".to_owned())
    }
}

fn parse_file(line: &str) -> Option<(String, (u64, [u8; 32]))> {
    let (digits, rest) = line.split_once("  ")?;
    let (size, path) = rest.split_once("  ")?;
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some((path.to_owned(), (size.parse().ok()?, hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(Timestamp::from_millis(1_700_000_000_123));
        manifest
            .files
            .insert("log/FORMAT".to_owned(), (31, [7; 32]));
        manifest
            .files
            .insert("two  spaces".to_owned(), (0, [0xA5; 32]));
        manifest
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        assert_eq!(Manifest::decode(&manifest().encode()), Ok(manifest()));
    }

    #[test]
    fn a_manifest_that_is_cut_or_newer_is_refused() {
        let text = manifest().encode();
        for end in 0..text.len() - 1 {
            assert!(Manifest::decode(&text[..end]).is_err(), "cut at {end}");
        }
        let newer = text.replacen("backup 1", "backup 2", 1);
        assert!(Manifest::decode(&newer).unwrap_err().contains("format 2"));
    }
}
