//! Members of our kind that fall silent: who looks, who doubts, how long that lasts.

use super::*;
use crate::swim::OUR_PROTOCOL;
use crate::wire::memberlist::Ack;

/// With members of our kind, those from `plain` on left as Serf's. All are known, nothing is to be told.
fn among_ours(count: u8, plain: u8) -> One {
    let mut config = config();
    config.extends = true;
    config.versions.protocol_max = OUR_PROTOCOL;
    // Nothing but what the tests begin themselves.
    config.probe_interval = 10_000 * SECOND;
    config.suspicion_mult = 4;
    let mut one = One::with(config);
    for number in 0..count {
        let mut alive = alive_of(number, 1);
        let mut versions = Versions::SERF;
        if number < plain {
            versions.protocol_max = OUR_PROTOCOL;
        }
        alive.versions = Some(versions);
        one.hear(Message::Alive(alive));
    }
    one.swim.config.probe_interval = SECOND;
    one.swim.timers = super::super::timers::Timers::default();
    one.swim.next_gossip = None;
    one.told();
    one.pass(Duration::ZERO);
    one.heard();
    one
}

fn doubt(one: &mut One, of: &str, by: &[u8]) {
    for number in by {
        one.hear(suspect(of, 1, &format!("m{number}")));
    }
}

/// Whether `m1` is dead after so many milliseconds more.
fn is_dead_after(one: &mut One, millis: u64) -> bool {
    one.pass(Duration::from_millis(millis));
    matches!(one.state("m1"), Some((State::Dead, _)))
}

#[test]
fn three_that_have_looked_make_a_suspicion_short() {
    let mut one = among_ours(10, 10);
    doubt(&mut one, "m1", &[2, 3, 4]);
    assert!(!is_dead_after(&mut one, 1_490));
    assert!(is_dead_after(&mut one, 20));
}

#[test]
fn one_that_repeats_itself_or_two_are_not_three() {
    let mut one = among_ours(10, 10);
    doubt(&mut one, "m1", &[2, 2, 2, 3, 3]);
    assert!(!is_dead_after(&mut one, 4_000));
}

#[test]
fn members_of_serf_and_doubts_of_serf_have_serfs_time() {
    // With eleven members: 4.164 s at least.
    for (plain, by) in [(1, [2, 3, 4]), (4, [2, 3, 4])] {
        let mut one = among_ours(10, plain);
        doubt(&mut one, "m1", &by);
        assert!(!is_dead_after(&mut one, 4_100), "{plain} of our kind");
        assert!(is_dead_after(&mut one, 100), "{plain} of our kind");
    }
}

#[test]
fn who_is_not_well_waits_longer_but_not_longer_than_serf() {
    for (points, lasts) in [(1, 3_000), (2, 4_164), (7, 4_164)] {
        let mut one = among_ours(10, 10);
        one.swim.awareness.worse(points);
        doubt(&mut one, "m1", &[2, 3, 4]);
        assert!(!is_dead_after(&mut one, lasts - 10), "{points} points");
        assert!(is_dead_after(&mut one, 20), "{points} points");
    }
}

#[test]
fn a_refutation_ends_it_and_is_told_at_once() {
    let mut one = among_ours(10, 10);
    doubt(&mut one, "m1", &[2, 3, 4]);
    one.pass(SECOND);
    one.hear(alive(1, 2));
    let told = one.sent(Duration::ZERO);
    assert!(told.len() >= 4, "{told:?}");
    assert!(told.iter().all(|(_, message)| *message == alive(1, 2)));
    assert!(!is_dead_after(&mut one, 10_000));
}

/// Somebody at `m2`'s address asks about `m1`.
fn ask(one: &mut One) {
    let mut body = BytesMut::from(&b"\x43\x00\x00\x00\x01"[..]);
    body.extend_from_slice(b"m1");
    let bytes = super::super::states::encode(&Message::User(body.freeze()));
    one.swim.packet(
        one.now,
        socket(2),
        BytesMut::from(&bytes[..]),
        &mut one.notes,
    );
}

/// The pings to `m1` of a time, with what is said along; and what is told to `m2`.
fn looks(one: &mut One, time: Duration) -> (Vec<(u32, Vec<Message>)>, Vec<Message>) {
    let (mut pings, mut told) = (Vec::new(), Vec::new());
    for (_, output) in one.pass(time) {
        let Output::Packet { to, bytes } = output else {
            continue;
        };
        let mut messages = opened(&bytes);
        if to == socket(2) {
            told.append(&mut messages);
        } else if let Message::Ping(ping) = &messages[0]
            && to == socket(1)
        {
            let number = ping.seq;
            pings.push((number, messages.split_off(1)));
        }
    }
    (pings, told)
}

#[test]
fn who_is_asked_looks_and_doubts_what_does_not_answer() {
    let mut one = among_ours(10, 10);
    ask(&mut one);
    ask(&mut one);
    let (pings, told) = looks(&mut one, Duration::from_millis(499));
    // Twice, with the word of who asked, so that it can refute.
    assert_eq!(pings.len(), 2);
    assert!(
        pings
            .iter()
            .all(|(_, said)| *said == [suspect("m1", 1, "m2")])
    );
    assert!(told.is_empty());
    let (_, told) = looks(&mut one, Duration::from_millis(2));
    assert_eq!(told, [suspect("m1", 1, "me")]);
    assert_eq!(one.heard(), ["me doubts m1: Probe"]);
}

#[test]
fn who_gets_an_answer_doubts_nobody() {
    let mut one = among_ours(10, 10);
    ask(&mut one);
    let (pings, _) = looks(&mut one, Duration::from_millis(300));
    let (seq, payload) = (pings[0].0, Bytes::new());
    one.hear(Message::Ack(Ack { seq, payload }));
    let (pings, told) = looks(&mut one, 2 * SECOND);
    assert!(pings.is_empty() && told.is_empty());
    assert!(one.heard().is_empty());
}

#[test]
fn who_stood_still_while_it_looked_doubts_nobody() {
    let mut one = among_ours(10, 10);
    ask(&mut one);
    one.pass(Duration::from_millis(100));
    one.now += 5 * SECOND;
    one.swim.timer(one.now, &mut one.notes);
    assert!(one.heard().is_empty());
}

#[test]
fn nobody_looks_for_strangers_at_those_of_serf_or_at_what_is_over() {
    let mut one = among_ours(10, 1);
    ask(&mut one);
    assert_eq!(looks(&mut one, SECOND), (Vec::new(), Vec::new()));
    let mut one = among_ours(10, 10);
    let mut again = alive_of(1, 2);
    again.versions = None;
    one.hear(Message::Alive(again));
    ask(&mut one);
    assert_eq!(one.heard(), Vec::<String>::new());
    assert!(looks(&mut one, Duration::ZERO).0.is_empty());
}

#[test]
fn who_doubts_us_is_answered() {
    let mut one = among_ours(10, 10);
    let bytes = super::super::states::encode(&suspect("me", 1, "m2"));
    one.swim.packet(
        one.now,
        socket(2),
        BytesMut::from(&bytes[..]),
        &mut one.notes,
    );
    let told = one.sent(Duration::ZERO);
    let me = |message: &Message| matches!(message, Message::Alive(alive) if alive.incarnation == 2 && alive.node == Name::from("me"));
    assert!(
        told.iter()
            .any(|(to, message)| *to == socket(2) && me(message))
    );
}
