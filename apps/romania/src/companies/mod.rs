//! Companies: looked up at the tax office, searched by name, with their yearly balances.

mod anaf;
mod api;
mod balances;
mod cache;
mod index;
mod limiter;
mod lookup;
mod queue;
mod record;
mod register;
mod service;
mod store;

pub use register::RegisterError;
pub(crate) use service::start;
