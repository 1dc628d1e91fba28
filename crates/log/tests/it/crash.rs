//! Crashes at every byte, damage in every place, disks that fail.

use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use taraf_base::Rng;
use taraf_log::contract::{Writer, read_all};
use taraf_log::file::disk::Disk;
use taraf_log::file::memory_disk::MemoryDisk;
use taraf_log::file::truncate_at;
use taraf_log::{Batch, Error, Log, Position, Term};

use crate::files::{DIR, Files, Open, P, Q, Recorded, config, record, segments, used};

const SEGMENT_BYTES: u64 = 4_096;

/// Opens a damaged copy of a recorded run. Either the log answers a whole prefix of what was
/// acknowledged and goes on from there, or it reports where it is damaged.
async fn reopen(files: &Files, recorded: &[Batch]) -> Result<usize, Error> {
    let disk = MemoryDisk::with_files(files.clone());
    let open = Open::new(&disk, config(SEGMENT_BYTES))?;
    let found = open.batches(P).await;
    assert_eq!(
        found,
        recorded[..found.len()],
        "whole batches, in order, as they were"
    );
    open.works().await;
    open.close().await;
    // What was found once stays.
    let open = Open::new(&disk, config(SEGMENT_BYTES))?;
    let again = open.batches(P).await;
    assert_eq!(again[..found.len()], found);
    assert_eq!(again.len(), found.len() + 1);
    open.close().await;
    Ok(found.len())
}

/// As a crash in the middle of the last writes would leave it: nothing after the cut was written.
fn cut(recorded: &Recorded, segment: &Path, at: usize) -> Files {
    let mut files = recorded.files.clone();
    files.get_mut(segment).unwrap()[at..].fill(0);
    files
}

#[tokio::test]
async fn a_run_cut_at_every_byte_keeps_the_whole_batches_before_the_cut() {
    let recorded = record(SEGMENT_BYTES, 7).await;
    let segment = segments(&recorded.files).pop().unwrap();
    let end = used(&recorded.files[&segment]);
    let header = first_frame(&recorded.files[&segment]);
    let mut kept = 0;
    for at in header..=end {
        let found = reopen(&cut(&recorded, &segment, at), &recorded.batches)
            .await
            .unwrap();
        assert!(found >= kept, "a later cut keeps no less");
        kept = found;
    }
    assert_eq!(kept, recorded.batches.len(), "uncut, all is there");
}

#[tokio::test]
async fn a_run_torn_at_every_byte_keeps_the_whole_batches_before_the_tear() {
    let recorded = record(SEGMENT_BYTES, 7).await;
    let segment = segments(&recorded.files).pop().unwrap();
    let bytes = &recorded.files[&segment];
    let mut rng = Rng::new(7);
    for at in first_frame(bytes)..used(bytes) {
        let mut files = cut(&recorded, &segment, at);
        // The rest is what an earlier use of the file left there.
        let rest = &mut files.get_mut(&segment).unwrap()[at..];
        rest.fill_with(|| u8::try_from(rng.below(256)).unwrap());
        reopen(&files, &recorded.batches).await.unwrap();
    }
}

/// A segment has its whole size from the start, so no crash makes it shorter.
#[tokio::test]
async fn a_segment_file_that_ends_early_is_reported_where_it_ends() {
    let recorded = record(SEGMENT_BYTES, 14).await;
    let segment = segments(&recorded.files).pop().unwrap();
    let whole = recorded.files[&segment].len();
    for at in (first_frame(&recorded.files[&segment])..whole).step_by(37) {
        let mut files = recorded.files.clone();
        files.get_mut(&segment).unwrap().truncate(at);
        let result = reopen(&files, &recorded.batches).await;
        let Err(Error::Corrupt { file, offset, .. }) = result else {
            panic!("a file cut at byte {at} was answered {result:?}");
        };
        assert_eq!(
            (file, offset),
            (segment.clone(), u64::try_from(at).unwrap())
        );
    }
}

