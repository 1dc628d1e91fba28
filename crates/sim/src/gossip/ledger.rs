//! [pure] What happened in a simulation: who heard what when, who was declared failed, how much went over the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use taraf_gossip::moment::Moment;

/// A user event that somebody said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at: Moment,
    pub(super) by: usize,
    /// Its Lamport time.
    pub(super) time: u64,
    pub(super) last_heard: Moment,
    pub(super) heard: usize,
}

/// Verdicts about one that really died.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    pub(super) died: Moment,
    pub(super) first: Option<Moment>,
    pub(super) last: Option<Moment>,
    pub(super) count: usize,
}

/// All that was counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) said: BTreeMap<Bytes, Said>,
    pub(super) deaths: BTreeMap<usize, Verdicts>,
    /// Those that stand still now and then: verdicts about them are not wrong.
    pub(super) frozen: BTreeSet<usize>,
    /// Verdicts about members that ran.
    pub(super) false_failures: u64,
    pub(super) packets: u64,
    pub(super) packet_bytes: u64,
    pub(super) streams: u64,
    pub(super) events: u64,
    /// The first thing that was not as it must be.
    pub(super) failure: Option<String>,
}

impl Ledger {
    pub(super) fn fail(&mut self, why: impl FnOnce() -> String) {
        self.failure.get_or_insert_with(why);
    }

    /// From saying to the last one's hearing, of each event, sorted.
    pub(super) fn event_times(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = self
            .said
            .values()
            .map(|said| said.last_heard - said.at)
            .collect();
        times.sort_unstable();
        times
    }

    /// From each death to the first and to the last verdict.
    pub(super) fn verdict_times(&self) -> Vec<(Duration, Duration)> {
        let mut times: Vec<(Duration, Duration)> = self
            .deaths
            .values()
            .filter_map(|death| Some((death.first? - death.died, death.last? - death.died)))
            .collect();
        times.sort_unstable();
        times
    }
}
