//! Records and snapshots of definitions, of every version ever written; what a publisher is told.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

const PLACE: &str = "/input/schema/resource";

fn publish(source: &str, hash: &str, contents: &[(&str, &str)]) -> Publish {
    let mut all = Contents::new();
    for (pointer, text) in contents {
        all.insert(pointer, (*text).to_owned());
    }
    Publish {
        flow: flow(),
        hash: hash.to_owned(),
        source: source.to_owned(),
        contents: all,
    }
}

fn flow() -> FlowId {
    FlowId {
        namespace: "n".to_owned(),
        name: "f".to_owned(),
        version: "1.0.0".to_owned(),
    }
}

fn text(contents: &[(&str, &str)]) -> Text {
    let Publish {
        flow,
        hash,
        source,
        contents,
    } = publish("document: {}\n", "abc", contents);
    Text {
        flow,
        hash,
        source,
        at: Timestamp::from_millis(1_790_000_000_123),
        contents,
    }
}

/// The bytes of the file, which were ours once.
fn golden(name: &str, now: Option<&[u8]>) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if let Some(bytes) = now
        && std::env::var_os("TARAF_GOLDEN_UPDATE").is_some()
    {
        let mut line = bytes.iter().fold(String::new(), |mut line, byte| {
            write!(line, "{byte:02x}").unwrap();
            line
        });
        line.push('\n');
        std::fs::write(&file, line).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    let kept = kept.trim();
    let bytes = (0..kept.len()).step_by(2);
    let bytes: Vec<u8> = bytes
        .map(|at| u8::from_str_radix(&kept[at..at + 2], 16).unwrap())
        .collect();
    if let Some(now) = now {
        assert_eq!(
            bytes, now,
            "{name}: what is written changed without a new version"
        );
    }
    bytes
}

fn header(version: u16) -> Header {
    Header {
        kind: PUBLISHED,
        version,
        subject: 0,
    }
}

#[test]
fn golden_records_of_definitions_are_read_for_ever() {
    let first = golden("definition-v1.txt", None);
    assert_eq!(Sources::decode(&header(1), &first).unwrap(), text(&[]));
    let now = text(&[(PLACE, "{\"type\": \"object\"}")]);
    let mut body = Vec::new();
    assert_eq!(Sources::encode(&now, &mut body).version, VERSION);
    let second = golden("definition-v2.txt", Some(&body));
    assert_eq!(Sources::decode(&header(2), &second).unwrap(), now);
    assert!(Sources::decode(&header(3), &second).is_err());
}

#[test]
fn golden_snapshots_of_definitions_are_read_for_ever() {
    let mut sources = Sources::default();
    sources
        .restore(&golden("definitions-snapshot-v1.txt", None))
        .unwrap();
    assert_eq!(sources.texts[&flow()], text(&[]));
    let now = text(&[(PLACE, "{\"type\": \"object\"}")]);
    sources.evolve(&now, Timestamp::from_millis(0));
    let second = golden("definitions-snapshot-v2.txt", Some(&sources.snapshot()));
    let mut restored = Sources::default();
    restored.restore(&second).unwrap();
    assert_eq!(restored.texts[&flow()], now);
    assert!(restored.restore(&[3]).is_err());
}

#[test]
fn the_same_again_changes_nothing_and_anything_else_is_told() {
    let mut sources = Sources::default();
    let now = Timestamp::from_millis(0);
    let schema = [(PLACE, "{}")];
    let first = sources.decide(publish("a", "1", &schema), now);
    assert_eq!((first.reply, first.events.len()), (Verdict::Created, 1));
    sources.evolve(&first.events[0], now);
    for (again, expected) in [
        (publish("a", "1", &schema), Verdict::Existed),
        (publish("b", "2", &schema), Verdict::Conflict),
        (
            publish("a", "3", &[(PLACE, "true")]),
            Verdict::Changed(vec![PLACE.to_owned()]),
        ),
    ] {
        let decision = sources.decide(again, now);
        assert!(decision.events.is_empty());
        assert_eq!(decision.reply, expected);
    }
}
