//! What is believed when: alive, suspect, dead, refuted.

use super::*;

#[test]
fn a_member_begins_alive_with_incarnation_1_and_says_so() {
    let mut one = One::new();
    assert_eq!(one.state("me"), Some((State::Alive, 1)));
    let [Message::Alive(alive)] = &one.told()[..] else {
        panic!("one alive message");
    };
    assert_eq!(alive.node, Name::from("me"));
    assert_eq!(alive.versions, Some(Versions::SERF));
}

#[test]
fn a_new_member_joins_and_is_told_on() {
    let mut one = One::among(0);
    one.hear(alive(1, 1));
    assert_eq!(one.heard(), ["joined m1"]);
    assert_eq!(one.told(), [alive(1, 1)]);
    // The same again is no news.
    one.hear(alive(1, 1));
    assert!(one.heard().is_empty());
}

#[test]
fn an_alive_message_without_versions_keeps_those_that_are_known() {
    let mut one = One::among(2);
    let mut bare = alive_of(1, 2);
    bare.versions = None;
    one.hear(Message::Alive(bare));
    assert_eq!(one.state("m1"), Some((State::Alive, 2)));
    assert_eq!(
        one.swim.member(b"m1").unwrap().versions,
        Some(Versions::SERF)
    );
}

#[test]
fn impossible_versions_no_name_and_incarnation_0_are_ignored() {
    let mut one = One::among(0);
    for versions in [[0, 5, 2, 2, 5, 5], [1, 0, 2, 2, 5, 5], [3, 2, 2, 2, 5, 5]] {
        let mut wrong = alive_of(1, 1);
        wrong.versions = Some(Versions::from_array(versions));
        one.hear(Message::Alive(wrong));
    }
    let mut nameless = alive_of(1, 1);
    nameless.node = Name::default();
    one.hear(Message::Alive(nameless));
    one.hear(alive(1, 0));
    assert!(one.heard().is_empty());
    assert_eq!(one.swim.members_listed(), 1);
}

#[test]
fn port_0_means_our_own() {
    let mut one = One::among(0);
    let mut portless = alive_of(1, 1);
    portless.port = 0;
    one.hear(Message::Alive(portless));
    assert_eq!(one.swim.member(b"m1").unwrap().port, 7946);
}

#[test]
fn other_meta_is_an_update() {
    let mut one = One::among(2);
    let mut tagged = alive_of(1, 2);
    tagged.meta = Bytes::from_static(b"tags");
    one.hear(Message::Alive(tagged));
    assert_eq!(one.heard(), ["updated m1 tags"]);
}

#[test]
fn a_name_from_another_address_is_a_conflict_even_in_another_form() {
    let mut one = One::among(2);
    let mut elsewhere = alive_of(1, 9);
    elsewhere.address = Address::Four([127, 0, 0, 7]);
    one.hear(Message::Alive(elsewhere));
    assert_eq!(one.heard(), ["conflict m1 127.0.1.1:7946 127.0.0.7:7946"]);
    let mut longer = alive_of(1, 9);
    longer.address = longer.address.to_sixteen();
    one.hear(Message::Alive(longer));
    assert_eq!(one.heard(), ["conflict m1 127.0.1.1:7946 127.0.1.1:7946"]);
    assert_eq!(one.state("m1"), Some((State::Alive, 1)));
    assert!(one.told().is_empty());
}

#[test]
fn our_own_name_from_another_address_is_a_conflict_too() {
    let mut one = One::among(0);
    let mut elsewhere = alive_of(1, 9);
    elsewhere.node = Name::from("me");
    one.hear(Message::Alive(elsewhere));
    assert_eq!(one.heard(), ["conflict me 127.0.0.1:7946 127.0.1.1:7946"]);
    assert_eq!(one.state("me"), Some((State::Alive, 1)));
}

