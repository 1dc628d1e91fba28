//! Snapshots of partitions, one file each, whole or not there.
//!
//! ```text
//! magic 8 | crc32c u32 | format u16 | zero u16 | partition u32 | zero u32 | position u64 | data
//! ```

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::directory;
use super::disk::{Disk, DiskFile};
use crate::backup::Contents;
use crate::snapshot::{Data, PIECE_BYTES, Reader};
use crate::{Error, PartitionId, Position};

const MAGIC: [u8; 8] = *b"TARAFSNP";
const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 32;
const HEADER_LEN: u64 = 32;
/// Where what the checksum covers begins.
const COVERED: usize = 12;
const SUFFIX: &str = ".snapshot";
/// The newest, and the one before should the newest turn out damaged.
const KEPT: usize = 2;

/// Stores a snapshot durably, then lets go of all but the newest two.
///
/// # Errors
/// When it could not be stored; earlier ones are untouched.
pub(super) fn put(
    disk: &dyn Disk,
    dir: &Path,
    partition: PartitionId,
    at: Position,
    data: Data,
) -> Result<(), Error> {
    directory::write_file_by(disk, &path(dir, partition, at), |file| {
        let mut writer = Writer::new(file, header(partition, at));
        data.write_to(&mut writer)?;
        writer.finish()
    })?;
    let all = list(disk, dir, partition)?;
    for old in all.iter().rev().skip(KEPT) {
        let path = path(dir, partition, *old);
        let doing = Error::io(format!("remove {}", path.display()));
        disk.remove(&path).map_err(doing)?;
    }
    Ok(())
}

/// What stands before the data, still without its checksum.
fn header(partition: PartitionId, at: Position) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let fields: [(usize, &[u8]); 4] = [
        (0, &MAGIC),
        (COVERED, &FORMAT.to_le_bytes()),
        (16, &partition.0.to_le_bytes()),
        (24, &at.0.to_le_bytes()),
    ];
    for (at, field) in fields {
        let to = bytes.iter_mut().skip(at);
        to.zip(field).for_each(|(to, byte)| *to = *byte);
    }
    bytes
}

/// Writes a file from its beginning to its end, and then the checksum into its beginning.
struct Writer<'a> {
    file: &'a dyn DiskFile,
    header: [u8; HEADER_BYTES],
    /// What is not in the file, and where it belongs.
    buffer: Vec<u8>,
    at: u64,
    crc: u32,
}

impl<'a> Writer<'a> {
    fn new(file: &'a dyn DiskFile, header: [u8; HEADER_BYTES]) -> Self {
        let (_, covered) = header.split_at(COVERED);
        Self {
            file,
            header,
            buffer: header.to_vec(),
            at: 0,
            crc: crc32c::crc32c(covered),
        }
    }

    /// Puts what is in the buffer into the file.
    fn empty(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.at)?;
        let len = u64::try_from(self.buffer.len()).map_err(io::Error::other)?;
        self.at = self.at.saturating_add(len);
        self.buffer.clear();
        Ok(())
    }

    /// Takes what was added to the buffer after so many bytes into the checksum.
    fn count_from(&mut self, from: usize) {
        let new = self.buffer.get(from..).unwrap_or_default();
        self.crc = crc32c::crc32c_append(self.crc, new);
    }

    /// A snapshot of one piece is written at once.
    fn finish(mut self) -> io::Result<()> {
        let is_whole = self.at == 0;
        self.count_from(if is_whole { HEADER_BYTES } else { 0 });
        let (head, _) = self.header.split_at_mut(COVERED);
        head.split_at_mut(8)
            .1
            .copy_from_slice(&self.crc.to_le_bytes());
        if is_whole {
            self.buffer.splice(..HEADER_BYTES, self.header);
            return self.empty();
        }
        self.empty()?;
        self.file.write_at(&self.header, 0)
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= PIECE_BYTES {
            self.count_from(if self.at == 0 { HEADER_BYTES } else { 0 });
            self.empty()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The newest intact snapshot at or before `at_most`. A damaged one is reported and passed over;
/// that this is safe is for the reader to find out: the log says if records are missing.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn get(
    disk: &dyn Disk,
    dir: &Path,
    partition: PartitionId,
    at_most: Position,
) -> Result<Option<(Position, Reader<'static>)>, Error> {
    let all = list(disk, dir, partition)?;
    for at in all.into_iter().rev().filter(|at| *at <= at_most) {
        let path = path(dir, partition, at);
        let reading = || Error::io(format!("read {}", path.display()));
        let file = disk.open(&path).map_err(reading())?;
        match check(file.as_ref(), partition, at).map_err(reading())? {
            Ok(len) => {
                let pieces = Pieces::behind_header(move |buffer, at| file.read_at(buffer, at), len);
                return Ok(Some((at, Reader::new(pieces, len))));
            }
            Err(what) => {
                tracing::error!(file = %path.display(), what, "passing over a damaged snapshot");
            }
        }
    }
    Ok(None)
}

/// Whether a file of that name is a snapshot.
pub(super) fn is_name(name: &str) -> bool {
    parse_name(name).is_some()
}

fn parse_name(name: &str) -> Option<(PartitionId, Position)> {
    let (partition, at) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some((
        PartitionId(partition.parse().ok()?),
        Position(at.parse().ok()?),
    ))
}

/// Whether a snapshot's file is what was written; if so, its data are handed on.
///
/// # Errors
/// [`Error::Corrupt`] when it is not.
pub(super) fn inspect(
    path: &Path,
    file: &dyn DiskFile,
    contents: &mut dyn Contents,
) -> Result<(), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let checked = match name.and_then(parse_name) {
        Some((partition, at)) => {
            let reading = Error::io(format!("read {}", path.display()));
            let checked = check(file, partition, at).map_err(reading)?;
            checked.map(|len| {
                let pieces = Pieces::behind_header(|buffer, at| file.read_at(buffer, at), len);
                contents.snapshot(partition, at, Reader::new(pieces, len));
            })
        }
        None => Err("it is not named as a snapshot is"),
    };
    checked.map_err(|what| Error::Corrupt {
        file: path.to_owned(),
        offset: 0,
        what: what.to_owned(),
    })
}

