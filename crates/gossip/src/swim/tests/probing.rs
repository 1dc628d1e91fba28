//! Probes, ours and those for others; health.

use super::*;
use crate::wire::memberlist::{Ack, IndirectPing, Nack, Source};

/// Lets time pass until a probe goes out: its target, its number, and what else the packet says.
fn until_probe(one: &mut One) -> (SocketAddr, u32, Vec<Message>) {
    for _ in 0..200 {
        for (_, output) in one.pass(Duration::from_millis(10)) {
            let Output::Packet { to, bytes } = output else {
                continue;
            };
            let mut messages = opened(&bytes);
            if let Message::Ping(Ping { seq, .. }) = messages[0] {
                return (to, seq, messages.split_off(1));
            }
        }
    }
    panic!("no probe within two seconds");
}

fn ack(seq: u32, payload: &'static [u8]) -> Message {
    let payload = Bytes::from_static(payload);
    Message::Ack(Ack { seq, payload })
}

fn number_of(to: SocketAddr) -> u8 {
    let std::net::IpAddr::V4(ip) = to.ip() else {
        panic!("members have IPv4 addresses")
    };
    ip.octets()[3]
}

#[test]
fn every_member_is_probed_once_a_round_and_answers_measure_the_distance() {
    let mut one = One::among(5);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (to, seq, _) = until_probe(&mut one);
        seen.push(number_of(to));
        one.now += Duration::from_millis(7);
        one.hear(ack(seq, b"there"));
        let heard = one.heard();
        let [reached] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert!(reached.starts_with(&format!("reached m{} in ", number_of(to))));
        assert!(reached.ends_with(" ms: there"));
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(one.swim.counters().probes, 5);
    assert_eq!(one.swim.counters().probes_failed, 0);
}

#[test]
fn nobody_but_the_living_is_probed() {
    let mut one = One::among(3);
    one.hear(dead("m0", 1, "m0"));
    one.hear(dead("m1", 1, "m2"));
    for _ in 0..4 {
        let (to, seq, _) = until_probe(&mut one);
        assert_eq!(to, socket(2));
        one.hear(ack(seq, b""));
    }
    let mut alone = One::new();
    assert!(alone.sent(10 * SECOND).is_empty());
}

#[test]
fn silence_makes_us_ask_others_and_tcp_and_then_suspect() {
    let mut one = One::among(5);
    let (to, seq, _) = until_probe(&mut one);
    let target = name(number_of(to));
    let begun = one.now;
    let outputs = one.pass(Duration::from_millis(500));
    let mut asked = Vec::new();
    let mut streams = 0;
    for (at, output) in outputs {
        match output {
            Output::Packet { to, bytes } => {
                let [Message::IndirectPing(ping)] = &opened(&bytes)[..] else {
                    continue;
                };
                assert!((at - begun).as_millis() >= 490);
                assert_eq!(
                    (ping.seq, &ping.node, ping.wants_nack),
                    (seq, &target, true)
                );
                asked.push(to);
            }
            Output::OpenStream { to: peer, .. } => {
                assert_eq!(peer, to);
                streams += 1;
            }
            _ => {}
        }
    }
    asked.sort();
    asked.dedup();
    assert_eq!((asked.len(), streams), (3, 1));
    assert!(!asked.contains(&to));
    one.pass(Duration::from_millis(510));
    assert_eq!(one.heard(), [format!("me doubts {target}: Probe")]);
    // Three were asked and none said even "no".
    assert_eq!(one.swim.health_score(), 3);
    assert_eq!(one.swim.counters().probes_failed, 1);
}

#[test]
fn a_nack_from_each_helper_says_that_it_is_not_us() {
    let mut one = One::among(5);
    let (_, seq, _) = until_probe(&mut one);
    one.pass(Duration::from_millis(600));
    for _ in 0..3 {
        one.hear(Message::Nack(Nack { seq }));
    }
    one.hear(Message::Nack(Nack {
        seq: seq.wrapping_add(1),
    }));
    one.pass(Duration::from_millis(400));
    assert_eq!(one.heard().len(), 1);
    assert_eq!(one.swim.health_score(), 0);
}

#[test]
fn without_helpers_that_send_nacks_a_failed_probe_costs_one_point() {
    let mut one = One::among(1);
    until_probe(&mut one);
    one.pass(SECOND);
    assert_eq!(one.swim.health_score(), 1);
}

#[test]
fn a_late_answer_or_one_through_a_helper_is_good_and_measures_nothing() {
    let mut one = One::among(5);
    let (_, seq, _) = until_probe(&mut one);
    one.pass(Duration::from_millis(700));
    one.hear(ack(seq, b""));
    one.pass(Duration::from_millis(400));
    assert!(one.heard().is_empty());
    assert_eq!(one.swim.counters().probes_failed, 0);
}

