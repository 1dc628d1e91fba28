//! [pure] What a member asks of its driver, and what it shows of the others.

use std::sync::Arc;

use taraf_base::Secret;

use crate::serf::{Answer, Error, Event, KeyOutcome, Member, QueryKey};
use crate::snapshot::Effect;
use crate::swim::{self, Joined, Name, Token};

/// One thing to do, in the order given. Drained after every input.
#[derive(Clone, Debug)]
pub enum Output {
    /// Something to send or a stream to open. Never `Joined` or `Finished`.
    Network(swim::Output),
    /// Something happened that users want to know, coalesced as set.
    Event(Event),
    /// Members are different: time to publish [`Cluster::members`](super::Cluster::members).
    MembersChanged,
    /// Something to do to the snapshot file. If it fails, tell
    /// [`Cluster::snapshot_failed`](super::Cluster::snapshot_failed).
    Snapshot(Effect),
    /// The keyring is different: write the file, then tell
    /// [`Cluster::keyring_written`](super::Cluster::keyring_written).
    Keyring {
        /// Who waits for it.
        query: QueryKey,
        /// All keys, the primary first.
        keys: Vec<Secret<Vec<u8>>>,
    },
    /// A join has ended.
    Joined {
        /// The command.
        token: Token,
        /// How it went.
        result: Result<Joined, Error>,
    },
    /// Another command has ended: leave, force-leave, tags, or one about keys that was refused.
    Done {
        /// The command.
        token: Token,
        /// How it went.
        result: Result<(), Error>,
    },
    /// A command about keys has ended.
    Keys {
        /// The command.
        token: Token,
        /// What the members said.
        outcome: KeyOutcome,
    },
    /// Something came of a query of ours.
    Answer {
        /// The query.
        query: QueryKey,
        /// What.
        answer: Answer,
    },
    /// We have left; nothing more is to be done here.
    Left,
    /// Somebody else has our name and most members mean them: stop without leaving.
    Quit,
}

/// All members at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// In the order of their names, ourselves included.
    pub all: Vec<Seen>,
}

/// A member, and how many doubt it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As Serf shows it.
    pub member: Arc<Member>,
    /// How many members got no answer from it lately; 0 for one that nobody doubts, or that is gone.
    pub accusers: usize,
}

impl Members {
    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&Seen> {
        let index = self
            .all
            .binary_search_by(|seen| seen.member.name.cmp(name))
            .ok()?;
        self.all.get(index)
    }
}
