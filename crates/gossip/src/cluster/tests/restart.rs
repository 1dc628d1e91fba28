//! Members that come back with their snapshot.

use super::net::{address, config};
use super::*;
use crate::cluster::Cluster;
use crate::serf::Status;
use crate::snapshot::Snapshot;

/// A member with a snapshot that joined `n1` and `n2`.
fn with_snapshot(net: &mut Net) {
    net.start(
        config("s", 9),
        9,
        Some(Snapshot::read(&[], false)),
        Vec::new(),
    );
    net.join(9, 1, true);
    net.send(1, "deploy", "before");
    net.run(5_000);
    net.logs();
}

fn restart(net: &mut Net, rejoins: bool) {
    let node = net.nodes.remove(&address(9)).unwrap();
    let snapshot = Snapshot::read(&node.file, rejoins);
    net.start(config("s", 9), 9, Some(snapshot), node.file);
}

#[test]
fn who_died_finds_the_others_again_and_hears_no_event_twice() {
    let mut net = Net::of(2);
    with_snapshot(&mut net);
    let file = String::from_utf8(net.node(9).file.clone()).unwrap();
    for line in [
        "alive: n1 127.0.0.1:7946\n",
        "alive: n2 127.0.0.2:7946\n",
        "event-clock: 1\n",
    ] {
        assert!(file.contains(line), "{file}");
    }
    restart(&mut net, false);
    net.until("it is back", 30, |net| {
        net.nodes
            .values()
            .all(|node| node.count(Status::Alive) == 3)
    });
    net.send(1, "deploy", "after");
    net.run(60_000);
    let log = net.logs().remove(&9).unwrap();
    let events: Vec<_> = log
        .iter()
        .filter(|line| line.starts_with("deploy"))
        .collect();
    assert_eq!(events, ["deploy=after"]);
}

#[test]
fn who_left_stays_alone_unless_it_is_to_rejoin() {
    let mut net = Net::of(2);
    with_snapshot(&mut net);
    net.with(9, Cluster::leave);
    net.until("left", 12, |net| {
        net.node(9).log.contains(&"left".to_owned())
    });
    net.with(9, |cluster, now, _| cluster.stop(now));
    net.run(2_000);
    restart(&mut net, false);
    net.run(20_000);
    assert_eq!(net.node(9).count(Status::Alive), 1);
    restart(&mut net, true);
    net.until("it is back", 30, |net| {
        net.nodes
            .values()
            .all(|node| node.count(Status::Alive) == 3)
    });
}

#[test]
fn who_comes_back_during_an_outage_goes_on_looking() {
    let mut net = Net::of(2);
    with_snapshot(&mut net);
    net.cut.insert(address(9));
    restart(&mut net, false);
    net.run(50_000);
    assert_eq!(net.node(9).count(Status::Alive), 1);
    net.cut.clear();
    // The others have given it up by now and might find it too, but it is quicker.
    net.until("it is back", 40, |net| {
        net.node(9).count(Status::Alive) == 3
    });
}

#[test]
fn a_snapshot_that_could_not_be_written_is_written_anew() {
    let mut net = Net::of(2);
    with_snapshot(&mut net);
    net.with(9, |cluster, now, _| cluster.snapshot_failed(now));
    net.node_mut(9).file.clear();
    net.run(31_000);
    assert_eq!(net.node(9).replaced, 1);
    let said = Snapshot::read(&net.node(9).file, false);
    assert_eq!(said.said().alive.len(), 3);
}
