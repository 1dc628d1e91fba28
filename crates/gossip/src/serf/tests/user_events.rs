//! User events: once each, bounded, passed on as they came.

use proptest::prelude::*;

use super::*;
use crate::wire::Address;
use crate::wire::serf::{Query, UserEvent as Sent};

fn sent(time: u64, name: &str, payload: &[u8]) -> Message {
    let payload = Bytes::copy_from_slice(payload);
    Message::UserEvent(Sent {
        ltime: LTime(time),
        name: Name::from(name),
        payload,
        coalesce: false,
    })
}

fn send(me: &mut One, name: usize, payload: usize) -> Result<LTime, Error> {
    let name = Name::from("n".repeat(name).as_str());
    me.serf
        .user_event(me.now, &name, Bytes::from(vec![b'x'; payload]), true)
}

#[test]
fn the_first_event_has_time_one_and_is_told_here_too() {
    let mut me = One::among(&["a"]);
    let time = me.serf.user_event(
        me.now,
        &Name::from("deploy"),
        Bytes::from_static(b"v1"),
        true,
    );
    assert_eq!(time, Ok(LTime(1)));
    assert_eq!(me.events(), ["deploy@1=v1"]);
    assert_eq!(me.queued(), [0, 0, 1]);
    assert_eq!(me.stat("event_time"), "2");
}

#[test]
fn sizes_are_limited_in_serfs_words() {
    let mut me = One::new();
    let error = send(&mut me, 13, 500).unwrap_err().to_string();
    assert_eq!(
        error,
        "user event exceeds configured limit of 512 bytes before encoding"
    );
    let error = send(&mut me, 12, 500).unwrap_err().to_string();
    assert_eq!(
        error,
        "encoded user event exceeds configured limit of 512 bytes after encoding"
    );
    // All that is around a name of 6 bytes and such a payload takes 36.
    assert_eq!(send(&mut me, 6, 476), Ok(LTime(1)));
    assert!(send(&mut me, 6, 477).is_err());
    assert_eq!(me.queued(), [0, 0, 1]);
    assert_eq!(me.stat("event_time"), "2");

    let config = Config::serf(Name::from("me"), Tags::default());
    let mut me = One::with(Config {
        user_event_bytes_max: 20_000,
        ..config
    });
    let error = send(&mut me, 1, 9216).unwrap_err().to_string();
    assert_eq!(
        error,
        "user event exceeds sane limit of 9216 bytes before encoding"
    );
    let error = send(&mut me, 1, 9200).unwrap_err().to_string();
    assert_eq!(
        error,
        "encoded user event exceeds sane limit of 9216 bytes before encoding"
    );
}

#[test]
fn an_event_is_told_once_and_passed_on_once() {
    let mut me = One::among(&["a"]);
    let event = sent(10, "deploy", b"v1");
    me.receive(&event);
    me.receive(&event);
    assert_eq!(me.events(), ["deploy@10=v1"]);
    assert_eq!(me.queued(), [0, 0, 1]);
    // The same time with another name or payload is another event.
    me.receive(&sent(10, "deploy", b"v2"));
    me.receive(&sent(10, "other", b"v1"));
    assert_eq!(me.events(), ["deploy@10=v2", "other@10=v1"]);
    assert_eq!(me.stat("event_time"), "11");
}

#[test]
fn what_is_passed_on_keeps_fields_that_nobody_knows() {
    let mut me = One::among(&["a"]);
    // {CC: false, LTime: 7, Name: "x", Payload: nil, Zz: 1}
    let bytes = b"\x03\x85\xa2CC\xc2\xa5LTime\x07\xa4Name\xa1x\xa7Payload\xc0\xa2Zz\x01";
    me.receive_bytes(&Bytes::from_static(bytes));
    assert_eq!(me.events(), ["x@7="]);
    assert_eq!(me.broadcasts(), [Bytes::from_static(bytes)]);
}

#[test]
fn what_is_older_than_the_ring_is_dropped() {
    let mut me = One::new();
    me.receive(&sent(1000, "new", b""));
    me.receive(&sent(1000 - 511, "in-reach", b""));
    me.receive(&sent(1000 - 512, "too-old", b""));
    assert_eq!(me.events(), ["new@1000=", "in-reach@489="]);
}

