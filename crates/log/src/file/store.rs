//! The file log as a [`Log`]: opens the directory, passes calls to the stripes.

use std::path::Path;

use bytes::Bytes;
use taraf_base::Tasks;

use super::Config;
use crate::{
    Batch, BatchId, Chunk, Epoch, Error, Limits, Log, PartitionId, Position, Resolution, Term,
};

/// The log in local segment files.
pub struct FileLog {}

/// A leader's term on a [`FileLog`].
pub struct FileTerm {}

impl FileLog {
    /// Opens the data directory, creating it when there is none. Must be called within a runtime.
    ///
    /// # Errors
    /// When the directory cannot be used, is locked by another process, or is damaged.
    pub fn open(dir: &Path, config: Config, tasks: &Tasks) -> Result<Self, Error> {
        todo!()
    }
}

impl Log for FileLog {
    type Term = FileTerm;

    async fn claim(&self, partition: PartitionId, observed: Epoch) -> Result<FileTerm, Error> {
        todo!()
    }

    async fn read(&self, p: PartitionId, from: Position, max: usize) -> Result<Chunk, Error> {
        todo!()
    }

    async fn tail(&self, partition: PartitionId) -> Result<(Position, BatchId), Error> {
        todo!()
    }

    async fn trim(&self, partition: PartitionId, below: Position) -> Result<(), Error> {
        todo!()
    }

    async fn put_snapshot(&self, p: PartitionId, at: Position, data: Bytes) -> Result<(), Error> {
        todo!()
    }

    async fn get_snapshot(
        &self,
        partition: PartitionId,
        at_most: Position,
    ) -> Result<Option<(Position, Bytes)>, Error> {
        todo!()
    }

    fn limits(&self) -> Limits {
        todo!()
    }
}

impl Term for FileTerm {
    fn epoch(&self) -> Epoch {
        todo!()
    }

    async fn append(&mut self, batch: Batch) -> Result<(), Error> {
        todo!()
    }

    async fn resolve(&mut self, id: &BatchId) -> Result<Resolution, Error> {
        todo!()
    }
}
