//! Snapshot files of the real Serf are read, and ours say the same.

use std::sync::Arc;

use super::*;
use crate::serf::{MemberEvent, Status, Tags, UserEvent};
use crate::wire::memberlist::Versions;

const FAILED: &[u8] = include_bytes!("../../../tests/golden/snapshot/serf-0.9.4-failed.snap");
const KILLED: &[u8] = include_bytes!("../../../tests/golden/snapshot/serf-0.9.4-killed.snap");
const LEFT: &[u8] = include_bytes!("../../../tests/golden/snapshot/serf-0.9.4-left.snap");
const LEFT_TWICE: &[u8] =
    include_bytes!("../../../tests/golden/snapshot/serf-0.9.4-left-twice.snap");

fn at(millis: u64) -> Moment {
    Moment::START + Duration::from_millis(millis)
}

fn members(change: Change, names: &[&str]) -> Event {
    let member = |name: &&str| {
        Arc::new(Member {
            name: Name::from(*name),
            address: std::net::IpAddr::from([127, 0, 0, 2]).into(),
            port: 7946,
            tags: Tags::default(),
            status: Status::Alive,
            versions: Versions::SERF,
        })
    };
    Event::Members(MemberEvent {
        change,
        members: names.iter().map(member).collect(),
    })
}

fn user(time: u64) -> Event {
    Event::User(UserEvent {
        time: LTime(time),
        name: Name::from("deploy"),
        payload: Bytes::new(),
        coalesce: false,
    })
}

/// A file in memory.
#[derive(Default)]
struct File(Vec<u8>, usize, usize);

impl File {
    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Append(lines) => self.0.extend_from_slice(&lines),
                Effect::Replace(lines) => {
                    self.0 = lines.to_vec();
                    self.1 += 1;
                }
                Effect::Sync => self.2 += 1,
            }
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap()
    }
}

fn restored(alive: &[(&str, &str)], clocks: [u64; 3]) -> Restored {
    let one = |&(name, address): &(&str, &str)| (Name::from(name), address.parse().unwrap());
    let [clock, event_clock, query_clock] = clocks.map(LTime);
    Restored {
        alive: alive.iter().map(one).collect(),
        clock,
        event_clock,
        query_clock,
    }
}

#[test]
fn golden_files_of_serf_are_read() {
    let check = |file, rejoin, expected| {
        assert_eq!(*Snapshot::read(file, rejoin).said(), expected);
    };
    let (a, b, c) = (
        ("a1", "127.0.0.2:7946"),
        ("b two", "127.0.0.3:7946"),
        ("c", "127.0.0.4:7946"),
    );
    check(FAILED, false, restored(&[a, b], [1, 1, 1]));
    check(KILLED, false, restored(&[a, b, c], [1, 1, 0]));
    // A clock still follows the leave.
    check(LEFT, false, restored(&[], [2, 0, 0]));
    check(LEFT, true, restored(&[a, b], [2, 1, 1]));
    check(LEFT_TWICE, false, restored(&[], [4, 0, 0]));
    check(LEFT_TWICE, true, restored(&[a], [4, 1, 1]));
}

#[test]
fn golden_a_life_is_written_as_serf_writes_it() {
    let mut file = File::default();
    let mut snapshot = Snapshot::read(&[], false);
    snapshot.note(at(0), &members(Change::Join, &["a1"]), LTime(1));
    snapshot.note(at(1), &members(Change::Join, &["b two", "c"]), LTime(2));
    snapshot.note(at(2), &user(1), LTime(2));
    snapshot.note(at(3), &user(1), LTime(2));
    snapshot.note_query(at(4), LTime(1));
    snapshot.note(at(5), &members(Change::Failed, &["c"]), LTime(2));
    snapshot.note(at(6), &members(Change::Update, &["a1"]), LTime(2));
    assert_eq!(snapshot.next_deadline(), Some(at(500)));
    file.apply(snapshot.effects(at(499), LTime(2)));
    assert_eq!(file.text(), "");
    file.apply(snapshot.effects(at(500), LTime(2)));
    let address = "127.0.0.2:7946";
    let life = format!(
        "alive: a1 {address}\nalive: b two {address}\nalive: c {address}\nclock: 1\nevent-clock: 1\n\
         query-clock: 1\nnot-alive: c\n"
    );
    assert_eq!(file.text(), life);
    assert_eq!(snapshot.next_deadline(), None);

    snapshot.leave(at(600));
    file.apply(snapshot.effects(at(600), LTime(3)));
    snapshot.note(at(610), &members(Change::Leave, &["a1"]), LTime(4));
    snapshot.shutdown(at(620), LTime(4));
    file.apply(snapshot.effects(at(620), LTime(4)));
    assert_eq!(file.text(), format!("{life}leave\nclock: 2\nclock: 3\n"));
    assert_eq!(file.2, 2, "leave and shutdown are on disk");
    assert_eq!(
        *Snapshot::read(&file.0, false).said(),
        restored(&[], [3, 0, 0])
    );
}