#[tokio::test]
async fn a_flipped_bit_is_reported_where_it_is_and_never_cut_off() {
    let recorded = record(SEGMENT_BYTES, 14).await;
    let segment = segments(&recorded.files).pop().unwrap();
    let frames = frame_starts(&recorded.files[&segment]);
    // Nothing can vouch for the last frame: whether it was torn or damaged cannot be told.
    let last = *frames.last().unwrap();
    for at in 0..last {
        if is_padding(&recorded.files[&segment], &frames, at) {
            continue;
        }
        let mut files = recorded.files.clone();
        files.get_mut(&segment).unwrap()[at] ^= 0x10;
        let result = reopen(&files, &recorded.batches).await;
        let Err(Error::Corrupt { file, offset, .. }) = result else {
            panic!("a flipped bit at byte {at} was answered {result:?}");
        };
        let frame = frames
            .iter()
            .rev()
            .find(|start| **start <= at)
            .copied()
            .unwrap_or(0);
        assert_eq!(
            (file, offset),
            (segment.clone(), u64::try_from(frame).unwrap())
        );
    }
}

#[tokio::test]
async fn damage_in_an_earlier_segment_is_reported() {
    let recorded = record(SEGMENT_BYTES, 60).await;
    let all = segments(&recorded.files);
    assert!(all.len() >= 3, "{all:?}");
    for segment in &all[..all.len() - 1] {
        let frames = frame_starts(&recorded.files[segment]);
        for frame in frames {
            let mut files = recorded.files.clone();
            files.get_mut(segment).unwrap()[frame + 40] ^= 1;
            let result = reopen(&files, &recorded.batches).await;
            assert!(matches!(result, Err(Error::Corrupt { .. })), "{result:?}");
        }
        let mut files = recorded.files.clone();
        files.remove(segment);
        if segment != &all[0] {
            let result = reopen(&files, &recorded.batches).await;
            assert!(matches!(result, Err(Error::Corrupt { .. })), "{result:?}");
        }
    }
}

#[tokio::test]
async fn what_an_operator_gives_up_is_kept_aside_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let recorded = record(SEGMENT_BYTES, 60).await;
    let damaged = segments(&recorded.files)[1].clone();
    for (path, bytes) in &recorded.files {
        let to = dir.path().join(path.strip_prefix(DIR).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(&to, bytes).unwrap();
    }
    std::fs::create_dir_all(dir.path().join("snapshots")).unwrap();
    let damaged = dir.path().join(damaged.strip_prefix(DIR).unwrap());
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let tasks = taraf_base::Tasks::new();
    let open = || taraf_log::FileLog::open(dir.path(), config(SEGMENT_BYTES), &tasks);
    let Err(error @ Error::Corrupt { .. }) = open() else {
        panic!("damage was not reported");
    };
    assert!(
        error.to_string().contains("repair --truncate-at"),
        "{error}"
    );
    let Error::Corrupt { file, offset, .. } = error else {
        unreachable!()
    };
    assert_eq!(file, damaged);
    truncate_at(dir.path(), &file, offset).unwrap();
    let log = open().unwrap();
    let found = read_all(&log, P, Position::FIRST).await;
    assert!(!found.is_empty() && found.len() < recorded.batches.len());
    assert_eq!(found, recorded.batches[..found.len()]);
    Writer::claim(&log, P).await.append(1, 1).await.unwrap();
    let names = std::fs::read_dir(damaged.parent().unwrap()).unwrap();
    let removed = names.filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "removed");
    assert!(removed.count() >= 2, "the given up segments are kept aside");
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_ever_acknowledged_again() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let kept = writer.append(1, 10).await.unwrap();
    let mut other = Writer::claim(&open.log, Q).await;
    disk.fail_sync(".segment");
    assert!(matches!(
        writer.append(1, 10).await,
        Err(Error::Poisoned(_))
    ));
    // The disk would answer success now; the log must not ask it.
    assert!(matches!(
        writer.append(1, 10).await,
        Err(Error::Poisoned(_))
    ));
    assert!(matches!(other.append(1, 10).await, Err(Error::Poisoned(_))));
    let claim = open.log.claim(P, writer.term.epoch()).await;
    assert!(matches!(claim.map(drop), Err(Error::Poisoned(_))));
    assert_eq!(
        open.batches(P).await,
        std::slice::from_ref(&kept),
        "what is not durable is not shown"
    );
    open.close().await;
    // The cache still shows the bytes that never reached the disk. What a new process shows, it
    // has copied and synced, so it survives the loss of power that follows.
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    let shown = open.batches(P).await;
    assert_eq!(shown.len(), 2);
    open.close().await;
    let after = disk.crash(&mut Rng::new(1));
    let open = Open::new(&after, config(SEGMENT_BYTES)).unwrap();
    assert_eq!(open.batches(P).await, shown);
    open.close().await;
}

