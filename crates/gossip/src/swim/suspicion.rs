//! [pure] One suspicion: how long it may last, and how the doubts of others shorten it (Lifeguard).

use std::time::Duration;

use super::awareness::Awareness;
use super::{Config, Name};
use crate::moment::Moment;

/// Why and until when a member is suspected.
///
/// It begins with the longest time. Each accuser that is not the first shortens it, until after `wanted` of them
/// only the shortest is left: many that say the same cannot all be the slow one.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    begun: Moment,
    min: Duration,
    max: Duration,
    wanted: u32,
    /// The first accuser, then those that confirmed: at most `wanted + 1`.
    accusers: Vec<Name>,
    deadline: Moment,
    /// Those of our kind that have looked themselves, at most [`OBSERVERS`].
    observers: Vec<Name>,
    /// How long it lasts at most once there are so many; none if the member is not of our kind.
    observed: Option<Duration>,
}

/// So many must have looked, so that it is not one who is slow.
const OBSERVERS: usize = 3;

impl Suspicion {
    /// `accuser` is the first to suspect a member, in a list of `members`.
    pub(super) fn new(config: &Config, members: usize, accuser: Name, now: Moment) -> Self {
        let min = timeout_min(config.suspicion_mult, members, config.probe_interval);
        let max = min.saturating_mul(config.suspicion_max_timeout_mult.max(1));
        let wanted = confirmations_wanted(config.suspicion_mult, members);
        let mut suspicion = Self {
            begun: now,
            min,
            max,
            wanted,
            accusers: vec![accuser],
            deadline: now,
            observers: Vec::new(),
            observed: None,
        };
        suspicion.deadline = now + suspicion.timeout();
        suspicion
    }

    /// `from` suspects the member too. True if that is news, which others should hear and which may have brought
    /// the deadline nearer.
    pub(super) fn confirm(&mut self, from: &Name, has_looked: bool) -> bool {
        let is_confirmed = self.confirmations() < self.wanted && !self.accusers.contains(from);
        if is_confirmed {
            self.accusers.push(from.clone());
        }
        let is_seen = self.observed.is_some()
            && has_looked
            && self.observers.len() < OBSERVERS
            && !self.observers.contains(from);
        if is_seen {
            self.observers.push(from.clone());
        }
        self.deadline = self.begun + self.timeout();
        is_confirmed || is_seen
    }

    /// The member is of our kind: it is enough that several of our kind have looked at it, for a time. Whether the
    /// first accuser has is told too.
    pub(super) fn observe(&mut self, lasts: Duration, has_looked: bool) {
        self.observed = Some(lasts).filter(|lasts| !lasts.is_zero());
        if has_looked {
            self.observers.extend(self.accusers.first().cloned());
        }
    }

    /// The time from now on begins later by `by`: we stood still, and heard no refutation.
    pub(super) fn postpone(&mut self, by: Duration) {
        self.begun += by;
        self.deadline += by;
    }

    /// When the member is dead, unless it refutes.
    pub(super) fn deadline(&self) -> Moment {
        self.deadline
    }

    /// When it is dead for us, who may not be well: what several have seen is quick for those that are.
    pub(super) fn deadline_with(&self, awareness: Awareness) -> Moment {
        match self.quick() {
            Some(quick) => self.begun + awareness.scale(quick).min(self.unhurried()),
            None => self.deadline,
        }
    }

    /// How long it lasts if enough have looked.
    fn quick(&self) -> Option<Duration> {
        self.observed.filter(|_| self.observers.len() >= OBSERVERS)
    }

    /// Who suspects it, the first one first.
    pub(super) fn accusers(&self) -> &[Name] {
        &self.accusers
    }

    /// True when fewer than expected confirmed: perhaps it is us who hears nobody.
    pub(super) fn is_lonely(&self) -> bool {
        self.confirmations() < self.wanted
    }

