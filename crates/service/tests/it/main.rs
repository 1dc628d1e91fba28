//! The client and the server against real sockets on the loopback.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy spares only test functions, not what they use"
)]

#[path = "../../../../tests/support/authority.rs"]
mod authority;
mod client;
mod dns;
mod faults;
mod peer;
mod roots;
mod serve;
