//! [pure] The constants of the protocol one by one, where a profile does not fit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::duration;
use crate::{serf, swim};

/// A profile's constants that are to be others; key `timing` of a configuration, ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing(pub(super) BTreeMap<&'static str, Amount>);

/// The value of a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Time(Duration),
    Count(u32),
}

type Place<T> = for<'a> fn(&'a mut swim::Config, &'a mut serf::Config) -> &'a mut T;

/// Where a constant lies, and what it may be.
enum Kind {
    /// A time of at least a millisecond.
    Time(Place<Duration>),
    /// A time, or zero for never.
    TimeOrNever(Place<Duration>),
    /// A number from 1 on.
    Count(Place<u32>),
    /// A number from 1 on.
    Size(Place<usize>),
}

const TIME_MIN: Duration = Duration::from_millis(1);

/// All constants by their names, which are Serf's where Serf has them.
const CONSTANTS: [(&str, Kind); 33] = [
    (
        "awareness_max_multiplier",
        Kind::Count(|swim, _| &mut swim.awareness_max),
    ),
    (
        "catch_up_interval",
        Kind::TimeOrNever(|swim, _| &mut swim.catch_up_interval),
    ),
    (
        "dead_node_reclaim_time",
        Kind::TimeOrNever(|swim, _| &mut swim.dead_node_reclaim_time),
    ),
    ("event_buffer", Kind::Size(|_, serf| &mut serf.event_slots)),
    ("flap_timeout", Kind::Time(|_, serf| &mut serf.flap_timeout)),
    (
        "gossip_interval",
        Kind::Time(|swim, _| &mut swim.gossip_interval),
    ),
    ("gossip_nodes", Kind::Size(|swim, _| &mut swim.gossip_nodes)),
    (
        "gossip_to_the_dead_time",
        Kind::Time(|swim, _| &mut swim.gossip_to_the_dead_time),
    ),
    (
        "indirect_checks",
        Kind::Size(|swim, _| &mut swim.indirect_checks),
    ),
    (
        "join_parallel",
        Kind::Size(|swim, _| &mut swim.join_parallel),
    ),
    (
        "leave_propagate_delay",
        Kind::Time(|_, serf| &mut serf.leave_propagate_delay),
    ),
    ("max_queue_depth", Kind::Size(|_, serf| &mut serf.queue_max)),
    ("members_max", Kind::Size(|swim, _| &mut swim.members_max)),
    (
        "open_queries_max",
        Kind::Size(|_, serf| &mut serf.open_queries_max),
    ),
    (
        "probe_interval",
        Kind::Time(|swim, _| &mut swim.probe_interval),
    ),
    (
        "probe_timeout",
        Kind::Time(|swim, _| &mut swim.probe_timeout),
    ),
    (
        "push_pull_interval",
        Kind::TimeOrNever(|swim, _| &mut swim.push_pull_interval),
    ),
    ("query_buffer", Kind::Size(|_, serf| &mut serf.query_slots)),
    (
        "query_timeout_mult",
        Kind::Count(|_, serf| &mut serf.query_timeout_mult),
    ),
    (
        "queue_check_interval",
        Kind::Time(|_, serf| &mut serf.queue_check_interval),
    ),
    (
        "queue_depth_warning",
        Kind::Size(|_, serf| &mut serf.queue_warn),
    ),
    (
        "reap_interval",
        Kind::Time(|_, serf| &mut serf.reap_interval),
    ),
    (
        "recent_intent_timeout",
        Kind::Time(|_, serf| &mut serf.recent_intent_timeout),
    ),
    (
        "relayed_probes_max",
        Kind::Size(|swim, _| &mut swim.relayed_probes_max),
    ),
    (
        "retransmit_mult",
        Kind::Count(|swim, _| &mut swim.retransmit_mult),
    ),
    (
        "running_queries_max",
        Kind::Size(|_, serf| &mut serf.running_queries_max),
    ),
    (
        "stall_min",
        Kind::TimeOrNever(|swim, _| &mut swim.stall_min),
    ),
    (
        "stream_bytes_max",
        Kind::Size(|swim, _| &mut swim.stream_bytes_max),
    ),
    ("streams_max", Kind::Size(|swim, _| &mut swim.streams_max)),
    (
        "suspicion_max_timeout_mult",
        Kind::Count(|swim, _| &mut swim.suspicion_max_timeout_mult),
    ),
    (
        "suspicion_mult",
        Kind::Count(|swim, _| &mut swim.suspicion_mult),
    ),
    (
        "suspicion_observed",
        Kind::TimeOrNever(|swim, _| &mut swim.suspicion_observed),
    ),
    (
        "tcp_timeout",
        Kind::Time(|swim, _| &mut swim.stream_timeout),
    ),
];

