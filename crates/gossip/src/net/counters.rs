//! What the network did and could not do, in numbers.

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Packets that the operating system did not take.
    pub packets_unsent: u64,
    /// Errors while reading packets: mostly that nobody listens where one was sent.
    pub packet_errors: u64,
    /// Connections that could not be accepted: mostly that too many files are open.
    pub accept_errors: u64,
}
