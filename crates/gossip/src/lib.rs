//! Who is there: membership, events and queries among members that speak Serf's protocols.

pub mod wire;
