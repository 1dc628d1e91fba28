//! The account machine: what is decided, that replay gives the same state, and the records' bytes.

use std::fmt::Write as _;

use super::record::Event;
use super::*;
use crate::quota::Plan;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

struct World {
    registry: Registry,
    events: Vec<(Timestamp, Event)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            registry: Registry::default(),
            events: Vec::new(),
        };
        let plan = Plan {
            rate_per_second: 10,
            burst: 20,
            quota_per_month: Some(100),
        };
        let name = "free".to_owned();
        world.propose(Input::SetPlan { name, plan });
        world
    }

    fn propose(&mut self, input: Input) -> Reply {
        self.propose_at(input, NOW)
    }

    fn propose_at(&mut self, input: Input, now: Timestamp) -> Reply {
        let decision = self.registry.decide(input, now);
        for event in decision.events {
            self.registry.evolve(&event, now);
            self.events.push((now, event));
        }
        decision.reply
    }

    fn key(&mut self, account: &str, number: u8) -> Reply {
        self.propose(create(account, None, number))
    }
}

fn create(account: &str, email: Option<&str>, number: u8) -> Input {
    Input::CreateKey {
        account: AccountId::new(1_000 * u128::from(account.as_bytes()[0]) + u128::from(number)),
        name: account.to_owned(),
        email: email.map(str::to_owned),
        key: NewKey {
            id: KeyId::new(u128::from(number)),
            hash: KeyHash([number; 32]),
            plan: "free".to_owned(),
            label: String::new(),
        },
    }
}

fn rotate(id: u128, new: u128, overlap_until: Timestamp) -> Input {
    Input::Rotate {
        id: KeyId::new(id),
        new: KeyId::new(new),
        hash: KeyHash([u8::try_from(new).unwrap(); 32]),
        overlap_until,
    }
}

#[test]
fn a_key_makes_its_account_when_there_is_none() {
    let mut world = World::new();
    assert!(matches!(world.key("ana", 1), Reply::Key { .. }));
    assert!(matches!(world.key("ana", 2), Reply::Key { .. }));
    let (id, account) = world.registry.account_named("ana").unwrap();
    assert_eq!(id, AccountId::new(97_001));
    let keys: Vec<_> = world.registry.keys_of(account).collect();
    assert_eq!(keys, [KeyId::new(1), KeyId::new(2)]);
}

#[test]
fn an_email_registers_once() {
    let mut world = World::new();
    let register = |number| create("a@b.ro", Some("a@b.ro"), number);
    assert!(matches!(world.propose(register(1)), Reply::Key { .. }));
    assert_eq!(
        world.propose(register(2)),
        Reply::Refused(Refusal::KnownEmail)
    );
}

#[test]
fn the_same_text_is_the_same_key_and_no_other_accounts() {
    let mut world = World::new();
    let first = world.key("ana", 1);
    assert_eq!(world.key("ana", 1), first);
    assert_eq!(world.key("ion", 1), Reply::Refused(Refusal::KnownKey));
    world.propose(Input::Revoke { id: KeyId::new(1) });
    let refused = Reply::Refused(Refusal::RevokedKey(KeyId::new(1)));
    assert_eq!(world.key("ana", 1), refused);
}

#[test]
fn a_rotated_key_shares_its_quota_with_its_successor() {
    let mut world = World::new();
    world.key("ana", 1);
    let later = Timestamp::from_millis(NOW.as_millis() + 1_000);
    assert!(matches!(
        world.propose(rotate(1, 2, later)),
        Reply::Key { .. }
    ));
    let old = world.registry.key(KeyId::new(1)).unwrap();
    assert!(!old.is_ended(NOW) && old.is_ended(later));
    assert_eq!(
        world.registry.key(KeyId::new(2)).unwrap().line,
        KeyId::new(1)
    );
    // The old key has its successor: it cannot have two.
    let refused = Reply::Refused(Refusal::RevokedKey(KeyId::new(1)));
    assert_eq!(world.propose(rotate(1, 3, later)), refused);
    // Revoking it shortens the overlap.
    world.propose(Input::Revoke { id: KeyId::new(1) });
    assert!(world.registry.key(KeyId::new(1)).unwrap().is_ended(NOW));
}

#[test]
fn a_reservation_ends_at_the_quota() {
    let mut world = World::new();
    world.key("ana", 1);
    let (line, month) = (KeyId::new(1), Month::of(NOW));
    let mut reserve = |month, units| world.propose(Input::Reserve { line, month, units });
    let granted = |units, charged| Reply::Granted { units, charged };
    assert_eq!(reserve(month, 60), granted(60, 60));
    assert_eq!(reserve(month, 60), granted(40, 100));
    assert_eq!(reserve(month, 1), granted(0, 100));
    assert_eq!(reserve(month.next(), 1), granted(1, 1));
    world.propose(Input::Return {
        line,
        month,
        units: 30,
    });
    assert_eq!(world.registry.charged(line, month), 70);
    world.propose(Input::Return {
        line,
        month,
        units: 300,
    });
    assert_eq!(world.registry.charged(line, month), 0);
}

