//! Who is there: membership, events and queries among members that speak Serf's protocols.

pub mod config;
pub mod handlers;
mod platform;
pub mod rpc;
pub mod wire;
