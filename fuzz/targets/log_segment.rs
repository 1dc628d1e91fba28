//! A data directory of arbitrary segments, their checksums made right: refused as damaged, or opened;
//! what was read then is dense and in order, and is read again after another start.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use taraf_log::file::Config;
use taraf_log::file::direct::DirectLog;
use taraf_log::file::memory_disk::MemoryDisk;
use taraf_log::{Error, PartitionId, Position};

#[path = "../support/crc.rs"]
mod crc;

const MAGIC: &[u8] = b"TARAFSEG";
const FRAME: &[u8] = b"TFB\x01";
const STRIPES: u16 = 2;
const SEGMENTS_MAX: usize = 3;
const CHUNK: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut files = vec![(
        PathBuf::from("/data/FORMAT"),
        b"taraf log format 1\nstripes 2\n".to_vec(),
    )];
    for segment in segments(bytes) {
        let number = crc::u64_at(&segment, 16).unwrap_or(1);
        let stripe = segment.get(14).copied().unwrap_or(0) % 2;
        let path = format!("/data/stripes/{stripe}/{number:016}.segment");
        files.push((path.into(), segment));
    }
    let disk = MemoryDisk::with_files(files);
    let Some(first) = read(&disk) else {
        return;
    };
    // Whatever recovery did to the files, it did not change what they say.
    assert_eq!(read(&disk).expect("opened before"), first);
});

/// Opens the log, and reads all of it. Nothing when it is refused.
fn read(disk: &MemoryDisk) -> Option<Vec<(u32, u64, Vec<u8>)>> {
    let config = Config {
        stripes: STRIPES.into(),
        segment_bytes: 8 << 10,
        ..Config::default()
    };
    let opened = DirectLog::<()>::open_on(Arc::new(disk.clone()), Path::new("/data"), config);
    let log = match opened {
        Ok(log) => log,
        Err(error) => {
            // Words that say what and where.
            assert!(error.to_string().len() > 10, "{error}");
            disk.release_locks();
            return None;
        }
    };
    let mut all = Vec::new();
    for partition in 0..20 {
        let id = PartitionId(partition);
        let (tail, _) = log.tail(id);
        let mut from = Position(1);
        let mut frames = Vec::new();
        while from <= tail {
            match log.read(id, from, CHUNK) {
                Ok(chunk) => {
                    let Some(last) = chunk.batches.last() else {
                        break;
                    };
                    let next = Position(last.first.0.saturating_add(last.count.into()));
                    for batch in &chunk.batches {
                        assert_eq!(batch.first, from, "partition {partition}");
                        from = Position(from.0.saturating_add(batch.count.into()));
                        frames.extend_from_slice(&batch.frames);
                    }
                    assert_eq!(from, next);
                }
                Err(Error::Trimmed { first }) if first > from => from = first,
                Err(_) => break,
            }
        }
        all.push((partition, tail.0, frames));
    }
    drop(log);
    disk.release_locks();
    Some(all)
}

/// The input as segments, with lengths and checksums that fit.
fn segments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(MAGIC))
        .collect();
    starts.truncate(SEGMENTS_MAX);
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| sealed(bytes[*start..end].to_vec()))
        .collect()
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let rows = crc::u32_at(&bytes, 56).unwrap_or(0).min(64);
    let header = 72 + 32 * usize::try_from(rows).expect("few rows");
    if bytes.len() < header {
        return bytes;
    }
    bytes[56..60].copy_from_slice(&rows.to_le_bytes());
    let crc = crc::crc32c(&bytes[12..header]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    let salt = bytes[32..40].to_vec();
    for at in (header..bytes.len()).step_by(8) {
        if !bytes[at..].starts_with(FRAME) {
            continue;
        }
        let length = crc::u32_at(&bytes, at + 8).and_then(|length| usize::try_from(length).ok());
        let end = length.and_then(|length| (at + 80).checked_add(length));
        if let Some(covered) = end.and_then(|end| bytes.get(at + 8..end)) {
            let crc = crc::crc32c(&[&salt, covered].concat());
            bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        }
    }
    bytes
}
