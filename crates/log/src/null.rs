//! A log that acknowledges at once and keeps nothing, for work that is not meant to survive.

use crate::{
    Batch, BatchId, Chunk, Durability, Epoch, Error, Limits, Log, PartitionId, Position,
    Resolution, Term, snapshot,
};

/// The same limit as the file log's, so that what runs here also runs there.
const BATCH_BYTES_MAX: usize = crate::file::BATCH_BYTES_MAX;

/// Acknowledges at once and keeps nothing. The one backend that promises nothing, and the only one
/// that does not pass [`crate::contract`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NullLog;

/// The term of a [`NullLog`]; nothing can fence it.
#[derive(Debug)]
pub struct NullTerm(Epoch);

impl Log for NullLog {
    type Term = NullTerm;

    async fn claim(&self, _partition: PartitionId, observed: Epoch) -> Result<NullTerm, Error> {
        Ok(NullTerm(observed.next()))
    }

    async fn read(&self, _: PartitionId, _: Position, _: usize) -> Result<Chunk, Error> {
        Ok(Chunk::default())
    }

    async fn tail(&self, _partition: PartitionId) -> Result<(Position, BatchId), Error> {
        Ok((Position::ZERO, BatchId::GENESIS))
    }

    async fn trim(&self, _: PartitionId, _: Position) -> Result<(), Error> {
        Ok(())
    }

    async fn put_snapshot(
        &self,
        _: PartitionId,
        _: Position,
        _: snapshot::Data,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn get_snapshot(
        &self,
        _partition: PartitionId,
        _at_most: Position,
    ) -> Result<Option<(Position, snapshot::Reader<'static>)>, Error> {
        Ok(None)
    }

    fn limits(&self) -> Limits {
        Limits {
            batch_bytes_max: BATCH_BYTES_MAX,
            durability: Durability::Nothing,
        }
    }
}

impl Term for NullTerm {
    fn epoch(&self) -> Epoch {
        self.0
    }

    async fn append(&mut self, _batch: Batch) -> Result<(), Error> {
        Ok(())
    }

    async fn resolve(&mut self, _id: &BatchId) -> Result<Resolution, Error> {
        Ok(Resolution::Stored)
    }
}
