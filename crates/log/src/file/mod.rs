//! The log in local segment files: written in stripes, synced in groups, recovered by scanning.

mod config;
pub mod direct;
mod directory;
pub mod disk;
mod frame;
mod index;

pub mod memory_disk;
mod recover;
mod repair;
mod segment;
mod snapshots;
mod spare;
mod store;
mod thread;
mod writer;

pub use config::{BATCH_BYTES_MAX, Config};
pub use repair::truncate_at;
pub use store::{FileLog, FileTerm};
