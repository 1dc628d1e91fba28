//! [pure] Large payloads of runs: kept as blobs beside the log, named by what is recorded, fetched when they
//! are looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use taraf_flow::{Data, DataName, Keeper};
use taraf_log::blob::{self, Blob, BlobId, BlobStore};

use super::event::Event;

/// Bytes of payloads that stay in memory because they were looked at lately.
const CACHE_BYTES: usize = 16 << 20;

/// The payloads of a node. Shared by its partitions.
pub struct Payloads {
    store: BlobStore,
    /// Documents of more bytes are kept as blobs.
    limit: usize,
    here: Mutex<Here>,
}

/// What needs not be read from the store.
#[derive(Default)]
struct Here {
    /// By name, each with the number of its last use.
    cache: BTreeMap<DataName, (Data, u64)>,
    by_use: BTreeMap<u64, DataName>,
    uses: u64,
    bytes: usize,
    /// On their way to the store: held by the batch that names them until it is durable.
    pending: BTreeMap<DataName, Weak<Blob>>,
}

/// One piece of work that looks at payloads, and the first that it could not have.
pub struct Looking {
    payloads: Arc<Payloads>,
    failed: OnceLock<Arc<blob::Error>>,
}

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of more than {} bytes", self.store, self.limit)
    }
}

impl fmt::Debug for Looking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Looking").field(&self.failed).finish()
    }
}

/// The blob that holds a document.
#[must_use]
pub const fn blob_of(name: &DataName) -> BlobId {
    BlobId {
        hash: name.hash,
        len: name.len,
    }
}

impl Payloads {
    /// Payloads of more than `limit` bytes, kept in this store.
    #[must_use]
    pub fn new(store: BlobStore, limit: usize) -> Self {
        Self {
            store,
            limit,
            here: Mutex::default(),
        }
    }

    /// Where they are kept.
    #[must_use]
    pub const fn store(&self) -> &BlobStore {
        &self.store
    }

    /// Begins to look at some.
    #[must_use]
    pub fn look(self: &Arc<Self>) -> Arc<Looking> {
        Arc::new(Looking {
            payloads: Arc::clone(self),
            failed: OnceLock::new(),
        })
    }

    /// Takes large documents out of events; what they name and is not kept yet is answered.
    /// Without room for more, those that are not kept yet stay where they are.
    pub(super) fn detach(&self, events: &mut [Event], has_room: bool) -> Vec<Arc<Blob>> {
        let limit = if has_room { self.limit } else { usize::MAX };
        let mut blobs = Vec::new();
        let mut detached: Vec<(Data, Data)> = Vec::new();
        for event in events {
            let is_large = |data: &Data| data.name().is_some() || data.size() > limit;
            event.what.change_data(&is_large, &mut |data| {
                if let Some(name) = data.name() {
                    // It is kept already: the state need not hold on to it.
                    *data = Data::kept(*name, None);
                    return;
                }
                let known = detached.iter().find(|(was, _)| was.is_same(data));
                let named = known.map_or_else(
                    || {
                        let (name, blob) = self.keep(data);
                        blobs.push(blob);
                        Data::kept(name, None)
                    },
                    |(_, named)| named.clone(),
                );
                detached.push((std::mem::replace(data, named.clone()), named));
            });
        }
        blobs
    }

    fn keep(&self, data: &Data) -> (DataName, Arc<Blob>) {
        let bytes = data.as_bytes().clone();
        let name = DataName::of(&bytes);
        let id = blob_of(&name);
        let blob = Arc::new(Blob { id, bytes });
        let mut here = self.here();
        here.pending.retain(|_, blob| blob.strong_count() > 0);
        here.pending.insert(name, Arc::downgrade(&blob));
        here.remember(name, data.clone());
        (name, blob)
    }

