//! [pure] What a member is made of.

use std::time::Duration;

use crate::wire::Envelope;
use crate::{serf, swim};

/// The settings of one member.
#[derive(Clone, Debug)]
pub struct Config {
    /// Membership.
    pub swim: swim::Config,
    /// Serf's layer.
    pub serf: serf::Config,
    /// Label and gossip keys.
    pub envelope: Envelope,
    /// Whether the gossip keys lie in a file, to which each change is written before it is confirmed.
    pub has_keyring_file: bool,
    /// Between two attempts to find those again who were there before a restart, as long as nobody else is known.
    /// Serf tries once. Zero to do so too.
    pub rejoin_interval: Duration,
    /// Joins that wait for the one under way.
    pub joins_max: usize,
    /// Commands that wait for their broadcast.
    pub commands_max: usize,
}

impl Config {
    /// These settings with the usual limits.
    #[must_use]
    pub const fn new(swim: swim::Config, serf: serf::Config, envelope: Envelope) -> Self {
        Self {
            swim,
            serf,
            envelope,
            has_keyring_file: false,
            rejoin_interval: Duration::from_secs(30),
            joins_max: 64,
            commands_max: 1024,
        }
    }
}
