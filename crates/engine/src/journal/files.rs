//! The files with the journals of one partition's live runs: written behind each other, read by place,
//! deleted when nothing in them is needed any more.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taraf_log::{PartitionId, Position};

use super::entries::Part;
use super::frame::{self, FILE_HEAD_BYTES, FrameError, HEAD_BYTES, Holds};
use crate::RunId;

/// A file that is as long gets no more.
const FILE_BYTES: u64 = 64 << 20;
/// Bytes read at once while files are gone through.
const READ_BYTES: usize = 1 << 20;
/// For their owner alone.
const MODE: u32 = 0o600;

/// Why the files of journals cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused something.
    #[error("failed to {doing} {}", .file.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        file: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}, byte {at}", .file.display())]
    Frame {
        /// Which file.
        file: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong with it.
        #[source]
        source: FrameError,
    },
}

impl Error {
    fn io<'a>(doing: &'static str, file: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            doing,
            file: file.to_owned(),
            source,
        }
    }

    pub(super) fn frame(file: &Path, at: u64, source: FrameError) -> Self {
        let file = file.to_owned();
        Self::Frame { file, at, source }
    }
}

/// Where a part lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The number of the file.
    pub(super) file: u32,
    /// The first byte of its frame.
    pub(super) at: u32,
    /// Bytes of its frame.
    pub(super) len: u32,
    /// Entries in it.
    pub(super) count: u32,
}

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub(super) path: Arc<Path>,
    pub(super) file: Arc<File>,
    pub(super) len: u64,
    /// Bytes of the parts in it that are still needed.
    pub(super) live: u64,
    /// Whether nothing more is written to it.
    pub(super) is_full: bool,
}

impl Volume {
    /// Reads a part.
    pub(super) fn part(&self, spot: Spot) -> Result<Part, Error> {
        let at = u64::from(spot.at);
        let mut bytes = vec![0; usize::try_from(spot.len).unwrap_or(usize::MAX)];
        let read = self.file.read_exact_at(&mut bytes, at);
        read.map_err(Error::io("read", &self.path))?;
        frame::part(&bytes).map_err(|error| Error::frame(&self.path, at, error))
    }

    /// The bytes of a part as they are.
    pub(super) fn frame(&self, spot: Spot) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; usize::try_from(spot.len).unwrap_or(usize::MAX)];
        let read = self.file.read_exact_at(&mut bytes, u64::from(spot.at));
        read.map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }
}

/// A part that was found or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) run: RunId,
    pub(super) first: u64,
    pub(super) spot: Spot,
}

/// A part that was written, and where it was before if it was moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) found: Found,
    pub(super) before: Option<Spot>,
}

/// What the files hold.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) volumes: BTreeMap<u32, Volume>,
    /// In the order of runs and of their entries, without repetition.
    pub(super) parts: Vec<Found>,
    /// All that was recorded up to there is in them.
    pub(super) position: Position,
}

/// Opens the files of a partition. What stands behind the last mark was not promised to anybody and
/// is recorded in the log: it is cut off.
pub(super) fn open(dir: &Path, partition: PartitionId) -> Result<Scanned, Error> {
    fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
    let mut numbers = Vec::new();
    for file in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let name = file.map_err(Error::io("read", dir))?.file_name();
        numbers.extend(number_of(&name.to_string_lossy(), partition));
    }
    numbers.sort_unstable();
    let mut scanned = Scanned::default();
    let mut end = None;
    for number in numbers {
        let path: Arc<Path> = dir.join(name_of(partition, number)).into();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(&path);
        let file = Arc::new(file.map_err(Error::io("open", &path))?);
        let volume = Volume {
            path,
            file,
            len: 0,
            live: 0,
            is_full: false,
        };
        scanned.volumes.insert(number, volume);
        scan(&mut scanned, number, partition, &mut end)?;
    }
    let (last, len, parts) = end.unwrap_or_default();
    scanned.parts.truncate(parts);
    let behind: Vec<u32> = scanned
        .volumes
        .range(last.saturating_add(1)..)
        .map(|(n, _)| *n)
        .collect();
    for number in behind {
        if let Some(volume) = scanned.volumes.remove(&number) {
            let removed = fs::remove_file(&volume.path);
            removed.map_err(Error::io("remove", &volume.path))?;
        }
    }
    if let Some(volume) = scanned.volumes.get_mut(&last) {
        let cut = volume.file.set_len(len);
        cut.map_err(Error::io("cut", &volume.path))?;
        volume.len = len;
    }
    sort(&mut scanned.parts);
    for found in &scanned.parts {
        if let Some(volume) = scanned.volumes.get_mut(&found.spot.file) {
            volume.live = volume.live.saturating_add(u64::from(found.spot.len));
        }
    }
    Ok(scanned)
}

