//! [pure] What has happened so far, in numbers.

/// Counts since the start, each with the name under which Serf's telemetry has it, where it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came. `memberlist.udp.received` counts their bytes.
    pub packets_in: u64,
    /// Their bytes.
    pub packet_bytes_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Their bytes. `memberlist.udp.sent`.
    pub packet_bytes_out: u64,
    /// Packets or parts of packets that could not be read.
    pub packets_bad: u64,
    /// Probes begun. `memberlist.probeNode`.
    pub probes: u64,
    /// Probes that nobody answered.
    pub probes_failed: u64,
    /// Probes that only TCP answered: UDP is blocked somewhere.
    pub probes_over_tcp: u64,
    /// Probes for others that were refused, too many being under way.
    pub relays_refused: u64,
    /// Suspicions that ran out with fewer confirmations than expected. `memberlist.degraded.timeout`.
    pub suspicions_lonely: u64,
    /// Times that we were woken much too late.
    pub stalls: u64,
    /// Times that we refuted what was said about us.
    pub refutations: u64,
    /// Streams that others opened. `memberlist.tcp.accept`.
    pub streams_in: u64,
    /// Streams that we opened. `memberlist.tcp.connect`.
    pub streams_out: u64,
    /// Streams refused, too many being open.
    pub streams_refused: u64,
    /// Streams that ended with an error, on either side.
    pub streams_failed: u64,
    /// Ports of members that refused us, while the member did not answer either.
    pub refusals: u64,
    /// Members declared dead since their port refused several.
    pub deaths_refused: u64,
    /// Exchanges of state that were merged.
    pub push_pulls: u64,
    /// Members ignored since too many are known.
    pub members_refused: u64,
    /// Members ignored, and exchanges of state refused, since they belong to another cluster.
    pub strangers: u64,
    /// Times that a name was claimed from another address.
    pub conflicts: u64,
}