#[test]
fn who_left_may_return_from_another_address_and_who_died_may_not() {
    let mut one = One::among(2);
    one.hear(dead("m0", 1, "m0"));
    one.hear(dead("m1", 1, "m0"));
    assert_eq!(one.heard(), ["gone m0 Left", "gone m1 Dead"]);
    let mut left = alive_of(0, 1);
    left.port = 9;
    one.hear(Message::Alive(left));
    assert_eq!(one.heard(), ["joined m0"]);
    let mut died = alive_of(1, 9);
    died.port = 9;
    one.hear(Message::Alive(died));
    assert_eq!(one.heard(), ["conflict m1 127.0.1.1:7946 127.0.1.1:9"]);
}

#[test]
fn the_name_of_the_dead_is_free_after_the_time_that_is_set() {
    let mut settings = config();
    settings.dead_node_reclaim_time = 5 * SECOND;
    settings.probe_interval = 1000 * SECOND;
    let mut one = One::with(settings);
    one.hear(alive(1, 1));
    one.hear(dead("m1", 1, "m0"));
    one.heard();
    let mut returned = alive_of(1, 1);
    returned.port = 9;
    one.now += 5 * SECOND;
    one.hear(Message::Alive(returned.clone()));
    assert_eq!(one.heard(), ["conflict m1 127.0.1.1:7946 127.0.1.1:9"]);
    one.now += SECOND;
    one.hear(Message::Alive(returned));
    assert_eq!(one.heard(), ["joined m1"]);
}

#[test]
fn a_doubt_is_told_on_and_refuted_by_a_higher_incarnation_only() {
    let mut one = One::among(10);
    one.hear(suspect("m1", 1, "m2"));
    assert_eq!(one.state("m1"), Some((State::Suspect, 1)));
    assert_eq!(one.heard(), ["m2 doubts m1: Message"]);
    assert_eq!(one.told(), [suspect("m1", 1, "m2")]);
    assert_eq!(one.swim.accusers(b"m1"), [Name::from("m2")]);
    one.hear(alive(1, 1));
    assert_eq!(one.state("m1"), Some((State::Suspect, 1)));
    one.hear(alive(1, 2));
    assert_eq!(one.state("m1"), Some((State::Alive, 2)));
    assert_eq!(one.heard(), ["m1 refuted"]);
    // The refutation takes the place of the doubt in the queue.
    assert_eq!(one.told(), [alive(1, 2)]);
}

#[test]
fn a_doubt_about_an_old_incarnation_or_an_unknown_member_is_ignored() {
    let mut one = One::among(2);
    one.hear(alive(1, 5));
    one.hear(suspect("m1", 4, "m0"));
    one.hear(dead("m1", 4, "m0"));
    one.hear(suspect("nobody", 1, "m0"));
    one.hear(dead("nobody", 1, "m0"));
    assert_eq!(one.state("m1"), Some((State::Alive, 5)));
    assert!(one.heard().is_empty());
}

#[test]
fn a_doubt_without_confirmation_lasts_the_longest_time_and_one_with_two_the_shortest() {
    // 12 in all: log10 12 = 1.079 -> 4.316 s, times 6 = 25.896 s.
    for (confirming, millis) in [(0, 25_896), (1, 12_280), (2, 4_316), (3, 4_316)] {
        let mut one = One::among(11);
        one.hear(suspect("m1", 1, "m2"));
        for number in 0..confirming {
            one.hear(suspect("m1", 1, &format!("m{}", 3 + number)));
        }
        one.heard();
        one.swim.timers = super::super::timers::Timers::default();
        let deadline = one.swim.members.find(b"m1").and_then(|slot| {
            one.swim
                .members
                .get(slot)?
                .suspicion
                .as_ref()
                .map(|suspicion| suspicion.deadline())
        });
        let deadline = deadline.unwrap();
        assert_eq!(
            (deadline - one.now).as_millis(),
            millis,
            "{confirming} confirmations"
        );
        let slot = one.swim.members.find(b"m1").unwrap();
        one.swim
            .timers
            .set(deadline, super::super::timers::Timer::Suspicion(slot));
        one.swim
            .timer(Moment::from_nanos(deadline.as_nanos() - 1), &mut one.notes);
        assert!(one.heard().is_empty());
        one.swim.timer(deadline, &mut one.notes);
        assert_eq!(one.heard(), ["gone m1 Dead"]);
        assert_eq!(one.told(), [dead("m1", 1, "me")]);
    }
}

