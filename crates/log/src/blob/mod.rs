//! Large payloads beside the log: kept by what they contain, durable before a record names them.

mod files;
mod id;
mod memory;
mod recent;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::file::disk::{Disk, OsDisk};
use files::FileBlobs;
pub use id::{BlobId, ParseBlobIdError};
use memory::MemoryBlobs;
use recent::Recent;

/// The most bytes of one blob, unless [`BlobStore::with_bytes_max`] says otherwise.
pub const BLOB_BYTES_MAX: usize = 64 << 20;

/// Where blobs are kept. Cheap to clone; clones share the storage.
///
/// * **Named by content.** A blob's name is the SHA-256 of its bytes, so the same bytes are kept
///   once and what is read is checked against its name.
/// * **First.** When [`BlobStore::put`] answers, the blob is as durable as the store: a record may
///   name it.
/// * **Never too early.** A [`Collection`] spares what was put since it began, named by a record or
///   not yet: between the answer of `put` and the record that names the blob nobody else holds it.
#[derive(Clone)]
pub struct BlobStore {
    kind: Kind,
    bytes_max: usize,
}

#[derive(Clone)]
enum Kind {
    File(Arc<FileBlobs>),
    Memory(Arc<MemoryBlobs>),
}

/// A blob on its way to the store. Whoever still needs it finds it here until the last is dropped.
#[derive(Debug)]
pub struct Blob {
    /// Its name.
    pub id: BlobId,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A collection that has begun: from here on it spares what is put.
pub struct Collection(BlobStore);

/// What a collection left and took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that are still there.
    pub kept: u64,
    /// Bytes in them.
    pub kept_bytes: u64,
    /// Blobs that were removed.
    pub removed: u64,
    /// Bytes that were in them.
    pub removed_bytes: u64,
}

/// An error of a blob store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The blob exceeds the store's limit; nothing was stored.
    #[error("the payload has {len} bytes, more than {max}")]
    TooLarge {
        /// How many bytes it has.
        len: usize,
        /// The most that a blob may have.
        max: usize,
    },
    /// No space. Nothing was stored; the same blob may be tried again later.
    #[error("no space is left for payloads")]
    Full,
    /// There is no such blob.
    #[error("the payload {0} is missing; restore a backup that holds it")]
    Missing(BlobId),
    /// What is stored under the name is not what was stored.
    #[error("the payload {0} is damaged: {1}; restore a backup that holds it")]
    Damaged(BlobId, String),
    /// A sync failed before: nothing more is stored until a restart.
    #[error("payloads are not stored any more because a sync failed; restart")]
    Poisoned,
    /// The operating system refused something. Nothing was stored.
    #[error("failed to {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// While it lives, no blob is removed.
pub struct BlobHold(BlobStore);

impl Drop for BlobHold {
    fn drop(&mut self) {
        let end = |recent: &mut Recent| recent.holds = recent.holds.saturating_sub(1);
        self.0.with_recent(end);
    }
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::File(_) => "payloads in files",
            Kind::Memory(_) => "payloads in memory",
        })
    }
}

impl Error {
    /// Whether the same call can succeed later without anything else being done.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full)
    }
}

impl BlobStore {
    /// Blobs as files in `dir`, which is made when it is missing. The caller holds the data
    /// directory: two stores must not share one.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_on(Arc::new(OsDisk), dir)
    }

    /// Blobs as files of the given storage.
    ///
    /// # Errors
    /// As [`BlobStore::open`].
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, Error> {
        let files = FileBlobs::open(disk, dir)?;
        Ok(Self {
            kind: Kind::File(Arc::new(files)),
            bytes_max: BLOB_BYTES_MAX,
        })
    }

    /// Blobs that end with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            kind: Kind::Memory(Arc::default()),
            bytes_max: BLOB_BYTES_MAX,
        }
    }

    /// The same store with another limit on one blob.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Stores the bytes and answers their name. Durable when `Ok`. What this process put before is not
    /// written again.
    ///
    /// # Errors
    /// When nothing was stored.
    pub async fn put(&self, bytes: Bytes) -> Result<BlobId, Error> {
        let store = self.clone();
        let work = move || {
            let id = BlobId::of(&bytes);
            store.put_now(&Blob { id, bytes }).map(|()| id)
        };
        blocking("store a payload", work).await
    }

    /// The same for a blob whose name is known.
    ///
    /// # Errors
    /// When nothing was stored.
    pub async fn put_blob(&self, blob: Arc<Blob>) -> Result<(), Error> {
        let store = self.clone();
        blocking("store a payload", move || store.put_now(&blob)).await
    }

    /// The same on this thread.
    ///
    /// # Errors
    /// When nothing was stored.
    pub fn put_now(&self, blob: &Blob) -> Result<(), Error> {
        let Blob { id, bytes } = blob;
        if bytes.len() > self.bytes_max {
            let (len, max) = (bytes.len(), self.bytes_max);
            return Err(Error::TooLarge { len, max });
        }
        match &self.kind {
            Kind::File(files) => files.put(*id, bytes),
            Kind::Memory(memory) => {
                memory.put(*id, bytes.clone());
                Ok(())
            }
        }
    }

    /// The bytes of a blob, checked against its name.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Damaged`] when they are not there as they were.
    pub async fn get(&self, id: &BlobId) -> Result<Bytes, Error> {
        let (store, id) = (self.clone(), *id);
        blocking("read a payload", move || store.get_now(&id)).await
    }

    /// The same on this thread.
    ///
    /// # Errors
    /// As [`BlobStore::get`].
    pub fn get_now(&self, id: &BlobId) -> Result<Bytes, Error> {
        match &self.kind {
            Kind::File(files) => files.get(id),
            Kind::Memory(memory) => memory.get(id),
        }
    }

    /// Keeps every blob until the hold is dropped: collections remove nothing meanwhile.
    #[must_use]
    pub fn hold(&self) -> BlobHold {
        self.with_recent(|recent| recent.holds = recent.holds.saturating_add(1));
        BlobHold(self.clone())
    }

    fn with_recent<T>(&self, f: impl FnOnce(&mut Recent) -> T) -> T {
        match &self.kind {
            Kind::File(files) => files.with_recent(f),
            Kind::Memory(memory) => memory.with_recent(f),
        }
    }

    /// Begins to look for blobs that may go. The caller finds out what is named *after* this: what is
    /// put meanwhile, and may be named by nobody yet, is spared.
    #[must_use]
    pub fn begin_collection(&self) -> Collection {
        self.with_recent(Recent::begin);
        Collection(self.clone())
    }
}

impl Collection {
    /// Removes the blobs that `is_named` says no to and that nobody put since the collection began.
    ///
    /// # Errors
    /// When the storage fails; what was removed until then stays removed.
    pub async fn finish(
        self,
        is_named: impl FnMut(&BlobId) -> bool + Send + 'static,
    ) -> Result<Collected, Error> {
        let work = move || self.finish_now(is_named);
        blocking("remove unused payloads", work).await
    }

    /// The same on this thread.
    ///
    /// # Errors
    /// As [`Collection::finish`].
    pub fn finish_now(self, mut is_named: impl FnMut(&BlobId) -> bool) -> Result<Collected, Error> {
        match &self.0.kind {
            Kind::File(files) => files.collect(&mut is_named),
            Kind::Memory(memory) => Ok(memory.collect(&mut is_named)),
        }
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.0.with_recent(Recent::end);
    }
}

/// Runs file work where it may block. It is awaited here, so it needs no supervision.
async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| {
        Err(Error::Io {
            doing: doing.to_owned(),
            source: std::io::Error::other(panic),
        })
    })
}
