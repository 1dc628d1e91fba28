//! Gossip through its public face.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod golden;
mod handlers;
mod rpc;
