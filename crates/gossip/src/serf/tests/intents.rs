//! Who comes and who goes.

use super::*;
use crate::wire::serf::{Join, Leave};

fn join(node: &str, time: u64) -> Message {
    Message::Join(Join {
        ltime: LTime(time),
        node: Name::from(node),
    })
}

fn leave(node: &str, time: u64) -> Message {
    Message::Leave(Leave {
        ltime: LTime(time),
        node: Name::from(node),
        prune: false,
    })
}

fn prune(node: &str, time: u64) -> Message {
    Message::Leave(Leave {
        ltime: LTime(time),
        node: Name::from(node),
        prune: true,
    })
}

#[test]
fn a_member_that_answers_no_more_has_failed() {
    let mut me = One::new();
    me.join("a");
    assert_eq!(me.events(), ["member-join a"]);
    me.fail("a");
    assert_eq!(me.events(), ["member-failed a"]);
    assert_eq!(me.status("a"), Some(Status::Failed));
    me.join("a");
    assert_eq!(me.events(), ["member-join a"]);
    assert_eq!(me.serf.counters().flaps, 1);
}

#[test]
fn a_member_that_said_so_has_left() {
    let mut me = One::among(&["a"]);
    me.receive(&leave("a", 5));
    assert_eq!(me.status("a"), Some(Status::Leaving));
    assert!(me.events().is_empty());
    assert_eq!(me.queued(), [1, 0, 0]);
    me.fail("a");
    assert_eq!(me.events(), ["member-leave a"]);
    assert_eq!(me.status("a"), Some(Status::Left));
    assert_eq!(me.stat("left"), "1");
    assert_eq!(me.stat("member_time"), "6");
}

#[test]
fn an_old_intent_is_nothing() {
    let mut me = One::among(&["a"]);
    me.receive(&join("a", 5));
    me.receive(&leave("a", 5));
    assert_eq!(me.status("a"), Some(Status::Alive));
    assert_eq!(me.queued(), [1, 0, 0]);
    me.receive(&leave("a", 6));
    me.receive(&join("a", 6));
    assert_eq!(me.status("a"), Some(Status::Leaving));
    assert_eq!(me.queued(), [2, 0, 0]);
    me.receive(&join("a", 7));
    assert_eq!(me.status("a"), Some(Status::Alive));
}

#[test]
fn intents_before_the_member_are_kept() {
    let mut me = One::new();
    me.receive(&leave("a", 5));
    me.receive(&leave("a", 5));
    assert_eq!(me.queued(), [1, 0, 0]);
    me.join("a");
    assert_eq!(me.status("a"), Some(Status::Leaving));
    assert_eq!(me.events(), ["member-join a"]);

    me.receive(&join("b", 7));
    me.join("b");
    assert_eq!(me.status("b"), Some(Status::Alive));
    // What was known of it counts as its time.
    me.receive(&leave("b", 7));
    assert_eq!(me.status("b"), Some(Status::Alive));
}

#[test]
fn intents_of_those_that_never_come_are_forgotten() {
    let mut me = One::new();
    me.receive(&leave("a", 5));
    me.wait(330);
    me.join("a");
    assert_eq!(me.status("a"), Some(Status::Alive));
}

#[test]
fn a_leave_that_we_did_not_say_is_refuted() {
    let mut me = One::among(&["a"]);
    me.receive(&leave("me", 9));
    assert_eq!(me.status("me"), Some(Status::Alive));
    let sent = me.broadcasts();
    assert_eq!(sent.len(), 1);
    let Message::Join(join) = Message::decode(&sent[0]).unwrap() else {
        panic!("{sent:?}")
    };
    assert_eq!((join.ltime, join.node), (LTime(10), Name::from("me")));
    // The same again is old.
    me.receive(&leave("me", 9));
    assert_eq!(me.queued(), [1, 0, 0]);
}