/// Reads the whole file, and answers how many bytes of data stand behind the header, or what is wrong.
fn check(
    file: &dyn DiskFile,
    partition: PartitionId,
    at: Position,
) -> io::Result<Result<u64, &'static str>> {
    let Some(len) = file.size()?.checked_sub(HEADER_LEN) else {
        return Ok(Err("it is cut off"));
    };
    let mut found = [0; HEADER_BYTES];
    file.read_at(&mut found, 0)?;
    let (head, covered) = found.split_at(COVERED);
    let mut crc = crc32c::crc32c(covered);
    let mut data = Pieces::behind_header(|buffer, at| file.read_at(buffer, at), len);
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(len).unwrap_or(PIECE_BYTES))];
    loop {
        let read = data.read(&mut piece)?;
        if read == 0 {
            break;
        }
        crc = crc32c::crc32c_append(crc, piece.get(..read).unwrap_or_default());
    }
    let expected = header(partition, at);
    Ok(if !head.starts_with(&MAGIC) {
        Err("it is not a snapshot")
    } else if !head.ends_with(&crc.to_le_bytes()) {
        Err("its checksum does not match")
    } else if !expected.ends_with(covered) {
        Err("it has another format, partition or position than its name says")
    } else {
        Ok(len)
    })
}

/// Reads data of a known length behind the header, through what reads at an offset.
struct Pieces<F> {
    read_at: F,
    at: u64,
    left: u64,
}

impl<F: FnMut(&mut [u8], u64) -> io::Result<()>> Pieces<F> {
    const fn behind_header(read_at: F, len: u64) -> Self {
        Self {
            read_at,
            at: HEADER_LEN,
            left: len,
        }
    }
}

impl<F: FnMut(&mut [u8], u64) -> io::Result<()>> Read for Pieces<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let (into, _) = buffer.split_at_mut(wanted);
        (self.read_at)(into, self.at)?;
        let read = u64::try_from(wanted).map_err(io::Error::other)?;
        self.at = self.at.saturating_add(read);
        self.left = self.left.saturating_sub(read);
        Ok(wanted)
    }
}

fn list(disk: &dyn Disk, dir: &Path, partition: PartitionId) -> Result<Vec<Position>, Error> {
    let names = disk
        .list(dir)
        .map_err(Error::io(format!("list {}", dir.display())))?;
    let prefix = format!("{}-", partition.0);
    let position = |name: &String| {
        let number = name.strip_prefix(&prefix)?.strip_suffix(SUFFIX)?;
        number.parse().ok().map(Position)
    };
    let mut all: Vec<Position> = names.iter().filter_map(position).collect();
    all.sort_unstable();
    Ok(all)
}

fn path(dir: &Path, partition: PartitionId, at: Position) -> PathBuf {
    dir.join(format!("{}-{:020}{SUFFIX}", partition.0, at.0))
}
