//! Importing the open data of the trade register into a folder, whole or not at all.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use taraf_base::Timestamp;

use super::build::Parts;
use super::file::Register;
use super::format::MAX_FIRMS;
use super::journal::Journal;
use super::rows::HeaderError;
use super::sort::BUDGET;
use super::steps::{Progress, Sources, Step, Work};
use super::tally::Tally;
use crate::durable;

/// The register in the service's folder.
pub(super) const FILE: &str = "companies.register";
/// Where an import keeps what it has done so far. By its ending a backup leaves it out.
const WORK: &str = "import.tmp";
const LOCK: &str = "import.lock";

/// Where from and where to.
#[derive(Clone, Debug)]
pub struct Import {
    /// The folder with the published files.
    pub from: PathBuf,
    /// The service's folder.
    pub folder: PathBuf,
    /// Whether a register that is a tenth smaller than the one before it may take its place.
    pub accept_fewer: bool,
}

/// A finished import.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The register file.
    pub file: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it went on from where an earlier attempt was stopped.
    pub resumed: bool,
    /// What became of the rows.
    pub tally: Tally,
}

/// Why an import did not end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A published file is missing.
    #[error("there is no {name} in {}", folder.display())]
    Missing {
        /// Its name.
        name: &'static str,
        /// Where it should be.
        folder: PathBuf,
    },
    /// A file is not what its name says.
    #[error("{} is not the published file", file.display())]
    Header {
        /// Which one.
        file: PathBuf,
        /// Why not.
        #[source]
        source: HeaderError,
    },
    /// Another import is under way in the same folder.
    #[error("another import into {} is under way", .0.display())]
    Busy(PathBuf),
    /// No row is that of a firm.
    #[error("no row of {} is that of a firm", .0.display())]
    Empty(PathBuf),
    /// There are more firms than a register holds.
    #[error("there are more than {MAX_FIRMS} firms")]
    TooMany,
    /// Many firms of the register before are gone: a download that broke off looks like this.
    #[error("the new register has {now} firms, the present one {before}")]
    Fewer {
        /// In the present one.
        before: u64,
        /// In the new one.
        now: u64,
    },
    /// It was asked to stop; the same import goes on from here.
    #[error("stopped")]
    Stopped,
    /// Reading or writing failed.
    #[error("failed to read or write")]
    Io(#[from] io::Error),
}

/// Imports the published files. A service that runs over the folder takes the new register within
/// seconds; until this returns it keeps the one it has.
///
/// After it was stopped, by a signal or with the machine, the same call goes on from where it was.
/// It blocks, and takes some 80 MB of memory however long the files are.
///
/// # Errors
/// As [`ImportError`] says. The register that was there before stays.
pub fn import(
    what: &Import,
    report: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Imported, ImportError> {
    import_at(what, Timestamp::now(), BUDGET, report)
}

/// The same, dated, with as many bytes for each sorter.
pub(super) fn import_at(
    what: &Import,
    now: Timestamp,
    budget: usize,
    report: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Imported, ImportError> {
    let sources = Sources::find(&what.from)?;
    durable::folder(&what.folder)?;
    let lock = File::create(what.folder.join(LOCK))?;
    if lock.try_lock().is_err() {
        return Err(ImportError::Busy(what.folder.clone()));
    }
    let work = what.folder.join(WORK);
    let (journal, resumed) = begin(&work, &sources)?;
    let mut work = Work {
        folder: &work,
        sources: &sources,
        journal,
        budget,
        report,
    };
    while work.step(|contents| contents.created = now.to_string())? {}
    let tally = work.journal.tally.clone();
    let fresh = Parts::new(work.folder).file;
    let file = what.folder.join(FILE);
    if tally.kept == 0 {
        return Err(ImportError::Empty(sources.firms));
    }
    // A file that cannot be opened is replaced without comparing.
    let before = Register::open(&file)
        .ok()
        .map_or(0, |register| register.tally().kept);
    if !what.accept_fewer && tally.kept.saturating_mul(10) < before.saturating_mul(9) {
        let now = tally.kept;
        return Err(ImportError::Fewer { before, now });
    }
    let bytes = fs::metadata(&fresh)?.len();
    durable::rename(&fresh, &file)?;
    fs::remove_dir_all(work.folder)?;
    Ok(Imported {
        file,
        bytes,
        resumed,
        tally,
    })
}

/// The folder of an import: as an earlier attempt over the same files left it, or empty.
fn begin(work: &Path, sources: &Sources) -> io::Result<(Journal, bool)> {
    durable::folder(work)?;
    let (journal, is_earlier) = Journal::open(work, &sources.all())?;
    // One that was stopped between taking the new register's name and ending is begun anew.
    let is_lost = journal.step == Step::Index && !Parts::new(work).file.exists();
    let is_earlier = is_earlier && !is_lost;
    if !is_earlier {
        fs::remove_dir_all(work)?;
        durable::folder(work)?;
        let (journal, _) = Journal::open(work, &sources.all())?;
        journal.save(work)?;
        return Ok((journal, false));
    }
    Ok((journal, true))
}

impl Sources {
    /// The published files in a folder, in capitals or not.
    fn find(folder: &Path) -> Result<Self, ImportError> {
        let names: Vec<PathBuf> = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()?;
        let find = |wanted: &str| {
            let is_wanted = |path: &&PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.eq_ignore_ascii_case(wanted) && path.is_file()
            };
            names.iter().find(is_wanted).cloned()
        };
        let must = |name: &'static str| {
            find(name).ok_or_else(|| ImportError::Missing {
                name,
                folder: folder.to_owned(),
            })
        };
        Ok(Self {
            firms: must("od_firme.csv")?,
            // Without the states, firms that are gone would be answered as if they were there.
            states: must("od_stare_firma.csv")?,
            activities: find("od_caen_autorizat.csv"),
            state_names: find("n_stare_firma.csv"),
            activity_names: find("n_caen.csv"),
        })
    }
}