/// Goes through one file. `end` is where the last mark ends, and how many parts were found before.
fn scan(
    scanned: &mut Scanned,
    number: u32,
    partition: PartitionId,
    end: &mut Option<(u32, u64, usize)>,
) -> Result<(), Error> {
    let Some(volume) = scanned.volumes.get_mut(&number) else {
        return Ok(());
    };
    let path = Arc::clone(&volume.path);
    let size = volume
        .file
        .metadata()
        .map_err(Error::io("look at", &path))?
        .len();
    let mut reader = BufReader::with_capacity(READ_BYTES, &*volume.file);
    let mut file_head = [0; FILE_HEAD_BYTES];
    match reader.read_exact(&mut file_head) {
        Ok(()) => {}
        // A crash came before anything was kept in it.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
        Err(error) => return Err(Error::io("read", &path)(error)),
    }
    let checked = frame::check_file_head(&file_head, partition);
    checked.map_err(|error| Error::frame(&path, 0, error))?;
    let mut at = u64::try_from(FILE_HEAD_BYTES).unwrap_or(0);
    volume.len = at;
    let mut bytes = Vec::new();
    loop {
        bytes.resize(HEAD_BYTES, 0);
        if !read_whole(&mut reader, &mut bytes, &path)? {
            break;
        }
        let Some(Ok(head)) = bytes.first_chunk::<HEAD_BYTES>().map(frame::head) else {
            break;
        };
        let total = HEAD_BYTES.saturating_add(head.len);
        let next = at.saturating_add(u64::try_from(total).unwrap_or(u64::MAX));
        if next > size {
            break;
        }
        bytes.resize(total, 0);
        let is_whole = read_whole(
            &mut reader,
            bytes.get_mut(HEAD_BYTES..).unwrap_or_default(),
            &path,
        )?;
        if !is_whole || frame::check(&head, &bytes).is_err() {
            break;
        }
        match head.holds {
            Holds::Mark(position) => {
                scanned.position = position;
                *end = Some((number, next, scanned.parts.len()));
            }
            Holds::Part { run, first, count } => {
                let word = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
                let spot = Spot {
                    file: number,
                    at: word(at),
                    len: word(next.saturating_sub(at)),
                    count,
                };
                scanned.parts.push(Found { run, first, spot });
            }
        }
        at = next;
        volume.len = at;
    }
    Ok(())
}

/// Fills the bytes; false when the file ends before.
fn read_whole(reader: &mut impl io::Read, bytes: &mut [u8], path: &Path) -> Result<bool, Error> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// In the order of runs and entries. Of parts that begin with the same entry one was moved, or
/// written again with more: the last of the longest stays.
fn sort(parts: &mut Vec<Found>) {
    let place = |found: &Found| (found.spot.file, found.spot.at);
    parts.sort_unstable_by_key(|found| {
        let longest = std::cmp::Reverse((found.spot.count, place(found)));
        (found.run, found.first, longest)
    });
    parts.dedup_by_key(|found| (found.run, found.first));
}

fn name_of(partition: PartitionId, number: u32) -> String {
    format!("{}-{number:08}.journals", partition.0)
}

fn number_of(name: &str, partition: PartitionId) -> Option<u32> {
    let rest = name.strip_suffix(".journals")?;
    let (of, number) = rest.split_once('-')?;
    (of.parse() == Ok(partition.0)).then(|| number.parse().ok())?
}

/// Writes frames behind each other, and remembers where.
pub(super) struct Writer<'a> {
    dir: &'a Path,
    partition: PartitionId,
    number: u32,
    volume: Volume,
    /// Files that are full and not synced.
    full: Vec<(u32, Volume)>,
    bytes: Vec<u8>,
    written: Vec<Written>,
}

