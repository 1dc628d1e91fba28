//! [pure] What the papers foretell, to be printed beside what was seen.
//!
//! SWIM: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol".
//! Lifeguard: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection".

use std::time::Duration;

use taraf_gossip::swim::Config;

/// For a cluster of so many members with these settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foretold {
    /// SWIM §3.1: until somebody probes a member that died, on average, in a large cluster: `e / (e - 1)` periods.
    pub(super) probe: Duration,
    /// Until that probe has failed.
    pub(super) failed: Duration,
    /// Lifeguard §IV-B: how long the suspicion lasts when enough confirm it.
    pub(super) suspicion_min: Duration,
    /// And when nobody does.
    pub(super) suspicion_max: Duration,
    /// Until a rumour has reached all: Pittel's `log_{f+1} N + ln N / f` rounds of fan-out `f`.
    pub(super) rumour: Duration,
}

pub(super) fn foretell(config: &Config, members: usize) -> Foretold {
    let count = f64::from(u32::try_from(members.max(2)).unwrap_or(u32::MAX));
    let fan_out = f64::from(u32::try_from(config.gossip_nodes.max(1)).unwrap_or(u32::MAX));
    let rounds = (count.ln() / (fan_out + 1.0).ln() + count.ln() / fan_out).ceil();
    let factor = count.log10().max(1.0) * f64::from(config.suspicion_mult);
    let suspicion_min = config.probe_interval.mul_f64(factor);
    Foretold {
        probe: config
            .probe_interval
            .mul_f64(std::f64::consts::E / (std::f64::consts::E - 1.0)),
        failed: config.probe_interval,
        suspicion_min,
        suspicion_max: suspicion_min * config.suspicion_max_timeout_mult,
        rumour: config.gossip_interval.mul_f64(rounds),
    }
}

impl Foretold {
    /// From a death to the verdict, on average, when all goes as it should.
    pub(super) fn verdict(&self) -> Duration {
        self.probe + self.failed + self.suspicion_min
    }
}
