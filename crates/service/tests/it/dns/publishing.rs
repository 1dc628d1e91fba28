//! Names in a zone of a real BIND: they come, change and vanish; what is somebody else's stays.

use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use taraf_service::dns::Names;
use taraf_service::dns::update::{Config, Publisher, Status};
use tokio::sync::watch;
use tokio::time::Instant;

use super::bind::{Bind, ZONE};
use super::{LIMIT, names};

const WEB1: (&str, &str, u16, u32, bool) = ("web1", "10.0.0.1", 80, 1, true);
const WEB2: (&str, &str, u16, u32, bool) = ("web2", "10.0.0.2", 80, 2, true);

/// A node that publishes.
struct Publishing {
    publisher: Publisher,
    names: watch::Sender<Arc<Names>>,
    tasks: Tasks,
}

fn config(bind: &Bind, more: &str) -> Config {
    let (server, key) = (bind.address, bind.key_file());
    let text = format!(
        r#"{{"server": "{server}", "zone": "{ZONE}", "key_file": "{}", "removals_after": "0s", "stagger": "300ms"{more}}}"#,
        key.display()
    );
    serde_json::from_str(&text).unwrap()
}

impl Publishing {
    fn start(config: &Config, me: &str, first: Arc<Names>) -> Self {
        let (names, follow) = watch::channel(first);
        let tasks = Tasks::new();
        let publisher = Publisher::start("test", me, config, follow, &tasks).unwrap();
        Self {
            publisher,
            names,
            tasks,
        }
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        let limit = Instant::now() + LIMIT;
        loop {
            let status = self.publisher.status();
            if is_so(&status) {
                return status;
            }
            assert!(Instant::now() < limit, "{what}: {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        assert!(self.tasks.drain(LIMIT).await.is_empty());
    }
}

#[tokio::test]
async fn names_come_change_and_vanish() {
    let bind = Bind::start().await;
    let node = Publishing::start(&config(&bind, ""), "web1", names(&[WEB1]));
    bind.until(&["web1.node", "A"], &["10.0.0.1"]).await;
    bind.until(&["web.service", "A"], &["10.0.0.1"]).await;
    node.names.send_replace(names(&[WEB1, WEB2]));
    bind.until(&["web2.node", "A"], &["10.0.0.2"]).await;
    bind.until(&["web.service", "A"], &["10.0.0.1", "10.0.0.2"])
        .await;
    let (one, two) = (
        format!("1 1 80 web1.node.{ZONE}."),
        format!("1 2 80 web2.node.{ZONE}."),
    );
    bind.until(&["_web._tcp", "SRV"], &[&one, &two]).await;
    // The address changes, then it fails.
    node.names
        .send_replace(names(&[WEB1, ("web2", "10.0.0.22", 80, 2, true)]));
    bind.until(&["web2.node", "A"], &["10.0.0.22"]).await;
    node.names
        .send_replace(names(&[WEB1, ("web2", "10.0.0.22", 80, 2, false)]));
    bind.until(&["web2.node", "A"], &[]).await;
    bind.until(&["web.service", "A"], &["10.0.0.1"]).await;
    let status = node.until("three names", |status| status.names == 3).await;
    assert_eq!((status.error, status.taken.len()), (None, 0));
    node.names.send_replace(names(&[]));
    bind.until(&["web1.node", "A"], &[]).await;
    node.until("none", |status| status.names == 0).await;
    // Nothing of ours is left, and all that is not ours.
    for mark in ["taraf._taraf", "_taraf.web1.node", "_taraf._web._tcp"] {
        assert!(bind.ask(&[mark, "ANY", "+tcp"]).await.is_empty(), "{mark}");
    }
    assert_eq!(bind.ask(&["www", "A"]).await, ["192.0.2.1"]);
    node.stop().await;
}

#[tokio::test]
async fn what_is_somebody_elses_is_never_touched() {
    let bind = Bind::start().await;
    let own_names = r#", "node": "{node}", "service": "", "srv": """#;
    let first = names(&[("www", "10.0.0.9", 80, 1, true), WEB1]);
    let node = Publishing::start(&config(&bind, own_names), "web1", first);
    bind.until(&["web1", "A"], &["10.0.0.1"]).await;
    let status = node
        .until("one is taken", |status| !status.taken.is_empty())
        .await;
    assert_eq!(status.taken, [format!("www.{ZONE}.")]);
    assert_eq!(status.names, 1);
    assert_eq!(bind.ask(&["www", "A"]).await, ["192.0.2.1"]);
    // The administrator adds a record to a name of ours: it stays when ours goes.
    bind.nsupdate(&format!("add web1.{ZONE} 60 A 192.0.2.7"))
        .await;
    node.names.send_replace(names(&[]));
    bind.until(&["web1", "A"], &["192.0.2.7"]).await;
    assert_eq!(bind.ask(&["www", "A"]).await, ["192.0.2.1"]);
    node.stop().await;
}

#[tokio::test]
async fn what_an_administrator_removed_is_made_again() {
    let bind = Bind::start().await;
    let often = config(&bind, r#", "resync": "1s""#);
    let node = Publishing::start(&often, "web1", names(&[WEB1, WEB2]));
    node.until("all", |status| status.names == 4).await;
    let both = ["10.0.0.1", "10.0.0.2"];
    bind.until(&["web.service", "A"], &both).await;
    let before = node.publisher.status().changes;
    // One record of two, a whole name but for its mark, and its place in the list of ours.
    bind.nsupdate(&format!(
        "delete web.service.{ZONE} A 10.0.0.2\nupdate delete web1.node.{ZONE} A\n\
         update delete taraf._taraf.{ZONE} PTR web1.node.{ZONE}."
    ))
    .await;
    bind.until(&["web.service", "A"], &both).await;
    bind.until(&["web1.node", "A"], &["10.0.0.1"]).await;
    let listed = async || bind.ask(&["taraf._taraf", "PTR", "+tcp"]).await.len();
    assert_eq!(listed().await, 4);
    // Two names were changed, and from then on none.
    let made = |status: &Status| status.changes >= before + 2;
    let status = node.until("both", made).await;
    let rounds = status.rounds;
    node.until("compared again", |status| status.rounds > rounds + 1)
        .await;
    assert_eq!(node.publisher.status().changes, before + 2);
    node.stop().await;
}

#[tokio::test]
async fn a_restart_removes_what_went_meanwhile_and_nothing_else() {
    let bind = Bind::start().await;
    let node = Publishing::start(&config(&bind, ""), "web1", names(&[WEB1, WEB2]));
    bind.until(&["web2.node", "A"], &["10.0.0.2"]).await;
    node.until("all", |status| status.names == 4).await;
    node.stop().await;
    // Another cluster publishes into the same zone.
    let other = r#", "owner": "other", "node": "{node}.other", "service": "", "srv": """#;
    let beside = Publishing::start(&config(&bind, other), "web1", names(&[WEB1]));
    bind.until(&["web1.other", "A"], &["10.0.0.1"]).await;
    let again = Publishing::start(&config(&bind, ""), "web1", names(&[WEB1]));
    bind.until(&["web2.node", "A"], &[]).await;
    let status = again.until("the rest", |status| status.names == 3).await;
    assert_eq!(bind.ask(&["web1.node", "A"]).await, ["10.0.0.1"]);
    assert_eq!(bind.ask(&["web1.other", "A"]).await, ["10.0.0.1"]);
    // Three names were changed, no more: the node's was as it should be.
    assert_eq!(status.changes, 3);
    again.stop().await;
    beside.stop().await;
}

#[tokio::test]
async fn a_node_that_has_just_started_removes_nothing() {
    let bind = Bind::start().await;
    let node = Publishing::start(&config(&bind, ""), "web1", names(&[WEB1, WEB2]));
    node.until("all", |status| status.names == 4).await;
    node.stop().await;
    // It knows itself alone as yet, and adds itself.
    let mut patient = config(&bind, "");
    patient.removals_after = Duration::from_secs(3_600);
    let alone = ("web3", "10.0.0.3", 80, 1, true);
    let started = Publishing::start(&patient, "web3", names(&[alone]));
    bind.until(&["web3.node", "A"], &["10.0.0.3"]).await;
    assert_eq!(bind.ask(&["web1.node", "A"]).await, ["10.0.0.1"]);
    started.names.send_replace(names(&[WEB1, WEB2, alone]));
    bind.until(&["web.service", "A"], &["10.0.0.1", "10.0.0.2", "10.0.0.3"])
        .await;
    started.stop().await;
}

#[tokio::test]
async fn several_nodes_publish_the_same_without_disturbing_one_another() {
    let bind = Bind::start().await;
    let config = config(&bind, "");
    let start = |me: &str| Publishing::start(&config, me, names(&[WEB1, WEB2]));
    let nodes = [start("web1"), start("web2"), start("web3")];
    for node in &nodes {
        node.until("all names", |status| status.names == 4).await;
    }
    let changed = |nodes: &[Publishing; 3]| {
        nodes
            .iter()
            .map(|n| n.publisher.status().changes)
            .sum::<u64>()
    };
    let before = changed(&nodes);
    let later = names(&[WEB1, WEB2, ("web3", "10.0.0.3", 80, 1, true)]);
    for node in &nodes {
        node.names.send_replace(Arc::clone(&later));
    }
    for node in &nodes {
        node.until("five names", |status| status.names == 5).await;
    }
    // The first did it all; the others looked and found it done.
    assert_eq!(changed(&nodes) - before, 3);
    bind.until(&["web.service", "A"], &["10.0.0.1", "10.0.0.2", "10.0.0.3"])
        .await;
    for node in nodes {
        node.stop().await;
    }
}

/// Waits for an error and returns it.
async fn error_of(config: &Config) -> String {
    let node = Publishing::start(config, "web1", names(&[WEB1]));
    let status = node
        .until("an error", |status| status.error.is_some())
        .await;
    node.stop().await;
    status.error.unwrap()
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words() {
    let mut bind = Bind::start().await;
    let mut wrong = config(&bind, "");
    wrong.key_file = None;
    wrong.secret = Some("d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=".to_owned().into());
    wrong.key_name = Some("taraf".to_owned());
    let error = error_of(&wrong).await;
    assert!(
        error.contains("TSIG BADSIG") && error.contains("the secret differs"),
        "{error}"
    );
    wrong.key_name = Some("unknown".to_owned());
    let error = error_of(&wrong).await;
    assert!(
        error.contains("TSIG BADKEY") && error.contains("`unknown.`"),
        "{error}"
    );
    let mut closed = config(&bind, "");
    closed.zone = "closed.example".to_owned();
    let error = error_of(&closed).await;
    assert!(
        error.contains("allow-update") && error.contains("closed.example"),
        "{error}"
    );
    closed.zone = "example.org".to_owned();
    let error = error_of(&closed).await;
    assert!(error.contains("example.org"), "{error}");
    let right = config(&bind, "");
    bind.stop().await;
    let error = error_of(&right).await;
    assert!(
        error.starts_with(&format!("failed to reach {}", bind.address)),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_was_away_gets_what_it_missed() {
    let mut bind = Bind::start().await;
    let node = Publishing::start(&config(&bind, ""), "web1", names(&[WEB1]));
    node.until("three names", |status| status.names == 3).await;
    bind.stop().await;
    node.names.send_replace(names(&[WEB1, WEB2]));
    node.until("an error", |status| status.error.is_some())
        .await;
    bind.again().await;
    bind.until(&["web2.node", "A"], &["10.0.0.2"]).await;
    node.until("no error", |status| status.error.is_none())
        .await;
    node.stop().await;
}
