//! Our agent beside the real one: how it starts, refuses to, hears signals and reads its files anew.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::outcome::Outcome;
use super::peer::{Peer, failed_starts};

/// Both refuse, and say the same.
#[track_caller]
fn same_refusal(arguments: &[&str]) -> Outcome {
    let (theirs, ours) = failed_starts(arguments);
    assert_eq!(ours, theirs, "serf agent {arguments:?}");
    assert_eq!(ours.code, 1);
    ours
}

fn put(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_configuration_that_is_wrong_is_refused_in_the_same_words() {
    let folder = TempDir::new().unwrap();
    for (index, text) in [
        r#"{"node_name":"f","bogus":1,"zz":2}"#,
        r#"{"node_name":1}"#,
        r#"{"retry_interval":"5"}"#,
        r#"{"retry_interval":5}"#,
        r#"{"tags":{"a":1}}"#,
        r#"{"start_join":"x"}"#,
        r#"{"protocol":"5"}"#,
        r#"{"rejoin_after_leave":"true"}"#,
        "[]",
        "",
        r#"{"event_handlers":["bogus=x"]}"#,
        r#"{"profile":"bogus"}"#,
        r#"{"log_level":"bogus"}"#,
    ]
    .iter()
    .enumerate()
    {
        let file = put(folder.path(), &format!("{index}.json"), text);
        same_refusal(&["-node=n", "-config-file", &file]);
    }
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    same_refusal(&["-config-file", &missing]);
    same_refusal(&["-config-dir", &missing]);
    let broken = put(folder.path(), "broken.json", r#"{"node_name":"x",}"#);
    let (theirs, ours) = failed_starts(&["-config-file", &broken]);
    let upto = |outcome: &Outcome| outcome.out.split("': ").next().unwrap().to_owned();
    assert_eq!((ours.code, upto(&ours)), (theirs.code, upto(&theirs)));
}

#[test]
fn flags_that_are_wrong_are_refused_in_the_same_words() {
    let big = format!("-tag=big={}", "x".repeat(600));
    for arguments in [
        &["-tag=x"][..],
        &["-retry-interval=x"],
        &["-broadcast-timeout=x"],
        &["-log-level=bogus"],
        &["-profile=bogus"],
        &["-event-handler=bogus=x"],
        &["-event-handler=member-join,foo=x"],
        &["-iface=nosuch"],
        &["-iface=lo", "-bind=127.0.0.5"],
        &["-encrypt=aGVsbG8=", "-bind=127.0.0.5"],
        &["-bind=127.0.0.5:99999"],
        &["-bind=127.0.0.5", "-protocol=9"],
        &["-bind=127.0.0.5", "-protocol=1"],
        &["-bind=127.0.0.5", "-keyring-file=/nonexistent/keys"],
        &["-bind=127.0.0.5", "-rpc-addr=bogus"],
        &["-bind=192.0.2.1"],
        &["-bind=127.0.0.5", "-rpc-addr=192.0.2.1:1"],
        &[
            "-bind=127.0.0.5",
            "-rpc-addr=127.0.0.5:7373",
            "-join=127.0.0.1:1",
        ],
        &["-bind=127.0.0.5", "-snapshot=/nonexistent/x"],
    ] {
        let mut all = vec!["-node=n"];
        all.extend_from_slice(arguments);
        same_refusal(&all);
    }
    // Ours says by how much.
    let (theirs, ours) = failed_starts(&["-node=n", "-bind=127.0.0.5", &big]);
    assert!(ours.out.starts_with(theirs.out.trim_end()), "{ours:?}");
}

#[test]
fn files_that_do_not_go_with_the_flags_are_refused_in_the_same_words() {
    let folder = TempDir::new().unwrap();
    let put = |name: &str, text: &str| put(folder.path(), name, text);
    let keyring = |text: &str| format!("-keyring-file={}", put("keys", text));
    let bind = ["-node=n", "-bind=127.0.0.5", "-rpc-addr=127.0.0.5:7373"];
    let check = |arguments: &[&str]| same_refusal(&[&bind[..], arguments].concat());
    check(&[&keyring("[]")]);
    check(&[&keyring("[\"aGVsbG8=\"]")]);
    check(&[
        &keyring("[\"MDEyMzQ1Njc4OWFiY2RlZg==\"]"),
        "-encrypt=MDEyMzQ1Njc4OWFiY2RlZg==",
    ]);
    let tags = format!("-tags-file={}", put("tags", r#"{"a":"1"}"#));
    check(&[&tags, "-tag=a=b"]);
}

/// What is said up to the log, with the ports of each.
fn said(peer: &Peer) -> Vec<String> {
    let plain = |line: &String| {
        line.replace(&peer.rpc, "RPC")
            .replace(&peer.gossip, "GOSSIP")
    };
    peer.said.iter().map(plain).collect()
}

#[test]
fn the_start_is_told_alike() {
    let folder = TempDir::new().unwrap();
    let warned = put(
        folder.path(),
        "warned.json",
        r#"{"rejoin_after_leave":true,"role":"r","retry_interval":"10ms","broadcast_timeout":"10ms"}"#,
    );
    let seed = Peer::start("seed", &[]);
    for flags in [
        &[][..],
        &["-config-file", &warned],
        &[
            "-encrypt=MDEyMzQ1Njc4OWFiY2RlZg==",
            "-profile=local",
            "-disable-compression",
        ],
        &["-advertise=127.0.0.1:1234"],
        &["-join", &seed.gossip, "-replay"],
    ] {
        let (theirs, ours) = (Peer::start("n", flags), Peer::start_ours("m", flags));
        let named = |lines: Vec<String>| {
            lines
                .into_iter()
                .map(|line| line.replace("'m'", "'n'"))
                .collect::<Vec<_>>()
        };
        assert_eq!(named(said(&ours)), said(&theirs), "{flags:?}");
    }
}

#[test]
fn signals_end_it_as_they_end_serf() {
    let mut ours = Peer::start_ours("n", &[]);
    ours.signal("TERM");
    let (code, said) = ours.end();
    assert_eq!(code, 1);
    assert!(
        said.contains(&"==> Caught signal: terminated".to_owned()),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|line| line.ends_with("[WARN] serf: Shutdown without a Leave")),
        "{said:?}"
    );
    let mut ours = Peer::start_ours("n", &[]);
    ours.signal("INT");
    let (code, said) = ours.end();
    assert_eq!(code, 0, "{said:?}");
    let words: Vec<&str> = said
        .iter()
        .filter(|line| line.starts_with("==>"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        words,
        [
            "==> Caught signal: interrupt",
            "==> Gracefully shutting down agent..."
        ]
    );
}

#[test]
fn a_hangup_reads_files_anew_and_what_is_wrong_then_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let config = |value: serde_json::Value| put(folder.path(), "config.json", &value.to_string());
    let file = config(json!({ "log_level": "info", "tags": { "v": "1", "w": "1" } }));
    let ours = Peer::start_ours("n", &["-config-file", &file]);
    let tags = |ours: &Peer| ours.theirs(&["members", "-format=json"]).out;
    config(
        json!({ "log_level": "debug", "tags": { "v": "2" }, "event_handlers": ["query:load=echo new"] }),
    );
    ours.signal("HUP");
    ours.until("EventMemberUpdate: n");
    assert!(tags(&ours).contains("\"v\": \"2\""));
    assert!(!tags(&ours).contains("\"w\""));
    let asked = ours.theirs(&["query", "-timeout=300ms", "-no-ack", "load"]);
    assert!(asked.out.contains("Response from 'n': new\n"), "{asked:?}");
    // The level is debug now.
    ours.until("[DEBUG]");
    config(json!({ "bogus": 1 }));
    ours.signal("HUP");
    let said = ours.until("Failed to reload configs");
    assert!(
        said.contains(&"* '' has invalid keys: bogus".to_owned()),
        "{said:?}"
    );
    assert!(tags(&ours).contains("\"v\": \"2\""));
    config(json!({ "log_level": "bogus", "tags": { "v": "3" } }));
    ours.signal("HUP");
    ours.until("Invalid log level: BOGUS. Valid log levels are: [TRACE DEBUG INFO WARN ERR]");
    ours.until("EventMemberUpdate: n");
    assert!(tags(&ours).contains("\"v\": \"3\""));
}

#[test]
fn tries_to_join_come_to_an_end_and_succeed_when_somebody_is_there() {
    let mut alone = Peer::start_ours(
        "n",
        &[
            "-retry-join=127.0.0.1:1",
            "-retry-max=1",
            "-retry-interval=1s",
        ],
    );
    let (code, said) = alone.end();
    assert_eq!(code, 1);
    assert!(
        said.iter()
            .any(|line| line.ends_with("[ERR] agent: maximum retry join attempts made, exiting")),
        "{said:?}"
    );
    let seed = Peer::start("seed", &[]);
    let ours = Peer::start_ours("n", &["-retry-join", &seed.gossip]);
    ours.until("[INFO] agent: Join completed. Synced with 1 initial agents");
    assert_eq!(seed.theirs(&["members"]).out.lines().count(), 2);
}

#[test]
fn tags_that_change_are_kept_in_their_file() {
    let folder = TempDir::new().unwrap();
    let path = put(folder.path(), "tags.json", r#"{"a":"1"}"#);
    let flag = format!("-tags-file={path}");
    let ours = Peer::start_ours("n", &[&flag]);
    assert_eq!(ours.theirs(&["tags", "-set=b=2", "-delete=a"]).code, 0);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\n  \"b\": \"2\"\n}"
    );
    let big = format!("-set=big={}", "x".repeat(600));
    assert_eq!(ours.theirs(&["tags", &big]).code, 1);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\n  \"b\": \"2\"\n}"
    );
    drop(ours);
    let again = Peer::start_ours("n", &[&flag]);
    assert!(again.theirs(&["members"]).out.contains("b=2"));
}

/// Handlers of both, and queries and events through both, in one cluster.
#[test]
fn handlers_of_both_answer_one_query_and_hear_one_event() {
    let folder = TempDir::new().unwrap();
    let handler = |name: &str| {
        let file = folder.path().join(name).to_str().unwrap().to_owned();
        format!(
            "-event-handler=user:deploy=(echo $SERF_SELF_NAME $SERF_USER_EVENT $SERF_USER_LTIME; cat) > {file}.new; mv {file}.new {file}"
        )
    };
    let load = "-event-handler=query:load=echo from $SERF_SELF_NAME; cat";
    let theirs = Peer::start("theirs", &[load, &handler("theirs")]);
    let ours = Peer::start_ours("ours", &[load, &handler("ours"), "-join", &theirs.gossip]);
    for asked in [&theirs, &ours] {
        let outcome = asked
            .theirs(&["query", "-timeout=2s", "load", "payload"])
            .sorted();
        let expected = "Ack from 'ours'\nAck from 'theirs'\nQuery 'load' dispatched\nResponse from 'ours': from ours\n\
                        Response from 'theirs': from theirs\nTotal Acks: 2\nTotal Responses: 2\npayload\npayload";
        assert_eq!(outcome.out, expected);
    }
    assert_eq!(
        ours.theirs(&["event", "-coalesce=false", "deploy", "v2"])
            .code,
        0
    );
    for name in ["theirs", "ours"] {
        let path = folder.path().join(name);
        let started = std::time::Instant::now();
        while !path.exists() {
            assert!(started.elapsed().as_secs() < 10, "{name} never heard");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            format!("{name} deploy 1\nv2\n")
        );
    }
}
