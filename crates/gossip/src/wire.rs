//! [pure] The bytes of gossip: packets, streams, the messages in them, and their encryption.
//!
//! Drawn in `docs/protocols/gossip.md`. Nothing here opens a socket, reads a clock or draws a nonce.

mod address;
mod error;
pub mod memberlist;
pub mod msgpack;
mod name;
pub mod serf;

pub use address::Address;
pub use error::Error;
pub use name::Name;
