//! Puts a backup back: every byte checked against the manifest before the folder gets its name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::manifest::{MANIFEST, Manifest};
use super::tar::{self, BLOCK_BYTES, Entry, Header};
use super::{Error, LOG, PIECE_BYTES};
use crate::file;

/// The folder that is filled before it gets its name.
const PARTIAL_SUFFIX: &str = ".restoring";
/// A manifest of a million files; more is a damaged number.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// What was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was begun, as text of RFC 3339.
    pub created: String,
    /// Files.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
}

/// Puts the backup at `from` (a file, or a folder that [`extract`] made) back as the data directory
/// `to`, which must not exist. `progress` is told of bytes done.
///
/// # Errors
/// When the backup is not whole, or a file cannot be written. `to` does not exist then.
pub fn restore(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<Restored, Error> {
    let restored = extract(from, to, true, progress)?;
    Ok(restored)
}

/// Unpacks the backup at `from` into the folder `to`, which must not exist, checking it. With
/// `is_for_use` the log's files get their full size, and the manifest is left out.
///
/// # Errors
/// As [`restore`].
pub fn extract(
    from: &Path,
    to: &Path,
    is_for_use: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, Error> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(Error::Exists(to.to_owned()));
    }
    let mut name = OsString::from(to.as_os_str());
    name.push(PARTIAL_SUFFIX);
    let partial = PathBuf::from(name);
    if partial.exists() {
        // What an earlier attempt left; nothing else makes such names.
        let doing = Error::io(format!("remove {}", partial.display()));
        fs::remove_dir_all(&partial).map_err(doing)?;
    }
    let mut target = Target::new(partial.clone())?;
    let manifest = if from.is_dir() {
        target.copy(from, progress)?
    } else {
        target.unpack(from, progress)?
    };
    target.check(from, &manifest)?;
    if is_for_use {
        file::extend_restored(&partial.join(LOG))?;
    } else {
        target.write(MANIFEST, manifest.encode().as_bytes())?;
    }
    target.sync()?;
    let doing = || Error::io(format!("name {}", to.display()));
    fs::rename(&partial, to).map_err(doing())?;
    sync_dir(to.parent().unwrap_or(to)).map_err(doing())?;
    Ok(Restored {
        created: manifest.created.clone(),
        files: manifest.files.len(),
        bytes: manifest.bytes(),
    })
}

/// A folder that is being filled.
struct Target {
    dir: PathBuf,
    found: BTreeMap<String, (u64, [u8; 32])>,
}

impl Target {
    fn new(dir: PathBuf) -> Result<Self, Error> {
        make(&dir).map_err(Error::io(format!("make {}", dir.display())))?;
        Ok(Self {
            dir,
            found: BTreeMap::new(),
        })
    }

    fn unpack(&mut self, from: &Path, progress: &mut dyn FnMut(u64)) -> Result<Manifest, Error> {
        let mut reader = TarReader::open(from)?;
        while let Some(entry) = reader.next()? {
            if entry.name == MANIFEST {
                return reader.manifest(&entry);
            }
            let mut file = self.create(from, &entry.name)?;
            let hash = reader.content(&entry, &mut |piece| {
                progress(piece.len() as u64);
                file.write_all(piece)
            })?;
            let doing = Error::io(format!("write {}", entry.name));
            file.sync_all().map_err(doing)?;
            self.found.insert(entry.name, (entry.size, hash));
        }
        let what = "it ends before its manifest, so it is not whole".to_owned();
        Err(unusable(from, what))
    }

