//! Journals on a disk that tears writes, and beside a log that is ahead of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_flow::{Data, DataName};
use taraf_log::machine::{Header, checkpoint};
use taraf_log::record::{self, Record};
use taraf_log::{Batch, BatchId, Epoch, Log as _, MemoryLog, PartitionId, Term as _};

use super::*;
use crate::metrics::Metrics;
use crate::partition::{self, Entered, Given, Lane, StepKind};
use crate::{JournalEntry, JournalPage};

const PARTITION: PartitionId = PartitionId(16);
const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// Bytes of the head of a file.
const HEAD: u64 = 16;

fn run(n: u64) -> RunId {
    RunId::compose(PARTITION, AT, n)
}

fn event(n: u64, what: What) -> (Timestamp, Event) {
    (AT, Event { run: run(n), what })
}

/// A loop begins.
fn begin(n: u64) -> (Timestamp, Event) {
    let entered = Entered {
        step: 1,
        lane: Lane::ROOT,
        index: 0,
        task: format!("/do/0/loop-{n}").into(),
        kind: StepKind::For,
        iteration: "".into(),
        attempt: 1,
        input: None,
        deadline: None,
    };
    event(n, What::Entered(entered))
}

/// Its iterations from `from` to before `to`.
fn iterations(n: u64, from: u32, to: u32) -> Vec<(Timestamp, Event)> {
    let iterated = |index| What::Iterated {
        step: 1,
        index,
        input: Given::Input,
    };
    (from..to).map(|index| event(n, iterated(index))).collect()
}

/// As when a batch with these events and nothing else is durable.
fn committed(journals: &Journals, events: &[(Timestamp, Event)]) {
    let before = journals.locked(|inner| inner.position);
    let count = u64::try_from(events.len()).unwrap();
    journals.committed(before.plus(count), events);
}

fn open(dir: &Path) -> Journals {
    Journals::open(Some(dir.to_owned()), PARTITION).unwrap()
}

/// As after a start on a log that ends at this record.
fn reopen(dir: &Path, position: u64, kept: &[u64]) -> Journals {
    let journals = open(dir);
    let kept: Vec<RunId> = kept.iter().map(|n| run(*n)).collect();
    let nothing = (Position::ZERO, std::iter::empty());
    journals.recovered(Position(position), nothing, |run| kept.contains(&run));
    journals
}

/// A whole journal, in pages of that many.
fn whole(journals: &Journals, n: u64, limit: usize) -> Vec<JournalEntry> {
    let (mut entries, mut after) = (Vec::new(), Some(0));
    while let Some(behind) = after {
        let page: JournalPage = journals.page(run(n), behind, limit).unwrap().unwrap();
        entries.extend(page.entries);
        after = page.next;
    }
    entries
}

/// Whether the journal of `n` is its beginning and so many iterations.
#[track_caller]
fn check(journals: &Journals, n: u64, iterations: usize) {
    let entries = whole(journals, n, 100_000);
    assert_eq!(entries.len(), iterations + 1, "run {n}");
    let task = format!("/do/0/loop-{n}");
    for (number, entry) in (1..).zip(&entries) {
        assert_eq!(
            (entry.n, entry.task.as_deref()),
            (number, Some(task.as_str()))
        );
    }
    let mut in_parts = Entries::default();
    for part in journals.parts(run(n)) {
        assert_eq!(part.before == Open::default(), in_parts.is_empty());
        in_parts.append(&part.entries);
    }
    assert_eq!(in_parts.count(), u64::try_from(entries.len()).unwrap());
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

#[test]
fn a_long_journal_is_read_in_pages_from_files_and_memory_alike() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1), begin(2)]);
    for n in 0..4 {
        committed(&journals, &iterations(1, n * 5_000, (n + 1) * 5_000));
        check(&journals, 1, usize::try_from((n + 1) * 5_000).unwrap());
        assert_eq!(journals.write().unwrap(), journals.written_to());
        check(&journals, 1, usize::try_from((n + 1) * 5_000).unwrap());
    }
    committed(&journals, &iterations(1, 20_000, 20_010));
    check(&journals, 1, 20_010);
    assert_eq!(whole(&journals, 1, 777), whole(&journals, 1, 100_000));
    let page = journals.page(run(1), 15_000, 10).unwrap().unwrap();
    assert_eq!((page.entries[0].n, page.next), (15_001, Some(15_010)));
    let end = journals.page(run(1), 20_011, 10).unwrap().unwrap();
    assert_eq!((end.entries, end.next), (Vec::new(), None));
    assert_eq!(journals.page(run(3), 0, 10).unwrap(), None);
    assert!(journals.parts(run(3)).next().is_none());

    // After a stop, what was not written comes from the log.
    let written = journals.written_to();
    drop(journals);
    let journals = reopen(dir.path(), written.0 + 10, &[1, 2]);
    assert_eq!(
        journals.missing(),
        Some((written.next(), Position(written.0 + 10)))
    );
    committed(&journals, &iterations(1, 20_010, 20_020));
    for (at, event) in iterations(1, 20_000, 20_010) {
        older(&journals, at, &event);
    }
    journals.caught_up();
    check(&journals, 1, 20_020);
    check(&journals, 2, 0);
}