    fn fetch(&self, name: &DataName) -> Result<Data, blob::Error> {
        let pending = {
            let mut here = self.here();
            if let Some(found) = here.recall(name) {
                return Ok(found);
            }
            here.pending.get(name).and_then(Weak::upgrade)
        };
        let bytes = match pending {
            Some(blob) => blob.bytes.clone(),
            None => self.store.get_now(&blob_of(name))?,
        };
        let data = Data::from_trusted(bytes);
        self.here().remember(*name, data.clone());
        Ok(data)
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn recall(&mut self, name: &DataName) -> Option<Data> {
        self.uses = self.uses.saturating_add(1);
        let (data, used) = self.cache.get_mut(name)?;
        self.by_use.remove(used);
        *used = self.uses;
        self.by_use.insert(self.uses, *name);
        Some(data.clone())
    }

    fn remember(&mut self, name: DataName, data: Data) {
        if data.size() > CACHE_BYTES || self.recall(&name).is_some() {
            return;
        }
        self.bytes = self.bytes.saturating_add(data.size());
        self.cache.insert(name, (data, self.uses));
        self.by_use.insert(self.uses, name);
        while self.bytes > CACHE_BYTES
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            let gone = self.cache.remove(&oldest);
            let bytes = gone.map_or(0, |(data, _)| data.size());
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

impl Looking {
    /// The same document; if it is kept, one that is fetched when it is looked at.
    #[must_use]
    pub fn open(self: &Arc<Self>, data: &Data) -> Data {
        data.name().map_or_else(
            || data.clone(),
            |name| {
                let keeper = Arc::clone(self) as Arc<dyn Keeper>;
                Data::kept(*name, Some(keeper))
            },
        )
    }

    /// Why something that was looked at could not be had, if so.
    #[must_use]
    pub fn failed(&self) -> Option<&Arc<blob::Error>> {
        self.failed.get()
    }
}

impl Keeper for Looking {
    fn fetch(&self, name: &DataName) -> Option<Data> {
        match self.payloads.fetch(name) {
            Ok(data) => Some(data),
            Err(error) => {
                tracing::error!(%error, "failed to read a payload");
                // The first is told.
                let _known = self.failed.set(Arc::new(error));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::RunId;
    use crate::partition::What;

    const LIMIT: usize = 100;

    fn payloads() -> Arc<Payloads> {
        Arc::new(Payloads::new(BlobStore::memory(), LIMIT))
    }

    fn completed(output: &Data) -> Event {
        Event {
            run: RunId::new(1),
            what: What::Completed {
                output: output.clone(),
            },
        }
    }

    fn output(event: &Event) -> &Data {
        match &event.what {
            What::Completed { output } => output,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_large_document_is_named_once_and_read_back_before_and_after_it_is_stored() {
        let payloads = payloads();
        let large = Data::from(json!({"text": "x".repeat(LIMIT)}));
        let small = Data::from(json!("x"));
        let mut events = [completed(&large), completed(&small), completed(&large)];
        let blobs = payloads.detach(&mut events, true);
        assert_eq!(blobs.len(), 1, "the same document twice");
        assert_eq!(output(&events[1]), &small);
        for event in [&events[0], &events[2]] {
            assert_eq!(output(event).name(), Some(&DataName::of(large.as_bytes())));
            assert_eq!(payloads.look().open(output(event)), large);
        }
        // Others were looked at since, and it is not stored yet.
        let pending = std::mem::take(&mut payloads.here().pending);
        *payloads.here() = Here {
            pending,
            ..Here::default()
        };
        let looking = payloads.look();
        assert_eq!(looking.open(output(&events[0])).to_json(), large.to_json());
        payloads.store().put_now(&blobs[0]).unwrap();
        drop(blobs);
        *payloads.here() = Here::default();
        let looking = payloads.look();
        assert_eq!(looking.open(output(&events[0])).to_json(), large.to_json());
        assert!(looking.failed().is_none());
        // What is kept already is not kept again.
        let mut again = [completed(&looking.open(output(&events[0])))];
        assert!(payloads.detach(&mut again, false).is_empty());
        assert_eq!(output(&again[0]).name(), output(&events[0]).name());
        // Without room what is not kept yet stays in its event.
        let other = Data::from(json!({"other": "x".repeat(LIMIT)}));
        let mut stays = [completed(&other)];
        assert!(payloads.detach(&mut stays, false).is_empty());
        assert_eq!(output(&stays[0]).name(), None);
    }

    #[test]
    fn what_cannot_be_had_is_told_once_the_work_is_done() {
        let payloads = payloads();
        let missing = Data::kept(DataName::of(b"1"), None);
        let looking = payloads.look();
        let seen = looking.open(&missing);
        assert!(looking.failed().is_none(), "nobody has looked yet");
        assert!(seen.is_null());
        assert!(looking.failed().unwrap().to_string().contains("is missing"));
        assert!(payloads.look().failed().is_none(), "another's work");
    }

    #[test]
    fn only_so_much_stays_in_memory() {
        let payloads = payloads();
        for n in 0..40 {
            let large = Data::from(json!([n, "x".repeat(1 << 20)]));
            payloads.detach(&mut [completed(&large)], true);
        }
        let here = payloads.here();
        assert!(here.bytes <= CACHE_BYTES && here.cache.len() > 10);
        assert_eq!(here.cache.len(), here.by_use.len());
        assert!(here.pending.len() <= 1, "nobody holds them any more");
    }
}
