//! Gossip: to whom, how often, what goes along.

use super::*;

fn gossip(one: &mut One, duration: Duration) -> Vec<(Moment, SocketAddr, Vec<Message>)> {
    let outputs = one.pass(duration).into_iter();
    let packets = outputs.filter_map(|(at, output)| match output {
        Output::Packet { to, bytes } => Some((at, to, opened(&bytes))),
        _ => None,
    });
    let is_gossip = |(_, _, messages): &(_, _, Vec<Message>)| {
        !messages.iter().any(|message| {
            matches!(
                message,
                Message::Ping(_) | Message::IndirectPing(_) | Message::Ack(_)
            )
        })
    };
    packets.filter(is_gossip).collect()
}

#[test]
fn news_goes_to_three_at_a_time_on_the_beat_until_it_was_sent_often_enough() {
    let mut one = One::among(9);
    one.swim.timers = super::super::timers::Timers::default();
    one.swim.next_gossip = None;
    one.hear(suspect("m1", 1, "m2"));
    one.hear(alive(1, 2));
    let packets = gossip(&mut one, SECOND);
    // Ten members: 4 * 2 packets, in rounds of 3 each 200 ms.
    assert_eq!(packets.len(), 8);
    assert!(
        packets
            .iter()
            .all(|(_, _, messages)| *messages == [alive(1, 2)])
    );
    let mut times: Vec<u128> = packets
        .iter()
        .map(|(at, ..)| (*at - packets[0].0).as_millis())
        .collect();
    times.dedup();
    assert_eq!(times, [0, 200, 400]);
    assert_eq!(one.swim.queued(), 0);
}

#[test]
fn without_news_nobody_wakes() {
    let mut one = One::among(9);
    one.pass(SECOND);
    assert_eq!(one.swim.next_gossip, None);
}

#[test]
fn the_dead_are_told_for_thirty_seconds_and_those_that_left_never() {
    let mut one = One::among(2);
    one.swim.timers = super::super::timers::Timers::default();
    one.swim.next_gossip = None;
    one.hear(dead("m0", 1, "m0"));
    one.hear(dead("m1", 1, "m0"));
    let told: Vec<SocketAddr> = gossip(&mut one, SECOND)
        .iter()
        .map(|(_, to, _)| *to)
        .collect();
    assert!(
        !told.is_empty() && told.iter().all(|to| *to == socket(1)),
        "{told:?}"
    );
    one.now += 30 * SECOND;
    one.notes.waiting.push(Bytes::from_static(b"event"));
    one.swim.broadcasts_waiting(one.now);
    assert!(gossip(&mut one, SECOND).is_empty());
}

#[test]
fn what_the_layer_above_has_comes_after_what_is_ours() {
    let mut one = One::among(1);
    one.hear(suspect("m0", 1, "m9"));
    one.notes.waiting.push(Bytes::from_static(b"event"));
    let packets = gossip(&mut one, SECOND);
    let event = Message::User(Bytes::from_static(b"event"));
    assert_eq!(packets[0].2, [suspect("m0", 1, "m9"), event]);
}

#[test]
fn packets_keep_to_their_size() {
    let mut one = One::among(1);
    for size in [700, 680, 9] {
        one.notes.waiting.push(Bytes::from(vec![b'x'; size]));
    }
    one.swim.broadcasts_waiting(one.now);
    for (_, output) in one.pass(SECOND) {
        if let Output::Packet { bytes, .. } = output {
            // The checksum comes on top, as with Serf.
            assert!(bytes.len() <= 1405, "{}", bytes.len());
        }
    }
    assert!(one.notes.waiting.is_empty());
}

#[test]
fn a_message_that_came_reaches_the_layer_above() {
    let mut one = One::among(1);
    one.hear(Message::User(Bytes::from_static(b"hello")));
    assert_eq!(one.heard(), ["message hello"]);
}

#[test]
fn a_message_to_one_goes_at_once_and_alone() {
    let mut one = One::among(1);
    one.hear(suspect("m0", 1, "m9"));
    one.swim.send_user(socket(0), b"answer", false);
    let Some(Output::Packet { to, bytes }) = one.swim.output() else {
        panic!("a packet")
    };
    assert_eq!((to, &bytes[..]), (socket(0), b"\x08answer".as_slice()));
}

#[test]
fn what_is_no_packet_changes_nothing_and_is_counted() {
    let mut one = One::among(1);
    let before = one.swim.counters().packets_bad;
    for bytes in [
        &b""[..],
        b"\x0f",
        b"\x00",
        b"\x07\x01\xff\xff",
        b"\x04\xc1",
        b"\x09\x80",
    ] {
        one.swim
            .packet(one.now, FROM, BytesMut::from(bytes), &mut one.notes);
    }
    assert_eq!(one.swim.counters().packets_bad - before, 6);
    assert!(one.heard().is_empty());
}
