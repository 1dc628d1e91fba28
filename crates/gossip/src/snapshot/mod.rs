//! Serf's files: the snapshot of who was there, the keyring, and the tags.

mod error;
mod file;
pub mod keyring_file;
mod line;
mod machine;
pub mod tags_file;
mod whole;

pub use error::Error;
pub use file::File;
pub use line::Line;
pub use machine::{Effect, Restored, Snapshot};