fn older(journals: &Journals, at: Timestamp, event: &Event) {
    let mut entries = Entries::default();
    entries.push_event(event, at);
    let entry = entries.iter().next().unwrap().unwrap();
    let leaves = matches!(event.what, What::Moved | What::Removed);
    journals.add_older(event.run, entry, leaves);
}

#[test]
fn a_torn_write_is_as_if_it_had_not_been() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1), begin(2)]);
    journals.write().unwrap();
    let file = files(dir.path()).remove(0);
    let whole_len = fs::metadata(&file).unwrap().len();
    committed(&journals, &iterations(1, 0, 30));
    committed(&journals, &[begin(3)]);
    journals.write().unwrap();
    drop(journals);
    let bytes = fs::read(&file).unwrap();
    let torn_from = usize::try_from(whole_len).unwrap();
    for len in torn_from..bytes.len() {
        fs::write(&file, &bytes[..len]).unwrap();
        let journals = open(dir.path());
        assert_eq!(journals.written_to(), Position(2), "cut at {len}");
        check(&journals, 1, 0);
        check(&journals, 2, 0);
        assert_eq!(journals.page(run(3), 0, 1).unwrap(), None);
        assert_eq!(fs::metadata(&file).unwrap().len(), whole_len);
    }
    // A bit that is not what was written makes the rest of the file worthless.
    for at in (torn_from..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        fs::write(&file, &flipped).unwrap();
        assert_eq!(
            open(dir.path()).written_to(),
            Position(2),
            "flipped at {at}"
        );
    }
    fs::write(&file, &bytes).unwrap();
    let journals = open(dir.path());
    assert_eq!(journals.written_to(), Position(33));
    check(&journals, 1, 30);
    check(&journals, 3, 0);
}

#[test]
fn runs_that_leave_give_their_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1), begin(2)]);
    for n in 0..3 {
        committed(&journals, &iterations(1, n * 1_000, (n + 1) * 1_000));
        journals.write().unwrap();
        // Each write goes to a file of its own.
        journals.locked(|inner| {
            let last = inner.volumes.last_entry();
            last.unwrap().get_mut().is_full = true;
        });
    }
    assert_eq!(files(dir.path()).len(), 3);
    // The first file still holds the beginning of run 2, and is moved out of the way.
    committed(&journals, &[event(1, What::Moved)]);
    assert_eq!(journals.page(run(1), 0, 1).unwrap(), None);
    journals.write().unwrap();
    assert_eq!(files(dir.path()).len(), 1, "{journals:?}");
    check(&journals, 2, 0);
    drop(journals);
    let journals = reopen(dir.path(), 3_003, &[2]);
    check(&journals, 2, 0);
    assert_eq!(journals.page(run(1), 0, 1).unwrap(), None);
    // What the partition does not keep is let go of, whatever the files say.
    let journals = reopen(dir.path(), 3_003, &[]);
    assert_eq!(journals.page(run(2), 0, 1).unwrap(), None);
}

#[test]
fn a_run_that_leaves_while_it_is_written_is_gone_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1), begin(2)]);
    journals.locked(|inner| inner.writing = Arc::new(std::mem::take(&mut inner.fresh)));
    check(&journals, 1, 0);
    committed(&journals, &[event(1, What::Moved)]);
    assert_eq!(journals.page(run(1), 0, 1).unwrap(), None);
    committed(&journals, &iterations(2, 0, 5));
    journals.locked(Inner::take_back);
    assert_eq!(journals.page(run(1), 0, 1).unwrap(), None);
    check(&journals, 2, 5);
    journals.write().unwrap();
    check(&journals, 2, 5);
}

