//! Coming and going: join, leave, death, return, force-leave, conflicts.

use super::net::{address, config};
use super::*;
use crate::cluster::Cluster;
use crate::serf::{Status, Tags};
use crate::swim::Name;

#[test]
fn two_that_join_tell_each_other() {
    let mut net = Net::new();
    net.add(config("a", 1), 1);
    net.add(config("b", 2), 2);
    assert_eq!(net.logs()[&1], ["member-join a"]);
    net.join(2, 1, true);
    net.run(2_000);
    let logs = net.logs();
    assert_eq!(logs[&1], ["member-join b"]);
    assert_eq!(logs[&2], ["member-join a", "joined 1 of 1"]);
    assert_eq!(net.node(1).stat("members"), "2");
    assert_eq!(net.node(1).stat("encrypted"), "false");
    let role = |number: u8, name| {
        let members = net.node(number).cluster.members();
        members.get(&Name::from(name)).unwrap().member.tags.0["role"].clone()
    };
    assert_eq!(
        (role(1, "b"), role(2, "a")),
        ("b".to_owned(), "a".to_owned())
    );
}

#[test]
fn figures_have_the_names_that_serf_info_shows() {
    let net = Net::of(1);
    let stats = net.node(1).cluster.stats();
    // As `serf info` printed them, for a member that was alone.
    let serf = "coordinate_resets=0 encrypted=false event_queue=0 event_time=1 failed=0 health_score=0 \
                intent_queue=0 left=0 member_time=1 members=1 query_queue=0 query_time=1";
    let ours: Vec<String> = stats
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        ours.join(" "),
        serf.split_whitespace().collect::<Vec<_>>().join(" ")
    );
}

#[test]
fn a_join_of_nobody_says_so() {
    let mut net = Net::new();
    net.add(config("a", 1), 1);
    net.logs();
    net.join(1, 9, true);
    net.run(100);
    assert_eq!(net.logs()[&1], ["joined 0 of 1"]);
}

#[test]
fn who_leaves_is_left_for_all() {
    let mut net = Net::of(5);
    net.with(2, Cluster::leave);
    let took = net.until("left", 10, |net| {
        net.node(2).log.contains(&"left".to_owned())
    });
    // Four packets of the intent, four of membership, and a second to stay.
    assert!(took.as_millis() > 1_000 && took.as_secs() < 5, "{took:?}");
    assert_eq!(net.node(2).log, ["member-leave n2", "done", "left"]);
    net.run(1_000);
    for (number, log) in net.logs().into_iter().filter(|(number, _)| *number != 2) {
        assert_eq!(log, ["member-leave n2"], "{number}");
        assert_eq!(net.node(number).status("n2"), Some(Status::Left));
    }
    net.with(2, Cluster::leave);
    net.with(2, |cluster, now, token| {
        cluster.join(now, token, vec![address(1)], true);
    });
    assert_eq!(
        net.logs()[&2],
        ["done", "joined: Serf can't Join after Leave or Shutdown"]
    );
}

#[test]
fn a_second_leave_waits_for_nothing() {
    let mut net = Net::of(2);
    net.with(1, Cluster::leave);
    net.with(1, Cluster::leave);
    assert_eq!(net.logs()[&1], ["done: Leave already in progress"]);
}

#[test]
fn alone_one_leaves_at_once() {
    let mut net = Net::of(1);
    net.with(1, Cluster::leave);
    assert_eq!(net.logs()[&1], ["member-leave n1", "done", "left"]);
    net.with(1, |cluster, now, _| cluster.stop(now));
}

#[test]
fn a_leave_that_nobody_hears_ends_all_the_same() {
    let mut net = Net::of(2);
    net.nodes.remove(&address(2));
    net.with(1, Cluster::leave);
    net.until("left", 12, |net| {
        net.node(1).log.contains(&"left".to_owned())
    });
}

