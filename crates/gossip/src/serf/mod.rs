//! [pure] Serf above membership: intents, user events, queries, tags, coordinates.

mod answers;
mod coalesce;
mod config;
mod conflict;
mod coordinates;
mod delegate;
mod differences;
mod error;
mod event;
mod extensions;
mod filters;
mod history;
mod intents;
mod internal;
mod keys;
mod lamport;
mod machine;
mod members;
mod queries;
mod ring;
mod stats;
mod user_events;

pub use crate::wire::serf::{LTime, Member, MemberStatus as Status, Tags};
pub use answers::{Answer, QueryParams};
pub(crate) use coalesce::Coalescer;
pub use coalesce::Window;
pub use config::Config;
pub use coordinates::{Config as CoordinateConfig, Coordinate, Rejected, Vivaldi};
pub use error::Error;
pub use event::{Change, Event, MemberEvent, QueryEvent, QueryKey, UserEvent};
pub use extensions::PROTOCOL;
pub use history::{Entry, History, Verdict};
pub use internal::is_internal;
pub use keys::{KeyChange, KeyOperation, KeyOutcome};
pub use lamport::Clock;
pub use machine::{CLUSTER_TAG, Counters, Serf};
pub use user_events::USER_EVENT_BYTES_MAX;

#[cfg(test)]
mod tests;
