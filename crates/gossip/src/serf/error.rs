//! [pure] Why Serf's layer refuses something, in Serf's own words: programs compare them.

use crate::wire;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Before encoding, against the setting.
    #[error("user event exceeds configured limit of {max} bytes before encoding")]
    UserEventTooLarge {
        /// The setting.
        max: usize,
    },
    /// Before encoding, against what no setting can raise.
    #[error("user event exceeds sane limit of {max} bytes before encoding")]
    UserEventInsane {
        /// The limit.
        max: usize,
    },
    /// After encoding, against the setting.
    #[error("encoded user event exceeds configured limit of {max} bytes after encoding")]
    EncodedUserEventTooLarge {
        /// The setting.
        max: usize,
    },
    /// After encoding, against what no setting can raise.
    #[error("encoded user event exceeds sane limit of {max} bytes before encoding")]
    EncodedUserEventInsane {
        /// The limit.
        max: usize,
    },
    /// A query with all its fields.
    #[error("query exceeds limit of {max} bytes")]
    QueryTooLarge {
        /// The setting.
        max: usize,
    },
    /// A user may not ask what Serf asks.
    #[error("Queries cannot contain the '_serf_' prefix")]
    InternalQuery,
    /// More of our queries run than are kept.
    #[error("{max} queries are running already")]
    TooManyQueries {
        /// The setting.
        max: usize,
    },
    /// A filter does not fit the wire.
    #[error("Failed to format filters: {0}")]
    Filter(String),
    /// An answer with all its fields.
    #[error("response exceeds limit of {max} bytes")]
    ResponseTooLarge {
        /// The setting.
        max: usize,
    },
    /// The same, wrapped for those that pass it on.
    #[error("relayed response exceeds limit of {max} bytes")]
    RelayedResponseTooLarge {
        /// The setting.
        max: usize,
    },
    /// One answer a member.
    #[error("response already sent")]
    AlreadyAnswered,
    /// The query has ended, or there was none.
    #[error("response is past the deadline")]
    PastDeadline,
    /// The old protocol has none of it.
    #[error("feature not supported")]
    NotSupported,
    /// Tags do not fit into what a member may say of itself.
    #[error("Encoded length of tags exceeds limit of {max} bytes by {by}")]
    TagsTooLarge {
        /// The limit.
        max: usize,
        /// How much too long they are.
        by: usize,
    },
    /// Only a member that is there can join.
    #[error("Serf can't Join after Leave or Shutdown")]
    NotAlive,
    /// A second leave.
    #[error("Leave already in progress")]
    AlreadyLeaving,
    /// A leave after the end.
    #[error("Leave called after Shutdown")]
    AlreadyStopped,
    /// The others may not have heard of it.
    #[error("timed out broadcasting node removal")]
    RemovalTimeout,
    /// The others may not have heard of our tags.
    #[error("timeout waiting for update broadcast")]
    UpdateTimeout,
    /// More commands wait than are kept.
    #[error("{max} commands are waiting already")]
    TooManyCommands {
        /// The setting.
        max: usize,
    },
    /// Something does not fit the wire.
    #[error("cannot be encoded")]
    Encode(#[from] wire::Error),
}