#[test]
fn what_cannot_be_written_stays_and_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("runs");
    let journals = open(&place);
    committed(&journals, &[begin(1)]);
    fs::remove_dir(&place).unwrap();
    journals.write().unwrap_err();
    check(&journals, 1, 0);
    committed(&journals, &iterations(1, 0, 10));
    fs::create_dir(&place).unwrap();
    journals.write().unwrap();
    check(&journals, 1, 10);
    drop(journals);
    check(&reopen(&place, 11, &[1]), 1, 10);
}

#[test]
fn what_was_written_again_after_a_failed_sync_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1)]);
    committed(&journals, &iterations(1, 0, 10));
    let work = journals.locked(|inner| inner.fresh.clone());
    journals.write().unwrap();
    // As if that had failed in its sync: all of it is still in memory, and the file is not used again.
    journals.locked(|inner| {
        inner.stored.clear();
        inner.writing = Arc::new(work);
        inner.take_back();
    });
    committed(&journals, &iterations(1, 10, 20));
    journals.write().unwrap();
    assert_eq!(files(dir.path()).len(), 2);
    drop(journals);
    check(&reopen(dir.path(), 21, &[1]), 1, 20);
}

#[test]
fn journals_that_are_ahead_of_their_log_begin_again() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1)]);
    committed(&journals, &iterations(1, 0, 10));
    journals.write().unwrap();
    let journals = reopen(dir.path(), 5, &[1]);
    assert_eq!(journals.missing(), Some((Position::FIRST, Position(5))));
    assert_eq!(journals.page(run(1), 0, 1).unwrap(), None);
}

#[test]
fn what_a_snapshot_held_is_taken_over_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = Entries::default();
    for (at, event) in [vec![begin(1)], iterations(1, 0, 7)].concat() {
        held.push_event(&event, at);
    }
    let journals = open(dir.path());
    let snapshot = (Position(8), std::iter::once((run(1), held.clone())));
    journals.recovered(Position(10), snapshot, |_| true);
    assert_eq!(journals.missing(), Some((Position(9), Position(10))));
    for (at, event) in iterations(1, 7, 9) {
        older(&journals, at, &event);
    }
    journals.caught_up();
    check(&journals, 1, 9);
    journals.write().unwrap();
    let journals = open(dir.path());
    let snapshot = (Position(8), std::iter::once((run(1), held)));
    journals.recovered(Position(10), snapshot, |_| true);
    assert_eq!(journals.missing(), None);
    check(&journals, 1, 9);
}

#[test]
fn a_file_of_another_partition_or_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1)]);
    journals.write().unwrap();
    let file = files(dir.path()).remove(0);
    let bytes = fs::read(&file).unwrap();
    for at in [0, 8, 12] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        fs::write(&file, other).unwrap();
        let error = Journals::open(Some(dir.path().to_owned()), PARTITION).unwrap_err();
        assert!(matches!(error, Error::Frame { at: 0, .. }), "{error:?}");
    }
    fs::write(&file, &bytes[..usize::try_from(HEAD).unwrap() - 1]).unwrap();
    let journals = open(dir.path());
    assert_eq!(journals.written_to(), Position::ZERO);
    committed(&journals, &[begin(1)]);
    journals.write().unwrap();
    check(&reopen(dir.path(), 1, &[1]), 1, 0);
}

#[test]
fn a_file_says_which_payloads_its_journals_name() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    let name = DataName::of(b"a long document");
    let kept = What::Completed {
        output: Data::kept(name, None),
    };
    committed(&journals, &[begin(1), begin(2), event(2, kept)]);
    journals.write().unwrap();
    let mut bytes = fs::read(files(dir.path()).remove(0)).unwrap();
    let found = inspect(&bytes).unwrap();
    assert_eq!((found.partition, found.written), (PARTITION, Position(3)));
    assert_eq!(found.names, [(run(2), [name].into())].into());
    // Behind a torn write there is nothing.
    bytes.truncate(bytes.len() - 1);
    let found = inspect(&bytes).unwrap();
    assert_eq!((found.written, found.names.len()), (Position::ZERO, 1));
    bytes[0] ^= 1;
    assert!(inspect(&bytes).is_err());
}

