//! [pure] Serf above membership: intents, user events, queries, tags, coordinates.

mod coalesce;
mod coordinates;
mod event;
mod history;
mod intents;
mod lamport;
mod ring;

pub use crate::wire::serf::{LTime, Member, MemberStatus as Status, Tags};
pub use coalesce::Window;
pub use coordinates::{Config as CoordinateConfig, Coordinate, Rejected, Vivaldi};
pub use event::{Change, Event, MemberEvent, QueryEvent, QueryKey, UserEvent};
pub use history::{Entry, History, Verdict};
pub use lamport::Clock;
