//! What members of our own kind do beyond Serf, and that others notice nothing of it.

use std::time::Duration;

use super::net::{address, config};
use super::*;
use crate::cluster::Config;
use crate::serf::Status;

/// Members of which those in `plain` are as Serf's.
pub(super) fn mixed(count: u8, plain: &[u8], change: impl Fn(&mut Config)) -> Net {
    let mut net = Net::with_settings(count, |number, mut config| {
        config.serf.extends = !plain.contains(&number);
        change(&mut config);
        config
    });
    net.run(3_000);
    net.logs();
    net
}

fn told(net: &Net, number: u8, line: &str) -> usize {
    net.node(number)
        .log
        .iter()
        .filter(|told| *told == line)
        .count()
}

#[test]
fn an_event_is_everywhere_before_the_next_round_of_gossip() {
    let mut net = mixed(16, &[], |_| {});
    net.send(5, "deploy", "now");
    let took = net.until("all told", 2, |net| {
        (1..=16).all(|number| told(net, number, "deploy=now") == 1)
    });
    assert!(took < Duration::from_millis(20), "{took:?}");
    net.run(60_000);
    assert!((1..=16).all(|number| told(&net, number, "deploy=now") == 1));
}

#[test]
fn a_query_is_everywhere_at_once() {
    let mut net = mixed(16, &[], |_| {});
    let name = crate::swim::Name::from("load");
    let params = crate::serf::QueryParams {
        ends_early: true,
        ..Default::default()
    };
    net.with(3, |cluster, now, _| {
        cluster.query(now, &name, bytes::Bytes::new(), &params)
    })
    .unwrap();
    let took = net.until("all answered", 2, |net| told(net, 3, "answers end") == 1);
    assert!(took < Duration::from_millis(20), "{took:?}");
}

#[test]
fn who_missed_an_event_pulls_it() {
    let mut net = mixed(12, &[], |_| {});
    net.cut.insert(address(7));
    net.send(5, "deploy", "missed");
    net.run(1_200);
    assert_eq!(told(&net, 7, "deploy=missed"), 0);
    net.cut.clear();
    // Long before the next exchange of states, of which there is one in half a minute.
    net.until("told", 2, |net| told(net, 7, "deploy=missed") == 1);
}

#[test]
fn members_of_serfs_kind_notice_nothing_and_miss_nothing() {
    let mut net = mixed(8, &[2, 5, 6], |_| {});
    for number in 1..=8 {
        net.send(number, "deploy", &number.to_string());
    }
    net.run(10_000);
    for number in 1..=8 {
        for sender in 1..=8 {
            assert_eq!(
                told(&net, number, &format!("deploy={sender}")),
                1,
                "{number} of {sender}"
            );
        }
        let counters = net.node(number).cluster.serf().counters();
        assert_eq!(counters.malformed, 0, "{number}");
    }
}

#[test]
fn halves_find_each_other_even_after_they_forgot_each_other() {
    let split = |plain: &[u8]| {
        let mut net = mixed(6, plain, |config| {
            config.serf.reconnect_timeout = Duration::from_secs(60);
        });
        net.cut.extend([address(1), address(2), address(3)]);
        net.until("each half forgot the other", 300, |net| {
            net.nodes.values().all(|node| node.stat("members") == "3")
        });
        net.cut.clear();
        net.run(600_000);
        net.nodes
            .values()
            .map(|node| node.count(Status::Alive))
            .collect::<Vec<_>>()
    };
    assert_eq!(split(&[]), [6; 6]);
    assert_eq!(split(&[1, 2, 3, 4, 5, 6]), [3; 6], "Serf's way");
}

#[test]
fn a_flood_of_events_goes_at_once_only_up_to_a_limit() {
    let mut net = mixed(12, &[], |_| {});
    let before = net.node(1).cluster.swim().counters().packets_out;
    for number in 0..500 {
        net.send(1, "flood", &number.to_string());
    }
    let sent = net.node(1).cluster.swim().counters().packets_out - before;
    assert!((100..=140).contains(&sent), "{sent}");
    net.run(60_000);
    assert!((1..=12).all(|number| told(&net, number, "flood=499") == 1));
}

#[test]
fn clocks_and_settings_that_differ_are_told_once_on_both_sides() {
    let apart = |clock_ms: u64, change: fn(&mut Config)| {
        let mut net = Net::new();
        net.add(config("n1", 1), 1);
        let mut other = config("n2", 2);
        change(&mut other);
        net.add(other, 2);
        net.with(1, |cluster, _, _| cluster.set_clock(1_000_000));
        net.with(2, |cluster, _, _| cluster.set_clock(clock_ms));
        for _ in 0..3 {
            net.join(2, 1, true);
            net.run(1_000);
        }
        let counters = |number| *net.node(number).cluster.serf().counters();
        [1, 2].map(|number| {
            (
                counters(number).clocks_apart,
                counters(number).settings_apart,
            )
        })
    };
    assert_eq!(apart(1_001_500, |_| {}), [(0, 0); 2]);
    assert_eq!(apart(1_010_000, |_| {}), [(1, 0); 2]);
    assert_eq!(apart(990_000, |_| {}), [(1, 0); 2]);
    let slower = |config: &mut Config| config.swim.probe_interval = Duration::from_secs(9);
    assert_eq!(apart(1_000_000, slower), [(0, 1); 2]);
    // Serf's kind says nothing and hears nothing.
    let plain = |config: &mut Config| {
        config.serf.extends = false;
        config.swim.probe_interval = Duration::from_secs(9);
    };
    assert_eq!(apart(0, plain), [(0, 0); 2]);
}

#[test]
fn a_cluster_of_another_name_is_not_merged_and_its_members_are_not_taken() {
    let named = |cluster: &'static str| {
        move |name: &str, number: u8| {
            let mut config = config(name, number);
            config.serf.cluster = (!cluster.is_empty()).then(|| cluster.to_owned());
            config
        }
    };
    let mut net = Net::new();
    net.add(named("blue")("b1", 1), 1);
    net.add(named("green")("g2", 2), 2);
    net.add(named("")("n3", 3), 3);
    net.join(2, 1, true);
    net.run(1_000);
    assert_eq!(
        net.node(2).log.last().map(String::as_str),
        Some("joined 0 of 1")
    );
    // One without a name may be in both, and joins them for nobody else.
    net.join(3, 1, true);
    net.join(3, 2, true);
    net.run(120_000);
    assert_eq!(net.node(3).count(Status::Alive), 3);
    let seen = |number: u8, name: &str| net.node(number).status(name);
    assert_eq!((seen(1, "g2"), seen(2, "b1")), (None, None));
    assert_eq!(seen(1, "n3"), Some(Status::Alive));
    assert!(net.node(1).cluster.swim().counters().strangers > 0);
}
