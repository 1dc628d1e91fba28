//! [pure] Every constant of Serf's layer, with the values of Serf's agent.

use std::time::Duration;

use super::coordinates;
use super::{Tags, Window};
use crate::swim::Name;

/// The least protocol that has tags; before it a member had a role only.
const PROTOCOL_OF_TAGS: u8 = 3;
/// The least protocol that has queries.
const PROTOCOL_OF_QUERIES: u8 = 4;

/// The settings of Serf's layer of one member.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Our name; the same as membership's.
    pub name: Name,
    /// What we say of ourselves.
    pub tags: Tags,
    /// The cluster that we belong to, told by the tag [`super::CLUSTER_TAG`]: members that say they belong to another
    /// are not taken, whoever tells of them, and states of another cluster are not merged. Those that say nothing are
    /// taken. None to take everybody, as Serf does.
    pub cluster: Option<String>,
    /// The Serf protocol that we speak, 2 to 5. `ProtocolVersion`, 5.
    pub protocol: u8,
    /// How long an intent may take to go out. `BroadcastTimeout`, 5 s.
    pub broadcast_timeout: Duration,
    /// How long we stay after our leave went out, so that others can learn of it. `LeavePropagateDelay`, 1 s.
    pub leave_propagate_delay: Duration,
    /// Between two looks for members to forget. `ReapInterval`, 15 s.
    pub reap_interval: Duration,
    /// Between two attempts to reach a failed member. `ReconnectInterval`, 30 s.
    pub reconnect_interval: Duration,
    /// After which time a failed member is forgotten. `ReconnectTimeout`, 24 h.
    pub reconnect_timeout: Duration,
    /// After which time a member that left is forgotten. `TombstoneTimeout`, 24 h.
    pub tombstone_timeout: Duration,
    /// How long intents of unknown members are kept. `RecentIntentTimeout`, 5 min.
    pub recent_intent_timeout: Duration,
    /// A member that comes back sooner after it failed is counted as unsteady. `FlapTimeout`, 60 s.
    pub flap_timeout: Duration,
    /// User events are known again for so many Lamport times. `EventBuffer`, 512.
    pub event_slots: usize,
    /// The same for queries. `QueryBuffer`, 512.
    pub query_slots: usize,
    /// A message of ours goes out in `retransmit_mult * ceil(log10(N + 1))` packets. membership's `RetransmitMult`.
    pub retransmit_mult: u32,
    /// A query waits `gossip_interval * query_timeout_mult * ceil(log10(N + 1))` by default. membership's
    /// `GossipInterval`.
    pub gossip_interval: Duration,
    /// Whether a query ends when all members that it means have answered, unless it says otherwise itself. Serf always
    /// waits for the whole time.
    pub ends_queries: bool,
    /// `QueryTimeoutMult`, 16.
    pub query_timeout_mult: u32,
    /// Between two looks at the queues. `QueueCheckInterval`, 30 s.
    pub queue_check_interval: Duration,
    /// A queue of so many messages is told. `QueueDepthWarning`, 128.
    pub queue_warn: usize,
    /// A queue never holds more; those sent most often are dropped. `MaxQueueDepth`, 4096.
    pub queue_max: usize,
    /// Largest user event in bytes, before and after encoding. `UserEventSizeLimit`, 512, at most 9216.
    pub user_event_bytes_max: usize,
    /// Largest query in bytes, encoded. `QuerySizeLimit`, 1024.
    pub query_bytes_max: usize,
    /// Largest answer in bytes, encoded. `QueryResponseSizeLimit`, 1024.
    pub query_response_bytes_max: usize,
    /// Queries of ours that run at a time. Ours: Serf has no such limit.
    pub running_queries_max: usize,
    /// Queries of others that still can be answered. Ours: Serf has no such limit.
    pub open_queries_max: usize,
    /// Network coordinates; none to have none. `DisableCoordinates`, inverted.
    pub coordinates: Option<coordinates::Config>,
    /// Whether we ask the others, and leave if most do not mean us, when somebody else has our name.
    /// `EnableNameConflictResolution`, on.
    pub resolves_conflicts: bool,
    /// How member events are coalesced; none to tell each at once.
    pub member_window: Option<Window>,
    /// How user events are coalesced that allow it; none to tell each at once.
    pub user_window: Option<Window>,
    /// Whether we do with members of our own kind what Serf does not: events at once, missed ones pulled, the reaped
    /// looked for. Others notice nothing.
    pub extends: bool,
    /// Those of our settings that should be the same everywhere, for people: others warn of a difference.
    pub settings: String,
    /// Entries of the history of suspicions.
    pub history_max: usize,
}

impl Config {
    /// Serf's settings, as its agent has them in a LAN.
    #[must_use]
    pub const fn serf(name: Name, tags: Tags) -> Self {
        Self {
            name,
            tags,
            cluster: None,
            protocol: 5,
            broadcast_timeout: Duration::from_secs(5),
            leave_propagate_delay: Duration::from_secs(1),
            reap_interval: Duration::from_secs(15),
            reconnect_interval: Duration::from_secs(30),
            reconnect_timeout: Duration::from_secs(24 * 3600),
            tombstone_timeout: Duration::from_secs(24 * 3600),
            recent_intent_timeout: Duration::from_secs(300),
            flap_timeout: Duration::from_secs(60),
            event_slots: 512,
            query_slots: 512,
            retransmit_mult: 4,
            gossip_interval: Duration::from_millis(200),
            ends_queries: true,
            query_timeout_mult: 16,
            queue_check_interval: Duration::from_secs(30),
            queue_warn: 128,
            queue_max: 4096,
            user_event_bytes_max: 512,
            query_bytes_max: 1024,
            query_response_bytes_max: 1024,
            running_queries_max: 1024,
            open_queries_max: 1024,
            coordinates: Some(coordinates::Config::SERF),
            resolves_conflicts: true,
            member_window: Some(Window::SERF),
            user_window: Some(Window::SERF),
            extends: true,
            settings: String::new(),
            history_max: 256,
        }
    }

    pub(super) const fn has_tags(&self) -> bool {
        self.protocol >= PROTOCOL_OF_TAGS
    }

    pub(super) const fn has_queries(&self) -> bool {
        self.protocol >= PROTOCOL_OF_QUERIES
    }
}
