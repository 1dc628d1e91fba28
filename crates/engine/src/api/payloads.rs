//! Payloads brought to their readers: on demand, and so much at a time.

use serde_json::json;
use taraf_flow::{Data, DataName};
use taraf_log::blob;

use super::Engine;
use crate::partition::blob_of;
use crate::{Error, JournalEntry, Payload, Run, RunId};

/// Bytes of payloads that one answer with a journal holds; the names of others stand for them.
const JOURNAL_BYTES_MAX: usize = 16 << 20;

/// Lets the names of large payloads stand for them.
pub(super) fn name_payloads(run: &mut Run) {
    for data in std::iter::once(&mut run.input).chain(&mut run.output) {
        if let Some(name) = data.name() {
            let payload = json!({"name": name.to_string(), "bytes": name.len});
            *data = Data::from(json!({ "payload": payload }));
        }
    }
}

impl Engine {
    /// Brings what a run holds here.
    pub(super) async fn fetch_all(&self, run: &mut Run) -> Result<(), Error> {
        let id = run.id;
        self.fetch(id, &mut run.input).await?;
        match &mut run.output {
            Some(output) => self.fetch(id, output).await,
            None => Ok(()),
        }
    }

    /// The same run with what it holds.
    pub(super) async fn whole(&self, mut run: Run) -> Result<Run, Error> {
        self.fetch_all(&mut run).await?;
        Ok(run)
    }

    /// Brings a document of a run here, if it is kept elsewhere.
    pub(super) async fn fetch(&self, run: RunId, data: &mut Data) -> Result<(), Error> {
        if let Some(name) = data.name().copied() {
            let read = self.read(&name).await;
            *data = read.map_err(|source| Error::Payload { run, source })?;
        }
        Ok(())
    }

    /// Brings what a journal holds here, as far as it is not too much. What cannot be read is told of
    /// at its entry.
    pub(super) async fn fetch_entries(&self, journal: &mut [JournalEntry]) {
        let mut left = JOURNAL_BYTES_MAX;
        for entry in journal {
            let Some(name) = entry.data.as_ref().and_then(Data::name).copied() else {
                continue;
            };
            let size = usize::try_from(name.len).unwrap_or(usize::MAX);
            let problem = if size > left {
                None
            } else {
                left = left.saturating_sub(size);
                match self.read(&name).await {
                    Ok(data) => {
                        entry.data = Some(data);
                        continue;
                    }
                    Err(error) => Some(error.to_string()),
                }
            };
            entry.data = None;
            entry.payload = Some(Payload {
                name: name.to_string(),
                bytes: name.len,
                problem,
            });
        }
    }

    async fn read(&self, name: &DataName) -> Result<Data, blob::Error> {
        let id = blob_of(name);
        match &self.inner.means.config.blobs {
            Some(store) => store.get(&id).await.map(Data::from_trusted),
            None => Err(blob::Error::Missing(id)),
        }
    }
}
