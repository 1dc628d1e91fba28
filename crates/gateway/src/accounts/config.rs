//! Settings of accounts, keys and plans.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use taraf_base::{Secret, Timestamp};

use crate::quota::Plan;

/// Settings of accounts, keys and plans.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The plans by name. Those of the default are replaced when this is given.
    pub plans: BTreeMap<String, Plan>,
    /// The plan of a key that is made without one: `free`.
    pub default_plan: String,
    /// A secret that is hashed with each key and is not in the log. Changing it invalidates all keys.
    pub pepper: Option<Secret>,
    /// How many accounts one address may register in an hour: 5.
    pub registrations_per_hour: u32,
    /// How long a call may wait for its quota to be reserved: 5 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub quota_wait: Duration,
    /// How long a key that has ended is still listed, before it is forgotten: 90 d.
    #[serde(with = "taraf_base::duration::serde")]
    pub ended_keys_kept: Duration,
    /// Whether to go on with the state that the records give where a snapshot says otherwise. The
    /// program sets it, when an operator says so.
    #[serde(skip)]
    pub accepts_replay: bool,
    /// The clock. Tests turn it.
    #[serde(skip, default = "system_clock")]
    pub clock: fn() -> Timestamp,
}

fn system_clock() -> fn() -> Timestamp {
    Timestamp::now
}

impl Default for Config {
    fn default() -> Self {
        let plan = |rate_per_second, burst, quota_per_month| Plan {
            rate_per_second,
            burst,
            quota_per_month,
        };
        Self {
            plans: BTreeMap::from([
                ("free".to_owned(), plan(10, 20, Some(100))),
                ("standard".to_owned(), plan(50, 100, Some(10_000))),
                ("professional".to_owned(), plan(200, 400, Some(1_000_000))),
                ("unlimited".to_owned(), plan(10_000, 20_000, None)),
            ]),
            default_plan: "free".to_owned(),
            pepper: None,
            registrations_per_hour: 5,
            quota_wait: Duration::from_secs(5),
            ended_keys_kept: Duration::from_secs(90 * 24 * 3_600),
            accepts_replay: false,
            clock: Timestamp::now,
        }
    }
}
