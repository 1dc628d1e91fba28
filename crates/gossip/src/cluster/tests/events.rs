//! User events and queries among whole members.

use std::time::Duration;

use bytes::Bytes;

use super::net::{address, config};
use super::*;
use crate::serf::{QueryParams, Window};
use crate::swim::Name;

fn ask(net: &mut Net, number: u8, params: &QueryParams) {
    let name = Name::from("load");
    net.with(number, |cluster, now, _| {
        cluster.query(now, &name, Bytes::new(), params)
    })
    .unwrap();
}

#[test]
fn an_event_is_told_exactly_once_by_each() {
    let mut net = Net::of(12);
    for number in 0..30 {
        net.send(1 + number % 3, "deploy", &format!("{number:02}"));
        net.run(300);
    }
    net.run(5_000);
    let expected: Vec<String> = (0..30)
        .map(|number| format!("deploy={number:02}"))
        .collect();
    for (number, mut log) in net.logs() {
        // Gossip may turn two around that are close together, but loses and doubles none.
        log.sort();
        assert_eq!(log, expected, "{number}");
    }
}

#[test]
fn who_missed_events_gets_them_with_the_next_exchange() {
    let mut net = Net::of(3);
    net.cut.insert(address(3));
    net.send(1, "deploy", "missed");
    net.run(3_000);
    assert!(net.logs()[&3].is_empty());
    net.cut.clear();
    net.until("told", 120, |net| {
        net.node(3).log.contains(&"deploy=missed".to_owned())
    });
    net.run(60_000);
    assert_eq!(
        net.node(3)
            .log
            .iter()
            .filter(|line| *line == "deploy=missed")
            .count(),
        1
    );
}

#[test]
fn a_newcomer_hears_old_events_only_with_replay() {
    let mut net = Net::of(2);
    net.send(1, "deploy", "old");
    net.run(2_000);
    net.add(config("with", 3), 3);
    net.join(3, 1, true);
    net.add(config("without", 4), 4);
    net.join(4, 1, false);
    net.run(60_000);
    net.send(2, "deploy", "new");
    net.run(5_000);
    let logs = net.logs();
    let of = |number: &u8| -> Vec<&str> {
        let log: &Vec<String> = &logs[number];
        log.iter()
            .filter(|line| line.starts_with("deploy"))
            .map(String::as_str)
            .collect()
    };
    assert_eq!(of(&3), ["deploy=old", "deploy=new"]);
    assert_eq!(of(&4), ["deploy=new"]);
}

#[test]
fn all_answer_a_query() {
    let mut net = Net::of(5);
    ask(
        &mut net,
        2,
        &QueryParams {
            wants_acks: true,
            ..QueryParams::default()
        },
    );
    net.run(3_100);
    assert!(
        !net.node(2).log.contains(&"answers end".to_owned()),
        "Serf's way is to wait"
    );
    net.run(200);
    let logs = net.logs();
    let count = |start: &str| {
        logs[&2]
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!((count("ack "), count("answer ")), (5, 5), "{:?}", logs[&2]);
    assert_eq!(logs[&2].last().unwrap(), "answers end");
    assert!(logs[&2].contains(&"answer n5: load of n5".to_owned()));
    assert_eq!(logs[&4], ["query load"]);
}

#[test]
fn a_query_for_some_is_answered_by_them() {
    let mut net = Net::of(5);
    let tags = [("role".to_owned(), "^n[34]$".to_owned())].into();
    ask(
        &mut net,
        1,
        &QueryParams {
            tags,
            ..QueryParams::default()
        },
    );
    net.run(3_300);
    let mut log = net.logs().remove(&1).unwrap();
    log.sort();
    assert_eq!(
        log,
        [
            "answer n3: load of n3",
            "answer n4: load of n4",
            "answers end"
        ]
    );
}

#[test]
fn with_relays_answers_come_where_the_straight_way_is_lost() {
    let mut net = Net::of(6);
    ask(
        &mut net,
        1,
        &QueryParams {
            relay_factor: 3,
            ..QueryParams::default()
        },
    );
    net.run(3_300);
    let log = net.logs().remove(&1).unwrap();
    assert_eq!(
        log.iter()
            .filter(|line| line.starts_with("answer n"))
            .count(),
        6,
        "{log:?}"
    );
    let duplicates = net
        .node(1)
        .cluster
        .serf()
        .counters()
        .query_duplicate_responses;
    assert!(duplicates >= 10, "{duplicates}");
}

#[test]
fn a_query_that_may_ends_with_the_last_answer() {
    let mut net = Net::of(5);
    ask(
        &mut net,
        1,
        &QueryParams {
            ends_early: true,
            ..QueryParams::default()
        },
    );
    let took = net.until("it ends", 4, |net| {
        net.node(1).log.contains(&"answers end".to_owned())
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn internal_queries_are_never_told() {
    let mut net = Net::of(2);
    let params = QueryParams {
        wants_acks: true,
        ..QueryParams::default()
    };
    let name = Name::from("_serf_ping");
    net.with(1, |cluster, now, _| {
        cluster.query(now, &name, Bytes::new(), &params)
    })
    .unwrap();
    net.run(4_000);
    let logs = net.logs();
    assert_eq!(logs[&1], ["ack n1", "ack n2", "answers end"]);
    assert!(logs[&2].is_empty());
}

#[test]
fn events_are_coalesced_as_set() {
    let mut net = Net::new();
    for (number, name) in [(1, "a"), (2, "b")] {
        let mut settings = config(name, number);
        settings.serf.member_window = Some(Window::SERF);
        settings.serf.user_window = Some(Window::SERF);
        net.add(settings, number);
    }
    net.join(2, 1, true);
    net.run(900);
    assert!(net.node(1).log.is_empty());
    net.run(1_500);
    assert_eq!(net.logs()[&1], ["member-join a b"]);
    for payload in ["1", "2", "3"] {
        let (name, payload) = (Name::from("deploy"), Bytes::from(payload));
        net.with(1, |cluster, now, _| {
            cluster.user_event(now, &name, payload, true)
        })
        .unwrap();
    }
    net.run(3_000);
    assert_eq!(net.logs()[&2], ["deploy=3"]);
    // What is held back is not lost with the end.
    net.with(1, |cluster, now, _| {
        cluster.user_event(now, &Name::from("last"), Bytes::new(), true)
    })
    .unwrap();
    net.with(1, |cluster, now, _| cluster.stop(now));
    assert_eq!(net.logs()[&1].last().unwrap(), "last=");
}
