//! Every command, its flags, its outputs and its refusals.

use super::outcome::Outcome;
use super::peer::Peer;

/// An agent to ask: theirs or ours.
type Start = fn(&str, &[&str]) -> Peer;

/// Both programs do the same.
#[track_caller]
fn same(peer: &Peer, arguments: &[&str]) -> Outcome {
    let (theirs, ours) = (peer.theirs(arguments), peer.ours(arguments));
    assert_eq!(ours, theirs, "serf {arguments:?}");
    ours
}

/// Both do the same, up to the order of lines and tags, which Serf leaves to chance.
#[track_caller]
fn same_lines(peer: &Peer, arguments: &[&str]) -> Outcome {
    let (theirs, ours) = (
        peer.theirs(arguments).sorted(),
        peer.ours(arguments).sorted(),
    );
    assert_eq!(ours, theirs, "serf {arguments:?}");
    ours
}

/// Both show help, of the same flags.
#[track_caller]
fn same_help(peer: &Peer, arguments: &[&str]) -> Outcome {
    let (theirs, ours) = (
        peer.theirs(arguments).without_words(),
        peer.ours(arguments).without_words(),
    );
    assert_eq!(ours, theirs, "serf {arguments:?}");
    ours
}

const COMMANDS: [&str; 14] = [
    "event",
    "force-leave",
    "info",
    "join",
    "keygen",
    "keys",
    "leave",
    "members",
    "monitor",
    "query",
    "reachability",
    "rtt",
    "tags",
    "version",
];

#[test]
fn help_names_the_same_flags_and_goes_where_serfs_goes() {
    let peer = Peer::start("a1", &[]);
    for command in COMMANDS {
        for flag in ["-h", "-help", "--help"] {
            let outcome = same_help(&peer, &[command, flag]);
            assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
        }
        if !["keygen", "version"].contains(&command) {
            let outcome = same_help(&peer, &[command, "-bogus"]);
            assert!(
                outcome
                    .err
                    .starts_with("flag provided but not defined: -bogus"),
                "{outcome:?}"
            );
        }
    }
    for arguments in [
        &["members", "-format"][..],
        &["members", "-detailed=maybe"],
        &["members", "-=x"],
        &["members", "---x"],
        &["event"],
        &["event", "a", "b", "c"],
        &["event", "-coalesce", "false", "deploy", "x"],
        &["event", "-coalesce=x", "deploy"],
        &["query"],
        &["query", "a", "b", "c"],
        &["query", "-timeout=1", "load"],
        &["query", "-relay-factor=x", "load"],
        &["query", "-relay-factor=99999999999999999999", "load"],
        &["rtt"],
        &["rtt", "a", "b", "c"],
        &["tags"],
        &["join"],
        &["keys"],
        &["force-leave"],
        &["force-leave", "a", "b"],
    ] {
        assert_eq!(same_help(&peer, arguments).code, 1);
    }
}

#[test]
fn what_is_no_command_shows_all_and_has_its_own_exit_code() {
    let peer = Peer::start("a1", &[]);
    let without_agent = |outcome: Outcome| Outcome {
        err: outcome.err.replace("\nagent", ""),
        ..outcome.without_words()
    };
    for (arguments, code) in [
        (&[][..], 127),
        (&["bogus"], 127),
        (&["bogus", "-h"], 127),
        (&["--bogus"], 127),
        (&["-h"], 0),
        (&["--help"], 0),
        (&["-x", "-h"], 0),
    ] {
        let (theirs, ours) = (
            peer.theirs(arguments).without_words(),
            peer.ours(arguments).without_words(),
        );
        assert_eq!(
            without_agent(ours),
            without_agent(theirs.clone()),
            "serf {arguments:?}"
        );
        assert_eq!(theirs.code, code);
    }
    assert_eq!(same_help(&peer, &["--bogus", "members"]).code, 1);
    for arguments in [
        &["-v"][..],
        &["--version"],
        &["version"],
        &["version", "x"],
        &["members", "-v"],
    ] {
        let (theirs, ours) = (peer.theirs(arguments), peer.ours(arguments));
        assert_eq!((ours.code, &ours.err), (theirs.code, &theirs.err));
        assert_eq!(
            ours.out.lines().nth(1),
            theirs.out.lines().nth(1),
            "{arguments:?}"
        );
    }
}

