//! Bytes of resting runs in a file without a name, which goes with the process.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::partition::{Attic, Spot};

/// Pieces are multiples of this.
const GRAIN: u64 = 64;
/// Bytes at the end of the file that wait in memory, to be written together.
const TAIL_BYTES: usize = 256 << 10;
/// For its owner alone.
const MODE: u32 = 0o600;

/// A file that gives out pieces of itself.
#[derive(Debug)]
pub(crate) struct FileAttic {
    dir: PathBuf,
    file: File,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    /// Pieces in use.
    used: usize,
    /// Free pieces by their length.
    free: BTreeMap<u64, Vec<u64>>,
    /// What lies behind the end of the file, and where it does.
    tail: Vec<u8>,
    tail_at: u64,
}

/// Two that are made at the same time have different names for a moment.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl FileAttic {
    /// Makes the file in this folder and takes its name away.
    pub(crate) fn make(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("resting-runs.{number}"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = options.truncate(true).mode(MODE).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self {
            dir: dir.to_owned(),
            file,
            pieces: Mutex::default(),
        })
    }

    fn locked<T>(&self, change: impl FnOnce(&mut Pieces) -> T) -> T {
        change(&mut self.pieces.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts the bytes behind all others. When the tail cannot be written it stays in memory, and
    /// takes no more.
    fn append(&self, pieces: &mut Pieces, bytes: &[u8], piece: u64) -> io::Result<u64> {
        if pieces.tail.len() >= TAIL_BYTES {
            self.file.write_all_at(&pieces.tail, pieces.tail_at)?;
            pieces.tail_at = pieces.end();
            pieces.tail.clear();
        }
        let at = pieces.end();
        pieces.tail.extend_from_slice(bytes);
        let end = at.saturating_add(piece).saturating_sub(pieces.tail_at);
        let end = usize::try_from(end).map_err(io::Error::other)?;
        pieces.tail.resize(end, 0);
        Ok(at)
    }
}

impl Pieces {
    fn end(&self) -> u64 {
        let tail = u64::try_from(self.tail.len()).unwrap_or(u64::MAX);
        self.tail_at.saturating_add(tail)
    }

    /// The part of the tail that a spot is.
    fn in_tail(&mut self, spot: Spot) -> Option<&mut [u8]> {
        let at = usize::try_from(spot.at.checked_sub(self.tail_at)?).ok()?;
        let len = usize::try_from(spot.len).ok()?;
        self.tail.get_mut(at..at.checked_add(len)?)
    }
}

impl Attic for FileAttic {
    fn put(&self, bytes: &[u8]) -> Option<Spot> {
        let len = u32::try_from(bytes.len()).ok()?;
        let piece = piece(len);
        let put = self.locked(|pieces| {
            let at = match pieces.free.get_mut(&piece).and_then(Vec::pop) {
                Some(at) => match pieces.in_tail(Spot { at, len }) {
                    Some(place) => {
                        place.copy_from_slice(bytes);
                        at
                    }
                    None => {
                        self.file.write_all_at(bytes, at)?;
                        at
                    }
                },
                None => self.append(pieces, bytes, piece)?,
            };
            pieces.used = pieces.used.saturating_add(1);
            io::Result::Ok(at)
        });
        match put {
            Ok(at) => Some(Spot { at, len }),
            Err(error) => {
                tracing::warn!(%error, "resting runs stay in memory: their file takes no more");
                None
            }
        }
    }

    fn get(&self, spot: Spot) -> Option<Vec<u8>> {
        let in_tail = self.locked(|pieces| pieces.in_tail(spot).map(|bytes| bytes.to_vec()));
        if in_tail.is_some() {
            return in_tail;
        }
        let mut bytes = vec![0; usize::try_from(spot.len).ok()?];
        match self.file.read_exact_at(&mut bytes, spot.at) {
            Ok(()) => Some(bytes),
            Err(error) => {
                tracing::error!(%error, "failed to read a resting run");
                None
            }
        }
    }

    fn free(&self, spot: Spot) {
        self.locked(|pieces| {
            pieces.used = pieces.used.saturating_sub(1);
            if pieces.used > 0 {
                let free = pieces.free.entry(piece(spot.len)).or_default();
                free.push(spot.at);
                return;
            }
            // Nobody has anything here: the disk gets it all back.
            *pieces = Pieces::default();
            if let Err(error) = self.file.set_len(0) {
                tracing::debug!(%error, "the file of resting runs keeps its length");
            }
        });
    }

    fn another(&self) -> Option<Arc<dyn Attic>> {
        match Self::make(&self.dir) {
            Ok(attic) => Some(Arc::new(attic)),
            Err(error) => {
                tracing::warn!(%error, "replayed runs stay in memory: their file cannot be made");
                None
            }
        }
    }
}

/// Bytes of the piece for so many: a short one hardly wastes any, a long one at most an eighth, and
/// there are few lengths, so that a free piece fits again.
fn piece(len: u32) -> u64 {
    let len = u64::from(len).max(1);
    let grain = (len.next_power_of_two() / 8).max(GRAIN);
    len.next_multiple_of(grain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: u8, len: usize) -> Vec<u8> {
        vec![n; len]
    }

    #[test]
    fn what_is_put_is_got_and_free_pieces_are_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let attic = FileAttic::make(dir.path()).unwrap();
        let is_named = dir.path().read_dir().unwrap().next().is_some();
        assert!(!is_named, "it has no name");
        // Three tails, so that most of it is in the file.
        let len = |n: u8| usize::from(n) * 40 + 1;
        let spots: Vec<(u8, Spot)> = (0..200_u8)
            .map(|n| (n, attic.put(&bytes(n, len(n))).unwrap()))
            .collect();
        let long = attic.put(&bytes(7, TAIL_BYTES * 2)).unwrap();
        for (n, spot) in &spots {
            assert_eq!(attic.get(*spot).unwrap(), bytes(*n, len(*n)), "{n}");
        }
        assert_eq!(attic.get(long).unwrap(), bytes(7, TAIL_BYTES * 2));
        for (n, spot) in &spots {
            attic.free(*spot);
            let again = attic.put(&bytes(n ^ 0xFF, len(*n))).unwrap();
            assert_eq!(again, *spot);
            assert_eq!(attic.get(again).unwrap(), bytes(n ^ 0xFF, len(*n)));
        }
        let others: Vec<_> = spots.iter().filter(|(n, _)| n % 2 == 0).collect();
        for (n, spot) in &others {
            assert_eq!(attic.get(*spot).unwrap(), bytes(n ^ 0xFF, len(*n)));
        }
    }

    #[test]
    fn an_empty_attic_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let attic = FileAttic::make(dir.path()).unwrap();
        let spots: Vec<Spot> = (0..10)
            .map(|n| attic.put(&bytes(n, 100_000)).unwrap())
            .collect();
        assert!(attic.file.metadata().unwrap().len() > 0);
        for spot in spots {
            attic.free(spot);
        }
        assert_eq!(attic.file.metadata().unwrap().len(), 0);
        assert_eq!(attic.put(b"again").unwrap().at, 0);
        let other = attic.another().unwrap();
        assert_eq!(other.put(b"there").unwrap().at, 0);
        assert_eq!(attic.get(Spot { at: 0, len: 5 }).unwrap(), b"again");
    }

    #[test]
    fn pieces_waste_little() {
        for len in [1, 64, 65, 1_000, 1_025, 5_000, 1 << 20, u32::MAX] {
            let taken = piece(len);
            assert!(taken >= u64::from(len), "{len}");
            let most = (u64::from(len) / 8 * 2).max(GRAIN);
            assert!(taken - u64::from(len) < most.max(GRAIN), "{len}: {taken}");
        }
    }
}
