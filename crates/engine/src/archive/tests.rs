//! The archive on a disk that loses indexes, tears writes and flips bits.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use taraf_base::Timestamp;
use taraf_flow::{Data, DataName, FlowError};
use taraf_log::PartitionId;

use super::entry::Archived;
use super::retention::Retention;
use super::store::Store;
use crate::journal::{Entries, Part};
use crate::partition::{Entered, Event, Given, Lane, Open, StepKind, What};
use crate::{Filter, FlowId, FlowRef, JournalEntry, JournalPage, Run, RunId, Status};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn november() -> Timestamp {
    at("2026-11-23T10:00:00Z")
}

/// A run and its journal.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    run: Run,
    journal: Entries,
    payloads: Vec<DataName>,
}

impl Sample {
    /// With a journal in parts of so many bytes.
    fn archived(&self, part_bytes: usize) -> Archived {
        let mut before = Open::default();
        let mut parts = Vec::new();
        for entries in self.journal.cut(part_bytes).unwrap() {
            let part = Part { before, entries };
            before = part.after(self.run.id).unwrap();
            parts.push(part);
        }
        Archived {
            run: self.run.clone(),
            journal: Box::new(parts.into_iter()),
            payloads: self.payloads.clone(),
        }
    }
}

fn add(store: &Store, runs: &[Sample]) {
    let archived = runs.iter().map(|run| run.archived(1 << 20));
    store.add(archived.collect()).unwrap();
}

fn saved(run: RunId, recorded: &[(Timestamp, What)]) -> Entries {
    let mut entries = Entries::default();
    for (at, what) in recorded {
        let what = what.clone();
        entries.push_event(&Event { run, what }, *at);
    }
    entries
}

/// The run number `n`, which began that many seconds after `began` and ended a minute later.
fn run(n: u64, began: Timestamp) -> Sample {
    let created = began.plus(Duration::from_secs(n));
    let ended = created.plus(Duration::from_secs(60));
    let faulted = n.is_multiple_of(3);
    let id = RunId::compose(PartitionId(16 + u32::try_from(n % 2).unwrap()), created, n);
    let run = Run {
        id,
        flow: FlowId {
            namespace: "shop".to_owned(),
            name: if n.is_multiple_of(2) { "order" } else { "bill" }.to_owned(),
            version: "1.0.0".to_owned(),
        },
        status: if faulted {
            Status::Faulted
        } else {
            Status::Completed
        },
        why: format!("ended at {ended}"),
        input: Data::from(json!({ "n": n })),
        output: (!faulted).then(|| Data::from(json!({ "twice": 2 * n }))),
        error: faulted.then(|| FlowError::communication("The Till Is Closed").with_status(503)),
        created,
        started: Some(created),
        updated: ended,
        ended: Some(ended),
        owner: Some(format!("acc_{}", n % 2)),
        idempotency_key: n.is_multiple_of(5).then(|| format!("key-{n}")),
    };
    let recorded = vec![
        (created, What::Suspended),
        (ended, What::Resumed { held: n }),
    ];
    Sample {
        journal: saved(id, &recorded),
        run,
        payloads: Vec::new(),
    }
}

fn payload(n: u64) -> Data {
    Data::kept(DataName::of(&n.to_le_bytes()), None)
}

/// The same run, with a payload as its input and another in its journal.
fn naming(n: u64, began: Timestamp) -> Sample {
    let mut archived = run(n, began);
    archived.run.input = payload(2 * n);
    let answered = What::Completed {
        output: payload(2 * n + 1),
    };
    archived.journal = saved(archived.run.id, &[(began, answered)]);
    archived.payloads = [payload(2 * n), payload(2 * n + 1)]
        .iter()
        .filter_map(|data| data.name().copied())
        .collect();
    archived
}

fn runs(count: u64) -> Vec<Sample> {
    (0..count).map(|n| run(n, november())).collect()
}

fn all() -> Filter {
    Filter::default()
}

/// A whole journal, page by page.
fn whole(store: &Store, id: RunId) -> Vec<JournalEntry> {
    let (mut entries, mut after) = (Vec::new(), Some(0));
    while let Some(behind) = after {
        let page = store
            .journal(id, behind, JournalPage::MAX)
            .unwrap()
            .unwrap();
        entries.extend(page.entries);
        after = page.next;
    }
    entries
}