    fn confirmations(&self) -> u32 {
        let others = self.accusers.len().saturating_sub(1);
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    fn timeout(&self) -> Duration {
        let unhurried = self.unhurried();
        self.quick().map_or(unhurried, |quick| quick.min(unhurried))
    }

    /// From the beginning: `max - (max - min) * ln(n + 1) / ln(k + 1)`, in whole milliseconds.
    fn unhurried(&self) -> Duration {
        if self.wanted == 0 {
            return self.min;
        }
        let fraction = f64::from(self.confirmations() + 1).ln() / f64::from(self.wanted + 1).ln();
        let span = (self.max.saturating_sub(self.min)).as_secs_f64();
        let seconds = self.max.as_secs_f64() - fraction * span;
        floor_to_millis(seconds).max(self.min)
    }
}

/// `mult * max(1, log10(members)) * interval`, the factor cut to three decimals as Serf does.
pub(super) fn timeout_min(mult: u32, members: usize, interval: Duration) -> Duration {
    let members = u32::try_from(members.max(1)).unwrap_or(u32::MAX);
    let factor = f64::from(members).log10().max(1.0);
    let thousandths = floor_to_millis(factor).as_millis();
    let thousandths = u32::try_from(thousandths).unwrap_or(u32::MAX);
    interval.saturating_mul(mult).saturating_mul(thousandths) / 1000
}

/// How many others should confirm: none where there are too few to ask.
fn confirmations_wanted(mult: u32, members: usize) -> u32 {
    let wanted = mult.saturating_sub(2);
    let others = members.saturating_sub(2);
    if usize::try_from(wanted).is_ok_and(|wanted| others < wanted) {
        return 0;
    }
    wanted
}

fn floor_to_millis(seconds: f64) -> Duration {
    let exact = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    exact - Duration::from_nanos(u64::from(exact.subsec_nanos() % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Address;

    fn lan() -> Config {
        Config::lan(Name::from("me"), Address::Four([127, 0, 0, 1]), 7946)
    }

    fn seconds(suspicion: &Suspicion) -> f64 {
        (suspicion.deadline() - Moment::START).as_secs_f64()
    }

    #[test]
    fn the_shortest_time_grows_with_the_logarithm_of_the_members() {
        let second = Duration::from_secs(1);
        for (mult, members, millis) in [
            (4, 0, 4_000),
            (4, 10, 4_000),
            (4, 11, 4_164),
            (4, 100, 8_000),
            (4, 500, 10_792),
            (4, 1_000, 12_000),
            (6, 100, 12_000),
        ] {
            let timeout = timeout_min(mult, members, second);
            assert_eq!(timeout.as_millis(), millis, "{mult} x {members}");
        }
        assert_eq!(timeout_min(6, 10, 5 * second), 30 * second);
    }

    #[test]
    fn confirmations_shorten_it_from_the_longest_to_the_shortest() {
        let mut suspicion = Suspicion::new(&lan(), 10, Name::from("a"), Moment::START);
        assert_eq!(seconds(&suspicion), 24.0);
        assert!(suspicion.is_lonely());
        assert!(suspicion.confirm(&Name::from("b"), false));
        // 24 - 20 * ln 2 / ln 3
        assert_eq!(seconds(&suspicion), 11.381);
        assert!(suspicion.confirm(&Name::from("c"), false));
        assert_eq!(seconds(&suspicion), 4.0);
        assert!(!suspicion.is_lonely());
    }

    #[test]
    fn the_same_accuser_counts_once_and_more_than_wanted_change_nothing() {
        let mut suspicion = Suspicion::new(&lan(), 100, Name::from("a"), Moment::START);
        assert_eq!(seconds(&suspicion), 48.0);
        assert!(!suspicion.confirm(&Name::from("a"), false));
        assert!(suspicion.confirm(&Name::from("b"), false));
        assert!(!suspicion.confirm(&Name::from("b"), false));
        assert!(suspicion.confirm(&Name::from("c"), false));
        assert!(!suspicion.confirm(&Name::from("d"), false));
        assert_eq!(suspicion.accusers().len(), 3);
    }

    #[test]
    fn a_postponed_suspicion_keeps_what_confirmations_took_off() {
        let mut suspicion = Suspicion::new(&lan(), 10, Name::from("a"), Moment::START);
        suspicion.postpone(Duration::from_secs(7));
        assert_eq!(seconds(&suspicion), 31.0);
        assert!(suspicion.confirm(&Name::from("b"), false));
        assert_eq!(seconds(&suspicion), 18.381);
    }

    #[test]
    fn where_nobody_can_confirm_the_shortest_time_holds_from_the_start() {
        // Of three members one is suspected and one suspects: one is left, two are wanted.
        let mut suspicion = Suspicion::new(&lan(), 3, Name::from("a"), Moment::START);
        assert_eq!(seconds(&suspicion), 4.0);
        assert!(!suspicion.confirm(&Name::from("b"), false));
        assert_eq!(
            seconds(&Suspicion::new(&lan(), 4, Name::from("a"), Moment::START)),
            24.0
        );
    }
}
