//! The bytes of every version ever written are read for ever.

use std::path::{Path, PathBuf};

use taraf_base::Timestamp;
use taraf_log::Position;
use taraf_log::record::{self, Header, Record};

use crate::files::{DIR, Files, P, segments};

/// As `cargo xtask golden --update` sets it.
const UPDATE: &str = "TARAF_GOLDEN_UPDATE";

/// A format that was ever written keeps its file: an update adds missing ones and changes none.
fn may_write(path: &Path) -> bool {
    std::env::var_os(UPDATE).is_some() && !path.exists()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// The records of `records-1.bin`, in order.
fn records() -> Vec<(Record<'static>, &'static str)> {
    let record = |position, kind, subject, body: &'static [u8]| Record {
        position: Position(position),
        time: Timestamp::from_millis(1_700_000_000_123),
        header: Header {
            kind,
            version: 1,
            subject,
        },
        body,
    };
    vec![
        (record(1, 1, 0, b""), "an empty body"),
        (record(2, 2, u128::MAX, b"taraf"), "a short body"),
        (record(3, 255, 1 << 64, &[0xA5; 300]), "a long body"),
    ]
}

fn encoded() -> Vec<u8> {
    let mut written = Vec::new();
    for (record, _) in records() {
        record::encode(&record, &mut written);
    }
    written
}

#[test]
fn records_of_format_1_are_read_and_written_as_they_were() {
    let (path, written) = (golden("records-1.bin"), encoded());
    if may_write(&path) {
        std::fs::write(&path, &written).unwrap();
    }
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(written, bytes);
    let read = record::decode_all(&bytes, Position(1), 3).unwrap();
    for (read, (expected, what)) in read.iter().zip(records()) {
        assert_eq!(*read, expected, "{what}");
    }
}

/// A data directory with a claim and batches, as format 1 wrote it.
#[tokio::test]
async fn a_segment_of_format_1_is_opened() {
    use taraf_log::file::memory_disk::MemoryDisk;

    let path = golden("segment-1.bin");
    if may_write(&path) {
        let recorded = crate::files::record(4_096, 5).await;
        let segment = segments(&recorded.files).pop().unwrap();
        std::fs::write(&path, &recorded.files[&segment]).unwrap();
    }
    let dir = Path::new(DIR);
    let files = Files::from([
        (
            dir.join("FORMAT"),
            b"taraf log format 1\nstripes 1\n".to_vec(),
        ),
        (
            dir.join("stripes/0/0000000000000001.segment"),
            std::fs::read(&path).unwrap(),
        ),
    ]);
    let disk = MemoryDisk::with_files(files);
    let open = crate::files::Open::new(&disk, crate::files::config(4_096)).unwrap();
    let batches = open.batches(P).await;
    let shape: Vec<_> = batches
        .iter()
        .map(|b| (b.first.0, b.count, b.id.n))
        .collect();
    assert_eq!(
        shape,
        [(1, 1, 1), (2, 2, 2), (4, 3, 3), (7, 1, 4), (8, 2, 5)]
    );
    for batch in &batches {
        record::decode_all(&batch.frames, batch.first, batch.count).unwrap();
    }
    open.works().await;
    open.close().await;
}

#[test]
fn a_damaged_record_is_never_read() {
    let bytes = encoded();
    for at in 0..bytes.len() {
        assert!(
            record::decode_all(&bytes[..at], Position(1), 3).is_err(),
            "cut at {at}"
        );
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(
            record::decode_all(&damaged, Position(1), 3).is_err(),
            "flipped at {at}"
        );
    }
    let error = record::decode_all(&bytes, Position(2), 3).unwrap_err();
    assert!(
        error.to_string().contains("record 1 stands where record 2"),
        "{error}"
    );
}
