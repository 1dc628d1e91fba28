//! The contract between those who write a partition and the backends that keep it.

use std::future::Future;

use tokio::sync::watch;

use crate::{Batch, BatchId, Chunk, Epoch, Error, PartitionId, Position, Space, snapshot};

/// Partitioned logs that survive what their [`Durability`] says.
///
/// A partition has one writer at a time, the [`Term`] of the last successful [`Log::claim`]; anyone
/// may read. What is true of every backend is tested by [`crate::contract`].
///
/// * **Chain.** Each batch names the batch it follows. A batch is stored only if that one is the
///   tail, so a writer that was replaced loses everything it has in flight, however many batches
///   and whatever their positions.
/// * **Whole.** A batch is read whole or was never stored.
/// * **Dense.** Positions count from 1 without holes.
/// * **Kept.** Once [`Term::append`] has answered `Ok`, every later read and every later process
///   finds the batch, until it is trimmed. A batch that was not acknowledged may be found or not,
///   but once read it stays.
pub trait Log: Send + Sync + 'static {
    /// The writer's half, one per leader's term.
    type Term: Term;

    /// Takes the partition at the epoch after `observed`, the highest one that the caller has seen
    /// (the epoch of [`Log::tail`]'s batch).
    ///
    /// `Ok` means: no append of a lower epoch succeeds from now on, even after a restart, and the
    /// tail's batch is [`BatchId::claim`] of the new epoch at an unchanged position.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the partition has already reached a higher epoch than `observed`.
    fn claim(
        &self,
        partition: PartitionId,
        observed: Epoch,
    ) -> impl Future<Output = Result<Self::Term, Error>> + Send;

    /// Whole batches, the first of which holds `from`; as many as fit `bytes_max`, but at least
    /// one. Empty when `from` lies behind the tail. Claims are not shown.
    ///
    /// # Errors
    /// [`Error::Trimmed`] when `from` is no longer there, [`Error::Corrupt`] when it cannot be read.
    fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Chunk, Error>> + Send;

    /// The last record's position ([`Position::ZERO`] when there is none) and the batch or claim
    /// at the end of the chain. Linearizable: it holds all that was acknowledged before the call.
    ///
    /// # Errors
    /// When the backend does not answer.
    fn tail(
        &self,
        partition: PartitionId,
    ) -> impl Future<Output = Result<(Position, BatchId), Error>> + Send;

    /// Allows the backend to forget records before `below`. It may keep more, never less, and the
    /// tail does not move.
    ///
    /// # Errors
    /// When the backend does not answer; the call may be repeated.
    fn trim(
        &self,
        partition: PartitionId,
        below: Position,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Keeps a snapshot of the state after record `at`. Durable when `Ok`; the newest two are kept.
    /// `data` are asked for on a thread that may block.
    ///
    /// # Errors
    /// When it could not be stored; earlier snapshots are untouched.
    fn put_snapshot(
        &self,
        partition: PartitionId,
        at: Position,
        data: snapshot::Data,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The newest intact snapshot taken at or before `at_most`. Reading it may block.
    ///
    /// # Errors
    /// When the backend does not answer.
    fn get_snapshot(
        &self,
        partition: PartitionId,
        at_most: Position,
    ) -> impl Future<Output = Result<Option<(Position, snapshot::Reader<'static>)>, Error>> + Send;

    /// What the backend can take and promises.
    fn limits(&self) -> Limits;

    /// How much room is left, as it changes. A backend that cannot tell has ample room until an
    /// append answers [`Error::Full`].
    fn space(&self) -> watch::Receiver<Space> {
        watch::Sender::new(Space::Ample).subscribe()
    }
}

/// The writer of a partition for one leader's term. Not cloneable: there is one.
pub trait Term: Send + 'static {
    /// The epoch of this term.
    fn epoch(&self) -> Epoch;

    /// Stores the batch. `Ok` only when it is durable; all of it or nothing.
    ///
    /// Dropping the future before it is ready leaves the batch ambiguous.
    ///
    /// # Errors
    /// [`Error::Fenced`] and [`Error::Poisoned`] end the term. After [`Error::Ambiguous`] the only
    /// call allowed is [`Term::resolve`]. All others: nothing was stored.
    fn append(&mut self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send;

    /// What became of a batch whose append did not answer clearly. The answer is final.
    ///
    /// # Errors
    /// When the backend does not answer; the call may be repeated.
    fn resolve(&mut self, id: &BatchId) -> impl Future<Output = Result<Resolution, Error>> + Send;
}

/// What became of an ambiguous batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It is durable.
    Stored,
    /// It is not stored and never will be unless it is appended again.
    NotStored,
    /// It is not stored, and another term holds the partition.
    Fenced,
}

/// What a backend can take and promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of frames in one batch.
    pub batch_bytes_max: usize,
    /// What an acknowledged batch survives.
    pub durability: Durability,
}

/// What an acknowledged batch survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: the disk has confirmed it.
    Synced,
    /// The end of the writer, not of the process.
    Memory,
    /// Nothing: it is not kept at all.
    Nothing,
}
