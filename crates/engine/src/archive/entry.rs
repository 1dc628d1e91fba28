//! [pure] One finished run as a pack holds it: what readers see of it, and its journal.

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::{Data, FlowError};
use taraf_log::machine::{DecodeError, Header};

use crate::partition::{Event, What, decode, encode, get, put};
use crate::{FlowId, JournalEntry, Run, RunId, Status, partition};

/// Time, kind, version and body of a recorded event.
pub(crate) type SavedEntry = (Timestamp, u8, u16, serde_bytes::ByteBuf);

/// The version of the entries that are written.
const VERSION: u8 = 1;

/// Where an entry lies in its pack: the block's first byte, and its place in the block.
pub(super) type Place = (u64, u32);

/// A finished run on its way to the archive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Archived {
    /// As readers see it.
    pub(crate) run: Run,
    /// What happened in it.
    pub(crate) journal: Vec<SavedEntry>,
}

/// What a pack holds: a run with the end of its journal, or an earlier part of a long journal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// None in a part.
    pub(super) run: Option<Run>,
    /// The earlier parts of the journal, the first first.
    pub(super) earlier: Vec<Place>,
    /// This part of it.
    pub(super) journal: Vec<SavedEntry>,
}

#[derive(Serialize, Deserialize)]
struct WireError(#[serde(with = "crate::partition::as_json")] FlowError);

#[derive(Serialize, Deserialize)]
struct Saved {
    id: RunId,
    flow: FlowId,
    status: Status,
    why: String,
    input: Data,
    output: Option<Data>,
    error: Option<WireError>,
    created: Timestamp,
    started: Option<Timestamp>,
    updated: Timestamp,
    ended: Option<Timestamp>,
    owner: Option<String>,
    key: Option<String>,
}

impl From<Run> for Saved {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            flow: run.flow,
            status: run.status,
            why: run.why,
            input: run.input,
            output: run.output,
            error: run.error.map(WireError),
            created: run.created,
            started: run.started,
            updated: run.updated,
            ended: run.ended,
            owner: run.owner,
            key: run.idempotency_key,
        }
    }
}

impl From<Saved> for Run {
    fn from(saved: Saved) -> Self {
        Self {
            id: saved.id,
            flow: saved.flow,
            status: saved.status,
            why: saved.why,
            input: saved.input,
            output: saved.output,
            error: saved.error.map(|WireError(error)| error),
            created: saved.created,
            started: saved.started,
            updated: saved.updated,
            ended: saved.ended,
            owner: saved.owner,
            idempotency_key: saved.key,
        }
    }
}

/// The bytes of an entry that holds an earlier part of a journal.
pub(super) fn encode_part(journal: &[SavedEntry]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    put(&mut bytes, &(None::<Saved>, [(); 0], journal));
    bytes
}

/// The bytes of an entry that holds a run and the end of its journal.
pub(super) fn encode_run(run: &Run, earlier: &[Place], journal: &[SavedEntry]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    put(
        &mut bytes,
        &(Some(Saved::from(run.clone())), earlier, journal),
    );
    bytes
}

/// Reads an entry of any version ever written.
///
/// # Errors
/// When a newer program wrote it, or it is none.
pub(super) fn read(bytes: &[u8]) -> Result<Entry, DecodeError> {
    let body = match bytes.split_first() {
        Some((&VERSION, body)) => body,
        Some((&version, _)) => {
            let version = u16::from(version);
            return Err(DecodeError::UnknownVersion { kind: 0, version });
        }
        None => return Err(DecodeError::Malformed("an entry is empty".to_owned())),
    };
    let (saved, earlier, journal): (Option<Saved>, Vec<Place>, Vec<SavedEntry>) = get(body)?;
    Ok(Entry {
        run: saved.map(Run::from),
        earlier,
        journal,
    })
}

/// A journal as readers see it.
///
/// # Errors
/// When a newer program recorded something in it.
pub(crate) fn told(run: RunId, journal: &[SavedEntry]) -> Result<Vec<JournalEntry>, DecodeError> {
    let entries = journal.iter().map(|(at, kind, version, body)| {
        let header = Header {
            kind: *kind,
            version: *version,
            subject: run.get(),
        };
        Ok((*at, decode(&header, body)?.what))
    });
    let entries = entries.collect::<Result<Vec<_>, DecodeError>>()?;
    Ok(partition::told(&entries))
}

/// Recorded events as an entry holds them.
pub(crate) fn saved(run: RunId, recorded: &[(Timestamp, What)]) -> Vec<SavedEntry> {
    let entry = |(at, what): &(Timestamp, What)| {
        let mut body = Vec::new();
        let event = Event {
            run,
            what: what.clone(),
        };
        let header = encode(&event, &mut body);
        let body = serde_bytes::ByteBuf::from(body);
        (*at, header.kind, header.version, body)
    };
    recorded.iter().map(entry).collect()
}
