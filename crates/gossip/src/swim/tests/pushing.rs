//! Exchanges of state: when, with whom, what is believed of them.

use super::*;
use crate::swim::machine::Turn;
use crate::wire::memberlist::{NodeState, PushPull};

fn entry(number: u8, incarnation: u32, state: State) -> NodeState {
    let alive = alive_of(number, incarnation);
    NodeState {
        name: alive.node,
        address: alive.address,
        port: alive.port,
        meta: alive.meta,
        incarnation,
        state,
        versions: alive.versions,
    }
}

impl One {
    fn merge(&mut self, states: Vec<NodeState>) -> Result<(), String> {
        let theirs = PushPull {
            states,
            ..PushPull::default()
        };
        let turn = &mut Turn {
            now: self.now,
            delegate: &mut self.notes,
        };
        self.swim.merge(turn, theirs)
    }
}

impl Swim {
    /// The state of a join, with this from the layer above.
    pub(super) fn own_state_for_test(&self, user_state: &'static [u8]) -> PushPull {
        let mut notes = Notes {
            state: Bytes::from_static(user_state),
            ..Notes::default()
        };
        let turn = &mut Turn {
            now: Moment::START,
            delegate: &mut notes,
        };
        let mut state = self.own_state(turn, true);
        state.states.retain(|state| state.name != self.config.name);
        state
    }
}

#[test]
fn the_living_are_believed_and_those_that_left_too() {
    let mut one = One::among(2);
    one.merge(vec![entry(7, 3, State::Alive), entry(1, 1, State::Left)])
        .unwrap();
    assert_eq!(one.heard(), ["joined m7", "gone m1 Left"]);
}

#[test]
fn the_dead_are_only_doubted_and_the_unknown_dead_ignored() {
    let mut one = One::among(3);
    let states = [
        entry(0, 1, State::Dead),
        entry(1, 1, State::Suspect),
        entry(8, 1, State::Dead),
        entry(9, 1, State::Left),
    ];
    one.merge(states.into()).unwrap();
    assert_eq!(
        one.heard(),
        ["me doubts m0: PushPull", "me doubts m1: PushPull"]
    );
    assert_eq!(one.state("m0"), Some((State::Suspect, 1)));
    assert_eq!(one.state("m8"), None);
}

#[test]
fn versions_outside_of_what_all_understand_fail_the_whole_exchange() {
    for (versions, why) in [
        (
            [1, 1, 1, 2, 5, 5],
            "Node 'me' protocol version (2) is incompatible: [1, 1]",
        ),
        (
            [3, 5, 3, 2, 5, 5],
            "Node 'me' protocol version (2) is incompatible: [3, 5]",
        ),
        (
            [1, 5, 2, 2, 4, 4],
            "Node 'me' delegate protocol version (5) is incompatible: [2, 4]",
        ),
        (
            [1, 5, 6, 2, 5, 5],
            "Node 'm7' protocol version (6) is incompatible: [1, 5]",
        ),
    ] {
        let mut one = One::among(0);
        let mut other = entry(7, 1, State::Alive);
        other.versions = Some(Versions::from_array(versions));
        assert_eq!(one.merge(vec![other]), Err(why.to_owned()));
        assert!(one.heard().is_empty());
    }
}

#[test]
fn larger_maxima_no_versions_and_dead_members_do_no_harm() {
    let mut one = One::among(0);
    let mut newer = entry(7, 1, State::Alive);
    newer.versions = Some(Versions::from_array([1, 6, 2, 2, 9, 5]));
    let mut silent = entry(8, 1, State::Alive);
    silent.versions = None;
    let mut old = entry(9, 1, State::Dead);
    old.versions = Some(Versions::from_array([1, 1, 2, 2, 2, 5]));
    one.merge(vec![newer, silent, old]).unwrap();
    assert_eq!(one.heard(), ["joined m7", "joined m8"]);
}

#[test]
fn a_partner_is_asked_about_every_thirty_seconds() {
    let mut one = One::among(1);
    one.swim.config.probe_interval = 10_000 * SECOND;
    let exchanges = |outputs: Vec<(Moment, Output)>| {
        let to = outputs.into_iter().filter_map(|(_, output)| match output {
            Output::OpenStream { to, .. } => Some(to),
            _ => None,
        });
        to.collect::<Vec<SocketAddr>>()
    };
    let to = exchanges(one.pass(300 * SECOND));
    // The probe that was due at the start still takes place, and ends in a TCP ping of its own.
    assert!((10..=11).contains(&to.len()), "{to:?}");
    assert!(to.iter().all(|to| *to == socket(0)));
}

#[test]
fn an_exchange_that_taught_something_is_followed_by_another() {
    let exchanges = |outputs: Vec<(Moment, Output)>| {
        outputs
            .iter()
            .filter(|(_, output)| matches!(output, Output::OpenStream { .. }))
            .count()
    };
    for (interval, expected) in [(SECOND, 1), (Duration::ZERO, 0)] {
        let mut one = One::among(0);
        one.swim.timers = super::super::timers::Timers::default();
        one.swim.config.catch_up_interval = interval;
        one.merge(vec![entry(1, 1, State::Alive), entry(2, 1, State::Alive)])
            .unwrap();
        one.merge(vec![entry(3, 1, State::Alive)]).unwrap();
        assert_eq!(exchanges(one.pass(SECOND)), expected);
        // What is known already teaches nothing.
        one.merge(vec![entry(3, 1, State::Alive)]).unwrap();
        assert_eq!(exchanges(one.pass(SECOND)), 0);
    }
}

#[test]
fn without_an_interval_there_are_no_exchanges() {
    let mut settings = config();
    settings.push_pull_interval = Duration::ZERO;
    settings.probe_interval = 10_000 * SECOND;
    let mut one = One::with(settings);
    one.hear(alive(1, 1));
    let outputs = one.pass(600 * SECOND);
    assert!(
        !outputs
            .iter()
            .any(|(_, output)| matches!(output, Output::OpenStream { .. }))
    );
}