impl<'a> Writer<'a> {
    /// Goes on behind the last file, or in a new one.
    pub(super) fn open(
        dir: &'a Path,
        partition: PartitionId,
        last: Option<(u32, Volume)>,
    ) -> Result<Self, Error> {
        // One whose head is not whole gets nothing either.
        let head = u64::try_from(FILE_HEAD_BYTES).unwrap_or(0);
        let (number, volume) = match last {
            Some((number, volume))
                if !volume.is_full && (head..FILE_BYTES).contains(&volume.len) =>
            {
                (number, volume)
            }
            last => {
                let number = last.map_or(1, |(number, _)| number.saturating_add(1));
                (number, create(dir, partition, number)?)
            }
        };
        Ok(Self {
            dir,
            partition,
            number,
            volume,
            full: Vec::new(),
            bytes: Vec::new(),
            written: Vec::new(),
        })
    }

    /// Adds a part.
    pub(super) fn part(&mut self, run: RunId, first: u64, part: &Part) -> Result<(), Error> {
        let count = u32::try_from(part.entries.count()).unwrap_or(u32::MAX);
        let before = self.bytes.len();
        frame::put_part(&mut self.bytes, run, first, part);
        let spot = self.spot(before, count);
        let found = Found { run, first, spot };
        self.place(found, None)
    }

    /// Adds a part as it was elsewhere.
    pub(super) fn moved(&mut self, found: Found, frame: &[u8]) -> Result<(), Error> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        let spot = self.spot(before, found.spot.count);
        self.place(Found { spot, ..found }, Some(found.spot))
    }

    /// Where the bytes from there on will be.
    fn spot(&self, before: usize, count: u32) -> Spot {
        let word = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        Spot {
            file: self.number,
            at: word(self.volume.len.saturating_add(size(before))),
            len: word(size(self.bytes.len().saturating_sub(before))),
            count,
        }
    }

    fn place(&mut self, found: Found, before: Option<Spot>) -> Result<(), Error> {
        self.written.push(Written { found, before });
        if self.bytes.len() >= READ_BYTES {
            self.flush()?;
            if self.volume.len >= FILE_BYTES {
                let number = self.number.saturating_add(1);
                let next = create(self.dir, self.partition, number)?;
                let full = std::mem::replace(&mut self.volume, next);
                self.full.push((self.number, full));
                self.number = number;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let volume = &mut self.volume;
        let written = volume.file.write_all_at(&self.bytes, volume.len);
        written.map_err(Error::io("write to", &volume.path))?;
        let len = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        volume.len = volume.len.saturating_add(len);
        self.bytes.clear();
        Ok(())
    }

    /// Adds a mark and makes all of it durable. Answers the files that were written to.
    pub(super) fn finish(mut self, position: Position) -> Result<Done, Error> {
        for (_, full) in &self.full {
            full.file
                .sync_data()
                .map_err(Error::io("sync", &full.path))?;
        }
        frame::put_mark(&mut self.bytes, position);
        self.flush()?;
        let synced = self.volume.file.sync_data();
        synced.map_err(Error::io("sync", &self.volume.path))?;
        self.full.push((self.number, self.volume));
        Ok(Done {
            volumes: self.full,
            written: self.written,
        })
    }
}

/// What became durable.
pub(super) struct Done {
    /// The files that were written to.
    pub(super) volumes: Vec<(u32, Volume)>,
    /// What was written.
    pub(super) written: Vec<Written>,
}

fn create(dir: &Path, partition: PartitionId, number: u32) -> Result<Volume, Error> {
    let path: Arc<Path> = dir.join(name_of(partition, number)).into();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let file = options.mode(MODE).open(&path);
    let file = file.map_err(Error::io("make", &path))?;
    let head = frame::file_head(partition);
    let written = file.write_all_at(&head, 0);
    written.map_err(Error::io("write to", &path))?;
    let named = File::open(dir).and_then(|dir| dir.sync_all());
    named.map_err(Error::io("sync", dir))?;
    Ok(Volume {
        path,
        file: Arc::new(file),
        len: u64::try_from(head.len()).unwrap_or(u64::MAX),
        live: 0,
        is_full: false,
    })
}

/// Deletes a file in which nothing is needed any more.
pub(super) fn remove(volume: &Volume) -> Result<(), Error> {
    fs::remove_file(&volume.path).map_err(Error::io("remove", &volume.path))
}
