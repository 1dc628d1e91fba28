//! State machines over a partition's log: the trait, and the replica that leads one. The parts that decide
//! (`core`, `delivery`, `recovery`) wait for nothing, so that a simulator can drive them.

mod append;
pub mod checkpoint;
mod config;
pub mod core;
mod definition;
pub mod delivery;
mod followers;
mod handle;
mod inboxes;
mod leader;
pub mod recovery;
mod replayer;
mod replica;
mod snapshot;

pub use crate::record::Header;
pub use config::Config;
pub use definition::{Decision, DecodeError, Machine, Observer};
pub use followers::{Follower, Followers};
pub use handle::{Class, Handle, Phase, ProposeError, Status};
pub use replica::Replica;
