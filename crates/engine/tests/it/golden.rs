//! The bytes of every kind of record, kept for ever.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use taraf_base::Timestamp;
use taraf_engine::FlowId;
use taraf_engine::partition::{
    Begun, BranchOutcome, CallClass, Caught, Entered, Event, Given, KINDS, Lane, Outcome,
    Partition, Payloads, Settings, StepKind, What,
};
use taraf_flow::{Data, DataName, FlowError};
use taraf_log::blob::BlobStore;
use taraf_log::machine::{Header, Machine as _};

use crate::bench::{Bench, echo, flow, run_id, settings};

#[expect(clippy::too_many_lines, reason = "one sample of each kind")]
fn samples() -> Vec<What> {
    let at = Timestamp::from_millis(1_790_000_000_123);
    let data = || Data::from(json!({"cif": "38744563", "n": [1, 2.5, null]}));
    let error = || {
        FlowError::communication("down")
            .with_status(503)
            .at("/do/0/a")
    };
    let text = |text: &str| Some(text.to_owned());
    let lane = Lane { step: 1, slot: 2 };
    let begun = Begun {
        flow: FlowId {
            namespace: "n".into(),
            name: "f".into(),
            version: "1.0.0".into(),
        },
        hash: "abc".into(),
        raw: data(),
        input: Some(Data::null()),
        owner: text("acc_1"),
        key: text("k"),
        traceparent: None,
        deadline: Some(at),
    };
    let entered = Entered {
        step: 3,
        lane,
        index: 0,
        task: "/do/0/a".into(),
        kind: StepKind::Call,
        iteration: ".1~2".into(),
        attempt: 2,
        input: None,
        deadline: Some(at),
    };
    vec![
        What::Started(Arc::new(begun)),
        What::Entered(entered),
        What::Skipped {
            lane,
            task: "/do/1/b".into(),
            index: 1,
        },
        What::Looped {
            step: 3,
            items: Arc::from([data(), Data::null()]),
        },
        What::Iterated {
            step: 3,
            index: 1,
            input: Given::Lane(0),
        },
        What::Scheduled {
            step: 3,
            class: CallClass::AtMostOnce,
            key: "key".into(),
            request: data(),
        },
        What::Answered {
            step: 3,
            outcome: Outcome::Err(error()),
            began: at,
            ended: at,
        },
        What::Answered {
            step: 3,
            outcome: Outcome::Ok(data()),
            began: at,
            ended: at,
        },
        What::Answered {
            step: 3,
            outcome: Outcome::Unsent(error()),
            began: at,
            ended: at,
        },
        What::Waiting { step: 3, until: at },
        What::Joined {
            step: 3,
            branch: 1,
            outcome: BranchOutcome::Done,
        },
        What::Joined {
            step: 3,
            branch: 1,
            outcome: BranchOutcome::Faulted(error()),
        },
        What::Caught(Caught {
            step: 3,
            error: error(),
            retry: Some(at),
        }),
        What::Retried {
            step: 3,
            attempt: 2,
            until: None,
        },
        What::TaskCompleted {
            step: 3,
            output: Given::Data(data()),
            context: Some(data()),
        },
        What::TaskCompleted {
            step: 3,
            output: Given::Answer,
            context: None,
        },
        What::TaskFaulted {
            step: 3,
            error: error(),
        },
        What::TaskCancelled { step: 3 },
        What::Paused {
            lane: Lane::ROOT,
            index: 7,
        },
        What::Suspended,
        What::Resumed { held: 1_500 },
        What::Completed { output: data() },
        What::Faulted { error: error() },
        What::Cancelled {
            why: "cancelled on request".to_owned(),
        },
        What::Removed,
        What::Moved,
    ]
}

#[test]
fn golden_records_of_the_first_version_are_read_for_ever() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/run-log-v1.txt");
    let mut lines = String::new();
    let mut kinds = Vec::new();
    for what in samples() {
        let event = Event {
            run: run_id(7),
            what,
        };
        let mut body = Vec::new();
        let header = Partition::encode(&event, &mut body);
        assert_eq!(Partition::decode(&header, &body).unwrap(), event);
        kinds.push(header.kind);
        let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.extend([format!(
            "{} {} {} {hex}\n",
            header.kind,
            header.version,
            event.what.name()
        )]);
    }
    kinds.dedup();
    assert_eq!(
        kinds,
        KINDS.map(|(kind, _)| kind),
        "every kind has a sample"
    );
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &lines).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    for (line, what) in golden.lines().zip(samples()) {
        let mut parts = line.split(' ');
        let mut part = || parts.next().unwrap_or_default();
        let (kind, version, _name, hex) = (part(), part(), part(), part());
        let header = Header {
            kind: kind.parse().unwrap(),
            version: version.parse().unwrap(),
            subject: run_id(7).get(),
        };
        let digits = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).unwrap());
        let body: Vec<u8> = digits
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect();
        assert_eq!(Partition::decode(&header, &body).unwrap().what, what);
    }
    assert_eq!(
        lines, golden,
        "what is written now differs: add a version, keep the old one"
    );
}

