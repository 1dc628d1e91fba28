//! State machines over a partition's log: the trait, and the replica that leads one.

mod append;
mod config;
mod definition;
mod handle;
mod inboxes;
mod leader;
mod recovery;
mod replica;
mod snapshot;

pub use crate::record::Header;
pub use config::Config;
pub use definition::{Decision, DecodeError, Machine, Observer};
pub use handle::{Class, Handle, Phase, ProposeError, Status};
pub use replica::Replica;
