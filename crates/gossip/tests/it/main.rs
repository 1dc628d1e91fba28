//! Gossip through its public face.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

mod golden;
mod handlers;
mod rpc;
mod swim;
