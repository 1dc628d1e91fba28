//! Leaving, and changing our meta: who waits hears when it has been told.

use super::*;

fn finished(outputs: Vec<(Moment, Output)>) -> Vec<Token> {
    let tokens = outputs.into_iter().filter_map(|(_, output)| match output {
        Output::Finished(token) => Some(token),
        _ => None,
    });
    tokens.collect()
}

#[test]
fn a_leave_ends_when_it_was_told_often_enough() {
    let mut one = One::among(9);
    one.swim.leave(one.now, Token(7), &mut one.notes);
    assert_eq!(one.heard(), ["gone me Left"]);
    assert_eq!(one.told(), [dead("me", 1, "me")]);
    assert!(finished(one.pass(Duration::from_millis(1))).is_empty());
    assert_eq!(finished(one.pass(2 * SECOND)), [Token(7)]);
}

#[test]
fn alone_a_leave_ends_at_once_and_a_second_one_too() {
    let mut one = One::among(0);
    one.swim.leave(one.now, Token(7), &mut one.notes);
    assert_eq!(finished(one.pass(Duration::ZERO)), [Token(7)]);
    one.swim.leave(one.now, Token(8), &mut one.notes);
    assert_eq!(finished(one.pass(Duration::ZERO)), [Token(8)]);
}

#[test]
fn who_leaves_refutes_nothing_and_stays_listed() {
    let mut one = One::among(3);
    one.swim.leave(one.now, Token(7), &mut one.notes);
    one.hear(suspect("me", 1, "m0"));
    one.hear(dead("me", 5, "m0"));
    let mut ours = one.swim.own_alive();
    ours.incarnation = 9;
    one.hear(Message::Alive(ours));
    assert_eq!(one.state("me"), Some((State::Left, 1)));
    for number in 0..3 {
        one.hear(dead(&format!("m{number}"), 1, "m9"));
    }
    one.pass(100 * SECOND);
    assert_eq!(one.swim.me().state, State::Left);
}

#[test]
fn new_meta_is_told_under_a_new_incarnation() {
    let mut one = One::among(3);
    one.notes.meta = Bytes::from_static(b"tags");
    one.swim.update_meta(one.now, Token(3), &mut one.notes);
    assert_eq!(one.heard(), ["updated me tags"]);
    let [Message::Alive(alive)] = &one.told()[..] else {
        panic!("one alive message")
    };
    assert_eq!(
        (alive.incarnation, &alive.meta[..]),
        (2, b"tags".as_slice())
    );
    assert_eq!(finished(one.pass(2 * SECOND)), [Token(3)]);
}

#[test]
fn new_meta_that_nobody_can_hear_is_told_at_once() {
    let mut one = One::among(0);
    one.swim.update_meta(one.now, Token(3), &mut one.notes);
    assert_eq!(finished(one.pass(Duration::ZERO)), [Token(3)]);
    assert_eq!(one.state("me"), Some((State::Alive, 2)));
}

#[test]
fn newer_meta_ends_the_wait_for_older() {
    let mut one = One::among(3);
    one.swim.update_meta(one.now, Token(3), &mut one.notes);
    one.swim.update_meta(one.now, Token(4), &mut one.notes);
    assert_eq!(finished(one.pass(Duration::ZERO)), [Token(3)]);
}
