//! A consistent cut through a log that goes on: what a backup reads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::disk::Disk;
use super::store::FileLog;
use super::{directory, snapshots};
use crate::Error;
use crate::backup::{Item, LOG, Source};

/// Counts those for whom records and segments must stay.
#[derive(Clone, Default)]
pub(super) struct Holds(Arc<AtomicUsize>);

/// While it lives, no record is trimmed and no segment used again.
pub struct Hold(Holds);

impl Holds {
    pub(super) fn is_held(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl FileLog {
    /// Keeps every record and every file that is there now until the hold is dropped. What a record
    /// promises to be elsewhere (a blob that it names, a run that it says moved to the archive) was
    /// durable before the record, so whoever copies that reads it after [`FileLog::cut`].
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.holds.0.fetch_add(1, Ordering::AcqRel);
        Hold(self.holds.clone())
    }

    /// The log as it is now, as far as it is durable: its format, the snapshots, the segments. The
    /// files stay readable as long as `_hold` lives, whatever the log does meanwhile.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn cut(&self, _hold: &Hold) -> Result<Vec<Item>, Error> {
        let disk = self.disk.as_ref();
        let text = directory::read_file(disk, &self.dir.join(directory::FORMAT))?;
        let len = text.len() as u64;
        let mut items = vec![Item {
            path: format!("{LOG}/{}", directory::FORMAT),
            len,
            source: Source::Open(Arc::new(super::disk::ReadOnly(text))),
        }];
        // Snapshots first: what they hold ends before the log that is read after them.
        items.extend(snapshot_items(disk, &self.snapshots)?);
        for (stripe, shared) in self.shared().enumerate() {
            for (segment, end) in shared.segments() {
                let name = super::segment::file_name(segment.header.number);
                items.push(Item {
                    path: format!("{LOG}/stripes/{stripe}/{name}"),
                    len: end,
                    source: Source::Open(Arc::clone(&segment.file)),
                });
            }
        }
        Ok(items)
    }
}

fn snapshot_items(disk: &dyn Disk, dir: &Path) -> Result<Vec<Item>, Error> {
    let mut names = disk
        .list(dir)
        .map_err(Error::io(format!("list {}", dir.display())))?;
    names.retain(|name| snapshots::is_name(name));
    names.sort_unstable();
    let mut items = Vec::new();
    for name in names {
        let path = dir.join(&name);
        let file = match disk.open(&path) {
            // A newer one has taken its place since; that is listed, or comes with its records.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.map_err(Error::io(format!("open {}", path.display())))?,
        };
        let reading = Error::io(format!("look at {}", path.display()));
        items.push(Item {
            path: format!("{LOG}/snapshots/{name}"),
            len: file.size().map_err(reading)?,
            source: Source::Open(file),
        });
    }
    Ok(items)
}
