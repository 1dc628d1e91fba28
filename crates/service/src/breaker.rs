//! [pure] One endpoint's breaker: after failures in a row it refuses for a while, then lets one try.
//!
//! Time is passed in as the time since some fixed beginning.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Failures in a row after which it opens. 0 never opens it. Default 5.
    pub failures: u32,
    /// How long it first stays open. Default 1 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub open_first: Duration,
    /// The longest it stays open; each trial that fails doubles the time. Default 30 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub open_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            failures: 5,
            open_first: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
        }
    }
}

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Passing all.
    Closed,
    /// Refusing all until then.
    Open {
        /// From then on one call may try.
        until: Duration,
    },
    /// One call tries; the others are refused until its result is known.
    HalfOpen,
}

/// The right to make one call; its result comes back with it.
///
/// Invariant: results of calls let in before the last change of state change nothing, because
/// `generation` grows with each change and a result of another generation is ignored. So an old
/// call that ends late neither closes a breaker nor lengthens its opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    generation: u32,
}

impl Ticket {
    /// As a number that no other generation has, for keeping in an atomic.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.generation
    }

    /// The ticket of a number.
    #[must_use]
    pub const fn from_number(generation: u32) -> Self {
        Self { generation }
    }
}

/// One endpoint's breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: Config,
    state: State,
    failures: u32,
    /// Openings since the last success, for the time to stay open.
    openings: u32,
    generation: u32,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            state: State::Closed,
            failures: 0,
            openings: 0,
            generation: 0,
        }
    }

    /// What it does with calls.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The ticket of all calls while it is closed and has counted no failure: then there is nothing
    /// to change when a call enters or succeeds.
    #[must_use]
    pub const fn clean_ticket(&self) -> Option<Ticket> {
        if matches!(self.state, State::Closed) && self.failures == 0 {
            Some(Ticket {
                generation: self.generation,
            })
        } else {
            None
        }
    }

    /// Whether a call would pass now.
    #[must_use]
    pub fn permits(&self, now: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => now >= until,
            State::HalfOpen => false,
        }
    }

    /// Lets a call pass, if it may.
    pub fn enter(&mut self, now: Duration) -> Option<Ticket> {
        if !self.permits(now) {
            return None;
        }
        if matches!(self.state, State::Open { .. }) {
            self.change(State::HalfOpen);
        }
        Some(Ticket {
            generation: self.generation,
        })
    }

    /// The call had an answer.
    pub const fn succeeded(&mut self, ticket: Ticket) {
        if ticket.generation != self.generation {
            return;
        }
        self.failures = 0;
        if matches!(self.state, State::HalfOpen) {
            self.openings = 0;
            self.change(State::Closed);
        }
    }

    /// The call failed.
    pub fn failed(&mut self, ticket: Ticket, now: Duration) {
        if ticket.generation != self.generation {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let is_trial = matches!(self.state, State::HalfOpen);
        if is_trial || (self.config.failures > 0 && self.failures >= self.config.failures) {
            let grown = 2_u32
                .checked_pow(self.openings)
                .and_then(|factor| self.config.open_first.checked_mul(factor))
                .map_or(self.config.open_max, |time| time.min(self.config.open_max));
            self.openings = self.openings.saturating_add(1);
            self.failures = 0;
            self.change(State::Open {
                until: now.saturating_add(grown),
            });
        }
    }

    /// The call was given up without a result. A trial makes room for the next at once.
    pub const fn abandoned(&mut self, ticket: Ticket, now: Duration) {
        if ticket.generation == self.generation && matches!(self.state, State::HalfOpen) {
            self.change(State::Open { until: now });
        }
    }

    const fn change(&mut self, state: State) {
        self.state = state;
        // Wrapping past 2^32 changes could only confuse calls that old.
        self.generation = self.generation.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: Config = Config {
        failures: 3,
        open_first: Duration::from_secs(1),
        open_max: Duration::from_secs(3),
    };

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(breaker: &mut Breaker, now: Duration) {
        let ticket = breaker.enter(now).unwrap();
        breaker.failed(ticket, now);
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(CONFIG);
        (0..3).for_each(|_| fail(&mut breaker, at(0)));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let mut breaker = Breaker::new(CONFIG);
        fail(&mut breaker, at(0));
        fail(&mut breaker, at(0));
        let ticket = breaker.enter(at(0)).unwrap();
        breaker.succeeded(ticket);
        fail(&mut breaker, at(0));
        fail(&mut breaker, at(0));
        assert_eq!(breaker.state(), State::Closed);
        fail(&mut breaker, at(0));
        assert_eq!(breaker.state(), State::Open { until: at(1) });
        assert_eq!(breaker.enter(Duration::from_millis(999)), None);
    }

    #[test]
    fn one_call_tries_while_others_are_refused() {
        let mut breaker = opened();
        let trial = breaker.enter(at(1)).unwrap();
        assert_eq!(breaker.enter(at(1)), None);
        breaker.succeeded(trial);
        assert_eq!(breaker.state(), State::Closed);
        assert!(breaker.enter(at(1)).is_some());
    }

    #[test]
    fn each_failed_trial_doubles_the_time_up_to_the_limit() {
        let mut breaker = opened();
        for (now, until) in [(1, 3), (3, 6), (6, 9)] {
            fail(&mut breaker, at(now));
            assert_eq!(breaker.state(), State::Open { until: at(until) });
        }
    }

    #[test]
    fn results_of_calls_from_before_the_opening_change_nothing() {
        let mut breaker = Breaker::new(CONFIG);
        let old = breaker.enter(at(0)).unwrap();
        (0..3).for_each(|_| fail(&mut breaker, at(0)));
        let open = breaker.state();
        breaker.succeeded(old);
        breaker.failed(old, at(9));
        assert_eq!(breaker.state(), open);
        let _trial = breaker.enter(at(1)).unwrap();
        breaker.succeeded(old);
        assert_eq!(breaker.state(), State::HalfOpen);
    }

    #[test]
    fn an_abandoned_trial_makes_room_for_the_next() {
        let mut breaker = opened();
        let trial = breaker.enter(at(1)).unwrap();
        breaker.abandoned(trial, at(1));
        assert!(breaker.enter(at(1)).is_some());
    }

    #[test]
    fn a_breaker_of_no_failures_never_opens() {
        let mut breaker = Breaker::new(Config {
            failures: 0,
            ..CONFIG
        });
        (0..100).for_each(|_| fail(&mut breaker, at(0)));
        assert_eq!(breaker.state(), State::Closed);
    }

    proptest! {
        /// Whatever happens, it lets somebody try again after the longest time once all calls ended.
        #[test]
        fn it_never_refuses_for_ever(steps in prop::collection::vec((0_u8..4, 0_u64..3000), 0..60)) {
            let mut breaker = Breaker::new(CONFIG);
            let mut now = Duration::ZERO;
            let mut under_way = Vec::new();
            for (step, wait) in steps {
                now += Duration::from_millis(wait);
                match (step, under_way.pop()) {
                    (0, ticket) => {
                        under_way.extend(ticket);
                        under_way.extend(breaker.enter(now));
                    }
                    (1, Some(ticket)) => breaker.succeeded(ticket),
                    (2, Some(ticket)) => breaker.failed(ticket, now),
                    (_, Some(ticket)) => breaker.abandoned(ticket, now),
                    (_, None) => {}
                }
            }
            for ticket in under_way {
                breaker.abandoned(ticket, now);
            }
            prop_assert!(breaker.permits(now + CONFIG.open_max));
        }
    }
}
