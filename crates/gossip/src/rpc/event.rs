//! What happens in a cluster, as RPC and handlers tell it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use tokio::time::Instant;

use crate::wire::{Address, Name};

/// The tags of a member. What is no text in them is replaced.
pub type Tags = BTreeMap<String, String>;

/// What an agent thinks of a member. The words are those of Serf's command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Nothing yet.
    #[default]
    None,
    /// It answers.
    Alive,
    /// It said that it will leave.
    Leaving,
    /// It left, or was made to.
    Left,
    /// It does not answer, and did not say that it would leave.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Alive,
        Self::Leaving,
        Self::Left,
        Self::Failed,
    ];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Alive => "alive",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The versions of a protocol that a member understands, and the one that it speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The least.
    pub min: u8,
    /// The highest.
    pub max: u8,
    /// What it speaks.
    pub current: u8,
}

/// A member as an agent shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    /// Its name, unique in the cluster.
    pub name: Name,
    /// Where it is; none when it announced what is no address.
    pub address: Option<Address>,
    /// The port of its gossip.
    pub port: u16,
    /// What it says about itself.
    pub tags: Tags,
    /// What is thought of it.
    pub status: Status,
    /// Of memberlist.
    pub protocol: Versions,
    /// Of Serf.
    pub delegate: Versions,
}

impl Member {
    /// Its role, which is a tag like any other since Serf's protocol 3.
    #[must_use]
    pub fn role(&self) -> &str {
        self.tags.get("role").map_or("", String::as_str)
    }
}

/// What happened to members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberChange {
    /// They are there.
    Join,
    /// They left on purpose.
    Leave,
    /// They do not answer any more.
    Failed,
    /// Their tags or address changed.
    Update,
    /// They are forgotten.
    Reap,
}

impl MemberChange {
    /// The name of the event: `member-join` and so on.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Join => "member-join",
            Self::Leave => "member-leave",
            Self::Failed => "member-failed",
            Self::Update => "member-update",
            Self::Reap => "member-reap",
        }
    }
}

/// A user event: a word to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEvent {
    /// When, in the cluster's Lamport time of events.
    pub ltime: u64,
    /// Its name.
    pub name: Name,
    /// What comes with it.
    pub payload: Bytes,
    /// Whether several of this name in a short time may be told as one, the last.
    pub coalesce: bool,
}

/// Which query is meant, where it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryKey {
    /// When it was asked, in the cluster's Lamport time of queries.
    pub ltime: u64,
    /// Which of those asked then.
    pub id: u32,
}

/// A query that we are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which it is.
    pub key: QueryKey,
    /// Its name.
    pub name: Name,
    /// What comes with it.
    pub payload: Bytes,
    /// Until when an answer is of use.
    pub deadline: Instant,
}

/// What happens in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The same happened to all these members.
    Members(MemberChange, Vec<Member>),
    /// Somebody said something.
    User(UserEvent),
    /// Somebody asks.
    Query(Query),
}

impl Event {
    /// The name of its kind: `member-join` …, `user`, `query`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Members(change, _) => change.event(),
            Self::User(_) => "user",
            Self::Query(_) => "query",
        }
    }
}

/// As Serf writes it in its log: `member-join`, `user-event: deploy`, `query: load`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(change, _) => f.write_str(change.event()),
            Self::User(event) => write!(f, "user-event: {}", event.name),
            Self::Query(query) => write!(f, "query: {}", query.name),
        }
    }
}