/// Whether every run is there as it was.
#[track_caller]
fn check(store: &Store, runs: &[Sample]) {
    for archived in runs {
        let id = archived.run.id;
        assert_eq!(store.find(id).unwrap().as_ref(), Some(&archived.run));
        let count = u64::try_from(whole(store, id).len()).unwrap();
        assert_eq!(count, archived.journal.count());
    }
    let listed = store.list(all(), None, runs.len() + 1).unwrap();
    assert_eq!(listed.len(), runs.len());
}

fn pack(dir: &Path) -> std::path::PathBuf {
    dir.join("history-2026-11.pack")
}

#[test]
fn runs_are_found_at_once_after_a_restart_and_without_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let runs = runs(40);
    let store = Store::open(dir.path()).unwrap();
    add(&store, &runs[..15]);
    add(&store, &runs[15..]);
    check(&store, &runs);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    check(&store, &runs);
    drop(store);
    fs::remove_file(dir.path().join("history-2026-11.db")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    check(&store, &runs);
    drop(store);
    fs::write(
        dir.path().join("history-2026-11.db"),
        "this is no database at all",
    )
    .unwrap();
    check(&Store::open(dir.path()).unwrap(), &runs);
}

#[test]
fn a_run_that_is_there_already_is_not_added_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    add(&store, &runs(10));
    let size = store.bytes();
    add(&store, &runs(10));
    assert_eq!(store.bytes(), size);
    add(&store, &runs(11));
    assert!(store.bytes() > size);
    check(&store, &runs(11));
}

#[test]
fn a_torn_write_is_cut_off_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    add(&store, &runs(2));
    let whole = usize::try_from(store.bytes()).unwrap();
    add(&store, &[run(2, november())]);
    drop(store);
    let bytes = fs::read(pack(dir.path())).unwrap();
    for cut in whole..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(pack(dir.path()), &bytes[..cut]).unwrap();
        let store = Store::open(dir.path()).unwrap();
        check(&store, &runs(2));
        assert_eq!(store.bytes(), u64::try_from(whole).unwrap());
        add(&store, &runs(3));
        check(&store, &runs(3));
    }
}

#[test]
fn a_damaged_block_costs_its_own_runs_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for n in 0..3 {
        add(&store, &[run(n, november())]);
    }
    let id = |n| run(n, november()).run.id;
    let mut bytes = fs::read(pack(dir.path())).unwrap();
    let second = bytes.len() / 2;
    bytes[second] ^= 1;
    fs::write(pack(dir.path()), &bytes).unwrap();
    let error = store.find(id(1)).unwrap_err().to_string();
    assert!(
        error.contains("history-2026-11.pack") && error.contains("checksum"),
        "{error}"
    );
    assert!(store.find(id(2)).unwrap().is_some());
    drop(store);
    // The same when the index is made again: what lies behind the damage is not given up.
    fs::remove_file(dir.path().join("history-2026-11.db")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let found: Vec<bool> = (0..3)
        .map(|n| store.find(id(n)).unwrap().is_some())
        .collect();
    assert_eq!(found, [true, false, true]);
}

#[test]
fn a_pack_of_a_newer_program_or_another_month_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    add(&Store::open(dir.path()).unwrap(), &runs(1));
    let mut bytes = fs::read(pack(dir.path())).unwrap();
    fs::write(dir.path().join("history-2026-12.pack"), &bytes).unwrap();
    let error = Store::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("history-2026-12.pack"), "{error}");
    fs::remove_file(dir.path().join("history-2026-12.pack")).unwrap();
    bytes[8] = 9;
    fs::write(pack(dir.path()), &bytes).unwrap();
    let error = Store::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("unknown format 9"), "{error}");
}

#[track_caller]
fn found(store: &Store, filter: Filter, expected: &[u64]) {
    let listed = store.list(filter, None, 5).unwrap();
    let ids: Vec<RunId> = listed.iter().map(|run| run.id).collect();
    let expected: Vec<RunId> = expected
        .iter()
        .map(|n| run(*n, november()).run.id)
        .collect();
    assert_eq!(ids, expected);
}