#[test]
fn a_clock_alone_is_written_in_time() {
    let mut snapshot = Snapshot::read(&[], false);
    snapshot.note_clock(at(0), LTime(1));
    assert_eq!(snapshot.next_deadline(), None);
    snapshot.note_clock(at(10), LTime(5));
    snapshot.note_clock(at(400), LTime(7));
    assert_eq!(snapshot.next_deadline(), Some(at(510)));
    let effects = snapshot.effects(at(510), LTime(8));
    assert_eq!(effects, [Effect::Append(Bytes::from_static(b"clock: 7\n"))]);
    snapshot.note_clock(at(600), LTime(8));
    assert_eq!(snapshot.next_deadline(), None);
}

#[test]
fn a_large_file_is_replaced_by_what_it_says() {
    let mut file = File::default();
    let mut snapshot = Snapshot::read(&[], false);
    for time in 1..20_000 {
        snapshot.note(at(time), &user(time), LTime(1));
        file.apply(snapshot.effects(at(time), LTime(1)));
    }
    snapshot.note(at(20_000), &members(Change::Join, &["a1"]), LTime(4));
    file.apply(snapshot.effects(at(21_000), LTime(4)));
    assert!(file.1 >= 1, "never replaced");
    assert!(file.0.len() < 128 * 1024 + 10_000, "{} bytes", file.0.len());
    let said = Snapshot::read(&file.0, false);
    assert_eq!(
        *said.said(),
        restored(&[("a1", "127.0.0.2:7946")], [3, 19_999, 0])
    );
}

#[test]
fn a_line_that_a_crash_cut_is_dropped_and_not_continued() {
    let mut file = File(
        b"alive: a1 127.0.0.2:7946\nclock: 4\nalive: b two 127.0".to_vec(),
        0,
        0,
    );
    let mut snapshot = Snapshot::read(&file.0, false);
    assert_eq!(
        *snapshot.said(),
        restored(&[("a1", "127.0.0.2:7946")], [4, 0, 0])
    );
    snapshot.note(at(0), &members(Change::Join, &["c"]), LTime(5));
    file.apply(snapshot.effects(at(500), LTime(5)));
    let both = [("a1", "127.0.0.2:7946"), ("c", "127.0.0.2:7946")];
    assert_eq!(
        *Snapshot::read(&file.0, false).said(),
        restored(&both, [4, 0, 0])
    );
}

#[test]
fn what_cannot_be_read_is_skipped() {
    let file = b"nonsense\nalive: x\nclock: many\nalive: a1 127.0.0.2:7946\n\xff\xfe\n";
    assert_eq!(
        *Snapshot::read(file, false).said(),
        restored(&[("a1", "127.0.0.2:7946")], [0, 0, 0])
    );
}

#[test]
fn after_a_failed_write_the_whole_file_is_tried_later() {
    let mut snapshot = Snapshot::read(&[], false);
    snapshot.note(at(0), &members(Change::Join, &["a1"]), LTime(1));
    snapshot.effects(at(500), LTime(1));
    snapshot.failed(at(501));
    snapshot.note(at(600), &members(Change::Join, &["b"]), LTime(1));
    assert_eq!(snapshot.next_deadline(), Some(at(30_501)));
    assert!(snapshot.effects(at(2_000), LTime(1)).is_empty());
    let effects = snapshot.effects(at(30_501), LTime(1));
    assert!(matches!(&effects[..], [Effect::Replace(lines)] if lines.starts_with(b"alive: a1 ")));
}

#[test]
fn a_leave_survives_a_replacement() {
    let mut snapshot = Snapshot::read(FAILED, true);
    snapshot.leave(at(0));
    snapshot.effects(at(0), LTime(2));
    snapshot.failed(at(1));
    let effects = snapshot.effects(at(30_001), LTime(2));
    let [Effect::Replace(lines)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(Snapshot::read(lines, false).said().alive.is_empty());
    assert_eq!(Snapshot::read(lines, true).said().alive.len(), 2);
}

#[test]
fn a_name_with_a_newline_forges_no_line() {
    let mut snapshot = Snapshot::read(&[], false);
    snapshot.note(at(0), &members(Change::Join, &["x\nleave"]), LTime(1));
    snapshot.note(at(0), &members(Change::Join, &["good"]), LTime(1));
    let effects = snapshot.effects(at(500), LTime(1));
    assert_eq!(
        effects,
        [Effect::Append(Bytes::from_static(
            b"alive: good 127.0.0.2:7946\n"
        ))]
    );
}
