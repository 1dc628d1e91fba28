//! The death of a process, told by connections that end and ports that refuse; and what is no death.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};

use super::extensions::mixed;
use super::net::{address, config};
use super::*;
use crate::serf::Status;
use crate::wire::memberlist::Message;

/// How long until all that are left have declared `n{number}` failed.
fn verdicts(net: &mut Net, number: u8, seconds: u64) -> Duration {
    let name = format!("n{number}");
    net.until("all know", seconds, |net| {
        let mut nodes = net.nodes.values();
        nodes.all(|node| node.status(&name) == Some(Status::Failed))
    })
}

fn failures(net: &Net) -> Vec<String> {
    let logs = net.nodes.values().flat_map(|node| &node.log);
    let failed = logs.filter(|line| line.starts_with("member-failed"));
    failed.cloned().collect()
}

/// What one member says to another about a third's port.
fn told(net: &mut Net, to: u8, from: u8, about: &str) {
    let mut body = BytesMut::new();
    // Refused, in its first incarnation.
    body.put_slice(&[0x42, 1, 0, 0, 0, 1]);
    body.put_u16(u16::try_from(about.len()).unwrap());
    body.put_slice(about.as_bytes());
    let mut packet = BytesMut::new();
    Message::User(body.freeze()).encode(&mut packet);
    net.with(to, |cluster, now, _| {
        cluster.packet(now, address(from), packet);
    });
}

#[test]
fn all_know_of_the_death_of_a_process_within_half_a_second() {
    for seed in [3, 9, 16] {
        let mut net = mixed(16, &[], |_| {});
        net.kill(seed);
        let took = verdicts(&mut net, seed, 5);
        assert!(took < Duration::from_millis(500), "{took:?}");
        let told = failures(&net);
        assert_eq!(told, vec![format!("member-failed n{seed}"); 15]);
    }
}

#[test]
fn half_of_the_members_may_die_at_once() {
    let mut net = mixed(16, &[], |_| {});
    for number in 1..=8 {
        net.kill(number);
    }
    for number in 1..=8 {
        let took = verdicts(&mut net, number, 30);
        assert!(took < Duration::from_secs(4), "n{number}: {took:?}");
    }
}

#[test]
fn the_last_one_knows_too_that_the_other_has_died() {
    let mut net = mixed(2, &[], |_| {});
    net.kill(1);
    let took = verdicts(&mut net, 1, 5);
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_death_among_both_kinds_is_told_to_serfs_too() {
    let mut net = mixed(8, &[2, 5, 6], |_| {});
    net.kill(8);
    let took = verdicts(&mut net, 8, 5);
    // Those of Serf's kind hear of it at once from those of ours.
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn one_of_our_kind_alone_among_serfs_leaves_it_to_suspicion() {
    let mut net = mixed(5, &[2, 3, 4, 5], |_| {});
    net.kill(4);
    let took = verdicts(&mut net, 4, 60);
    assert!(took > Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_port_that_takes_packets_and_no_streams_is_no_death() {
    let mut net = mixed(8, &[], |_| {});
    net.closed.insert(address(4));
    net.run(60_000);
    assert!(failures(&net).is_empty(), "{:?}", failures(&net));
}

#[test]
fn a_member_that_cannot_be_reached_is_left_to_suspicion() {
    let mut net = mixed(8, &[], |_| {});
    net.cut.insert(address(4));
    net.run(2_500);
    assert!(failures(&net).is_empty(), "{:?}", failures(&net));
}

#[test]
fn words_of_others_without_a_look_of_our_own_are_no_death() {
    let mut net = mixed(8, &[], |_| {});
    for from in [2, 3, 4, 6] {
        told(&mut net, 1, from, "n5");
    }
    // And from one that nobody knows, about ourselves, about nobody.
    told(&mut net, 1, 99, "n5");
    told(&mut net, 1, 2, "n1");
    told(&mut net, 1, 2, "nobody");
    net.run(10_000);
    assert!(failures(&net).is_empty(), "{:?}", failures(&net));
    assert_eq!(net.node(1).cluster.swim().counters().packets_bad, 1);
}

#[test]
fn a_process_that_comes_back_at_once_is_taken_back() {
    let mut net = mixed(6, &[], |_| {});
    net.kill(3);
    verdicts(&mut net, 3, 5);
    net.add(config("n3", 3), 3);
    net.join(3, 1, true);
    net.until("all see all", 20, |net| {
        let mut nodes = net.nodes.values();
        nodes.all(|node| node.count(Status::Alive) == 6)
    });
}
