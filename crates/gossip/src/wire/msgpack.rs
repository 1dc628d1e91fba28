//! [pure] The two dialects of msgpack that Serf speaks: gossip's, which is older than `str8` and `bin`, and RPC's.
//!
//! Structures are maps from field names to values. They are written with their keys in the order of their
//! bytes, and read in any order, or as arrays in the order of declaration. Values are written straight into
//! the bytes to be sent and read straight from those received: there is no tree of values in between.

mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::{Dialect, Encoder};

#[cfg(test)]
mod tests;
