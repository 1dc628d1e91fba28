//! The tags file: what a member was last told to say of itself, as a JSON object.

use std::path::Path;

use super::Error;
use super::whole::{self, Secrecy};
use crate::wire::serf::Tags;

/// Reads the tags; none if there is no file yet.
///
/// # Errors
/// When it cannot be read or is no JSON object of texts.
pub fn load(path: &Path) -> Result<Option<Tags>, Error> {
    let held = match whole::read(path) {
        Ok(held) => held,
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let tags = serde_json::from_slice(&held).map_err(|source| {
        let expected = "a JSON object of tags, whose values are texts";
        Error::Json {
            path: path.to_owned(),
            expected,
            source,
        }
    })?;
    Ok(Some(Tags(tags)))
}

/// Replaces the file by these tags. Check first that they fit: Serf writes them before, and then does not start again.
///
/// # Errors
/// When it cannot be written; then it is as it was.
pub fn save(path: &Path, tags: &Tags) -> Result<(), Error> {
    whole::replace(path, ".new", &whole::json(&tags.0), Secrecy::Owner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/files/serf-0.9.4-tags.json");

    #[test]
    fn golden_tags_of_serf_are_read_and_written_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tags.json");
        assert_eq!(load(&path).unwrap(), None);
        fs::write(&path, GOLDEN).unwrap();
        let tags = load(&path).unwrap().unwrap();
        assert_eq!(
            (tags.0["role"].as_str(), tags.0["zone"].as_str()),
            ("we<b>", "a\"b")
        );
        fs::remove_file(&path).unwrap();
        save(&path, &tags).unwrap();
        let written = fs::read(&path).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(GOLDEN)
        );
        save(&path, &Tags::default()).unwrap();
        assert_eq!(load(&path).unwrap(), Some(Tags::default()));
    }

    #[test]
    fn what_is_no_object_of_texts_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tags.json");
        for text in ["[]", "{\"a\":1}", "", "{"] {
            fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(error.ends_with("is not a JSON object of tags, whose values are texts"));
        }
        assert!(load(folder.path()).is_err());
    }
}