#[test]
fn an_answer_with_another_number_is_none() {
    let mut one = One::among(1);
    let (_, seq, _) = until_probe(&mut one);
    one.hear(ack(seq.wrapping_add(1), b""));
    one.pass(SECOND);
    assert_eq!(one.swim.counters().probes_failed, 1);
}

#[test]
fn poor_health_gives_probes_more_time() {
    let mut one = One::among(5);
    one.swim.awareness.worse(3);
    let (_, seq, _) = until_probe(&mut one);
    one.pass(Duration::from_millis(3900));
    one.hear(ack(seq, b""));
    assert!(one.heard().is_empty());
    assert_eq!(one.swim.health_score(), 2);
}

#[test]
fn a_suspect_is_told_so_with_the_ping() {
    let mut one = One::among(1);
    one.hear(suspect("m0", 1, "m9"));
    let (_, _, along) = until_probe(&mut one);
    assert_eq!(along, [suspect("m0", 1, "me")]);
}

#[test]
fn a_probe_carries_what_is_to_be_told() {
    let mut one = One::among(1);
    one.swim.config.gossip_nodes = 0;
    one.notes.waiting.push(Bytes::from_static(b"event"));
    let (_, _, along) = until_probe(&mut one);
    assert_eq!(along, [Message::User(Bytes::from_static(b"event"))]);
}

#[test]
fn a_ping_for_us_is_answered_where_it_wants_and_one_for_another_is_not() {
    let mut one = One::among(1);
    let source = Source {
        address: Address::Four([127, 0, 1, 0]),
        port: 7,
        node: name(0),
    };
    for (node, source, to) in [
        ("me", None, Some(FROM)),
        ("", None, Some(FROM)),
        (
            "me",
            Some(source),
            Some(SocketAddr::from(([127, 0, 1, 0], 7))),
        ),
        ("other", None, None),
    ] {
        let node = Name::from(node);
        one.hear(Message::Ping(Ping {
            seq: 5,
            node,
            source,
        }));
        let answer = std::iter::from_fn(|| one.swim.output()).find_map(|output| match output {
            Output::Packet { to, bytes } => Some((to, opened(&bytes))),
            _ => None,
        });
        let expected = to.map(|to| (to, vec![ack(5, b"here")]));
        assert_eq!(answer, expected);
    }
}

fn asked(seq: u32, wants_nack: bool) -> Message {
    Message::IndirectPing(IndirectPing {
        seq,
        target: Address::Four([127, 0, 1, 1]),
        port: 0,
        node: name(1),
        wants_nack,
        source: None,
    })
}

#[test]
fn we_probe_for_others_and_pass_the_answer_on() {
    let mut one = One::among(2);
    one.swim.timers = super::super::timers::Timers::default();
    one.hear(asked(77, true));
    let sent = one.sent(Duration::from_millis(100));
    let [(to, Message::Ping(ping))] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((*to, &ping.node), (socket(1), &name(1)));
    let number = ping.seq;
    assert_ne!(number, 77);
    one.hear(ack(number, b"ignored"));
    assert_eq!(one.sent(SECOND), [(FROM, ack(77, b""))]);
}

#[test]
fn who_wanted_one_gets_a_nack_after_half_a_second() {
    for wants_nack in [true, false] {
        let mut one = One::among(2);
        one.swim.timers = super::super::timers::Timers::default();
        one.hear(asked(77, wants_nack));
        assert_eq!(one.sent(Duration::from_millis(499)).len(), 1);
        let nacks = one.sent(Duration::from_millis(2));
        let expected = wants_nack.then_some((FROM, Message::Nack(Nack { seq: 77 })));
        assert_eq!(nacks, Vec::from_iter(expected));
        assert!(one.swim.relays.is_empty());
    }
}

#[test]
fn probes_for_others_are_limited() {
    let mut one = One::among(2);
    one.swim.config.relayed_probes_max = 3;
    for seq in 0..5 {
        one.hear(asked(seq, true));
    }
    assert_eq!(
        (one.swim.relays.len(), one.swim.counters().relays_refused),
        (3, 2)
    );
}

#[test]
fn who_stood_still_blames_nobody_for_that_time() {
    let mut one = One::among(10);
    one.hear(suspect("m1", 1, "m2"));
    let (to, ..) = until_probe(&mut one);
    one.heard();
    // The longest suspicion is over meanwhile, and the probe has no answer.
    one.now += 60 * SECOND;
    one.swim.timer(one.now, &mut one.notes);
    assert_eq!(one.heard(), Vec::<String>::new());
    assert_eq!(one.state("m1"), Some((State::Suspect, 1)));
    assert_eq!(
        (one.swim.counters().stalls, one.swim.health_score()),
        (1, 1)
    );
    assert_eq!(one.swim.counters().probes_failed, 0, "{to}");
    // The rest of its time is left to it.
    one.swim.config.probe_interval = 10_000 * SECOND;
    one.pass(26 * SECOND);
    assert!(one.heard().contains(&"gone m1 Dead".to_owned()));
}