#[test]
fn a_damaged_frame_before_a_mark_is_told_and_a_torn_end_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let journals = open(dir.path());
    committed(&journals, &[begin(1)]);
    journals.write().unwrap();
    let first = fs::read(files(dir.path()).remove(0)).unwrap().len();
    committed(&journals, &[begin(2)]);
    journals.write().unwrap();
    let bytes = fs::read(files(dir.path()).remove(0)).unwrap();
    let head = usize::try_from(HEAD).unwrap();
    assert_eq!(inspect(&bytes).unwrap().damaged, Vec::<usize>::new());
    for (at, damaged) in [
        (head, Some(head)),
        (head + 8, Some(head)),
        (first - 1, Some(first - frame::HEAD_BYTES)),
        (first + 50, Some(first)),
        (bytes.len() - 1, None),
    ] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        let found = inspect(&other).unwrap();
        let damaged: Vec<usize> = damaged.into_iter().collect();
        assert_eq!(found.damaged, damaged, "byte {at}");
    }
    for end in first..bytes.len() {
        assert_eq!(inspect(&bytes[..end]).unwrap().damaged, Vec::<usize>::new());
    }
}

#[test]
fn golden_journals_of_the_first_format_are_read_for_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journals-v1.journals");
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() && !golden.exists() {
        let journals = open(dir.path());
        committed(&journals, &[begin(1), begin(2)]);
        committed(&journals, &iterations(1, 0, 500));
        journals.write().unwrap();
        fs::rename(files(dir.path()).remove(0), &golden).unwrap();
    }
    fs::copy(&golden, dir.path().join("16-00000001.journals")).unwrap();
    let journals = reopen(dir.path(), 502, &[1, 2]);
    check(&journals, 1, 500);
    check(&journals, 2, 0);
}

/// A batch of these events with a checkpoint behind each.
fn with_checkpoints(term: Epoch, events: &[(Timestamp, Event)]) -> Batch {
    let (mut frames, mut body, mut position) = (Vec::new(), Vec::new(), Position::ZERO);
    for (time, event) in events {
        body.clear();
        let header = partition::encode(event, &mut body);
        let checkpoint = Header {
            kind: checkpoint::KIND,
            version: 1,
            subject: 0,
        };
        for (header, body) in [(header, body.as_slice()), (checkpoint, &[0; 10])] {
            position = position.next();
            let record = Record {
                position,
                time: *time,
                header,
                body,
            };
            record::encode(&record, &mut frames);
        }
    }
    let prev = BatchId::claim(term);
    Batch {
        prev,
        id: prev.next(),
        first: Position::FIRST,
        count: u32::try_from(position.0).unwrap(),
        frames: frames.into(),
    }
}

#[tokio::test]
async fn checkpoints_are_counted_and_told_in_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new());
    let mut term = log.claim(PARTITION, Epoch(0)).await.unwrap();
    let events = [vec![begin(1)], iterations(1, 0, 9)].concat();
    let batch = with_checkpoints(term.epoch(), &events);
    term.append(batch).await.unwrap();
    // What a partition wrote while it led.
    let journals = open(dir.path());
    for (n, event) in (1..).zip(&events) {
        journals.committed(Position(2 * n - 1), std::slice::from_ref(event));
        journals.committed(Position(2 * n), &[]);
        if n == 4 {
            assert_eq!(journals.write().unwrap(), Position(8));
        }
    }
    check(&journals, 1, 9);
    drop(journals);
    // What another reads from the log.
    let journals = Arc::new(reopen(dir.path(), 20, &[1]));
    assert_eq!(journals.missing(), Some((Position(9), Position(20))));
    let tasks = Tasks::new();
    let keeper = Keeper {
        journals: Arc::clone(&journals),
        log,
        partition: PARTITION,
        follower: None,
        metrics: Arc::new(Metrics::new()),
    };
    tasks.spawn("journals", keeper.run(tasks.clone()));
    journals.whole().await;
    check(&journals, 1, 9);
    let runs = journals.locked(|inner| inner.fresh.len());
    assert_eq!(runs, 1, "none of run 0");
    assert!(tasks.drain(Duration::from_secs(30)).await.is_empty());
}