#[test]
fn filters_find_what_they_say_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    add(&store, &runs(20));
    found(&store, all(), &[19, 18, 17, 16, 15]);
    let status = Some(Status::Faulted);
    found(&store, Filter { status, ..all() }, &[18, 15, 12, 9, 6]);
    let flow = Some(FlowRef {
        namespace: "shop".to_owned(),
        name: "bill".to_owned(),
        version: None,
    });
    found(
        &store,
        Filter {
            flow,
            status,
            ..all()
        },
        &[15, 9, 3],
    );
    let owner = Some("acc_0".to_owned());
    found(&store, Filter { owner, ..all() }, &[18, 16, 14, 12, 10]);
    let q = |text: &str| Filter {
        q: Some(text.to_owned()),
        ..all()
    };
    found(&store, q("TILL is"), &[18, 15, 12, 9, 6]);
    found(&store, q("key-1"), &[15, 10]);
    found(&store, q(&run(7, november()).run.id.to_string()), &[7]);
    let (since, until) = (
        november().plus(Duration::from_secs(3)),
        november().plus(Duration::from_secs(6)),
    );
    let between = Filter {
        since: Some(since),
        until: Some(until),
        ..all()
    };
    found(&store, between, &[5, 4, 3]);
    let key = store.by_key(Some("acc_1"), "key-15").unwrap().unwrap();
    assert_eq!(key.id, run(15, november()).run.id);
    assert_eq!(store.by_key(Some("acc_0"), "key-15").unwrap(), None);
}

#[test]
fn pages_go_through_all_months_and_miss_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let before = at("2026-10-31T23:58:30Z");
    // Those that began late in October ended in November: two files, one list.
    let runs: Vec<_> = (0..120).map(|n| run(n, before)).collect();
    add(&store, &runs);
    assert!(dir.path().join("history-2026-10.pack").exists() && pack(dir.path()).exists());
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.list(all(), cursor, 7).unwrap();
        let Some(last) = page.last() else {
            break;
        };
        cursor = Some(last.id);
        seen.extend(page.into_iter().map(|run| run.id));
    }
    let mut expected: Vec<RunId> = runs.iter().map(|archived| archived.run.id).collect();
    expected.reverse();
    assert_eq!(seen, expected);
}

#[test]
fn what_is_no_longer_kept_goes_by_flow_and_a_month_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let october = at("2026-10-10T00:00:00Z");
    let october: Vec<Sample> = (0..10).map(|n| run(n, october)).collect();
    add(&store, &october);
    add(&store, &runs(10));
    let count = |name: &str| {
        let flow = Some(FlowRef {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            version: None,
        });
        store
            .list(Filter { flow, ..all() }, None, 100)
            .unwrap()
            .len()
    };
    let mut retention = Retention {
        default: DAY * 90,
        flows: [(("shop".to_owned(), "bill".to_owned()), DAY)].into(),
    };
    store.expire(&retention, november().plus(DAY / 2)).unwrap();
    assert_eq!((count("order"), count("bill")), (10, 5));
    retention.default = DAY * 20;
    store.expire(&retention, november().plus(DAY * 2)).unwrap();
    assert_eq!((count("order"), count("bill")), (5, 0));
    assert!(!dir.path().join("history-2026-10.pack").exists());
    assert!(!dir.path().join("history-2026-10.db").exists());
    // This month goes on, and an index made again is cleared again.
    fs::remove_file(dir.path().join("history-2026-11.db")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.expire(&retention, november().plus(DAY * 2)).unwrap();
    assert_eq!(store.list(all(), None, 100).unwrap().len(), 5);
}

#[test]
fn a_long_journal_is_kept_in_parts_and_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut long = run(1, november());
    let output = Data::string(&"x".repeat(1 << 20));
    let recorded: Vec<_> = (0..20)
        .map(|_| {
            (
                november(),
                What::Completed {
                    output: output.clone(),
                },
            )
        })
        .collect();
    long.journal = saved(long.run.id, &recorded);
    let all = [run(0, november()), long, run(2, november())];
    add(&store, &all);
    check(&store, &all);
    assert!(store.bytes() < 1 << 20, "it is compressed");
}

