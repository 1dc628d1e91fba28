//! The network of an agent: one socket for packets, one listener and some connections for streams.

mod counters;
mod network;
mod resolve;
mod sockets;
mod stream;

pub use counters::NetCounters;
pub use network::{Input, Network};
pub use resolve::{Resolved, resolve};
pub use sockets::{BindError, Sockets};