#[test]
fn a_failed_member_can_be_declared_to_have_left() {
    let mut me = One::among(&["a", "b"]);
    me.fail("a");
    me.events();
    assert!(
        me.serf
            .broadcast_leave(me.now, &Name::from("a"), false, Token(1))
    );
    assert_eq!(me.events(), ["member-leave a"]);
    assert_eq!(
        (me.status("a"), me.stat("failed")),
        (Some(Status::Left), "0".to_owned())
    );
    for _ in 0..4 {
        assert_eq!(me.broadcasts().len(), 1);
    }
    assert_eq!(me.serf.finished(), [Token(1)]);
    assert!(me.broadcasts().is_empty());
}

#[test]
fn alone_nothing_is_broadcast() {
    let mut me = One::among(&["a"]);
    me.fail("a");
    assert!(
        !me.serf
            .broadcast_leave(me.now, &Name::from("a"), false, Token(1))
    );
    assert_eq!(me.queued(), [0, 0, 0]);
    assert_eq!(me.status("a"), Some(Status::Left));
    // Unknown names are no error.
    assert!(
        !me.serf
            .broadcast_leave(me.now, &Name::from("nobody"), true, Token(2))
    );
}

#[test]
fn who_left_is_forgotten_by_those_who_raised_its_time_too() {
    let mut me = One::among(&["a", "b"]);
    me.receive(&leave("a", 5));
    me.fail("a");
    assert_eq!(me.status("a"), Some(Status::Left));
    me.broadcasts();
    me.serf
        .broadcast_leave(me.now, &Name::from("a"), true, Token(1));
    assert_eq!(me.status("a"), None);
    let sent = me.broadcasts();
    let said = sent.iter().map(|bytes| Message::decode(bytes).unwrap());
    let times: Vec<u64> = said
        .filter_map(|message| match message {
            Message::Leave(leave) if leave.prune => Some(leave.ltime.0),
            _ => None,
        })
        .collect();
    // Members of Serf's kind that exchanged their states meanwhile know a later time than we do.
    assert!(times.len() == 1 && times[0] > 5 + 32, "{times:?}");
}

#[test]
fn a_pruned_member_that_failed_is_forgotten_at_once() {
    let mut me = One::among(&["a", "b"]);
    me.fail("a");
    me.events();
    me.receive(&prune("a", 5));
    assert_eq!(me.events(), ["member-leave a", "member-reap a"]);
    assert_eq!(me.status("a"), None);
    assert_eq!(
        (me.stat("failed"), me.stat("left")),
        ("0".to_owned(), "0".to_owned())
    );
}

#[test]
fn a_pruned_member_that_is_there_is_forgotten_after_six_seconds() {
    let mut me = One::among(&["a"]);
    me.receive(&prune("a", 5));
    assert_eq!(me.status("a"), Some(Status::Leaving));
    // Nothing else waits meanwhile.
    me.join("b");
    me.wait(5);
    assert_eq!(me.status("a"), Some(Status::Leaving));
    me.wait(1);
    assert_eq!(me.status("a"), None);
    assert_eq!(me.events(), ["member-join b", "member-reap a"]);
}

#[test]
fn a_prune_that_is_refuted_is_off() {
    let mut me = One::among(&["a"]);
    me.receive(&prune("a", 5));
    me.receive(&join("a", 6));
    me.wait(10);
    assert_eq!(me.status("a"), Some(Status::Alive));
}

#[test]
fn a_member_that_left_is_pruned_by_a_later_leave() {
    let mut me = One::among(&["a"]);
    me.receive(&leave("a", 5));
    me.fail("a");
    me.receive(&prune("a", 5));
    assert_eq!(me.status("a"), Some(Status::Left));
    me.receive(&prune("a", 6));
    assert_eq!(me.status("a"), None);
}

