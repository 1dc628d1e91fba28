//! Leads one partition: claim, snapshot, replay, then decide, append, tell.

use std::sync::Arc;

use taraf_base::Tasks;

use super::{Config, Handle, Machine, Observer};
use crate::{Error, Log, PartitionId};

/// A machine that leads its partition; see [`Replica::start`].
pub struct Replica;

impl Replica {
    /// Claims the partition, brings `machine` (an empty state) to the end of the log, tells the
    /// observer, releases what is outstanding, and then takes proposals on a task of `tasks`.
    ///
    /// # Errors
    /// When the partition cannot be claimed or replayed.
    pub async fn start<M, L, O>(
        log: Arc<L>,
        partition: PartitionId,
        machine: M,
        config: Config,
        observer: O,
        tasks: &Tasks,
    ) -> Result<Handle<M>, Error>
    where
        M: Machine,
        L: Log,
        O: Observer<M>,
    {
        todo!()
    }
}
