//! Makes a backup: the items one after the other, piece by piece, and the manifest at the end.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use taraf_base::Timestamp;

use super::manifest::{MANIFEST, Manifest};
use super::tar::{self, BLOCK_BYTES, Entry};
use super::{Error, Item, PIECE_BYTES, Source};
use crate::file::disk::{Disk, DiskFile};

/// A backup on its way out. Reads where it may block.
pub struct Pack {
    disk: Arc<dyn Disk>,
    seconds: u64,
    waiting: VecDeque<Item>,
    current: Option<Current>,
    manifest: Manifest,
    is_ended: bool,
}

struct Current {
    path: String,
    len: u64,
    read: u64,
    file: Arc<dyn DiskFile>,
    hash: Sha256,
}

impl Pack {
    /// A backup of these items, which are there until it is complete or dropped.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, items: Vec<Item>) -> Self {
        let now = Timestamp::now();
        Self {
            disk,
            seconds: u64::try_from(now.as_millis() / 1_000).unwrap_or(0),
            waiting: items.into(),
            current: None,
            manifest: Manifest::new(now),
            is_ended: false,
        }
    }

    /// Bytes that are still to come, without headers.
    #[must_use]
    pub fn left(&self) -> u64 {
        let waiting: u64 = self.waiting.iter().map(|item| item.len).sum();
        let current = self.current.as_ref();
        waiting.saturating_add(current.map_or(0, |current| current.len - current.read))
    }

    /// The next piece; nothing after the last.
    ///
    /// # Errors
    /// When a file cannot be read as it was listed: the backup is not whole then.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(current) = self.current.as_mut() {
            if let Some(piece) = current.piece()? {
                return Ok(Some(piece));
            }
            return Ok(Some(self.end_file()));
        }
        while let Some(item) = self.waiting.pop_front() {
            if let Some(header) = self.begin_file(item)? {
                return Ok(Some(header));
            }
        }
        if self.is_ended {
            return Ok(None);
        }
        self.is_ended = true;
        self.last_piece().map(Some)
    }

    /// Opens a file and answers its header; nothing for one that was removed since it was listed.
    fn begin_file(&mut self, item: Item) -> Result<Option<Bytes>, Error> {
        let (file, len) = match item.source {
            Source::Open(file) => (file, item.len),
            Source::Path(path) => {
                let doing = || Error::io(format!("open {}", path.display()));
                let file = match self.disk.open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    opened => opened.map_err(doing())?,
                };
                // It may have been replaced since it was listed: what is open now is taken whole.
                let len = file.size().map_err(doing())?;
                (file, len)
            }
        };
        let header = self.header(&item.path, len)?;
        self.current = Some(Current {
            path: item.path,
            len,
            read: 0,
            file,
            hash: Sha256::new(),
        });
        Ok(Some(header))
    }

    fn end_file(&mut self) -> Bytes {
        let Some(current) = self.current.take() else {
            return Bytes::new();
        };
        let hash = current.hash.finalize().into();
        let file = (current.len, hash);
        self.manifest.files.insert(current.path, file);
        Bytes::from(vec![0; tar::padding(current.len)])
    }

    fn last_piece(&self) -> Result<Bytes, Error> {
        let text = self.manifest.encode();
        let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let mut piece = self.header(MANIFEST, size)?.to_vec();
        piece.extend_from_slice(text.as_bytes());
        piece.extend(std::iter::repeat_n(0, tar::padding(size)));
        // A tar file ends with two blocks of zeros.
        piece.extend_from_slice(&[0; 2 * BLOCK_BYTES]);
        Ok(piece.into())
    }

    fn header(&self, path: &str, size: u64) -> Result<Bytes, Error> {
        let entry = Entry {
            name: path.to_owned(),
            size,
        };
        let header = tar::encode(&entry, self.seconds);
        let header = header.ok_or_else(|| Error::Path(path.to_owned()))?;
        Ok(Bytes::copy_from_slice(&header))
    }
}

impl Current {
    fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let left = self.len.saturating_sub(self.read);
        if left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut bytes = vec![0; wanted];
        let reading = Error::io(format!("read {} for the backup", self.path));
        self.file.read_at(&mut bytes, self.read).map_err(reading)?;
        self.hash.update(&bytes);
        self.read = self.read.saturating_add(wanted as u64);
        Ok(Some(bytes.into()))
    }
}