impl<'de> Deserialize<'de> for Timing {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, serde_json::Value>::deserialize(from)?;
        let mut timing = Self::default();
        for (name, value) in &written {
            timing.set(name, value).map_err(D::Error::custom)?;
        }
        Ok(timing)
    }
}

impl Timing {
    /// Takes one constant.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be that; the text says what it may be.
    pub(super) fn set(&mut self, name: &str, value: &serde_json::Value) -> Result<(), String> {
        let constant = CONSTANTS.iter().find(|(constant, _)| *constant == name);
        let Some((name, kind)) = constant else {
            let all: Vec<&str> = CONSTANTS.iter().map(|(name, _)| *name).collect();
            return Err(format!("'timing' has no '{name}', but: {}", all.join(", ")));
        };
        let amount = match kind {
            Kind::Time(_) | Kind::TimeOrNever(_) => {
                let time = value.as_str().map(duration::parse);
                let time = time.and_then(Result::ok);
                let is_enough = |time: &Duration| {
                    *time >= TIME_MIN || (time.is_zero() && matches!(kind, Kind::TimeOrNever(_)))
                };
                time.filter(is_enough).map(Amount::Time)
            }
            Kind::Count(_) | Kind::Size(_) => {
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                count.filter(|count| *count > 0).map(Amount::Count)
            }
        };
        let wanted = match kind {
            Kind::Time(_) => "a time from 1ms on",
            Kind::TimeOrNever(_) => "a time from 1ms on, or 0s",
            Kind::Count(_) | Kind::Size(_) => "a number from 1 on",
        };
        let amount = amount.ok_or_else(|| format!("'timing[{name}]' is {value}, not {wanted}"))?;
        self.0.insert(name, amount);
        Ok(())
    }

    /// This with all that the other names.
    pub(super) fn merged(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Puts the constants into a profile.
    pub fn apply(&self, swim: &mut swim::Config, serf: &mut serf::Config) {
        for (name, kind) in &CONSTANTS {
            match (kind, self.0.get(name)) {
                (Kind::Time(place) | Kind::TimeOrNever(place), Some(Amount::Time(time))) => {
                    *place(swim, serf) = *time;
                }
                (Kind::Count(place), Some(Amount::Count(count))) => *place(swim, serf) = *count,
                (Kind::Size(place), Some(Amount::Count(count))) => {
                    *place(swim, serf) = usize::try_from(*count).unwrap_or(usize::MAX);
                }
                _ => {}
            }
        }
        // Both layers have these.
        serf.retransmit_mult = swim.retransmit_mult;
        serf.gossip_interval = swim.gossip_interval;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::wire::{Address, Name};

    fn decoded(timing: &serde_json::Value) -> Result<Timing, String> {
        let text = json!({ "timing": timing }).to_string();
        let config = Config::decode(text.as_bytes());
        config
            .map(|config| config.timing)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn constants_are_put_into_a_profile_and_the_later_file_counts() {
        let first = decoded(&json!({ "probe_interval": "500ms", "gossip_nodes": 5 })).unwrap();
        let second =
            json!({ "probe_interval": "2s", "retransmit_mult": 6, "push_pull_interval": "0s" });
        let both = first.merged(decoded(&second).unwrap());
        let name = Name::from("n");
        let mut swim = swim::Config::lan(name.clone(), Address::Four([127, 0, 0, 1]), 7946);
        let mut serf = serf::Config::serf(name, serf::Tags::default());
        both.apply(&mut swim, &mut serf);
        assert_eq!(swim.probe_interval, Duration::from_secs(2));
        assert_eq!(swim.push_pull_interval, Duration::ZERO);
        assert_eq!((swim.gossip_nodes, serf.retransmit_mult), (5, 6));
        assert_eq!(swim.suspicion_mult, 4);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (timing, why) in [
            (
                json!({ "probe": "1s" }),
                "'timing' has no 'probe', but: awareness_max_multiplier",
            ),
            (
                json!({ "probe_interval": "0s" }),
                "is \"0s\", not a time from 1ms on",
            ),
            (
                json!({ "probe_interval": 5 }),
                "is 5, not a time from 1ms on",
            ),
            (json!({ "gossip_nodes": 0 }), "is 0, not a number from 1 on"),
            (
                json!({ "gossip_nodes": "3" }),
                "is \"3\", not a number from 1 on",
            ),
            (json!([1]), "expected a map"),
        ] {
            let error = decoded(&timing).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn constants_stand_in_order_for_those_who_look_for_one() {
        assert!(CONSTANTS.is_sorted_by_key(|(name, _)| *name));
    }
}
