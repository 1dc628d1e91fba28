//! The register that is answered from, and taking another when an import has ended.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{Register, RegisterError};
use super::import::FILE;

/// Made-up and a few real firms, as an import of `recorded/onrc` makes them.
const SAMPLE: &[u8] = include_bytes!("../../recorded/onrc/sample.register");

/// The register of a folder.
#[derive(Debug)]
pub(crate) struct Live {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    register: Option<Arc<Register>>,
    /// The file that it was read from, or that could not be read.
    seen: Option<Identity>,
}

/// Tells one file from another that takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Live {
    /// Without a register, for good.
    pub(crate) const fn none() -> Self {
        Self::with(None, None, None)
    }

    /// The few firms that come with the program, for good.
    pub(crate) fn sample() -> Result<Self, RegisterError> {
        let register = Register::from_bytes(SAMPLE)?;
        Ok(Self::with(None, Some(Arc::new(register)), None))
    }

    /// The register that was imported into the folder; until there is one, the sample.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, RegisterError> {
        let file = folder.join(FILE);
        let seen = identity(&file)?;
        let register = match seen {
            Some(_) => Register::open(&file)?,
            None => Register::from_bytes(SAMPLE)?,
        };
        Ok(Self::with(Some(file), Some(Arc::new(register)), seen))
    }

    const fn with(
        file: Option<PathBuf>,
        register: Option<Arc<Register>>,
        seen: Option<Identity>,
    ) -> Self {
        Self {
            file,
            state: Mutex::new(State { register, seen }),
        }
    }

    /// The register, as it is now.
    pub(crate) fn current(&self) -> Option<Arc<Register>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.register.clone()
    }

    /// Whether a register may still come.
    pub(crate) const fn follows_a_file(&self) -> bool {
        self.file.is_some()
    }

    /// Takes the register that has the name now, if it is another than before, and answers it. One
    /// that cannot be read is told once; the one before stays.
    pub(crate) fn refresh(&self) -> Result<Option<Arc<Register>>, RegisterError> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let now = identity(file)?;
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if now.is_none() || now == state.seen {
                return Ok(None);
            }
            state.seen = now;
        }
        let register = Arc::new(Register::open(file)?);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.register = Some(Arc::clone(&register));
        Ok(Some(register))
    }
}

fn identity(file: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(file) {
        Ok(about) => Ok(Some(Identity {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