#[test]
fn after_a_restart_the_events_of_before_are_swallowed() {
    let restored = crate::snapshot::Restored {
        event_clock: LTime(20),
        clock: LTime(7),
        query_clock: LTime(9),
        ..Default::default()
    };
    let config = Config::serf(Name::from("me"), Tags::default());
    let serf = Serf::new(config, Some(&restored), 1).unwrap();
    let mut me = One { serf, now: at(0) };
    assert_eq!(
        ["member_time", "event_time", "query_time"].map(|name| me.stat(name)),
        ["8", "21", "10"]
    );
    me.receive(&sent(20, "before", b""));
    me.receive(&sent(21, "after", b""));
    assert_eq!(me.events(), ["after@21="]);
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut me = One::new();
    for bytes in [
        &b""[..],
        b"\x03",
        b"\x03\x91",
        b"\x63\x80",
        b"\x03\x81\xa5LTime\xa1x",
    ] {
        me.receive_bytes(&Bytes::from_static(bytes));
    }
    assert!(me.events().is_empty());
    assert!(
        me.serf.counters().malformed >= 4,
        "{:?}",
        me.serf.counters()
    );
    assert_eq!(me.queued(), [0, 0, 0]);
}

#[test]
fn a_queue_that_grew_too_long_is_cut() {
    let config = Config::serf(Name::from("me"), Tags::default());
    let mut me = One::with(Config {
        queue_max: 50,
        ..config
    });
    me.join("a");
    for time in 1..=60 {
        me.receive(&sent(time, "flood", b""));
    }
    me.wait(31);
    assert_eq!(me.queued(), [0, 0, 50]);
    assert_eq!(me.serf.counters().pruned, 10);
}

#[test]
fn intents_go_before_queries_and_those_before_events() {
    let mut me = One::among(&["a"]);
    me.serf
        .user_event(me.now, &Name::from("e"), Bytes::new(), false)
        .unwrap();
    me.serf
        .query(
            me.now,
            &Name::from("q"),
            Bytes::new(),
            &QueryParams::default(),
        )
        .unwrap();
    me.serf.broadcast_join(me.now);
    let codes: Vec<u8> = me.broadcasts().iter().map(|bytes| bytes[0]).collect();
    assert_eq!(codes, [1, 4, 3]);
    // A packet without room for all takes the first.
    let mut into = Vec::new();
    me.serf.broadcasts(me.now, 3, 30, &mut into);
    assert_eq!(into.iter().map(|bytes| bytes[0]).collect::<Vec<u8>>(), [1]);
}

proptest! {
    /// Whatever comes how often and in which order: each is told once, if it is within reach, and the clock is
    /// later than all that came.
    #[test]
    fn each_event_is_told_exactly_once(
        arrivals in proptest::collection::vec((1..400_u64, 0..3_u8), 1..200)
    ) {
        let mut me = One::among(&["a"]);
        let mut expected = std::collections::BTreeSet::new();
        for &(time, payload) in &arrivals {
            me.receive(&sent(time, "e", &[b'0' + payload]));
            expected.insert(format!("e@{time}={payload}"));
        }
        let mut told = me.events();
        let count = told.len();
        told.sort();
        told.dedup();
        prop_assert_eq!(told.len(), count);
        prop_assert_eq!(told.into_iter().collect::<std::collections::BTreeSet<_>>(), expected);
        let newest = arrivals.iter().map(|(time, _)| *time).max().unwrap();
        prop_assert_eq!(me.stat("event_time"), (newest + 1).to_string());
    }
}

#[test]
fn a_flood_of_queries_is_bounded_and_leaves_room_for_events() {
    let mut config = Config::serf(Name::from("me"), tags(&[]));
    config.queue_max = 100;
    let mut me = One::with(config);
    me.join("a");
    for id in 0..1000 {
        me.receive(&Message::Query(Query {
            ltime: LTime(u64::from(id / 2) + 1),
            id,
            address: Address::Four([127, 0, 0, 9]),
            port: 9,
            source_node: Name::from("flood"),
            filters: Vec::new(),
            flags: 0,
            relay_factor: 0,
            timeout: Duration::from_secs(9),
            name: Name::from("q"),
            payload: Bytes::from(vec![7; 300]),
        }));
    }
    me.serf
        .user_event(me.now, &Name::from("deploy"), Bytes::new(), false)
        .unwrap();
    assert_eq!(me.queued()[1..], [100, 1]);
    let is_event = |bytes: &Bytes| matches!(Message::decode(bytes), Ok(Message::UserEvent(_)));
    let packets: Vec<bool> = (0..3)
        .map(|_| me.broadcasts().iter().any(is_event))
        .collect();
    assert!(packets.contains(&true), "{packets:?}");
    // What was dropped is counted when the queues are looked at.
    me.wait(31);
    assert_eq!(me.serf.counters().pruned, 900);
}
