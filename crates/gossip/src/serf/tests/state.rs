//! The state that two members exchange, acks with coordinates, and the figures.

use super::*;
use crate::wire::serf::{self as wire, PushPull};

/// What `from` would give to another.
fn state(from: &mut One) -> Bytes {
    from.serf.local_state(false)
}

/// Both give and take, as in a push/pull.
fn exchange(a: &mut One, b: &mut One, is_join: bool) {
    let (of_a, of_b) = (state(a), state(b));
    a.serf.merge_state(a.now, &of_b, is_join);
    b.serf.merge_state(b.now, &of_a, is_join);
}

#[test]
fn clocks_are_witnessed_one_before() {
    let (mut a, mut b) = (One::new(), One::new());
    for _ in 0..5 {
        a.serf
            .user_event(a.now, &Name::from("e"), Bytes::new(), false)
            .unwrap();
    }
    a.serf
        .query(
            a.now,
            &Name::from("q"),
            Bytes::new(),
            &QueryParams::default(),
        )
        .unwrap();
    exchange(&mut a, &mut b, false);
    for name in ["member_time", "event_time", "query_time"] {
        assert_eq!(a.stat(name), b.stat(name), "{name}");
    }
    assert_eq!(b.stat("event_time"), "6");
    assert_eq!(b.stat("query_time"), "2");
}

#[test]
fn events_that_were_missed_are_told_in_order() {
    let (mut a, mut b) = (One::new(), One::new());
    for payload in ["1", "2", "3"] {
        a.serf
            .user_event(a.now, &Name::from("e"), payload.into(), true)
            .unwrap();
    }
    exchange(&mut a, &mut b, false);
    assert_eq!(b.events(), ["e@1=1", "e@2=2", "e@3=3"]);
    exchange(&mut a, &mut b, false);
    assert!(b.events().is_empty());
    // They are not passed on: everybody gets them in this way.
    assert_eq!(b.queued(), [0, 0, 0]);
}

#[test]
fn a_join_without_replay_swallows_what_was_before() {
    let (mut a, mut b) = (One::new(), One::new());
    a.serf
        .user_event(a.now, &Name::from("before"), Bytes::new(), false)
        .unwrap();
    b.serf.ignore_old_events(true);
    exchange(&mut a, &mut b, true);
    b.serf.ignore_old_events(false);
    assert!(b.events().is_empty());
    exchange(&mut a, &mut b, false);
    assert!(b.events().is_empty());
    a.serf
        .user_event(a.now, &Name::from("after"), Bytes::new(), false)
        .unwrap();
    exchange(&mut a, &mut b, false);
    assert_eq!(b.events(), ["after@2="]);
}

#[test]
fn members_that_left_are_left_for_the_other_too() {
    let (mut a, mut b) = (One::among(&["x", "y"]), One::among(&["x", "y"]));
    a.serf
        .broadcast_leave(a.now, &Name::from("x"), false, Token(1));
    a.fail("x");
    assert_eq!(a.status("x"), Some(Status::Left));
    b.fail("x");
    b.events();
    exchange(&mut a, &mut b, false);
    assert_eq!(b.status("x"), Some(Status::Left));
    assert_eq!(b.events(), ["member-leave x"]);
    assert_eq!(b.status("y"), Some(Status::Alive));
}

#[test]
fn exchanges_alone_move_no_clock() {
    let (mut a, mut b) = (One::among(&["x"]), One::among(&["x"]));
    a.receive(&Message::Leave(wire::Leave {
        ltime: LTime(5),
        node: Name::from("x"),
        prune: false,
    }));
    a.fail("x");
    b.fail("x");
    exchange(&mut a, &mut b, false);
    exchange(&mut a, &mut b, false);
    let clock = a.stat("member_time");
    for _ in 0..10 {
        exchange(&mut a, &mut b, false);
    }
    assert_eq!(
        (a.stat("member_time"), b.stat("member_time")),
        (clock.clone(), clock)
    );
}

#[test]
fn a_member_that_came_back_is_not_undone_by_one_who_knows_it_as_left() {
    let (mut a, mut b) = (One::among(&["x"]), One::among(&["x"]));
    for one in [&mut a, &mut b] {
        one.serf
            .broadcast_leave(one.now, &Name::from("x"), false, Token(1));
        one.fail("x");
    }
    a.join("x");
    let back = wire::Join {
        ltime: LTime(9),
        node: Name::from("x"),
    };
    a.receive(&Message::Join(back));
    exchange(&mut a, &mut b, false);
    assert_eq!(a.status("x"), Some(Status::Alive));
    assert_eq!(
        b.status("x"),
        Some(Status::Left),
        "membership has not told it yet"
    );
}