#[test]
fn members_and_info_are_shown_alike() {
    members_and_info(Peer::start);
}

#[test]
fn members_and_info_of_our_agent_are_shown_alike() {
    members_and_info(Peer::start_ours);
}

fn members_and_info(start: Start) {
    let flags = [
        "-tag",
        "role=web",
        "-tag",
        "x=a<b&c>\"d",
        "-event-handler=query:load=echo 0.5",
    ];
    let peer = start("a1", &flags);
    let other = Peer::start("b-longer", &["-join", &peer.gossip]);
    for arguments in [
        &["members"][..],
        &["members", "--rpc-addr", &peer.rpc],
        &["members", "-detailed"],
        &["members", "-status=failed"],
        &["members", "-role=web"],
        &["members", "-tag", "role=w.*"],
        &["members", "-tag=role=", "--name", "b.*"],
        &["members", "-format=json", "-name=a1"],
        &["members", "-format=json", "-status=failed"],
        &["members", "-format=xml"],
        &["members", "-tag=role"],
        &["members", "-name=["],
        &["members", "--", "-x"],
        &["members", "-rpc-auth=wrong"],
        &["members", "-rpc-addr="],
        &["members", "-rpc-addr=127.0.0.1"],
        &["members", "-rpc-addr=127.0.0.1:99999"],
        &["members", "-rpc-addr=127.0.0.1:abc"],
        &["members", "-rpc-addr=127.0.0.1:1"],
    ] {
        same_lines(&peer, arguments);
    }
    // Of these everything is in an order.
    same(&peer, &["members", "-name=a1", "-format=json"]);
    same(&peer, &["info", "-format=xml"]);
    let steady = |outcome: Outcome| {
        let is_steady = |line: &&str| !line.contains("goroutines") && !line.contains("_queue");
        let lines: Vec<&str> = outcome.out.lines().filter(is_steady).collect();
        lines.join("\n")
    };
    for arguments in [&["info"][..], &["info", "-format=json"]] {
        assert_eq!(steady(peer.ours(arguments)), steady(peer.theirs(arguments)));
    }
    drop(other);
}

#[test]
fn events_tags_joins_and_keys_are_told_alike() {
    events_tags_joins_and_keys(Peer::start);
}

#[test]
fn events_tags_joins_and_keys_of_our_agent_are_told_alike() {
    events_tags_joins_and_keys(Peer::start_ours);
}

fn events_tags_joins_and_keys(start: Start) {
    let peer = start("a1", &["-tag", "x=1"]);
    let long = "x".repeat(600);
    let big = format!("-set=big={long}");
    for arguments in [
        &["event", "deploy"][..],
        &["event", "-coalesce=false", "deploy", "pay"],
        &["event", "deploy", &long],
        &["tags", "-set=a"],
        &["tags", "-set=a=1", "-set", "b=2", "-delete", "x"],
        &["tags", &big],
        &["tags", "-delete", "a", "-delete", "b"],
        &["join", "127.0.0.1:1"],
        &["join", "127.0.0.1:1", "127.0.0.1:2"],
        &["join", "-replay", &peer.gossip],
        &["keys", "-list", "-use=abc"],
        &["keys", "-list"],
        &["keys", "-install=abc"],
        &["keys", "-use=aGVsbG8="],
        &["keys", "-remove=aGVsbG8="],
        &["force-leave", "nosuch"],
        &["force-leave", "-prune", "nosuch"],
        &["rtt", "z\"z"],
        &["monitor", "-log-level=bogus"],
    ] {
        same_lines(&peer, arguments);
    }
    let (theirs, ours) = (peer.theirs(&["keygen"]), peer.ours(&["keygen", "-x", "y"]));
    assert_eq!((ours.code, ours.out.len()), (theirs.code, theirs.out.len()));
    assert_ne!(ours.out, theirs.out);
}

#[test]
fn keys_of_an_encrypted_cluster_are_told_alike() {
    keys_of_an_encrypted_cluster(Peer::start);
}

#[test]
fn keys_of_an_encrypted_cluster_of_our_agent_are_told_alike() {
    keys_of_an_encrypted_cluster(Peer::start_ours);
}

