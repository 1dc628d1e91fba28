//! Who is there: membership, events and queries among members that speak Serf's protocols.

pub mod agent;
pub mod cluster;
pub mod config;
pub mod discovery;
pub mod handlers;
pub mod moment;
pub mod net;
mod platform;
pub mod rpc;
pub mod serf;
pub mod snapshot;
pub mod statsd;
pub mod swim;
pub mod wire;