#[test]
fn input_from_outside_is_refused_by_name() {
    let mut world = World::new();
    world.key("ana", 1);
    let mut refused = |input| match world.propose(input) {
        Reply::Refused(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let unknown = KeyId::new(9);
    assert!(refused(Input::Revoke { id: unknown }).contains("there is no key key_"));
    let label = "a\nb".to_owned();
    let id = KeyId::new(1);
    assert!(refused(Input::Label { id, label }).starts_with("the label must"));
    assert!(refused(create(" ", None, 3)).starts_with("the account's name must"));
    let plan = Plan {
        rate_per_second: 0,
        burst: 1,
        quota_per_month: None,
    };
    let name = "none".to_owned();
    assert!(refused(Input::SetPlan { name, plan }).contains("at least 1"));
}

#[test]
fn an_account_has_a_limit_of_keys() {
    let mut world = World::new();
    for number in 0..KEYS_PER_ACCOUNT_MAX {
        let number = u8::try_from(number).unwrap();
        assert!(matches!(world.key("ana", number), Reply::Key { .. }));
    }
    let refused = Reply::Refused(Refusal::TooMany("keys of this account"));
    assert_eq!(world.key("ana", 200), refused);
    // A key in the place of another needs no room.
    let rotated = world.propose(rotate(1, 201, NOW));
    assert!(matches!(rotated, Reply::Key { .. }), "{rotated:?}");
    assert_eq!(world.key("ana", 200), refused);
    world.propose(Input::Revoke { id: KeyId::new(0) });
    assert!(matches!(world.key("ana", 200), Reply::Key { .. }));
}

fn one_of_everything() -> World {
    let mut world = World::new();
    world.propose(create("a@b.ro", Some("a@b.ro"), 1));
    let id = KeyId::new(1);
    let month = Month::of(NOW);
    let later = Timestamp::from_millis(NOW.as_millis() + 86_400_000);
    for input in [
        Input::CreateAccount {
            id: AccountId::new(7),
            name: "ion".to_owned(),
            email: None,
        },
        Input::Label {
            id,
            label: "laptop".to_owned(),
        },
        Input::Reserve {
            line: id,
            month,
            units: 3,
        },
        Input::Return {
            line: id,
            month,
            units: 1,
        },
        Input::Used { id, day: 20_454 },
        rotate(1, 2, later),
    ] {
        assert!(!matches!(world.propose(input), Reply::Refused(_)));
    }
    world
}

#[test]
fn replay_and_snapshot_give_the_same_state() {
    let mut world = one_of_everything();
    let mut replayed = Registry::default();
    for (at, event) in &world.events {
        let mut body = Vec::new();
        let header = Registry::encode(event, &mut body);
        let read = Registry::decode(&header, &body).unwrap();
        assert_eq!(read, *event);
        replayed.evolve(&read, *at);
    }
    assert_eq!(replayed, world.registry);
    assert_eq!(replayed.state_hash(), world.registry.state_hash());
    let mut restored = Registry::default();
    restored.restore(&world.registry.snapshot()).unwrap();
    assert_eq!(restored, world.registry);
}

#[test]
fn an_unknown_record_stops_the_reader() {
    let (mut world, mut body) = (one_of_everything(), Vec::new());
    let (_, event) = world.events.pop().unwrap();
    let header = Registry::encode(&event, &mut body);
    let newer = Header {
        version: 2,
        ..header
    };
    assert!(matches!(
        Registry::decode(&newer, &body),
        Err(DecodeError::UnknownVersion { version: 2, .. })
    ));
    let other = Header { kind: 99, ..header };
    assert_eq!(
        Registry::decode(&other, &body),
        Err(DecodeError::UnknownKind(99))
    );
    body.truncate(body.len() - 1);
    assert!(matches!(
        Registry::decode(&header, &body),
        Err(DecodeError::Malformed(_))
    ));
    let mut registry = Registry::default();
    assert!(registry.restore(&[]).is_err());
    assert!(registry.restore(&[9, 0, 1]).is_err());
}

#[test]
fn units_of_many_lines_are_given_back_at_once() {
    let mut world = World::new();
    world.key("ana", 1);
    world.key("ana", 2);
    let (month, line) = (Month::of(NOW), KeyId::new);
    for id in [1, 2] {
        world.propose(Input::Reserve {
            line: line(id),
            month,
            units: 10,
        });
    }
    let units = vec![
        (line(1), month, 4),
        (line(2), month, 99),
        (line(1), month, 4),
        (line(9), month, 1),
    ];
    assert_eq!(world.propose(Input::ReturnMany { units }), Reply::Done);
    assert_eq!(world.registry.charged(line(1), month), 6);
    assert_eq!(world.registry.charged(line(2), month), 0);
}

#[test]
fn keys_that_ended_long_ago_are_forgotten_and_their_line_last() {
    let mut world = World::new();
    world.key("ana", 1);
    world.key("ana", 5);
    world.propose(rotate(1, 2, NOW));
    world.propose(Input::Revoke { id: KeyId::new(5) });
    let after = |seconds: i64| Timestamp::from_millis(NOW.as_millis() + seconds * 1_000);
    assert_eq!(
        world.propose(Input::Forget { before: NOW }),
        Reply::Forgotten(0)
    );
    // The first of a line that goes on is what its quota is counted by.
    assert_eq!(
        world.propose(Input::Forget { before: after(1) }),
        Reply::Forgotten(1)
    );
    assert!(world.registry.key(KeyId::new(5)).is_none());
    assert_eq!(world.registry.key_with(&KeyHash([5; 32])), None);
    world.propose_at(Input::Revoke { id: KeyId::new(2) }, after(2));
    let mut forgotten = || world.propose(Input::Forget { before: after(9) });
    assert_eq!(forgotten(), Reply::Forgotten(1));
    assert_eq!(forgotten(), Reply::Forgotten(1));
    assert_eq!(forgotten(), Reply::Forgotten(0));
    assert_eq!(world.registry.key_count(), 0);
    let (_, account) = world.registry.account_named("ana").unwrap();
    assert_eq!(world.registry.keys_of(account).count(), 0);
    // The text may be used again, and its row too.
    assert!(matches!(world.key("ana", 5), Reply::Key { .. }));
    let mut restored = Registry::default();
    restored.restore(&world.registry.snapshot()).unwrap();
    assert_eq!(restored, world.registry);
    assert_eq!(
        restored.key(KeyId::new(5)).unwrap().account,
        AccountId::new(97_001)
    );
}

/// A later world, in which a key was forgotten too.
fn one_of_everything_today() -> World {
    let mut world = one_of_everything();
    let later = Timestamp::from_millis(NOW.as_millis() + 1);
    world.key("ion", 5);
    world.propose(Input::Revoke { id: KeyId::new(5) });
    let forgotten = world.propose(Input::Forget { before: later });
    assert_eq!(forgotten, Reply::Forgotten(1));
    world
}

fn written(world: &World) -> String {
    let mut written = String::new();
    for (_, event) in &world.events {
        let mut body = Vec::new();
        let header = Registry::encode(event, &mut body);
        let (kind, version, subject) = (header.kind, header.version, header.subject);
        writeln!(written, "{kind} {version} {subject:032x} {}", hex(&body)).unwrap();
    }
    writeln!(written, "snapshot {}", hex(&world.registry.snapshot())).unwrap();
    written
}

fn golden(name: &str) -> std::path::PathBuf {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name)
}

/// Reads what was written once, and finds the world that it was written of.
fn check_golden(text: &str, world: &World) {
    let mut events = world.events.iter();
    for line in text.lines() {
        let parts: Vec<_> = line.split(' ').collect();
        let [kind, version, subject, body] = parts[..] else {
            let mut restored = Registry::default();
            restored.restore(&unhex(parts[1])).unwrap();
            assert_eq!(restored, world.registry);
            continue;
        };
        let header = Header {
            kind: kind.parse().unwrap(),
            version: version.parse().unwrap(),
            subject: u128::from_str_radix(subject, 16).unwrap(),
        };
        let (_, event) = events.next().unwrap();
        assert_eq!(Registry::decode(&header, &unhex(body)).unwrap(), *event);
        let mut again = Vec::new();
        assert_eq!(Registry::encode(event, &mut again), header);
        assert_eq!(hex(&again), body);
    }
    assert!(events.next().is_none(), "a record is missing");
}

/// The bytes of snapshots of version 1, which every later program must read.
#[test]
fn golden_records_and_snapshot_of_version_1_are_still_read() {
    let text = std::fs::read_to_string(golden("accounts-v1.txt")).unwrap();
    check_golden(&text, &one_of_everything());
    let old = text.lines().last().unwrap();
    let old = unhex(old.strip_prefix("snapshot ").unwrap());
    assert!(!Registry::is_current(&old));
    assert!(Registry::is_current(&Registry::default().snapshot()));
}

#[test]
fn golden_records_and_snapshot_of_version_2_are_still_read_and_written() {
    let world = one_of_everything_today();
    let path = golden("accounts-v2.txt");
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() {
        std::fs::write(&path, written(&world)).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(written(&world), text);
    check_golden(&text, &world);
}

#[test]
fn a_damaged_snapshot_is_refused_and_asks_for_no_memory() {
    let sound = one_of_everything_today().registry.snapshot();
    for end in 0..sound.len() {
        let mut registry = Registry::default();
        assert!(registry.restore(&sound[..end]).is_err(), "{end}");
    }
    // No key, and the claim of four thousand million of them.
    let mut lying = vec![2, 0];
    let head: (
        BTreeMap<String, Plan>,
        usize,
        usize,
        BTreeMap<KeyId, Months>,
    ) = (BTreeMap::new(), 0, 4_000_000_000, BTreeMap::new());
    rmp_serde::encode::write(&mut lying, &head).unwrap();
    let refused = Registry::default().restore(&lying).unwrap_err();
    assert!(refused.to_string().contains("number of keys"), "{refused}");
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}
