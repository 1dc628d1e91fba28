//! The real server from outside: started, called, killed, started again.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

#[path = "../../../../tests/support/authority.rs"]
mod authority;
mod backup;
mod calls;
mod conformance;
mod crash;
mod curl;
mod data;
mod discovery;
mod document;
mod guides;
mod hostile;
mod http;
mod kept;
mod kill;
mod live;
mod names;
mod operator;
mod program;
mod routes;
mod space;
mod start;
mod stop;
mod tls;
mod upstream;