#[test]
fn those_gone_for_a_day_are_forgotten() {
    let mut me = One::among(&["a", "b", "c"]);
    me.receive(&leave("b", 5));
    me.fail("a");
    me.fail("b");
    me.events();
    me.wait(24 * 3600 - 20);
    assert!(me.events().is_empty());
    me.wait(60);
    assert_eq!(me.events(), ["member-reap a", "member-reap b"]);
    assert_eq!(me.stat("members"), "2");
    let reaped = me.serf.history().of(&Name::from("a")).last().unwrap();
    assert_eq!(reaped.verdict, Verdict::Reaped);
    // Nothing is left to look for, once what waits has gone out.
    while !me.broadcasts().is_empty() {}
    me.wait(60);
    assert_eq!(me.serf.next_deadline(), None);
}

#[test]
fn a_failed_member_is_tried_again() {
    let mut me = One::among(&["a"]);
    me.fail("a");
    me.wait(31);
    // One failed, one there: it is certain.
    assert_eq!(me.serf.out.reconnects, [address("a")]);
    let mut me = One::among(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    me.fail("a");
    me.wait(9 * 30 * 100);
    let tries = me.serf.out.reconnects.len();
    assert!(
        (60..150).contains(&tries),
        "{tries} of 900, each with 1 in 9"
    );
}

#[test]
fn new_tags_are_told() {
    let mut me = One::among(&["a"]);
    let mut changed = believed("a", State::Alive);
    changed.meta = tags(&[("role", "new")]).to_bytes().unwrap();
    me.serf.member_updated(me.now, &changed);
    assert_eq!(me.events(), ["member-update a"]);
    assert_eq!(me.serf.member(b"a").unwrap().tags, tags(&[("role", "new")]));
    changed.name = Name::from("unknown");
    me.serf.member_updated(me.now, &changed);
    assert!(me.events().is_empty());
}

#[test]
fn an_old_members_bare_text_is_its_role() {
    let mut me = One::new();
    let mut old = believed("a", State::Alive);
    old.meta = Bytes::from_static(b"web");
    me.serf.member_joined(me.now, &old);
    assert_eq!(me.serf.member(b"a").unwrap().tags, tags(&[("role", "web")]));
    old.name = Name::from("b");
    old.meta = Bytes::from_static(b"\xff\x81");
    me.serf.member_joined(me.now, &old);
    assert_eq!(me.serf.member(b"b").unwrap().tags, Tags::default());
}

#[test]
fn tags_that_do_not_fit_are_refused_by_how_much() {
    let mut me = One::new();
    let fits = tags(&[("k", &"x".repeat(512 - 7))]);
    me.serf.set_tags(fits.clone()).unwrap();
    assert_eq!(me.serf.meta().len(), 512);
    let error = me
        .serf
        .set_tags(tags(&[("k", &"x".repeat(600))]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Encoded length of tags exceeds limit of 512 bytes by 95"
    );
    assert_eq!(*me.serf.tags(), fits);
    assert_eq!(me.serf.meta().len(), 512);
}

#[test]
fn an_old_protocol_has_a_role_only_and_no_queries() {
    let config = Config {
        protocol: 2,
        ..Config::serf(Name::from("me"), tags(&[("role", "web")]))
    };
    let mut me = One::with(config);
    assert_eq!(me.serf.meta(), Bytes::from_static(b"web"));
    let refused = me.serf.query(
        me.now,
        &Name::from("q"),
        Bytes::new(),
        &QueryParams::default(),
    );
    assert_eq!(refused, Err(Error::NotSupported));
    let error = me
        .serf
        .set_tags(tags(&[("role", &"x".repeat(514))]))
        .unwrap_err();
    assert_eq!(error, Error::TagsTooLarge { max: 512, by: 2 });
}

#[test]
fn suspicions_are_remembered() {
    let mut me = One::among(&["a"]);
    me.serf.suspected(
        at(3),
        &Name::from("a"),
        &Name::from("b"),
        swim::Doubt::Message,
    );
    me.serf.refuted(at(4), &Name::from("a"));
    let of_a: Vec<_> = me.serf.history().of(&Name::from("a")).collect();
    let words: Vec<_> = of_a.iter().map(|entry| entry.verdict.word()).collect();
    assert_eq!(words, ["joined", "suspected", "cleared"]);
    assert_eq!(of_a[1].by, Some(Name::from("b")));
}
