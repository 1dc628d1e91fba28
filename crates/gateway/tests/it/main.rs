//! The gateway over real sockets: its limits, keys, bodies, failures, stop and pages.
#![expect(
    clippy::unwrap_used,
    reason = "clippy spares only test functions, not their helpers"
)]

#[path = "../../../../tests/support/authority.rs"]
mod authority;
mod bodies;
mod caching;
mod certificates;
mod conversations;
mod failures;
mod features;
mod flows;
mod gone;
mod headers;
mod http2;
mod keys;
mod limits;
mod pages;
mod peers;
mod stack;
mod stop;
mod tls;
mod tokens;
mod transforms;
mod tunnels;