#[tokio::test]
async fn a_spare_whose_sync_failed_never_becomes_a_segment() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let kept = writer.append(1, 10).await.unwrap();
    drop(writer);
    open.close().await;
    let dir = Path::new(DIR).join("stripes/0");
    for name in disk.list(&dir).unwrap() {
        if name.ends_with(".spare") {
            disk.remove(&dir.join(name)).unwrap();
        }
    }
    // A process prepared it and died before the sync; of the next one the sync failed.
    let spare = disk.create(&dir.join("new.spare")).unwrap();
    spare.write_at(&vec![0; 4_096], 0).unwrap();
    disk.fail_sync("new.spare");
    let refused = Open::new(&disk, config(SEGMENT_BYTES)).err().unwrap();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    assert_eq!(open.batches(P).await, std::slice::from_ref(&kept));
    open.close().await;
    for seed in 0..8 {
        let after = disk.crash(&mut Rng::new(seed));
        let open = Open::new(&after, config(SEGMENT_BYTES)).unwrap();
        assert_eq!(open.batches(P).await, std::slice::from_ref(&kept));
        open.close().await;
    }
}

#[tokio::test]
async fn a_failed_write_stops_the_log_and_a_restart_goes_on() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let kept = writer.append(1, 10).await.unwrap();
    disk.fail_write(".segment");
    assert!(matches!(
        writer.append(1, 300).await,
        Err(Error::Poisoned(_))
    ));
    assert!(matches!(
        writer.append(1, 10).await,
        Err(Error::Poisoned(_))
    ));
    drop(writer);
    open.close().await;
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    assert_eq!(open.batches(P).await, [kept]);
    open.works().await;
    open.close().await;
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_recovers_by_itself() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    disk.set_capacity(Some(6 * SEGMENT_BYTES));
    let mut written = Vec::new();
    let refused = loop {
        match writer.append(1, 500).await {
            Ok(batch) => written.push(batch),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, Error::Full) && refused.is_retryable(),
        "{refused:?}"
    );
    assert!(matches!(writer.append(1, 500).await, Err(Error::Full)));
    assert_eq!(open.batches(P).await, written);
    disk.set_capacity(None);
    // The attempt that failed while there was no space may still be reported once.
    let mut result = writer.append(1, 500).await;
    for _ in 0..3 {
        if matches!(result, Err(Error::Full)) {
            result = writer.append(1, 500).await;
        }
    }
    written.push(result.unwrap());
    assert_eq!(open.batches(P).await, written);
    open.close().await;
}

#[tokio::test]
async fn frames_of_an_earlier_use_of_a_file_are_not_taken_for_new_ones() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let mut kept = Vec::new();
    for _ in 0..200 {
        kept.push(writer.append(1, 100).await.unwrap());
        // Trim all but the last few, so that files are used again and again.
        if let Some(old) = kept.len().checked_sub(5) {
            open.log.trim(P, kept[old].first).await.unwrap();
        }
    }
    assert!(
        segments(&disk.files()).len() <= 3,
        "trimmed segments are let go"
    );
    let tail = writer.tail;
    drop(writer);
    open.close().await;
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    assert_eq!(open.log.tail(P).await.unwrap().0, tail);
    let found = read_all(&open.log, P, kept[196].first).await;
    assert_eq!(found, kept[196..]);
    open.works().await;
    open.close().await;
}

