//! Who is there: membership, events and queries among members that speak Serf's protocols.

pub mod cluster;
pub mod moment;
pub mod net;
pub mod serf;
pub mod snapshot;
pub mod swim;
pub mod wire;
