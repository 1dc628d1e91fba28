//! Durable execution of flows: every run reaches its end, whatever crashes.

mod api;
mod archive;
mod archivist;
mod attic;
mod collector;
mod config;
mod definitions;
mod error;
mod id;
mod insist;
mod inventory;
mod invoker;
mod journal;
mod leader;
mod lifecycle;
mod metrics;
pub mod partition;
mod placement;
mod reading;
mod resources;
mod timers;
mod view;

pub use api::Engine;
pub use archive::Config as ArchiveConfig;
pub use config::{Config, Limits};
pub use definitions::{Catalog, FlowInfo, Published};
pub use error::Error;
pub use id::{FlowId, FlowRef, RunId};
pub use inventory::Inventory;
pub use resources::Beside;
pub use view::{
    Filter, JournalEntry, JournalPage, Page, Payload, Run, RunPage, Start, Started, Status,
};