    /// Copies a backup that was unpacked before.
    fn copy(&mut self, from: &Path, progress: &mut dyn FnMut(u64)) -> Result<Manifest, Error> {
        let path = from.join(MANIFEST);
        let text = fs::read_to_string(&path);
        let text = text.map_err(Error::io(format!("read {}", path.display())))?;
        let manifest = Manifest::decode(&text).map_err(|what| unusable(from, what))?;
        for name in manifest.files.keys() {
            let mut file = self.create(from, name)?;
            let doing = || Error::io(format!("copy {name}"));
            let mut source = File::open(from.join(name)).map_err(doing())?;
            let (mut hash, mut size) = (Sha256::new(), 0_u64);
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let read = source.read(&mut piece).map_err(doing())?;
                let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
                    break;
                };
                hash.update(bytes);
                size = size.saturating_add(read as u64);
                progress(read as u64);
                file.write_all(bytes).map_err(doing())?;
            }
            file.sync_all().map_err(doing())?;
            self.found
                .insert(name.clone(), (size, hash.finalize().into()));
        }
        Ok(manifest)
    }

    fn create(&self, from: &Path, name: &str) -> Result<File, Error> {
        let relative = Path::new(name);
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if name.is_empty() || !relative.components().all(is_plain) {
            let what = format!("it holds a file outside of the folder: `{name}`");
            return Err(unusable(from, what));
        }
        let path = self.dir.join(relative);
        let doing = || Error::io(format!("make {}", path.display()));
        make(path.parent().unwrap_or(&self.dir)).map_err(doing())?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&path).map_err(doing())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut file = self.create(&self.dir, name)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(Error::io(format!("write {name}")))
    }

    /// Whether everything is as the manifest says.
    fn check(&self, from: &Path, manifest: &Manifest) -> Result<(), Error> {
        let what = compare(&self.found, manifest);
        what.map_or(Ok(()), |what| Err(unusable(from, what)))
    }

    /// Makes the names of all folders durable.
    fn sync(&self) -> Result<(), Error> {
        let mut folders = vec![self.dir.clone()];
        while let Some(folder) = folders.pop() {
            let doing = || Error::io(format!("sync {}", folder.display()));
            for entry in fs::read_dir(&folder).map_err(doing())? {
                let path = entry.map_err(doing())?.path();
                if path.is_dir() {
                    folders.push(path);
                }
            }
            sync_dir(&folder).map_err(doing())?;
        }
        Ok(())
    }
}

/// What is not as the manifest says.
pub(super) fn compare(
    found: &BTreeMap<String, (u64, [u8; 32])>,
    manifest: &Manifest,
) -> Option<String> {
    let differs = |(path, file): (&String, &(u64, [u8; 32]))| match found.get(path) {
        None => Some(format!("{path} is missing")),
        Some(other) if other != file => Some(format!("{path} is not as it was written")),
        Some(_) => None,
    };
    let is_listed = |path: &&String| !manifest.files.contains_key(*path);
    let unlisted = || {
        let path = found.keys().find(is_listed)?;
        Some(format!("{path} is not in its manifest"))
    };
    manifest.files.iter().find_map(differs).or_else(unlisted)
}

/// A tar file that is read from its beginning.
pub(super) struct TarReader {
    path: PathBuf,
    file: io::BufReader<File>,
    /// Where the next byte is read.
    pub(super) offset: u64,
}

impl TarReader {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let opening = Error::io(format!("open {}", path.display()));
        let file = File::open(path).map_err(opening)?;
        Ok(Self {
            path: path.to_owned(),
            file: io::BufReader::with_capacity(PIECE_BYTES, file),
            offset: 0,
        })
    }

    /// The next file's header; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let mut block = [0; BLOCK_BYTES];
        self.read(&mut block)?;
        match tar::decode(&block).map_err(|what| unusable(&self.path, what.to_owned()))? {
            Header::File(entry) => Ok(Some(entry)),
            Header::End => Ok(None),
        }
    }

    /// The content of the file whose header was read; answers its hash.
    pub(super) fn content(
        &mut self,
        entry: &Entry,
        piece_read: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<[u8; 32], Error> {
        let (mut left, mut hash) = (entry.size, Sha256::new());
        let mut piece = vec![0; PIECE_BYTES];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            piece.resize(wanted, 0);
            self.read(&mut piece)?;
            hash.update(&piece);
            let doing = Error::io(format!("write {}", entry.name));
            piece_read(&piece).map_err(doing)?;
            left = left.saturating_sub(wanted as u64);
        }
        piece.resize(tar::padding(entry.size), 0);
        self.read(&mut piece)?;
        Ok(hash.finalize().into())
    }

    pub(super) fn manifest(&mut self, entry: &Entry) -> Result<Manifest, Error> {
        if entry.size > MANIFEST_BYTES_MAX {
            return Err(unusable(&self.path, "its manifest is too large".to_owned()));
        }
        let mut bytes = Vec::new();
        self.content(entry, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        let text = String::from_utf8_lossy(&bytes);
        Manifest::decode(&text).map_err(|what| unusable(&self.path, what))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        match self.file.read_exact(buffer) {
            Ok(()) => {
                self.offset = self.offset.saturating_add(buffer.len() as u64);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let what = "it ends before its manifest, so it is not whole".to_owned();
                Err(unusable(&self.path, what))
            }
            Err(error) => Err(Error::io(format!("read {}", self.path.display()))(error)),
        }
    }
}

pub(super) fn unusable(file: &Path, what: String) -> Error {
    Error::Unusable {
        file: file.to_owned(),
        what,
    }
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}
