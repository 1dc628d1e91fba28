//! [pure] Every constant of the protocol, with Serf's values for its three profiles.

use std::time::Duration;

use super::{Name, Versions};
use crate::wire::Address;

/// The settings of one member. [`Config::lan`], [`Config::wan`] and [`Config::local`] are Serf's profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our name, unique in the cluster.
    pub name: Name,
    /// The address that we announce. Its form (4 or 16 bytes) must not change while the name lives: Serf takes
    /// another form for another address, and so for a conflict.
    pub address: Address,
    /// The port that we announce, for UDP and TCP.
    pub port: u16,
    /// What we understand and speak.
    pub versions: Versions,
    /// Time limit of one stream, from connecting to the last byte. `TCPTimeout`, 10 s in a LAN.
    pub stream_timeout: Duration,
    /// How many others are asked to probe a member that did not answer us. `IndirectChecks`, 3.
    pub indirect_checks: usize,
    /// A broadcast is sent in `retransmit_mult * ceil(log10(N + 1))` packets. `RetransmitMult`, 4.
    pub retransmit_mult: u32,
    /// A suspicion lasts at least `suspicion_mult * max(1, log10 N) * probe_interval`. `SuspicionMult`, 4.
    pub suspicion_mult: u32,
    /// Without confirmations a suspicion lasts this many times longer. `SuspicionMaxTimeoutMult`, 6.
    pub suspicion_max_timeout_mult: u32,
    /// A suspicion that three members of our kind have come to by looking themselves lasts no longer than this, if the
    /// member is of our kind too and we are well. Zero for Serf's way: as long as any other.
    pub suspicion_observed: Duration,
    /// Between two full exchanges of state (stretched in clusters beyond 32 members); zero for none.
    /// `PushPullInterval`, 30 s.
    pub push_pull_interval: Duration,
    /// An exchange that taught us of members is followed by another within this time, until one teaches nothing: after
    /// many joined at once nobody waits for the next regular one. Zero for none, as in Serf.
    pub catch_up_interval: Duration,
    /// How long the answer to a direct probe may take before others are asked. `ProbeTimeout`, 500 ms.
    pub probe_timeout: Duration,
    /// Between two probes. Also how long one may take in all, stretched by poor health. `ProbeInterval`, 1 s.
    pub probe_interval: Duration,
    /// Between two rounds of gossip. `GossipInterval`, 200 ms.
    pub gossip_interval: Duration,
    /// To how many members a round goes. `GossipNodes`, 3.
    pub gossip_nodes: usize,
    /// How long the dead are gossiped to, and kept in the list. `GossipToTheDeadTime`, 30 s.
    pub gossip_to_the_dead_time: Duration,
    /// After which time a dead member's name may be taken by another address; zero for never, as in Serf.
    /// `DeadNodeReclaimTime`.
    pub dead_node_reclaim_time: Duration,
    /// The health score stays below this. `AwarenessMaxMultiplier`, 8.
    pub awareness_max: u32,
    /// Woken later than this, we have stood still ourselves: suspicions last longer by that time, and the probe under
    /// way counts for nothing. Zero to believe our own clock whatever it says, as Serf does.
    pub stall_min: Duration,
    /// Whether packets and streams are compressed. `EnableCompression`, on.
    pub compress: bool,
    /// Whether a TCP ping follows a probe that failed over UDP. `DisableTcpPings`, inverted.
    pub tcp_pings: bool,
    /// Whether we do with members of our own kind what Serf does not: connections are held to a few, the death of a
    /// process is told by several whom its port refuses, several look at who is silent, and deaths and refutations are
    /// told at once.
    pub extends: bool,
    /// How many streams others may have open with us; more wait. Serf refuses push/pulls beyond 128.
    pub streams_max: usize,
    /// How many bytes may have come on all open streams. Ours: Serf allows each 20 MiB.
    pub stream_bytes_max: usize,
    /// How many probes we do for others at a time. Ours: Serf has no such limit.
    pub relayed_probes_max: usize,
    /// How many members we keep at most; unknown ones beyond are ignored. Ours: Serf has no such limit.
    pub members_max: usize,
    /// How many addresses of one join are contacted at a time. Serf contacts one after the other.
    pub join_parallel: usize,
}

impl Config {
    /// Serf's profile for a local network, its default.
    #[must_use]
    pub fn lan(name: Name, address: Address, port: u16) -> Self {
        Self {
            name,
            address,
            port,
            versions: Versions::SERF,
            stream_timeout: Duration::from_secs(10),
            indirect_checks: 3,
            retransmit_mult: 4,
            suspicion_mult: 4,
            suspicion_max_timeout_mult: 6,
            suspicion_observed: Duration::from_millis(1500),
            push_pull_interval: Duration::from_secs(30),
            catch_up_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            probe_interval: Duration::from_secs(1),
            gossip_interval: Duration::from_millis(200),
            gossip_nodes: 3,
            gossip_to_the_dead_time: Duration::from_secs(30),
            dead_node_reclaim_time: Duration::ZERO,
            awareness_max: 8,
            stall_min: Duration::from_secs(1),
            compress: true,
            tcp_pings: true,
            extends: false,
            streams_max: 128,
            stream_bytes_max: 64 << 20,
            relayed_probes_max: 1024,
            members_max: 100_000,
            join_parallel: 8,
        }
    }

    /// Serf's profile for members that are far apart.
    #[must_use]
    pub fn wan(name: Name, address: Address, port: u16) -> Self {
        Self {
            stream_timeout: Duration::from_secs(30),
            suspicion_mult: 6,
            suspicion_observed: Duration::from_millis(7500),
            push_pull_interval: Duration::from_secs(60),
            catch_up_interval: Duration::from_millis(2500),
            probe_timeout: Duration::from_secs(3),
            probe_interval: Duration::from_secs(5),
            gossip_interval: Duration::from_millis(500),
            gossip_nodes: 4,
            gossip_to_the_dead_time: Duration::from_secs(60),
            ..Self::lan(name, address, port)
        }
    }

    /// Serf's profile for members on one machine.
    #[must_use]
    pub fn local(name: Name, address: Address, port: u16) -> Self {
        Self {
            stream_timeout: Duration::from_secs(1),
            indirect_checks: 1,
            retransmit_mult: 2,
            suspicion_mult: 3,
            push_pull_interval: Duration::from_secs(15),
            catch_up_interval: Duration::from_millis(500),
            probe_timeout: Duration::from_millis(200),
            gossip_interval: Duration::from_millis(100),
            gossip_to_the_dead_time: Duration::from_secs(15),
            ..Self::lan(name, address, port)
        }
    }
}
