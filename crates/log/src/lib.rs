//! An append-only log of records in partitions, its backends, and the state machines run over it.

pub mod backup;
mod batch;
pub mod blob;
pub mod contract;
mod error;
pub mod file;
mod log;
pub mod machine;
mod memory;
mod null;
pub mod record;
pub mod snapshot;
mod space;

pub use batch::{Batch, BatchId, Chunk, Epoch, PartitionId, Position};
pub use error::Error;
pub use file::FileLog;
pub use log::{Durability, Limits, Log, Resolution, Term};
pub use memory::{Fault, MemoryLog};
pub use null::NullLog;
pub use space::Space;
