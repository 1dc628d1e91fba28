//! Serf's files: the snapshot of who was there, the keyring, and the tags.

mod line;
mod machine;

pub use line::Line;
pub use machine::{Effect, Restored, Snapshot};
