//! What can go wrong with a log, and what the caller may do about it.

use std::io;
use std::path::PathBuf;

use crate::{BatchId, Epoch, PartitionId, Position};

/// An error of a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another term has taken the partition. Final for this term: perform nothing more.
    #[error("another leader took the partition in epoch {by} (its log ends at record {tail})")]
    Fenced {
        /// The epoch that holds the partition now.
        by: Epoch,
        /// Where the log ends.
        tail: Position,
    },
    /// The batch may or may not be stored: [`crate::Term::resolve`] before anything else.
    #[error("it is not known whether the batch was stored")]
    Ambiguous,
    /// The batch exceeds the backend's limit; nothing was stored.
    #[error("the batch is larger than {max} bytes")]
    TooLarge {
        /// The most that one batch may hold.
        max: usize,
    },
    /// No space. Nothing was stored; the same batch may be tried again later.
    #[error("no space is left for the log")]
    Full,
    /// The backend cannot be trusted any more. Stop; a restart recovers what is durable.
    #[error("the log has stopped for good: {0}")]
    Poisoned(String),
    /// The stored bytes are not what was written, or a part of them is missing.
    #[error(
        "{} is damaged at byte {offset}: {what}; restore a backup, or give up what follows with \
         `taraf repair --truncate-at {}:{offset}`", .file.display(), .file.display()
    )]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// The first byte that cannot be read.
        offset: u64,
        /// What was found there.
        what: String,
    },
    /// Another process uses the data directory.
    #[error(
        "the data directory {} is in use by process {pid}; stop that process or choose another \
         directory", .dir.display()
    )]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it, as it wrote itself.
        pid: String,
    },
    /// The data directory was written by a newer program, or is none.
    #[error("the data directory {} cannot be used: {what}", .dir.display())]
    Format {
        /// The data directory.
        dir: PathBuf,
        /// Why not.
        what: String,
    },
    /// The batch does not follow the tail although the term still leads: a fault of the caller.
    #[error("the batch must follow batch {expected} and start at record {next}")]
    Misplaced {
        /// The batch at the tail.
        expected: BatchId,
        /// The next free position.
        next: Position,
    },
    /// The batch is not well formed: a fault of the caller.
    #[error("the batch is not well formed: {0}")]
    Malformed(String),
    /// The records asked for were trimmed.
    #[error("records before {first} were trimmed")]
    Trimmed {
        /// The first record that is still there.
        first: Position,
    },
    /// Applying the records gives another state than the one that the leader had.
    #[error(
        "the state of {partition} after record {at} is not the one that it was led with (hash {found:016x}, \
         recorded {recorded:016x}). Nothing that was acknowledged is lost and no record is trimmed. Restart: if \
         this comes again, run a program that is known to agree with the log, or restore a backup, or go on with \
         what the records say by `taraf serve --accept-replayed-state`; keep the data directory to find the cause"
    )]
    Diverged {
        /// Which partition.
        partition: PartitionId,
        /// After which record.
        at: Position,
        /// What was found.
        found: u64,
        /// What was recorded.
        recorded: u64,
    },
    /// The operating system refused something. Nothing was stored.
    #[error("failed to {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same call can succeed later without anything else being done.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full)
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
