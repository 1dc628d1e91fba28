//! Watches the room that is left, and holds a file ready to be given up when there is none.
//!
//! The ballast is a file full of zeros. When the disk is full it is removed, so that outcomes of what
//! runs, snapshots (behind which the log is trimmed) and the archive find room; when there is room
//! again it is written anew. Blobs and the archive lie on the same disk and are covered with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config::Config;
use super::disk::{Disk, LockGuard};
use super::spare;
use crate::space::{Marks, Space};

const BALLAST: &str = "ballast";
/// How often the room is looked at. A writer that meets a full disk does not wait for it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The watch over the room in the data directory.
pub(super) struct Reserve {
    pub(super) reports: Reports,
    /// Ends the watch when the log is dropped.
    _end: DropGuard,
}

/// Tells the watch of a full disk; nobody where there is none. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Reports {
    space: watch::Sender<Space>,
    changed: Arc<Notify>,
}

struct Watch {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    marks: Marks,
    ballast_bytes: u64,
    reports: Reports,
    /// The directory is ours as long as the ballast may be touched.
    _lock: Arc<LockGuard>,
}

impl Reserve {
    /// Starts watching. The first look is taken at once, so that a full disk is known of before
    /// work is accepted; the ballast is written beside the work.
    pub(super) fn start(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        config: &Config,
        lock: &Arc<LockGuard>,
        tasks: &Tasks,
    ) -> Self {
        let reports = Reports {
            space: watch::Sender::new(Space::Ample),
            changed: Arc::default(),
        };
        let watch = Arc::new(Watch {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            marks: Marks {
                low_bytes: config.space_low_bytes.max(config.space_full_bytes),
                full_bytes: config.space_full_bytes,
            },
            ballast_bytes: config.ballast_bytes,
            reports: reports.clone(),
            _lock: Arc::clone(lock),
        });
        watch.judge();
        let end = tasks.token().child_token();
        tasks.spawn("log-space", look_again(watch, end.clone()));
        Self {
            reports,
            _end: end.drop_guard(),
        }
    }

    pub(super) fn space(&self) -> watch::Receiver<Space> {
        self.reports.space.subscribe()
    }
}

impl Reports {
    /// A write or a new segment found no room.
    pub(super) fn found_full(&self) {
        self.set(Space::Full);
        self.changed.notify_one();
    }

    fn set(&self, space: Space) {
        let changed = self
            .space
            .send_if_modified(|now| std::mem::replace(now, space) != space);
        if changed && space != Space::Ample {
            tracing::warn!(%space, "room for data is short; new work is refused");
        } else if changed {
            tracing::info!(%space, "there is room for data again");
        }
    }
}

async fn look_again(watch: Arc<Watch>, end: CancellationToken) {
    let mut is_first = true;
    loop {
        if std::mem::take(&mut is_first) {
            // What is just starting has better use for the disk than filling the ballast.
            tokio::select! {
                () = end.cancelled() => return,
                () = watch.reports.changed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let looking = Arc::clone(&watch);
        // It is awaited here, so it needs no supervision.
        if let Err(error) = tokio::task::spawn_blocking(move || looking.look()).await {
            tracing::error!(%error, "failed to look at the room that is left");
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = watch.reports.changed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Watch {
    fn path(&self) -> PathBuf {
        self.dir.join(BALLAST)
    }

    fn look(&self) {
        let is_held = self.holds_ballast();
        let space = self.judge();
        if space == Space::Full && is_held {
            self.give_up();
        } else if space == Space::Ample && !is_held && self.ballast_bytes > 0 {
            // Judged without the ballast's bytes, so there is room for it.
            if let Err(error) = spare::fill(self.disk.as_ref(), &self.path(), self.ballast_bytes) {
                tracing::warn!(%error, "failed to hold room back for outcomes");
                self.give_up();
            }
        }
    }

    /// What is left now. A disk that cannot tell counts as ample until a write finds it full.
    fn judge(&self) -> Space {
        let before = *self.reports.space.borrow();
        let free = match self.disk.free(&self.dir) {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!(%error, "failed to learn how much room is left");
                return before;
            }
        };
        let missing = if self.holds_ballast() {
            0
        } else {
            self.ballast_bytes
        };
        let space = self.marks.judge(free.saturating_sub(missing), before);
        self.reports.set(space);
        space
    }

    fn holds_ballast(&self) -> bool {
        let size = self.disk.open(&self.path()).and_then(|file| file.size());
        size.is_ok_and(|size| size >= self.ballast_bytes && size > 0)
    }

    fn give_up(&self) {
        let removed = self.disk.remove(&self.path());
        let removed = removed.and_then(|()| self.disk.sync_dir(&self.dir));
        match removed {
            Ok(()) => tracing::warn!("the room held back is given to what runs"),
            Err(error) => tracing::warn!(%error, "failed to remove the ballast"),
        }
    }
}
