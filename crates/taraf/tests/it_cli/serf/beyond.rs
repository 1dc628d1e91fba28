//! What our agent and our commands do beyond Serf's.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::peer::{Peer, failed_starts};

const LIMIT: Duration = Duration::from_secs(20);
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";
const OTHER: &str = "AAECAwQFBgcICQoLDA0ODw==";

/// A command that goes on; it is killed with this.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    fn start(peer: &Peer, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_taraf"))
            .args(arguments)
            .env("SERF_RPC_ADDR", &peer.rpc)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        Self { child, lines }
    }

    fn until(&self, words: &[&str]) {
        loop {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("no line with {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return;
            }
        }
    }
}

#[test]
fn members_are_listed_again_when_something_changes() {
    // Of either kind of agent.
    for start in [Peer::start_ours, Peer::start] {
        let first = start("a1", &["-profile=local"]);
        let watch = Running::start(&first, &["members", "-watch"]);
        watch.until(&["a1", "alive"]);
        let mut second = Peer::start_ours("a2", &["-profile=local", "-join", &first.gossip]);
        watch.until(&["a2", "alive"]);
        second.ours(&["tags", "-set=role=web"]);
        watch.until(&["a2", "alive", "role=web"]);
        second.ours(&["leave"]);
        watch.until(&["a2", "left"]);
        assert_eq!(second.end().0, 0);
    }
}

#[test]
fn a_query_ends_when_all_have_answered_unless_it_is_to_wait() {
    let handler = ["-event-handler=query:load=echo 1", "-profile=local"];
    let peer = Peer::start_ours("a1", &handler);
    let took = |arguments: &[&str]| {
        let begun = Instant::now();
        let outcome = peer.ours(arguments);
        assert!(outcome.out.contains("Response from 'a1': 1"), "{outcome:?}");
        begun.elapsed()
    };
    assert!(took(&["query", "-timeout=15s", "load"]) < Duration::from_secs(10));
    assert!(took(&["query", "-timeout=2s", "-wait", "load"]) >= Duration::from_secs(2));
    // The whole agent as Serf.
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("serf.json");
    std::fs::write(&file, r#"{"queries_wait": true}"#).unwrap();
    let file = format!("-config-file={}", file.display());
    let peer = Peer::start_ours("a1", &["-event-handler=query:load=echo 1", &file]);
    let begun = Instant::now();
    peer.theirs(&["query", "-timeout=2s", "load"]);
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_key_that_some_encrypt_with_is_not_removed() {
    let folder = TempDir::new().unwrap();
    let start = |name: &str, keys: [&str; 2], join: &[&str]| {
        let file = folder.path().join(format!("{name}.json"));
        std::fs::write(&file, format!("{keys:?}")).unwrap();
        let file = format!("-keyring-file={}", file.display());
        let flags = [&["-profile=local", &file], join].concat();
        Peer::start_ours(name, &flags)
    };
    let first = start("a1", [KEY, OTHER], &[]);
    let second = start("a2", [OTHER, KEY], &["-join", &first.gossip]);
    for key in [KEY, OTHER] {
        let outcome = first.ours(&["keys", "-remove", key]);
        assert_eq!(outcome.code, 1, "{outcome:?}");
        let said = "The key is in use: 1 of 2 members encrypt with it";
        assert!((outcome.out + &outcome.err).contains(said));
    }
    let list = second.ours(&["keys", "-list"]).out;
    assert_eq!(list.matches("[2/2]").count(), 2, "{list}");
    assert_eq!(first.ours(&["keys", "-use", OTHER]).code, 0);
    assert_eq!(first.ours(&["keys", "-remove", KEY]).code, 0);
    let list = second.ours(&["keys", "-list"]).out;
    assert!(list.contains(OTHER) && !list.contains(KEY), "{list}");
}

#[test]
fn a_cluster_with_a_name_is_joined_by_its_own_alone() {
    let blue = Peer::start_ours("b1", &["-cluster-name=blue"]);
    let green = Peer::start_ours("g1", &["-cluster-name=green"]);
    let outcome = green.ours(&["join", &blue.gossip]);
    assert_eq!(outcome.code, 1);
    let why = "Member 'b1' belongs to the cluster 'blue', and we to 'green'";
    assert!((outcome.out + &outcome.err).contains(why));
    let second = Peer::start_ours("b2", &["-cluster-name=blue", "-join", &blue.gossip]);
    let members = second.ours(&["members"]).out;
    assert!(
        members.contains("b1") && members.contains("cluster=blue"),
        "{members}"
    );
    // The tag is not lost when others are set.
    second.ours(&["tags", "-set=role=web", "-delete=cluster"]);
    assert!(
        second
            .ours(&["members", "-name=b2"])
            .out
            .contains("cluster=blue,role=web")
    );
}

#[test]
fn settings_of_ours_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    for (text, why) in [
        (r#"{"timing": {"probe": "1s"}}"#, "'timing' has no 'probe'"),
        (
            r#"{"timing": {"gossip_nodes": 0}}"#,
            "'timing[gossip_nodes]' is 0",
        ),
        (
            r#"{"cluster_name": "a", "tags": {"cluster": "b"}}"#,
            "leave the tag out",
        ),
        (r#"{"plain_serf": 1}"#, "'plain_serf' expected type 'bool'"),
    ] {
        let file = folder.path().join("serf.json");
        std::fs::write(&file, text).unwrap();
        let (_, ours) = failed_starts(&["-bind=127.0.0.5", "-config-file", file.to_str().unwrap()]);
        assert_eq!(ours.code, 1, "{text}");
        assert!((ours.out + &ours.err).contains(why), "{text}");
    }
}

#[test]
fn timing_that_differs_is_a_warning_on_both_sides() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("serf.json");
    std::fs::write(&file, r#"{"timing": {"probe_interval": "3s"}}"#).unwrap();
    let file = format!("-config-file={}", file.display());
    let first = Peer::start_ours("a1", &[]);
    let second = Peer::start_ours("a2", &[&file, "-join", &first.gossip]);
    for (peer, other) in [(&first, "a2"), (&second, "a1")] {
        let said = peer
            .said
            .iter()
            .any(|line| line.contains("has other settings"));
        if !said {
            peer.until(&format!("{other} has other settings than we"));
        }
    }
}

#[test]
fn what_happens_is_told_to_a_statsd_server_under_serfs_names() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("serf.json");
    let settings = format!(r#"{{"statsd_addr": "{}"}}"#, server.local_addr().unwrap());
    std::fs::write(&file, settings).unwrap();
    let file = format!("-config-file={}", file.display());
    let told = |wanted: &[&str]| {
        let (mut missing, begun) = (wanted.to_vec(), Instant::now());
        let mut packet = [0; 2048];
        while !missing.is_empty() {
            assert!(begun.elapsed() < LIMIT, "{missing:?} not told");
            let count = server.recv(&mut packet).unwrap();
            // Serf writes every number with six decimals.
            let text = String::from_utf8_lossy(&packet[..count]).replace(".000000|", "|");
            missing.retain(|wanted| !text.lines().any(|line| line == *wanted));
        }
    };
    // Of either kind of agent.
    for start in [Peer::start, Peer::start_ours] {
        let peer = start("a1", &[&file, "-profile=local"]);
        peer.ours(&["event", "-coalesce=false", "deploy"]);
        told(&[
            "serf-agent.serf.events.deploy:1|c",
            "serf-agent.serf.events:1|c",
        ]);
    }
}
