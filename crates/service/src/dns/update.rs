//! Names published to an authoritative server elsewhere, by the updates of RFC 2136.

mod config;
mod error;
mod exchange;
mod key;
mod mark;
mod plan;
mod publisher;
mod session;
#[cfg(test)]
mod tests;
mod tsig;
mod wanted;

pub use config::Config;
pub use error::Error;
pub use publisher::{Publisher, Status};
