//! Reads what is kept of runs where nobody leads them, to say which payloads must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use taraf_log::snapshot::Reader;

use taraf_flow::{DataName, Definition};
use taraf_log::backup::{Contents, Named};
use taraf_log::file::disk::DiskFile;
use taraf_log::machine::recovery::Recovery;
use taraf_log::{Batch, Chunk, Error, PartitionId, Position};

use crate::config::{FIRST_PARTITION, MAX_PARTITIONS};
use crate::partition::{Audience, Definitions, Partition, Rest, Settings, blob_of};
use crate::{Limits, RunId, archive, journal};

/// The payloads that partitions, journals and the archive name.
#[derive(Default)]
pub struct Inventory {
    /// The data directory, if it is one and no backup: its indexes say which runs the archive keeps.
    dir: Option<PathBuf>,
    partitions: BTreeMap<PartitionId, Recovery<Partition>>,
    /// Those whose records cannot be applied.
    lost: BTreeSet<PartitionId>,
    journals: BTreeMap<PartitionId, Journals>,
    named: Named,
}

/// What the journals of a partition name.
#[derive(Default)]
struct Journals {
    written: Position,
    names: BTreeMap<RunId, BTreeSet<DataName>>,
}

/// What was recorded is applied without any definition.
struct NoDefinitions;

impl Definitions for NoDefinitions {
    fn definition(&self, _hash: &str) -> Option<Arc<Definition>> {
        None
    }
}

fn recovery(partition: PartitionId) -> Recovery<Partition> {
    let settings = Settings {
        limits: Limits::default(),
        keep: usize::MAX,
        keep_for: Duration::MAX,
        archives: true,
        payloads: None,
        audience: Audience::none(),
        rest: Rest::default(),
    };
    let machine = Partition::new(settings, Arc::new(NoDefinitions));
    Recovery::new(partition, machine, Position::MAX)
}

fn is_of_runs(partition: PartitionId) -> bool {
    (FIRST_PARTITION..FIRST_PARTITION.saturating_add(MAX_PARTITIONS)).contains(&partition.0)
}

impl Inventory {
    /// Of a backup. Which runs of the archive are still kept cannot be told there.
    #[must_use]
    pub fn of_backup() -> Self {
        Self::default()
    }

    /// Of a data directory that nobody uses.
    #[must_use]
    pub fn of_directory(dir: &Path) -> Self {
        Self {
            dir: Some(dir.to_owned()),
            ..Self::default()
        }
    }

    /// The partition cannot be replayed: what it names is not known.
    fn give_up(&mut self, partition: PartitionId, error: &Error) {
        self.partitions.remove(&partition);
        self.lost.insert(partition);
        self.named.findings.push(error.to_string());
    }

    fn journals(&mut self, path: &Path, file: &dyn DiskFile) -> Result<(), String> {
        let bytes = whole(file).map_err(|error| error.to_string())?;
        let inspected = journal::inspect(&bytes).map_err(|error| error.to_string())?;
        let journals = self.journals.entry(inspected.partition).or_default();
        journals.written = journals.written.max(inspected.written);
        for at in inspected.damaged {
            let path = path.display();
            self.named.findings.push(format!(
                "{path}: journals of live runs are damaged at byte {at}"
            ));
        }
        for (run, names) in inspected.names {
            journals.names.entry(run).or_default().extend(names);
        }
        Ok(())
    }

    fn pack(&mut self, path: &Path, file: &dyn DiskFile) -> Result<(), String> {
        let index = self.dir.as_ref();
        let index = index.map(|dir| dir.join(path).with_extension("db"));
        let archived = archive::inspect(file, path, index.as_deref());
        let archived = archived.map_err(|error| taraf_base::with_causes(&error))?;
        let Named { must, may, .. } = &mut self.named;
        for run in archived {
            let blobs = run.payloads.iter().map(blob_of);
            if run.is_kept {
                must.extend(blobs.map(|id| (id, format!("the archived run {}", run.id))));
            } else {
                may.extend(blobs);
            }
        }
        Ok(())
    }
}

impl Contents for Inventory {
    fn snapshot(&mut self, partition: PartitionId, at: Position, data: Reader<'_>) {
        if !is_of_runs(partition) {
            return;
        }
        let mut recovery = recovery(partition);
        match recovery.restore(at, data) {
            Ok(()) => {
                self.partitions.insert(partition, recovery);
            }
            Err(error) => self.give_up(partition, &error),
        }
    }

    fn batch(&mut self, partition: PartitionId, batch: &Batch) {
        if !is_of_runs(partition) || self.lost.contains(&partition) {
            return;
        }
        let state = self.partitions.entry(partition);
        let state = state.or_insert_with(|| recovery(partition));
        let chunk = Chunk {
            batches: vec![batch.clone()],
        };
        if let Err(error) = state.apply(&chunk) {
            self.give_up(partition, &error);
        }
    }

    fn file(&mut self, path: &Path, file: &dyn DiskFile) {
        let kind = path.extension().and_then(|kind| kind.to_str());
        let read = match kind {
            Some("journals") => self.journals(path, file),
            Some("pack") => self.pack(path, file),
            _ => Ok(()),
        };
        if let Err(why) = read {
            self.named
                .findings
                .push(format!("{}: {why}", path.display()));
        }
    }

    fn finish(&mut self) -> Named {
        let mut named = std::mem::take(&mut self.named);
        for (partition, recovery) in std::mem::take(&mut self.partitions) {
            let recovered = recovery.finish();
            let state = recovered.machine.state();
            for name in state.payloads() {
                named
                    .must
                    .insert(blob_of(&name), format!("a run of {partition}"));
            }
            let journals = self.journals.remove(&partition).unwrap_or_default();
            // Journals that are ahead of their log tell of another past, and are begun again.
            if journals.written > recovered.position {
                continue;
            }
            for (run, names) in journals.names {
                if state.runs.contains(&run) {
                    let blobs = names.iter().map(blob_of);
                    let who = || format!("the journal of the run {run}");
                    named.must.extend(blobs.map(|id| (id, who())));
                }
            }
        }
        named
    }
}

fn whole(file: &dyn DiskFile) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}