/// One of each kind that holds documents, with names in their place.
fn naming() -> Vec<What> {
    let kept = || Data::kept(DataName::of(b"a long document"), None);
    let naming = samples().into_iter().filter_map(|what| {
        let what = match what {
            What::Started(begun) => What::Started(Arc::new(Begun {
                raw: kept(),
                ..Begun::clone(&begun)
            })),
            What::Entered(entered) => What::Entered(Entered {
                input: Some(kept()),
                ..entered
            }),
            What::Looped { step, .. } => What::Looped {
                step,
                items: Arc::from([Data::null(), kept()]),
            },
            What::Iterated { step, index, .. } => What::Iterated {
                step,
                index,
                input: Given::Data(kept()),
            },
            What::Scheduled {
                step, class, key, ..
            } => What::Scheduled {
                step,
                class,
                key,
                request: kept(),
            },
            What::Answered {
                step,
                outcome: Outcome::Ok(_),
                began,
                ended,
            } => What::Answered {
                step,
                outcome: Outcome::Ok(kept()),
                began,
                ended,
            },
            What::TaskCompleted {
                step,
                output: Given::Data(_),
                ..
            } => What::TaskCompleted {
                step,
                output: Given::Data(kept()),
                context: Some(kept()),
            },
            What::Completed { .. } => What::Completed { output: kept() },
            _ => return None,
        };
        Some(what)
    });
    naming.collect()
}

/// Where version 1 has the bytes of a document, version 2 may have its name.
#[test]
fn golden_records_that_name_payloads_are_read_for_ever() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/run-log-v2.txt");
    let naming = naming();
    assert_eq!(naming.len(), 8, "every kind that holds documents");
    let mut lines = String::new();
    for what in &naming {
        let event = Event {
            run: run_id(7),
            what: what.clone(),
        };
        let mut body = Vec::new();
        let header = Partition::encode(&event, &mut body);
        assert_eq!(header.version, 2);
        let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.extend([format!("{} 2 {} {hex}\n", header.kind, what.name())]);
    }
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() {
        std::fs::write(&file, &lines).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines, golden, "add a version, keep the old one");
    for (line, what) in golden.lines().zip(naming) {
        let parts: Vec<&str> = line.split(' ').collect();
        let header = Header {
            kind: parts[0].parse().unwrap(),
            version: parts[1].parse().unwrap(),
            subject: run_id(7).get(),
        };
        let digit = |at| u8::from_str_radix(&parts[3][at..at + 2], 16).unwrap();
        let body: Vec<u8> = (0..parts[3].len()).step_by(2).map(digit).collect();
        assert_eq!(Partition::decode(&header, &body).unwrap().what, what);
    }
}

/// A run that waits within a `try`, and one that has ended.
fn snapshot(settings: Settings) -> Bench {
    let mut bench = Bench::with(settings);
    let tasks = "- t: {try: [{c: {call: http, with: {method: get, endpoint: 'http://a.service/'}}}, {w: {wait: PT1H}}], catch: {}}";
    bench.begin(&flow(tasks), json!({"cif": "38744563"}));
    bench.step(echo);
    bench.begin(&flow("- s: {set: {x: 1}}"), json!({}));
    bench
}

fn golden(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    std::fs::read(file).unwrap()
}

#[test]
fn golden_snapshots_of_every_version_are_read_for_ever() {
    let payloads = Payloads::new(BlobStore::memory(), 4);
    let naming = Settings {
        payloads: Some(Arc::new(payloads)),
        ..settings()
    };
    let (bench, naming) = (snapshot(settings()), snapshot(naming));
    assert!(naming.machine.state().payloads().count() > 2, "of both");
    let written = naming.machine.snapshot();
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/run-snapshot-v5.bin");
        std::fs::write(file, &written).unwrap();
    }
    assert_eq!(
        written,
        golden("run-snapshot-v5.bin"),
        "add a version, keep the old one"
    );
    for (name, bench, is_current) in [
        ("run-snapshot-v1.bin", &bench, false),
        ("run-snapshot-v2.bin", &bench, false),
        ("run-snapshot-v3.bin", &bench, false),
        ("run-snapshot-v4.bin", &bench, false),
        ("run-snapshot-v5.bin", &naming, true),
    ] {
        let mut other = Bench::new();
        let bytes = golden(name);
        other.machine.restore(&bytes).unwrap();
        assert_eq!(other.machine.state(), bench.machine.state(), "{name}");
        assert_eq!(Partition::is_current(&bytes), is_current, "{name}");
    }
}
