//! Configuration out of files and directories, in the order in which they are named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Config, DecodeError};
use crate::rpc::dial::text_of;

/// The longest file that is read: a configuration is written by people.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file is not to be read, or is no configuration; the text is Serf's.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not to be read.
    #[error("Error reading '{}': open {}: {}", .path.display(), .path.display(), text_of(.error))]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is larger than any configuration.
    #[error("Error reading '{}': it has {bytes} bytes, more than {FILE_BYTES_MAX}", .path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How large.
        bytes: u64,
    },
    /// It is no configuration.
    #[error("Error decoding '{}': {error}", .path.display())]
    Decode {
        /// Which.
        path: PathBuf,
        /// Why.
        error: DecodeError,
    },
}

/// Reads files, and of directories all files whose names end in `.json`, in the order of their names; later
/// ones change what earlier ones said.
///
/// # Errors
/// At the first that is not to be read or is no configuration.
pub fn read_paths<P: AsRef<Path>>(paths: &[P]) -> Result<Config, ReadError> {
    let mut config = Config::default();
    for path in paths {
        let path = path.as_ref();
        let failed = |error| ReadError::Open {
            path: path.to_owned(),
            error,
        };
        if fs::metadata(path).map_err(failed)?.is_dir() {
            for file in files_of(path).map_err(failed)? {
                config = config.merged(read_file(&file)?);
            }
        } else {
            config = config.merged(read_file(path)?);
        }
    }
    Ok(config)
}

fn files_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_json = entry.file_name().to_string_lossy().ends_with(".json");
        if is_json && !entry.file_type()?.is_dir() {
            files.push(entry.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Config, ReadError> {
    let path = path.to_owned();
    let bytes = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) => return Err(ReadError::Open { path, error }),
    };
    if bytes > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { path, bytes });
    }
    match fs::read(&path) {
        Ok(text) => Config::decode(&text).map_err(|error| ReadError::Decode { path, error }),
        Err(error) => Err(ReadError::Open { path, error }),
    }
}