#[tokio::test]
async fn many_restarts_take_no_more_room_than_one() {
    let disk = MemoryDisk::new();
    for _ in 0..30 {
        let open = Open::new(&disk, config(16_384)).unwrap();
        open.works().await;
        open.close().await;
    }
    let open = Open::new(&disk, config(16_384)).unwrap();
    assert_eq!(open.batches(P).await.len(), 30);
    open.close().await;
    assert!(disk.files().len() <= 8, "{:?}", disk.files().keys());
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
    for at in [1, 2] {
        let data = Bytes::from(vec![u8::try_from(at).unwrap(); 700_000]).into();
        open.log.put_snapshot(P, Position(at), data).await.unwrap();
    }
    open.close().await;
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[40] ^= 1,
        |bytes| bytes[699_999] ^= 1,
        |bytes| bytes.truncate(600_000),
        |bytes| bytes.truncate(31),
    ];
    for damage in damages {
        let mut files = disk.files();
        let newest = files
            .iter_mut()
            .filter(|(path, _)| path.extension().unwrap_or_default() == "snapshot");
        damage(newest.last().unwrap().1);
        let open = Open::new(&MemoryDisk::with_files(files), config(SEGMENT_BYTES)).unwrap();
        let found = open.log.get_snapshot(P, Position::MAX).await.unwrap();
        assert_eq!(found.unwrap().0, Position(1));
        open.close().await;
    }
}

#[tokio::test]
async fn a_directory_of_a_newer_program_is_left_alone() {
    let disk = MemoryDisk::with_files([(
        Path::new(DIR).join("FORMAT"),
        b"taraf log format 2\nstripes 2\n".to_vec(),
    )]);
    let error = Open::new(&disk, config(SEGMENT_BYTES)).err().unwrap();
    assert!(matches!(error, Error::Format { .. }), "{error}");
    assert!(error.to_string().contains("format 2"), "{error}");
    disk.remove(&Path::new(DIR).join("FORMAT")).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// A crash keeps every acknowledged batch of every partition, whatever of the rest.
    #[test]
    fn a_loss_of_power_loses_nothing_acknowledged(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(lose_power_again_and_again(seed));
    }
}

async fn lose_power_again_and_again(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut disk = MemoryDisk::new();
    let mut acknowledged = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        let open = Open::new(&disk, config(SEGMENT_BYTES)).unwrap();
        for (partition, acknowledged) in [P, Q].into_iter().zip(&mut acknowledged) {
            let found = open.batches(partition).await;
            assert_eq!(found[..acknowledged.len()], acknowledged[..]);
            // What is shown once stays, acknowledged or not.
            *acknowledged = found;
        }
        let mut writers = [
            Writer::claim(&open.log, P).await,
            Writer::claim(&open.log, Q).await,
        ];
        for _ in 0..rng.below(30) {
            let which = usize::try_from(rng.below(2)).unwrap();
            let body = usize::try_from(rng.below(200)).unwrap();
            let count = u32::try_from(1 + rng.below(4)).unwrap();
            acknowledged[which].push(writers[which].append(count, body).await.unwrap());
        }
        // One more that fails in the middle: torn, and not acknowledged unless it goes to a new
        // segment, which the fault does not meet.
        if rng.below(2) == 0 {
            disk.fail_write(".segment");
        } else {
            disk.fail_sync(".segment");
        }
        acknowledged[0].extend(writers[0].append(3, 400).await.ok());
        drop(writers);
        open.close().await;
        disk = disk.crash(&mut rng);
    }
}

/// Where the frames of a segment start, by their magic.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let starts = (0..bytes.len()).step_by(8);
    starts
        .filter(|at| bytes[*at..].starts_with(b"TFB\x01"))
        .collect()
}

fn first_frame(bytes: &[u8]) -> usize {
    frame_starts(bytes)[0]
}

/// Whether a byte is the filling between a frame and the next, which says nothing.
fn is_padding(bytes: &[u8], frames: &[usize], at: usize) -> bool {
    let Some(start) = frames.iter().rev().find(|start| **start <= at) else {
        return false;
    };
    let len = u32::from_le_bytes(bytes[start + 8..start + 12].try_into().unwrap());
    at >= start + 80 + usize::try_from(len).unwrap()
}
