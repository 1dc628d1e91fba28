//! [pure] How many answers a client gets: enough for whoever asks, useless for whoever floods another.
//!
//! Answers over UDP go to whatever address a question claims to come from. Beyond its rate a client is told to come
//! again over TCP, which proves its address; beyond twice that it hears nothing.

use std::net::IpAddr;
use std::time::Duration;

use taraf_base::Rng;

/// Clients are counted in so many places; those that chance puts into one place share its rate.
const PLACES: usize = 4096;

/// One second, in the unit in which answers are counted.
const ANSWER: u64 = 1_000;

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Answer,
    /// An empty answer that says: ask over TCP.
    ComeOverTcp,
    Silence,
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// Since the limit was made.
    at: Duration,
    /// What was answered and is not forgiven yet, in thousandths.
    spent: u64,
}

/// The rates of all clients, in a fixed amount of memory.
pub(super) struct Limit {
    per_second: u64,
    /// A chance that nobody knows, so that nobody can choose whose place to share.
    seed: u64,
    places: Box<[Place]>,
}

impl Limit {
    /// So many answers a second for each client; 0 is no limit.
    pub(super) fn new(per_second: u32, seed: u64) -> Self {
        Self {
            per_second: per_second.into(),
            seed,
            places: vec![Place::default(); PLACES].into(),
        }
    }

    /// Counts a question of a client, `now` after the limit was made.
    pub(super) fn ask(&mut self, client: IpAddr, now: Duration) -> Verdict {
        if self.per_second == 0 {
            return Verdict::Answer;
        }
        let index = Rng::new(self.seed ^ network(client)).below(PLACES as u64);
        let index = usize::try_from(index).unwrap_or_default();
        let Some(place) = self.places.get_mut(index) else {
            return Verdict::Answer;
        };
        let passed = now.saturating_sub(place.at).as_millis();
        let forgiven = u64::try_from(passed).unwrap_or(u64::MAX);
        place.at = now;
        place.spent = place
            .spent
            .saturating_sub(forgiven.saturating_mul(self.per_second));
        let rate = self.per_second.saturating_mul(ANSWER);
        let spent = place.spent.saturating_add(ANSWER);
        if spent > rate.saturating_mul(2) {
            return Verdict::Silence;
        }
        place.spent = spent;
        if spent > rate {
            return Verdict::ComeOverTcp;
        }
        Verdict::Answer
    }
}

/// Whom an address belongs to: of IPv6 a site has a whole network, of which the first 56 bits tell.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address
            .octets()
            .iter()
            .take(7)
            .fold(0, |network, &byte| network << 8 | u64::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn verdicts(limit: &mut Limit, client: &str, now: Duration, count: usize) -> [usize; 3] {
        let client: IpAddr = client.parse().unwrap();
        let mut seen = [0; 3];
        for _ in 0..count {
            seen[limit.ask(client, now) as usize] += 1;
        }
        seen
    }

    #[test]
    fn beyond_its_rate_a_client_is_sent_to_tcp_and_then_not_heard() {
        let mut limit = Limit::new(10, 1);
        assert_eq!(verdicts(&mut limit, "10.0.0.1", SECOND, 50), [10, 10, 30]);
        assert_eq!(verdicts(&mut limit, "10.0.0.2", SECOND, 5), [5, 0, 0]);
        let later = SECOND * 3;
        assert_eq!(verdicts(&mut limit, "10.0.0.1", later, 50), [10, 10, 30]);
    }

    #[test]
    fn a_site_of_ipv6_counts_as_one_client() {
        let mut limit = Limit::new(4, 1);
        let first = verdicts(&mut limit, "2001:db8:1:200::1", SECOND, 4);
        let second = verdicts(&mut limit, "2001:db8:1:2ff::2", SECOND, 4);
        assert_eq!((first, second), ([4, 0, 0], [0, 4, 0]));
    }

    #[test]
    fn no_limit_is_none() {
        let mut limit = Limit::new(0, 1);
        assert_eq!(verdicts(&mut limit, "::1", SECOND, 9_999), [9_999, 0, 0]);
    }
}
