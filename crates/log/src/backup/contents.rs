//! What a check of kept files asks of those who know what stands in them: which blobs must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::blob::BlobId;
use crate::file::disk::DiskFile;
use crate::{Batch, PartitionId, Position, snapshot};

/// Who reads what a log, and the files beside it, hold: each method is called with what is sound.
pub trait Contents {
    /// The data of a snapshot. All snapshots come before any batch, those of a partition in order.
    fn snapshot(&mut self, partition: PartitionId, at: Position, data: snapshot::Reader<'_>);
    /// A batch or a claim; those of a partition in order.
    fn batch(&mut self, partition: PartitionId, batch: &Batch);
    /// A file that is neither of the log nor a blob, by its path in the data directory. Comes after
    /// the whole log.
    fn file(&mut self, path: &Path, file: &dyn DiskFile);
    /// What follows from all of it.
    fn finish(&mut self) -> Named;
}

/// Which blobs are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Those that must be there, and who names each.
    pub must: BTreeMap<BlobId, String>,
    /// Those that may be gone: whether who names them is still kept cannot be told.
    pub may: BTreeSet<BlobId>,
    /// What cannot be read or does not agree, a sentence each.
    pub findings: Vec<String>,
}

/// For those who want to know about bytes alone.
impl Contents for () {
    fn snapshot(&mut self, _partition: PartitionId, _at: Position, _data: snapshot::Reader<'_>) {}
    fn batch(&mut self, _partition: PartitionId, _batch: &Batch) {}
    fn file(&mut self, _path: &Path, _file: &dyn DiskFile) {}
    fn finish(&mut self) -> Named {
        Named::default()
    }
}
