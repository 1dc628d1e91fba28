//! The archive as the engine holds it: where it lies, its errors, and its calls off the runtime.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use taraf_base::Timestamp;
use taraf_log::machine::DecodeError;
use tokio::sync::Semaphore;

use super::entry::Archived;
use super::pack::PackError;
use super::retention::Retention;
use super::store::Store;
use crate::{Filter, JournalPage, Run, RunId, Status};

/// Searches and reads under way at the same time; others wait.
const READS_MAX: usize = 4;

/// How finished runs are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a finished run is kept; a flow may say otherwise in `metadata.taraf.retention`.
    #[serde(with = "taraf_base::duration::serde")]
    pub keep_for: Duration,
    /// How long a finished run may stay in memory before it is moved here; fewer, larger moves
    /// cost less.
    #[serde(with = "taraf_base::duration::serde")]
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_for: Duration::from_secs(90 * 24 * 3_600),
            linger: Duration::from_secs(1),
        }
    }
}

/// What can go wrong with the archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused something.
    #[error("failed to {doing} {}", .file.display())]
    Io {
        doing: &'static str,
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A pack holds what cannot be read.
    #[error("{} cannot be read at byte {at}: {error}", .file.display())]
    Pack {
        file: PathBuf,
        at: u64,
        error: PackError,
    },
    /// A pack holds an entry that cannot be read.
    #[error("{} holds an entry at byte {at} that cannot be read", .file.display())]
    Entry {
        file: PathBuf,
        at: u64,
        #[source]
        source: DecodeError,
    },
    /// A block could not be made.
    #[error("a run cannot be packed: {0}")]
    Block(PackError),
    /// A sync failed: what the file holds is not known.
    #[error("{} is not written any more because a sync of it failed; restart", .0.display())]
    Poisoned(PathBuf),
    /// SQLite refused something.
    #[error("failed to use the index of the archive")]
    Index(#[from] rusqlite::Error),
    /// A search was given up.
    #[error("the search takes too long; narrow it by status, flow, owner or time")]
    TooLong,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl Error {
    pub(super) fn io(doing: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io {
            doing,
            file,
            source,
        }
    }

    pub(super) fn pack(file: &Path, at: u64, error: PackError) -> Self {
        let file = file.to_owned();
        Self::Pack { file, at, error }
    }

    pub(super) fn entry(file: &Path, at: u64, source: DecodeError) -> Self {
        let file = file.to_owned();
        Self::Entry { file, at, source }
    }

    /// Whether the file is no index at all, or a damaged one: it is made again from its pack.
    pub(super) fn is_lost_index(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Index(error) => {
                matches!(
                    error.sqlite_error_code(),
                    Some(DatabaseCorrupt | NotADatabase)
                )
            }
            _ => false,
        }
    }
}

/// Finished runs on disk. Cheap to clone; its work is done beside the runtime.
#[derive(Clone)]
pub(crate) struct Archive {
    store: Arc<Store>,
    reads: Arc<Semaphore>,
}

impl Archive {
    /// Opens the archive in this folder.
    ///
    /// # Errors
    /// When a file cannot be used, or was written by a newer program.
    pub(crate) async fn open(dir: PathBuf) -> Result<Self, Error> {
        let store = blocking(move || Store::open(&dir)).await?;
        Ok(Self {
            store: Arc::new(store),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        })
    }

    /// Makes runs durable. When this returns, readers find them. What they are is worked out beside
    /// the runtime, too.
    ///
    /// # Errors
    /// When they could not be written; the call may be repeated.
    pub(crate) async fn add_all(
        &self,
        runs: impl FnOnce() -> Vec<Archived> + Send + 'static,
    ) -> Result<(), Error> {
        let store = Arc::clone(&self.store);
        blocking(move || store.add(runs())).await
    }

    /// One run.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn find(&self, id: RunId) -> Result<Option<Run>, Error> {
        self.read(move |store| store.find(id)).await
    }

    /// So many entries of a run's journal, behind that number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn journal(
        &self,
        id: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Option<JournalPage>, Error> {
        self.read(move |store| store.journal(id, after, limit))
            .await
    }

    /// The newest run that was started with this key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn by_key(
        &self,
        owner: Option<String>,
        key: String,
    ) -> Result<Option<Run>, Error> {
        self.read(move |store| store.by_key(owner.as_deref(), &key))
            .await
    }

    /// Runs that the filter lets through, newest first, those before `before`.
    ///
    /// # Errors
    /// When one cannot be read, or the search takes too long.
    pub(crate) async fn list(
        &self,
        filter: Filter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        self.read(move |store| store.list(filter, before, limit))
            .await
    }

    /// Whether a run that is kept names the payload of this hash. Blocks.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub(crate) fn names(&self, hash: &[u8; 32]) -> Result<bool, Error> {
        self.store.names(hash)
    }

    /// Deletes what is no longer kept.
    ///
    /// # Errors
    /// When something cannot be deleted; the call may be repeated.
    pub(crate) async fn expire(&self, retention: Retention, now: Timestamp) -> Result<(), Error> {
        let store = Arc::clone(&self.store);
        blocking(move || store.expire(&retention, now)).await
    }

    /// How many runs ended how.
    ///
    /// # Errors
    /// When the node is stopping.
    pub(crate) async fn counts(&self) -> Result<BTreeMap<Status, u64>, Error> {
        self.read(|store| Ok(store.counts())).await
    }

    /// Bytes of all packs.
    pub(crate) fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.reads).acquire_owned().await;
        let store = Arc::clone(&self.store);
        blocking(move || {
            let _place = place;
            read(&store)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_stopping) => Err(Error::Stopping),
    })
}
