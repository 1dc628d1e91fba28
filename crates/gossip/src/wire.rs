//! [pure] The bytes of gossip: packets, streams, the messages in them, and their encryption.
//!
//! Drawn in `docs/protocols/gossip.md`. Nothing here opens a socket, reads a clock or draws a nonce.

mod address;
mod compressed;
mod envelope;
mod error;
pub mod keyring;
pub mod memberlist;
pub mod msgpack;
mod name;
pub mod packet;
pub mod serf;
pub mod stream;

pub use address::Address;
pub use envelope::{Envelope, LABEL_BYTES_MAX, Nonce};
pub use error::Error;
pub use name::Name;