fn keys_of_an_encrypted_cluster(start: Start) {
    let key = |digit: &str| format!("{}=", digit.repeat(43));
    let (first, second) = (key("A"), key("B").replace("BBB=", "BBA="));
    let peer = start("a1", &["-encrypt", &first]);
    let flag = |name: &str, key: &str| format!("-{name}={key}");
    for arguments in [
        &["keys", &flag("install", &second)][..],
        &["keys", "-list"],
        &["keys", &flag("use", &second)],
        &["keys", &flag("remove", &second)],
        &["keys", &flag("use", &first)],
        &["keys", &flag("remove", &second)],
        &["keys", "-list"],
    ] {
        same_lines(&peer, arguments);
    }
}

#[test]
fn queries_are_asked_and_shown_alike() {
    queries(Peer::start, "1.6");
}

#[test]
fn queries_of_our_agent_are_asked_and_shown_alike() {
    // Ours ends a query when all have answered.
    queries(Peer::start_ours, "0.");
}

fn queries(start: Start, seconds: &str) {
    let flags = ["-event-handler=query:load=echo 0.5", "-profile=local"];
    let peer = start("a1", &flags);
    for arguments in [
        &["query", "-timeout=300ms", "load"][..],
        &["query", "-timeout=300ms", "-no-ack", "load"],
        &["query", "-timeout=300ms", "-node=zz", "load", "payload"],
        &["query", "-timeout=300ms", "-relay-factor=0x1", "load"],
        &["query", "-format=xml", "load"],
        &["query", "-tag=x", "load"],
        &["query", "-relay-factor=256", "load"],
        &["query", "_serf_x"],
        &["query", "-timeout=300ms", "_serf_ping"],
        &["reachability"],
    ] {
        same_lines(&peer, arguments);
    }
    for arguments in [
        &["query", "-timeout=300ms", "-format=json", "load"][..],
        &[
            "query",
            "-timeout=300ms",
            "-format=json",
            "-node=zz",
            "load",
        ],
    ] {
        same(&peer, arguments);
    }
    let verbose = peer.ours(&["reachability", "-verbose"]);
    let lines: Vec<&str> = verbose.out.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "Total members: 1, live members: 1",
            "Starting reachability test...",
            "\tAck from 'a1'"
        ]
    );
    let took = format!("Query time: {seconds}");
    assert!(lines[3].starts_with(&took), "{lines:?}");
    assert_eq!(lines[4], "Successfully contacted all live nodes");
}

#[test]
fn an_agent_leaves_when_it_is_told() {
    let peer = Peer::start("a1", &[]);
    let left = peer.ours(&["leave", "x"]);
    assert_eq!(
        (left.code, left.out.as_str()),
        (0, "Graceful leave complete\n")
    );
    assert_eq!(same(&peer, &["leave"]).code, 1);
}

#[test]
fn the_log_and_events_are_monitored_alike() {
    monitor(Peer::start);
}

#[test]
fn the_log_and_events_of_our_agent_are_monitored_alike() {
    monitor(Peer::start_ours);
}

fn monitor(start: Start) {
    let peer = start("a1", &["-tag", "role=web"]);
    peer.until("EventMemberJoin: a1");
    let (theirs, ours) = peer.monitored(|| {
        let sent = peer.theirs(&["event", "-coalesce=false", "deploy", "v2"]);
        assert_eq!(sent.code, 0);
        assert_eq!(peer.theirs(&["tags", "-set=big=1"]).code, 0);
    });
    // The one does not see the other come, and Serf has no order of fields.
    let told = |outcome: Outcome| {
        let is_told = |line: &&str| !line.contains("Accepted client");
        let mut lines: Vec<String> = outcome
            .out
            .lines()
            .filter(is_told)
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    let (theirs, ours) = (told(theirs), told(ours));
    assert_eq!(ours, theirs);
    for expected in [
        "Event Info:",
        "\tName: \"deploy\"",
        "\tPayload: []byte{0x76, 0x32}",
    ] {
        assert!(ours.contains(&expected.to_owned()), "{ours:?}");
    }
    assert!(
        ours.iter()
            .any(|line| line.ends_with("[INFO] agent: Received event: user-event: deploy"))
    );
}
