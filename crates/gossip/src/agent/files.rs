//! The files of an agent, written in their order on a thread of their own: a slow disk delays nobody's probe.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use taraf_base::{Secret, Tasks, with_causes};

use super::shared::Shared;
use super::{Error, Settings};
use crate::cluster::Cluster;
use crate::serf::QueryKey;
use crate::snapshot::{self, Effect, Snapshot, keyring_file};

/// How much may wait to be written. What does not fit has failed, and the whole file is written later.
const WAITING_MAX: usize = 256;

/// The files as they were found.
pub(super) struct Found {
    file: Option<snapshot::File>,
    /// What the rejoin file says.
    pub(super) snapshot: Option<Snapshot>,
    keyring: Option<PathBuf>,
}

/// Where what is to be written goes; nowhere when there are no files.
pub(super) struct Files {
    work: Option<SyncSender<Work>>,
}

/// One thing to write.
enum Work {
    Snapshot(Effect),
    Keyring(QueryKey, Vec<Secret<Vec<u8>>>),
}

/// Opens and reads the files of the settings; the gossip keys that are kept become those of the member.
pub(super) fn find(settings: &mut Settings) -> Result<Found, Error> {
    if let Some(path) = &settings.keyring {
        let keyring = keyring_file::load(path)?;
        settings.cluster.envelope = settings.cluster.envelope.with_keyring(Some(keyring));
        settings.cluster.has_keyring_file = true;
    }
    let opened = settings.snapshot.as_deref().map(snapshot::File::open);
    let (file, held) = opened.transpose()?.unzip();
    let snapshot = held.map(|held| Snapshot::read(&held, settings.rejoins_after_leave));
    Ok(Found {
        file,
        snapshot,
        keyring: settings.keyring.clone(),
    })
}

impl Found {
    /// Begins to write. The thread ends when the answer is dropped and all is written.
    pub(super) fn write(self, shared: &Arc<Shared>, tasks: &Tasks) -> Files {
        if self.file.is_none() && self.keyring.is_none() {
            return Files { work: None };
        }
        let (work, waiting) = sync_channel(WAITING_MAX);
        let shared = Arc::clone(shared);
        tasks.spawn_blocking("gossip files", move || self.perform(&waiting, &shared));
        Files { work: Some(work) }
    }

    fn perform(mut self, waiting: &Receiver<Work>, shared: &Shared) {
        while let Ok(work) = waiting.recv() {
            match work {
                Work::Snapshot(effect) => {
                    let Some(Err(error)) = self.file.as_mut().map(|file| file.perform(&effect))
                    else {
                        continue;
                    };
                    tracing::error!("failed to update the rejoin file: {}", with_causes(&error));
                    shared.put(Cluster::snapshot_failed);
                }
                Work::Keyring(query, keys) => {
                    let saved = self
                        .keyring
                        .as_ref()
                        .map(|path| keyring_file::save(path, &keys));
                    let saved = saved.unwrap_or(Ok(())).map_err(|error| with_causes(&error));
                    shared.put(|cluster, now| cluster.keyring_written(now, query, saved));
                }
            }
        }
    }
}

impl Files {
    /// Has the rejoin file changed; false if that is not possible now.
    pub(super) fn snapshot(&self, effect: Effect) -> bool {
        self.put(Work::Snapshot(effect))
    }

    /// Has the gossip keys written; false if that is not possible now.
    pub(super) fn keyring(&self, query: QueryKey, keys: Vec<Secret<Vec<u8>>>) -> bool {
        self.put(Work::Keyring(query, keys))
    }

    fn put(&self, work: Work) -> bool {
        self.work
            .as_ref()
            .is_none_or(|sender| sender.try_send(work).is_ok())
    }
}
