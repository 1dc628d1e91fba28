//! Tags from flags, and the file that keeps them while an agent is not running.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::rpc::dial::text_of;

/// The longest tags file that is read; the tags of a member have 512 bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A text is not `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid tag: '{0}'")]
pub struct InvalidTag(pub String);

/// Reads tags of the form `KEY=VALUE`; of one that comes twice the last counts.
///
/// # Errors
/// At the first that has another form, or no key.
pub fn parse_tags<T: AsRef<str>>(texts: &[T]) -> Result<BTreeMap<String, String>, InvalidTag> {
    let parse = |text: &T| {
        let text = text.as_ref();
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(InvalidTag(text.to_owned())),
        }
    };
    texts.iter().map(parse).collect()
}

/// A tags file cannot be read or written; the text is Serf's.
#[derive(Debug, thiserror::Error)]
pub enum TagsFileError {
    /// Tags are configured as well.
    #[error("Tags config not allowed while using tag files")]
    Both,
    /// It is not to be read.
    #[error("Failed to read tags file: {}", text_of(.0))]
    Read(#[source] io::Error),
    /// It has something else than tags.
    #[error("Failed to decode tags file: {0}")]
    Decode(#[source] serde_json::Error),
    /// It is not to be written.
    #[error("Failed to write tags file: {}", text_of(.0))]
    Write(#[source] io::Error),
}

/// The file in which an agent keeps its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagsFile(PathBuf);

impl TagsFile {
    /// The file of this path, which need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The tags in it; none when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or has something else than tags.
    pub fn read(&self) -> Result<Option<BTreeMap<String, String>>, TagsFileError> {
        let text = match fs::metadata(&self.0) {
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return Err(TagsFileError::Read(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => fs::read(&self.0).map_err(TagsFileError::Read)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TagsFileError::Read(error)),
        };
        let tags = serde_json::from_slice(&text).map_err(TagsFileError::Decode)?;
        Ok(Some(tags))
    }

    /// Puts these tags into it, and the old ones stay until they are there. Only its owner may read it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, tags: &BTreeMap<String, String>) -> Result<(), TagsFileError> {
        let text = serde_json::to_vec_pretty(tags).map_err(TagsFileError::Decode)?;
        replace(&self.0, &text).map_err(TagsFileError::Write)
    }
}

/// Replaces a file by another, which is complete or not there.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_key_and_the_value_may_have_anything() {
        let tags = parse_tags(&["a=1", "b=", "c=x=y", "a=2"]).unwrap();
        let expected = [("a", "2"), ("b", ""), ("c", "x=y")];
        assert_eq!(
            tags,
            expected
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        );
        assert_eq!(
            parse_tags(&["x"]).unwrap_err().to_string(),
            "Invalid tag: 'x'"
        );
        assert_eq!(
            parse_tags(&["=x"]).unwrap_err().to_string(),
            "Invalid tag: '=x'"
        );
    }

    #[test]
    fn tags_are_kept_as_serf_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tags.json");
        let file = TagsFile::new(&path);
        assert_eq!(file.read().unwrap(), None);
        let tags = parse_tags(&["role=web", "v=1"]).unwrap();
        file.write(&tags).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\n  \"role\": \"web\",\n  \"v\": \"1\"\n}");
        assert_eq!(file.read().unwrap(), Some(tags));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        fs::write(&path, "x").unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.starts_with("Failed to decode tags file: "), "{error}");
        let missing = TagsFile::new(Path::new("/nonexistent/tags.json"));
        let error = missing.write(&BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "Failed to write tags file: no such file or directory"
        );
    }
}
