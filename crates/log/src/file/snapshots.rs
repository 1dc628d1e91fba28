//! Snapshots of partitions, one file each, whole or not there.
//!
//! ```text
//! magic 8 | crc32c u32 | format u16 | zero u16 | partition u32 | zero u32 | position u64 | data
//! ```

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::directory;
use super::disk::{Disk, DiskFile};
use crate::backup::Contents;
use crate::{Error, PartitionId, Position};

const MAGIC: [u8; 8] = *b"TARAFSNP";
const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 32;
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
    data: &[u8],
) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(data.len()));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&partition.0.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&at.0.to_le_bytes());
    bytes.extend_from_slice(data);
    let (head, covered) = bytes.split_at_mut(COVERED);
    let crc = crc32c::crc32c(covered);
    head.split_at_mut(8).1.copy_from_slice(&crc.to_le_bytes());
    directory::write_file(disk, &path(dir, partition, at), &bytes)?;
    let all = list(disk, dir, partition)?;
    for old in all.iter().rev().skip(KEPT) {
        let path = path(dir, partition, *old);
        let doing = Error::io(format!("remove {}", path.display()));
        disk.remove(&path).map_err(doing)?;
    }
    Ok(())
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
) -> Result<Option<(Position, Bytes)>, Error> {
    let all = list(disk, dir, partition)?;
    for at in all.into_iter().rev().filter(|at| *at <= at_most) {
        let path = path(dir, partition, at);
        let bytes = directory::read_file(disk, &path)?;
        match check(&bytes, partition, at) {
            Ok(()) => {
                let data = Bytes::from(bytes).slice(HEADER_BYTES..);
                return Ok(Some((at, data)));
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
    let bytes = directory::read_open(file, path)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let checked = match name.and_then(parse_name) {
        Some((partition, at)) => check(&bytes, partition, at).map(|()| {
            let data = bytes.get(HEADER_BYTES..).unwrap_or_default();
            contents.snapshot(partition, at, data);
        }),
        None => Err("it is not named as a snapshot is"),
    };
    checked.map_err(|what| Error::Corrupt {
        file: path.to_owned(),
        offset: 0,
        what: what.to_owned(),
    })
}

fn check(bytes: &[u8], partition: PartitionId, at: Position) -> Result<(), &'static str> {
    let Some((header, _data)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err("it is cut off");
    };
    let (head, _) = header.split_at(COVERED);
    let covered = bytes.get(COVERED..).unwrap_or_default();
    if !head.starts_with(&MAGIC) {
        return Err("it is not a snapshot");
    }
    if !head.ends_with(&crc32c::crc32c(covered).to_le_bytes()) {
        return Err("its checksum does not match");
    }
    let mut expected = Vec::new();
    expected.extend_from_slice(&FORMAT.to_le_bytes());
    expected.extend_from_slice(&[0; 2]);
    expected.extend_from_slice(&partition.0.to_le_bytes());
    expected.extend_from_slice(&[0; 4]);
    expected.extend_from_slice(&at.0.to_le_bytes());
    if !covered.starts_with(&expected) {
        return Err("it has another format, partition or position than its name says");
    }
    Ok(())
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