#[test]
fn each_confirmation_is_told_on_once() {
    let mut one = One::among(10);
    one.hear(suspect("m1", 1, "m2"));
    one.hear(suspect("m1", 1, "m3"));
    assert_eq!(one.told(), [suspect("m1", 1, "m3")]);
    one.swim.queue.take(2, 60_000, 1, 255, &mut Vec::new());
    one.hear(suspect("m1", 1, "m3"));
    assert!(one.told().is_empty());
}

#[test]
fn the_dead_return_with_a_higher_incarnation() {
    let mut one = One::among(2);
    one.hear(dead("m1", 1, "m0"));
    assert_eq!(one.told(), [dead("m1", 1, "m0")]);
    one.hear(suspect("m1", 1, "m0"));
    one.hear(dead("m1", 7, "m1"));
    assert_eq!(one.state("m1"), Some((State::Dead, 1)));
    one.hear(alive(1, 1));
    assert_eq!(one.state("m1"), Some((State::Dead, 1)));
    one.hear(alive(1, 2));
    assert_eq!(one.heard(), ["gone m1 Dead", "joined m1"]);
}

#[test]
fn what_is_said_against_us_is_refuted_louder_and_costs_health() {
    for (accusation, incarnation) in [
        (suspect("me", 1, "m0"), 2),
        (dead("me", 1, "m0"), 2),
        (dead("me", 1, "me"), 2),
        (suspect("me", 9, "m0"), 10),
    ] {
        let mut one = One::among(2);
        one.hear(accusation.clone());
        assert_eq!(
            one.state("me"),
            Some((State::Alive, incarnation)),
            "{accusation:?}"
        );
        assert_eq!(one.swim.health_score(), 1);
        let [Message::Alive(alive)] = &one.told()[..] else {
            panic!("one refutation");
        };
        assert_eq!(
            (alive.incarnation, &alive.node),
            (incarnation, &Name::from("me"))
        );
        assert!(one.heard().is_empty());
    }
}

#[test]
fn an_accusation_of_an_old_incarnation_needs_no_refutation() {
    let mut one = One::among(2);
    one.hear(suspect("me", 9, "m0"));
    one.hear(suspect("me", 9, "m0"));
    assert_eq!(one.state("me"), Some((State::Alive, 10)));
    assert_eq!(one.swim.counters().refutations, 1);
}

#[test]
fn an_alive_message_about_us_is_refuted_unless_it_is_what_we_say() {
    let mut one = One::among(2);
    let ours = one.swim.own_alive();
    one.hear(Message::Alive(ours.clone()));
    assert_eq!(one.state("me"), Some((State::Alive, 1)));
    let mut other = ours.clone();
    other.meta = Bytes::from_static(b"tags of an earlier life");
    one.hear(Message::Alive(other));
    assert_eq!(one.state("me"), Some((State::Alive, 2)));
    let mut later = ours;
    later.incarnation = 40;
    one.hear(Message::Alive(later));
    assert_eq!(one.state("me"), Some((State::Alive, 41)));
}

#[test]
fn the_largest_incarnation_does_not_overflow() {
    let mut one = One::among(2);
    one.hear(suspect("me", u32::MAX, "m0"));
    assert_eq!(one.state("me"), Some((State::Alive, u32::MAX)));
    one.hear(suspect("me", u32::MAX, "m0"));
    assert_eq!(one.state("me"), Some((State::Alive, u32::MAX)));
}

#[test]
fn more_members_than_allowed_are_ignored() {
    let mut settings = config();
    settings.members_max = 2;
    let mut one = One::with(settings);
    one.hear(alive(1, 1));
    one.hear(alive(2, 1));
    assert_eq!(one.heard(), ["joined m1"]);
    assert_eq!(one.swim.counters().members_refused, 1);
}
