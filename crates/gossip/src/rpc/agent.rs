//! What an agent must be able to do for those who ask it over RPC.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

pub use super::event::QueryKey;
use super::event::{Event, Member, Tags};
use crate::wire::Name;

/// An agent did not do what it was asked; the text is Serf's where Serf has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl From<&str> for Refused {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// How a join went: some addresses may have answered and others not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// How many members were contacted.
    pub count: u32,
    /// Why not all, or none.
    pub error: Option<Refused>,
}

/// What is asked with a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRequest {
    /// Only these members are asked; all when empty.
    pub nodes: Vec<Name>,
    /// Only members whose tags match these expressions are asked.
    pub tags: Tags,
    /// Whether those asked say at once that they heard.
    pub wants_ack: bool,
    /// How many others carry each answer back as well.
    pub relay_factor: u8,
    /// Whether the whole time is waited, even when all have answered.
    pub waits: bool,
    /// How long answers are awaited; zero leaves it to the agent.
    pub timeout: Duration,
    /// Its name.
    pub name: Name,
    /// What comes with it; none is not the same as nothing, to Serf's own queries.
    pub payload: Option<Bytes>,
}

/// What comes back of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This member heard it.
    Ack(Name),
    /// This member's answer.
    Response(Name, Bytes),
}

/// A query under way.
#[derive(Debug)]
pub struct Answered {
    /// When it ends.
    pub deadline: Instant,
    /// What comes back, until it ends; closed earlier when nothing more can come.
    pub replies: mpsc::Receiver<Reply>,
}

/// What is done with the keys of all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyCommand {
    /// Every member can decrypt with it.
    Install(String),
    /// Every member encrypts with it.
    Use(String),
    /// No member has it any more.
    Remove(String),
    /// Which there are.
    List,
}

/// What the members said about their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysAnswer {
    /// By member, what it had to say: why it could not, mostly.
    pub messages: BTreeMap<String, String>,
    /// By key in base64, how many members have it; only for a list.
    pub keys: Option<BTreeMap<String, u32>>,
    /// How many members were asked.
    pub asked: u32,
    /// How many could not.
    pub failed: u32,
    /// How many answered.
    pub answered: u32,
    /// Why the whole did not succeed.
    pub error: Option<Refused>,
}

/// A place in the space of round-trip times (Vivaldi); all in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coordinate {
    /// Where.
    pub vector: Vec<f64>,
    /// How sure.
    pub error: f64,
    /// What the past says that the vector does not.
    pub adjustment: f64,
    /// The way from the vector to the member itself.
    pub height: f64,
}

impl Coordinate {
    /// The round-trip time that two coordinates foretell; never below zero.
    ///
    /// As Serf: distance and heights, with the adjustments where that leaves more than nothing.
    #[must_use]
    pub fn round_trip(&self, other: &Self) -> Duration {
        let squares = self.vector.iter().zip(&other.vector);
        let distance = squares.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        let raw = distance + self.height + other.height;
        let adjusted = raw + self.adjustment + other.adjustment;
        let seconds = if adjusted > 0.0 { adjusted } else { raw };
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

/// What an agent says of itself, by section and name.
pub type Stats = BTreeMap<String, BTreeMap<String, String>>;

/// An agent, as far as RPC and handlers need one.
///
/// Calls that return a future wait for other members; a call that is given up has no effect beyond what it
/// had already. All may be made at once, by any number of connections.
pub trait Agent: Send + Sync + 'static {
    /// All members that are known, in no order.
    fn members(&self) -> Vec<Member>;

    /// The name of our own member.
    fn name(&self) -> Name;

    /// Makes this agent part of the cluster of those at the addresses. With `replay`, user events from before
    /// are told as if they happened now.
    fn join(&self, addresses: Vec<String>, replay: bool) -> impl Future<Output = Joined> + Send;

    /// Leaves the cluster, and tells the others. The agent goes on until [`Agent::shutdown`].
    fn leave(&self) -> impl Future<Output = Result<(), Refused>> + Send;

    /// Ends the agent, soon after.
    fn shutdown(&self);

    /// Makes a failed member one that left; with `prune`, one that is forgotten.
    fn force_leave(
        &self,
        node: Name,
        prune: bool,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// Says something to everybody.
    fn user_event(
        &self,
        name: Name,
        payload: Bytes,
        coalesce: bool,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// Asks everybody, or some.
    fn query(
        &self,
        request: QueryRequest,
    ) -> impl Future<Output = Result<Answered, Refused>> + Send;

    /// Answers a query that came as an event.
    fn respond(
        &self,
        query: QueryKey,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// Changes our own tags: first those named in `delete` go, then those of `set` come.
    fn change_tags(
        &self,
        set: Tags,
        delete: Vec<String>,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// Changes or lists the keys of all members.
    fn keys(&self, command: KeyCommand) -> impl Future<Output = KeysAnswer> + Send;

    /// The coordinate of a member, when one is known.
    fn coordinate(&self, node: &Name) -> Option<Coordinate>;

    /// What the agent says of itself.
    fn stats(&self) -> Stats;

    /// What happens from now on. Whoever is too slow loses the oldest and is told how many.
    fn events(&self) -> broadcast::Receiver<Arc<Event>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_is_distance_and_heights_with_adjustments_where_they_leave_something() {
        let here = Coordinate {
            vector: vec![0.003, 0.0],
            height: 0.001,
            adjustment: -0.0005,
            error: 0.1,
        };
        let there = Coordinate {
            vector: vec![0.0, 0.004],
            height: 0.002,
            adjustment: -0.0005,
            error: 0.1,
        };
        assert_eq!(here.round_trip(&there), Duration::from_micros(7000));
        let off = Coordinate {
            adjustment: -1.0,
            ..there.clone()
        };
        assert_eq!(here.round_trip(&off), Duration::from_micros(8000));
        let broken = Coordinate {
            height: f64::NAN,
            ..there
        };
        assert_eq!(here.round_trip(&broken), Duration::ZERO);
    }
}