#[test]
fn who_dies_has_failed_and_comes_back() {
    let mut net = Net::of(4);
    let dead = net.nodes.remove(&address(3)).unwrap();
    net.until("all know it", 60, |net| {
        net.nodes
            .values()
            .all(|node| node.status("n3") == Some(Status::Failed))
    });
    assert!(
        net.logs()
            .values()
            .all(|log| log.contains(&"member-failed n3".to_owned()))
    );
    let history: Vec<_> = net
        .node(1)
        .cluster
        .serf()
        .history()
        .of(&Name::from("n3"))
        .collect();
    let words: Vec<_> = history.iter().map(|entry| entry.verdict.word()).collect();
    assert!(
        words.contains(&"suspected") && words.ends_with(&["failed"]),
        "{words:?}"
    );
    // Silent for a while only: it refutes, or is reached again.
    net.nodes.insert(address(3), dead);
    net.until("it is back", 120, |net| {
        net.nodes
            .values()
            .all(|node| node.count(Status::Alive) == 4)
    });
}

#[test]
fn a_failed_member_is_declared_to_have_left_everywhere() {
    let mut net = Net::of(4);
    net.nodes.remove(&address(3));
    net.until("it failed", 60, |net| {
        net.nodes
            .values()
            .all(|node| node.status("n3") == Some(Status::Failed))
    });
    net.logs();
    net.with(1, |cluster, now, token| {
        cluster.force_leave(now, token, &Name::from("n3"), false);
    });
    net.run(3_000);
    let logs = net.logs();
    assert_eq!(logs[&1], ["member-leave n3", "done"]);
    assert_eq!(logs[&4], ["member-leave n3"]);
    net.with(2, |cluster, now, token| {
        cluster.force_leave(now, token, &Name::from("n3"), true);
    });
    net.run(3_000);
    assert!(net.nodes.values().all(|node| node.status("n3").is_none()));
    assert!(
        net.logs()
            .values()
            .all(|log| log.contains(&"member-reap n3".to_owned()))
    );
}

#[test]
fn halves_of_a_split_find_each_other_again() {
    let mut net = Net::of(6);
    net.cut.extend([address(1), address(2), address(3)]);
    net.until("each half gave up the other", 120, |net| {
        net.nodes
            .values()
            .all(|node| node.count(Status::Failed) == 3)
    });
    net.cut.clear();
    net.until("all see all", 300, |net| {
        net.nodes
            .values()
            .all(|node| node.count(Status::Alive) == 6)
    });
}

#[test]
fn new_tags_are_told_to_all_and_too_many_are_refused() {
    let mut net = Net::of(3);
    let tags = |value: &str| Tags([("role".to_owned(), value.to_owned())].into());
    net.with(2, |cluster, now, token| {
        cluster.set_tags(now, token, tags("new"));
    });
    net.run(3_000);
    let logs = net.logs();
    assert_eq!(logs[&1], ["member-update n2"]);
    assert_eq!(logs[&2], ["member-update n2", "done"]);
    net.with(2, |cluster, now, token| {
        cluster.set_tags(now, token, tags(&"x".repeat(600)));
    });
    let refused = "done: Encoded length of tags exceeds limit of 512 bytes by 98";
    assert_eq!(net.logs()[&2], [refused]);
    assert_eq!(
        net.node(1).cluster.serf().member(b"n2").unwrap().tags,
        tags("new")
    );
}

#[test]
fn a_newcomer_with_a_name_that_is_taken_goes() {
    let mut net = Net::of(3);
    net.add(config("n2", 9), 9);
    net.join(9, 1, true);
    net.until("it goes", 20, |net| {
        net.node(9).log.contains(&"quit".to_owned())
    });
    net.run(5_000);
    assert!(
        net.logs()
            .iter()
            .all(|(number, log)| *number == 9 || !log.contains(&"quit".into()))
    );
    assert!((1..4).all(|number| net.node(number).status("n2") == Some(Status::Alive)));
}

#[test]
fn a_doubted_member_is_shown_with_how_many_doubt_it() {
    let mut net = Net::of(4);
    // Away, not dead: the death of a process leaves no time for doubts.
    net.cut.insert(address(3));
    net.until("doubts", 30, |net| {
        let members = net.node(1).cluster.members();
        members
            .get(&Name::from("n3"))
            .is_some_and(|seen| seen.accusers > 0)
    });
    assert_eq!(net.node(1).status("n3"), Some(Status::Alive));
}
