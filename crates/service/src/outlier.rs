//! [pure] Which endpoints of a pool fail so much more than the others that they are ejected.
//!
//! The breaker sees an endpoint that does not answer; this sees one that answers with errors while
//! its equals do not. A pool of one is never judged, and never more than a share is ejected, so bad
//! answers that all give (a failing database behind them) leave the pool whole.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When an endpoint is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often the pool is judged. Default 5 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub interval: Duration,
    /// Calls in an interval below which an endpoint is not judged. Default 10.
    pub calls_min: u32,
    /// By how many percentage points its failures must exceed those of the others taken together.
    /// Default 30.
    pub excess_percent: u32,
    /// The largest share of the pool that may be ejected. Default 50.
    pub ejected_percent_max: u32,
    /// How long the first ejection lasts; each further one in a row doubles it. Default 10 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub ejection_first: Duration,
    /// The longest ejection. Default 5 min.
    #[serde(with = "taraf_base::duration::serde")]
    pub ejection_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            calls_min: 10,
            excess_percent: 30,
            ejected_percent_max: 50,
            ejection_first: Duration::from_secs(10),
            ejection_max: Duration::from_secs(300),
        }
    }
}

/// What is known of an endpoint at the end of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Calls that ended in the interval.
    pub calls: u32,
    /// How many of them failed.
    pub failures: u32,
    /// Until when it is ejected.
    pub ejected_until: Option<Duration>,
    /// Ejections in a row.
    pub ejections: u32,
}

/// What becomes of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it was.
    Keep,
    /// It takes no calls until then.
    Eject {
        /// The end of the ejection.
        until: Duration,
    },
    /// Its ejection is over; it takes calls again and its past still counts.
    Return,
    /// It behaved for an interval; its ejections are forgotten.
    Forgive,
}

/// Judges the endpoints of a pool, in their order.
#[must_use]
pub fn judge(config: &Config, samples: &[Sample], now: Duration) -> Vec<Verdict> {
    let is_out = |sample: &Sample| sample.ejected_until.is_some_and(|until| until > now);
    let mut out = samples.iter().filter(|sample| is_out(sample)).count();
    let total = |count: fn(&Sample) -> u32| -> u64 {
        let active = samples.iter().filter(|sample| !is_out(sample));
        active.map(|sample| u64::from(count(sample))).sum()
    };
    let (calls, failures) = (
        total(|sample| sample.calls),
        total(|sample| sample.failures),
    );
    let excess = u64::from(config.excess_percent);
    let is_outlier = |sample: &Sample| {
        let (own_calls, own_failures) = (u64::from(sample.calls), u64::from(sample.failures));
        let (other_calls, other_failures) = (calls - own_calls, failures - own_failures);
        sample.calls >= config.calls_min.max(1)
            && other_calls >= u64::from(config.calls_min.max(1))
            && own_failures * 100 / own_calls >= other_failures * 100 / other_calls + excess.max(1)
    };
    let out_max = samples.len() * usize::try_from(config.ejected_percent_max).unwrap_or(0) / 100;
    let verdict = |sample: &Sample| {
        if is_out(sample) {
            Verdict::Keep
        } else if is_outlier(sample) && out < out_max {
            out += 1;
            let until = now.saturating_add(ejection(config, sample.ejections));
            Verdict::Eject { until }
        } else if sample.ejected_until.is_some() {
            Verdict::Return
        } else if sample.ejections > 0 && sample.calls > 0 && !is_outlier(sample) {
            Verdict::Forgive
        } else {
            Verdict::Keep
        }
    };
    samples.iter().map(verdict).collect()
}

fn ejection(config: &Config, before: u32) -> Duration {
    2_u32
        .checked_pow(before)
        .and_then(|factor| config.ejection_first.checked_mul(factor))
        .map_or(config.ejection_max, |time| time.min(config.ejection_max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    const fn sample(calls: u32, failures: u32) -> Sample {
        Sample {
            calls,
            failures,
            ejected_until: None,
            ejections: 0,
        }
    }

    fn check(samples: &[Sample], expected: &[Verdict]) {
        assert_eq!(judge(&Config::default(), samples, NOW), expected);
    }

    const EJECT: Verdict = Verdict::Eject {
        until: Duration::from_secs(110),
    };

    #[test]
    fn one_that_fails_while_the_others_do_not_is_ejected() {
        check(
            &[sample(50, 40), sample(50, 1), sample(50, 0)],
            &[EJECT, Verdict::Keep, Verdict::Keep],
        );
    }

    #[test]
    fn failures_that_all_share_eject_nobody() {
        check(&[sample(50, 50), sample(50, 45)], &[Verdict::Keep; 2]);
    }

    #[test]
    fn few_calls_prove_nothing_and_one_alone_is_never_judged() {
        check(&[sample(9, 9), sample(50, 0)], &[Verdict::Keep; 2]);
        check(&[sample(50, 50)], &[Verdict::Keep]);
        check(&[], &[]);
    }

    #[test]
    fn an_ejection_ends_and_is_forgiven_after_good_behaviour() {
        let mut back = sample(0, 0);
        back.ejected_until = Some(NOW);
        back.ejections = 1;
        check(&[back, sample(50, 0)], &[Verdict::Return, Verdict::Keep]);
        let mut good = sample(50, 0);
        good.ejections = 1;
        check(&[good, sample(50, 0)], &[Verdict::Forgive, Verdict::Keep]);
    }

    #[test]
    fn ejections_in_a_row_grow_to_the_limit() {
        for (ejections, seconds) in [(0, 10), (1, 20), (3, 80), (9, 300), (99, 300)] {
            let time = ejection(&Config::default(), ejections);
            assert_eq!(time, Duration::from_secs(seconds));
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_is_out(
            counts in prop::collection::vec((0_u32..100, 0_u32..100, prop::bool::ANY), 0..20),
        ) {
            let samples: Vec<_> = counts.iter().map(|&(calls, failures, is_out)| Sample {
                ejected_until: is_out.then_some(NOW + Duration::from_secs(1)),
                ..sample(calls, failures.min(calls))
            }).collect();
            let before = counts.iter().filter(|(_, _, is_out)| *is_out).count();
            let ejected = judge(&Config::default(), &samples, NOW)
                .into_iter()
                .filter(|verdict| matches!(verdict, Verdict::Eject { .. }))
                .count();
            prop_assert!(ejected == 0 || before + ejected <= samples.len() / 2);
        }
    }
}