#[test]
fn a_page_of_a_long_journal_names_tasks_that_began_long_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut long = run(1, november());
    let entered = |step, task: &str| {
        What::Entered(Entered {
            step,
            lane: Lane::ROOT,
            index: 0,
            task: task.into(),
            kind: StepKind::For,
            iteration: "".into(),
            attempt: 1,
            input: None,
            deadline: None,
        })
    };
    let iterated = |index| What::Iterated {
        step: 1,
        index,
        input: Given::Input,
    };
    let mut recorded = vec![entered(1, "/do/0/loop"), entered(2, "/do/1/short")];
    recorded.push(What::TaskCancelled { step: 2 });
    recorded.extend((0..1_000).map(iterated));
    let recorded: Vec<_> = recorded
        .into_iter()
        .map(|what| (november(), what))
        .collect();
    long.journal = saved(long.run.id, &recorded);
    store.add(vec![long.archived(2_000)]).unwrap();
    let page = store.journal(long.run.id, 700, 50).unwrap().unwrap();
    assert_eq!((page.entries.len(), page.next), (50, Some(750)));
    for (n, entry) in (701..).zip(&page.entries) {
        assert_eq!((entry.n, entry.task.as_deref()), (n, Some("/do/0/loop")));
    }
    assert_eq!(whole(&store, long.run.id).len(), 1_003);
    let behind = store.journal(long.run.id, 1_003, 50).unwrap().unwrap();
    assert_eq!((behind.entries, behind.next), (Vec::new(), None));
}

#[test]
fn golden_packs_of_entries_that_name_no_payload_are_read_for_ever() {
    for version in [1, 2] {
        let name = format!("tests/golden/archive-v{version}.pack");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let dir = tempfile::tempdir().unwrap();
        if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() && !file.exists() {
            add(&Store::open(dir.path()).unwrap(), &runs(4));
            fs::rename(pack(dir.path()), &file).unwrap();
            fs::remove_file(dir.path().join("history-2026-11.db")).unwrap();
        }
        fs::copy(&file, pack(dir.path())).unwrap();
        check(&Store::open(dir.path()).unwrap(), &runs(4));
    }
}

#[test]
fn golden_pack_of_entries_that_name_payloads_is_read_for_ever() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/archive-v3.pack");
    let runs: Vec<Sample> = (0..4).map(|n| naming(n, november())).collect();
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() && !file.exists() {
        add(&Store::open(dir.path()).unwrap(), &runs);
        fs::rename(pack(dir.path()), &file).unwrap();
        fs::remove_file(dir.path().join("history-2026-11.db")).unwrap();
    }
    fs::copy(&file, pack(dir.path())).unwrap();
    let store = Store::open(dir.path()).unwrap();
    check(&store, &runs);
    for name in runs.iter().flat_map(|archived| &archived.payloads) {
        assert!(store.names(&name.hash).unwrap());
    }
}

#[test]
fn a_payload_is_named_as_long_as_a_run_that_names_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (old, new) = (naming(0, november()), naming(1, november().plus(3 * DAY)));
    add(&store, &[old.clone(), new.clone()]);
    let names = |store: &Store, archived: &Sample| {
        let names = archived.payloads.iter();
        let mut named = names.map(|name| store.names(&name.hash).unwrap());
        (named.next().unwrap(), named.next().unwrap())
    };
    assert!(!store.names(&DataName::of(b"another").hash).unwrap());
    let retention = Retention {
        default: 2 * DAY,
        flows: std::collections::BTreeMap::new(),
    };
    let now = november().plus(4 * DAY);
    store.expire(&retention, now).unwrap();
    assert_eq!(names(&store, &old), (false, false));
    assert_eq!(names(&store, &new), (true, true));
    drop(store);
    // Found again in the pack, like the rows.
    fs::remove_file(dir.path().join("history-2026-11.db")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(names(&store, &new), (true, true));
    drop(store);
    // An index of before knows of none, and takes new ones.
    let database = dir.path().join("history-2026-11.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    let older = "DROP TABLE payload; PRAGMA user_version = 1;";
    connection.execute_batch(older).unwrap();
    drop(connection);
    let store = Store::open(dir.path()).unwrap();
    let next = naming(2, november());
    add(&store, std::slice::from_ref(&next));
    assert_eq!(names(&store, &next), (true, true));
}