#[test]
fn golden_state_of_serf_is_merged() {
    // The user state of a real exchange, with its 512 entries of which one holds an event.
    let mut bytes = b"\x02\x86\xaaEventLTime\x03\xa6Events\xdc\x02\x00".to_vec();
    bytes.extend(std::iter::repeat_n(0xc0, 2));
    bytes.extend(b"\x82\xa6Events\x91\x82\xa4Name\xa6deploy\xa7Payload\xa2v1\xa5LTime\x02");
    bytes.extend(std::iter::repeat_n(0xc0, 509));
    bytes.extend(
        b"\xabLeftMembers\x90\xa5LTime\x05\xaaQueryLTime\x02\xacStatusLTimes\x81\xa2py\x04",
    );
    let mut me = One::new();
    me.serf.merge_state(me.now, &bytes.into(), true);
    assert_eq!(me.events(), ["deploy@2=v1"]);
    assert_eq!(
        ["member_time", "event_time", "query_time"].map(|name| me.stat(name)),
        ["5", "3", "2"]
    );
}

#[test]
fn a_state_that_cannot_be_read_changes_nothing() {
    let mut me = One::new();
    for bytes in [&b"\x02"[..], b"\x03\x80", b"\x02\x81\xa5LTime"] {
        me.serf
            .merge_state(me.now, &Bytes::copy_from_slice(bytes), true);
    }
    assert_eq!(me.serf.counters().malformed, 3);
    assert_eq!(me.stat("member_time"), "1");
}

#[test]
fn our_state_says_all_that_we_know() {
    let mut me = One::among(&["x", "y"]);
    me.serf
        .broadcast_leave(me.now, &Name::from("x"), false, Token(1));
    me.fail("x");
    me.serf
        .user_event(me.now, &Name::from("e"), "1".into(), true)
        .unwrap();
    let state = PushPull::decode(&state(&mut me)).unwrap();
    assert_eq!(state.left_members, [Name::from("x")]);
    let names: Vec<_> = state
        .status_ltimes
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["me", "x", "y"]);
    assert_eq!(
        (state.ltime, state.event_ltime, state.query_ltime),
        (LTime(2), LTime(2), LTime(1))
    );
    assert_eq!(state.events.len(), 1);
}

#[test]
fn acks_carry_our_coordinate_and_teach_us() {
    let (mut a, mut b) = (One::new(), One::among(&["a"]));
    let payload = a.serf.ack_payload();
    assert_eq!(payload.len(), 130);
    b.serf
        .ping_complete(b.now, &Name::from("a"), Duration::from_millis(20), &payload);
    assert!(b.serf.coordinate(b"a").is_some());
    let guess = b.serf.round_trip(b"a", b"me").unwrap();
    assert!(guess > Duration::from_millis(1), "{guess:?}");
    assert!(b.serf.coordinate(b"nobody").is_none());
    assert_eq!(b.serf.round_trip(b"a", b"nobody"), None);
    // A member that is forgotten takes its coordinate along.
    b.fail("a");
    b.receive(&Message::Leave(wire::Leave {
        ltime: LTime(5),
        node: Name::from("a"),
        prune: true,
    }));
    assert!(b.serf.coordinate(b"a").is_none());
}

#[test]
fn a_coordinate_that_makes_no_sense_is_not_used() {
    let mut me = One::among(&["a"]);
    let before = me.serf.coordinate(b"me").cloned();
    let other = wire::Coordinate {
        vector: [f64::NAN; 8],
        error: 1.0,
        adjustment: 0.0,
        height: 0.1,
    };
    let rtt = Duration::from_millis(20);
    me.serf
        .ping_complete(me.now, &Name::from("a"), rtt, &other.to_bytes());
    me.serf.ping_complete(
        me.now,
        &Name::from("a"),
        rtt,
        &Bytes::from_static(b"\x02\x80"),
    );
    me.serf
        .ping_complete(me.now, &Name::from("a"), rtt, &Bytes::new());
    assert_eq!(me.serf.counters().coordinates_rejected, 1);
    assert_eq!(me.serf.counters().malformed, 1);
    assert_eq!(me.serf.coordinate(b"me").cloned(), before);
}

#[test]
fn without_coordinates_acks_are_empty_and_a_figure_is_absent() {
    let config = Config::serf(Name::from("me"), Tags::default());
    let mut me = One::with(Config {
        coordinates: None,
        ..config
    });
    assert!(me.serf.ack_payload().is_empty());
    assert!(!me.serf.stats().contains_key("coordinate_resets"));
    assert!(me.serf.coordinate(b"me").is_none());
    let mut me = One::new();
    assert_eq!(me.stat("coordinate_resets"), "0");
    assert!(me.serf.coordinate(b"me").is_some());
    assert_eq!(me.serf.ack_payload().len(), 130);
}
