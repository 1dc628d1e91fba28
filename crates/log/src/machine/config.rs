//! The limits of a replica.

use std::time::Duration;

use taraf_base::Timestamp;

use super::Followers;
use crate::blob::BlobStore;

/// How a replica runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The clock of new records. Their time never goes back, whatever it says.
    pub clock: fn() -> Timestamp,
    /// Outcomes that may wait; further ones wait with their sender.
    pub outcome_max: usize,
    /// Controls that may wait; further ones are refused as overload.
    pub control_max: usize,
    /// Events that may wait; further ones are refused as overload.
    pub event_max: usize,
    /// Starts that may wait; further ones are refused as overload.
    pub start_max: usize,
    /// Reads that may wait; further ones wait with their sender.
    pub read_max: usize,
    /// Bytes gathered for the next batch before inputs wait. A single group may be larger, up to
    /// the log's limit.
    pub gather_bytes_max: usize,
    /// Take a snapshot each time that many records were written; 0 never.
    pub snapshot_every: u64,
    /// Write a checkpoint each time that many records were written; 0 never. Only machines whose hash is
    /// cheap have any.
    pub checkpoint_every: u64,
    /// Whether to go on with the state that the records give when a checkpoint says otherwise: an
    /// operator's decision.
    pub accepts_replay: bool,
    /// How often a replica that rests looks whether its log can be let go of. Without it the few
    /// records of a quiet partition would keep those of all others that lie after them.
    pub rest_every: Duration,
    /// Who else reads the records; they are not trimmed before these have seen them.
    pub followers: Followers,
    /// A follower that is further behind holds nothing any more, in records.
    pub follower_lag_max: u64,
    /// Where the payloads go that a machine takes out of its events; it must not take any out without.
    pub blobs: Option<BlobStore>,
    /// How long to wait before a batch that found no space is tried again.
    pub full_retry: Duration,
    /// How long to wait before asking again what became of an ambiguous batch.
    pub resolve_retry: Duration,
    /// How often to ask before the partition is given up.
    pub resolve_attempts_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clock: Timestamp::now,
            outcome_max: 4_096,
            control_max: 256,
            event_max: 4_096,
            start_max: 4_096,
            read_max: 1_024,
            gather_bytes_max: 1 << 20,
            snapshot_every: 10_000,
            checkpoint_every: 10_000,
            accepts_replay: false,
            rest_every: Duration::from_secs(3_600),
            followers: Followers::default(),
            follower_lag_max: 10_000_000,
            blobs: None,
            full_retry: Duration::from_millis(500),
            resolve_retry: Duration::from_millis(200),
            resolve_attempts_max: 50,
        }
    }
}
