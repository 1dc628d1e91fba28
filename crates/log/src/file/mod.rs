//! The log in local segment files.

mod config;
mod store;

pub use config::{BATCH_BYTES_MAX, Config};
pub use store::{FileLog, FileTerm};
