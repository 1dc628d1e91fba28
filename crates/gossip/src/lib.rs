//! Who is there: membership, events and queries among members that speak Serf's protocols.

mod platform;
pub mod rpc;
pub mod wire;
