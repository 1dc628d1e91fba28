//! The real server from outside: started, called, killed, started again.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

mod backup;
mod calls;
mod crash;
mod data;
mod document;
mod hostile;
mod http;
mod kill;
mod live;
mod operator;
mod program;
mod routes;
mod space;
mod start;
mod stop;
