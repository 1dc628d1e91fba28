//! [pure] What members tell their users: who came and went, user events, and queries to answer.

use std::sync::Arc;

use bytes::Bytes;

use super::{LTime, Member};
use crate::moment::Moment;
use crate::swim::Name;

/// Something that happened, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Members came, went or changed.
    Members(MemberEvent),
    /// Somebody sent a user event.
    User(UserEvent),
    /// Somebody asks.
    Query(QueryEvent),
}

/// What happened to members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// They are there now.
    Join,
    /// They left on purpose, or were made to.
    Leave,
    /// They no longer answer.
    Failed,
    /// Their tags, address or versions are different.
    Update,
    /// They are forgotten.
    Reap,
}

impl Change {
    /// Serf's word for it, in RPC and for handlers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Join => "member-join",
            Self::Leave => "member-leave",
            Self::Failed => "member-failed",
            Self::Update => "member-update",
            Self::Reap => "member-reap",
        }
    }
}

/// The same happened to some members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEvent {
    /// What.
    pub change: Change,
    /// To whom; several only when member events are coalesced.
    pub members: Vec<Arc<Member>>,
}

/// A user event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEvent {
    /// When, in the Lamport time of user events.
    pub time: LTime,
    /// Its name.
    pub name: Name,
    /// What it carries.
    pub payload: Bytes,
    /// Whether the newest of this name may stand for those before it.
    pub coalesce: bool,
}

/// Names a query: no member has two running at one Lamport time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryKey {
    /// When it was asked, in the Lamport time of queries.
    pub time: LTime,
    /// Chosen by chance by the asker, so that two askers at one time are told apart.
    pub id: u32,
}

/// A query to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryEvent {
    /// To answer by.
    pub key: QueryKey,
    /// Who asks.
    pub from: Name,
    /// Its name.
    pub name: Name,
    /// What it carries.
    pub payload: Bytes,
    /// An answer that is later than this is not sent.
    pub deadline: Moment,
}
