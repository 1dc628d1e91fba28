//! Durable execution of flows: every run reaches its end, whatever crashes.

mod api;
mod config;
mod error;
mod id;
mod invoker;
mod view;

pub use api::{Catalog, Engine, FlowInfo, Published};
pub use config::{Config, Limits};
pub use error::Error;
pub use id::{FlowId, FlowRef, RunId};
pub use view::{Filter, JournalEntry, Page, Run, RunPage, Start, Started, Status};
