//! Checks that what is kept is what was written: in a data directory that nobody uses, or a backup.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::manifest::{MANIFEST, Manifest};
use super::restore::{TarReader, compare, unusable};
use super::{BLOBS, Contents, Error, LOG, Named, PIECE_BYTES, Source, items_in};
use crate::blob::BlobId;
use crate::file::disk::{Disk, DiskFile, OsDisk};
use crate::file::{self, Inspection};

/// What was looked at, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Report {
    /// Of a backup: when it was begun.
    pub created: Option<String>,
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Frames in them.
    pub frames: u64,
    /// Records in those.
    pub records: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Blobs.
    pub blobs: u64,
    /// Blobs that are not there and are named by who may not be kept any more.
    pub absent: u64,
    /// What cannot be trusted, a sentence each.
    pub findings: Vec<String>,
    /// What is as it was written and does not hold all that it names, a sentence each. A backup has it
    /// of the node that it was made of.
    pub lacks: Vec<String>,
}

type Files = BTreeMap<PathBuf, Arc<dyn DiskFile>>;

/// Checks a data directory: every frame and its place in the chain, every record, every snapshot,
/// every blob, and that each blob is there that `contents` finds named. Takes the lock, so that nobody
/// writes meanwhile.
///
/// # Errors
/// When the directory is in use or cannot be read; what is wrong in it stands in the report.
pub fn verify_directory(
    dir: &Path,
    contents: &mut dyn Contents,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Error> {
    let mut report = Report::default();
    report.look_into(dir, true, contents, progress)?;
    Ok(report)
}

/// The same without the bytes of blobs, for a directory whose files were just written and checked.
///
/// # Errors
/// As [`verify_directory`].
pub fn verify_names(dir: &Path, contents: &mut dyn Contents) -> Result<Report, Error> {
    let mut report = Report::default();
    report.look_into(dir, false, contents, &mut |_bytes| {})?;
    Ok(report)
}

/// Checks a backup, a file or an unpacked folder: whether it is whole and as its manifest says, and
/// then as [`verify_directory`] does.
///
/// # Errors
/// When it cannot be read or is no backup.
pub fn verify_backup(
    from: &Path,
    contents: &mut dyn Contents,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Error> {
    let (files, found, manifest) = if from.is_dir() {
        read_folder(from)?
    } else {
        read_tar(from)?
    };
    let mut report = Report {
        created: Some(manifest.created.clone()),
        ..Report::default()
    };
    report.findings.extend(compare(&found, &manifest));
    let kind = Kind {
        is_whole: false,
        hashes: true,
    };
    report.look_at(&files, kind, contents, progress)?;
    Ok(report)
}

/// What holds nothing that was kept: locks, spares, half-written files.
fn is_of_no_worth(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let endings = [".spare", ".filling", ".tmp", ".new", ".removed"];
    name == "LOCK" || name == "ballast" || endings.iter().any(|end| name.ends_with(end))
}

type Read = (Files, BTreeMap<String, (u64, [u8; 32])>, Manifest);

fn read_folder(from: &Path) -> Result<Read, Error> {
    let path = from.join(MANIFEST);
    let text = fs::read_to_string(&path);
    let text = text.map_err(Error::io(format!("read {}", path.display())))?;
    let manifest = Manifest::decode(&text).map_err(|what| unusable(from, what))?;
    let (mut files, mut found) = (Files::new(), BTreeMap::new());
    for item in items_in(&OsDisk, from, "", &|path| path == MANIFEST)? {
        let Source::Path(place) = item.source else {
            continue;
        };
        let opening = Error::io(format!("open {}", place.display()));
        let file = OsDisk.open(&place).map_err(opening)?;
        found.insert(
            item.path.clone(),
            (item.len, hash(&item.path, file.as_ref())?),
        );
        files.insert(item.path.into(), file);
    }
    Ok((files, found, manifest))
}

fn read_tar(from: &Path) -> Result<Read, Error> {
    let opening = || Error::io(format!("open {}", from.display()));
    let whole = Arc::new(fs::File::open(from).map_err(opening())?);
    let mut reader = TarReader::open(from)?;
    let (mut files, mut found) = (Files::new(), BTreeMap::new());
    while let Some(entry) = reader.next()? {
        if entry.name == MANIFEST {
            let manifest = reader.manifest(&entry)?;
            return Ok((files, found, manifest));
        }
        let part = Part {
            whole: Arc::clone(&whole),
            start: reader.offset,
            len: entry.size,
        };
        let hash = reader.content(&entry, &mut |_piece| Ok(()))?;
        found.insert(entry.name.clone(), (entry.size, hash));
        files.insert(entry.name.into(), Arc::new(part));
    }
    let what = "it ends before its manifest, so it is not whole".to_owned();
    Err(unusable(from, what))
}

/// How files are looked at.
#[derive(Clone, Copy)]
struct Kind {
    /// Whether segments have their full size.
    is_whole: bool,
    /// Whether the bytes of blobs are compared with their names.
    hashes: bool,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.lacks.is_empty()
    }

    fn look_into(
        &mut self,
        dir: &Path,
        hashes: bool,
        contents: &mut dyn Contents,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let _lock = file::lock_directory(&dir.join(LOG))?;
        let skip = |path: &str| is_of_no_worth(path);
        let mut files = Files::new();
        for item in items_in(&OsDisk, dir, "", &skip)? {
            if let Source::Path(place) = item.source {
                files.insert(item.path.into(), Arc::new(Lazy(place)));
            }
        }
        let is_whole = true;
        self.look_at(&files, Kind { is_whole, hashes }, contents, progress)
    }

    fn look_at(
        &mut self,
        files: &Files,
        Kind { is_whole, hashes }: Kind,
        contents: &mut dyn Contents,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let (mut log, mut others) = (Files::new(), Vec::new());
        let mut blobs = BTreeSet::new();
        for (path, file) in files {
            let size = file.size();
            let size = size.map_err(Error::io(format!("look at {}", path.display())))?;
            self.files += 1;
            self.bytes = self.bytes.saturating_add(size);
            if let Ok(inside) = path.strip_prefix(LOG) {
                log.insert(inside.to_owned(), Arc::clone(file));
            } else if path.starts_with(BLOBS) {
                blobs.extend(self.look_at_blob(path, file.as_ref(), size, hashes)?);
                progress(size);
            } else {
                others.push((path, file));
            }
        }
        let Inspection {
            segments,
            frames,
            records,
            snapshots,
            findings,
        } = file::inspect(&log, is_whole, contents);
        (self.segments, self.frames) = (segments, frames);
        (self.records, self.snapshots) = (records, snapshots);
        let is_readable = findings.is_empty();
        let findings = findings.iter().map(crate::Error::to_string);
        self.findings.extend(findings);
        for (path, file) in others {
            contents.file(path, file.as_ref());
        }
        let named = contents.finish();
        // What a log names is not known when a part of it cannot be read.
        if is_readable {
            self.compare(named, &blobs);
        }
        Ok(())
    }

    /// Whether what is named is there. What is there and damaged is told already.
    fn compare(&mut self, named: Named, blobs: &BTreeSet<BlobId>) {
        let absent = named.may.difference(blobs);
        let absent = absent.filter(|id| !named.must.contains_key(*id)).count();
        self.absent = u64::try_from(absent).unwrap_or(u64::MAX);
        self.lacks.extend(named.findings);
        let missing = named.must.iter().filter(|(id, _)| !blobs.contains(*id));
        let missing =
            missing.map(|(id, who)| format!("the payload {id} is missing: {who} names it"));
        self.lacks.extend(missing);
    }

    /// Checks a blob, and answers its name if it has one.
    fn look_at_blob(
        &mut self,
        path: &Path,
        file: &dyn DiskFile,
        size: u64,
        hashes: bool,
    ) -> Result<Option<BlobId>, Error> {
        self.blobs += 1;
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(id) = name.and_then(|name| name.parse::<BlobId>().ok()) else {
            let what = format!("{} is not named as a payload is", path.display());
            self.findings.push(what);
            return Ok(None);
        };
        let is_same = || Ok::<_, Error>(hash(&path.display().to_string(), file)? == id.hash);
        if size != id.len || (hashes && !is_same()?) {
            self.findings
                .push(format!("{} holds other bytes", path.display()));
        }
        Ok(Some(id))
    }
}

fn hash(path: &str, file: &dyn DiskFile) -> Result<[u8; 32], Error> {
    let doing = || Error::io(format!("read {path}"));
    let (size, mut read) = (file.size().map_err(doing())?, 0);
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    while read < size {
        let left = usize::try_from(size - read).unwrap_or(usize::MAX);
        piece.resize(left.min(PIECE_BYTES), 0);
        file.read_at(&mut piece, read).map_err(doing())?;
        hash.update(&piece);
        read += piece.len() as u64;
    }
    Ok(hash.finalize().into())
}

/// A file that is opened for each look at it: there may be more of them than can be open at once.
struct Lazy(PathBuf);

impl DiskFile for Lazy {
    fn size(&self) -> io::Result<u64> {
        Ok(fs::metadata(&self.0)?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        fs::File::open(&self.0)?.read_at(buffer, offset)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that lies within another.
struct Part {
    whole: Arc<fs::File>,
    start: u64,
    len: u64,
}

impl DiskFile for Part {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.saturating_add(buffer.len() as u64) > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.whole
            .read_at(buffer, self.start.saturating_add(offset))
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
