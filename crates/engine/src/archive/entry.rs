//! [pure] One finished run as a pack holds it: what readers see of it, and its journal.

use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::Bytes;
use taraf_base::Timestamp;
use taraf_flow::{Data, DataName, FlowError};
use taraf_log::machine::DecodeError;

use crate::journal::{self, Entries, Part};
use crate::partition::{Open, put};
use crate::{FlowId, Run, RunId, Status};

/// The same as [`VERSION`] with the names of the run's payloads at its end.
const VERSION_NAMING: u8 = 3;
/// The version of entries that name no payload.
const VERSION: u8 = 2;
/// Where the parts of a journal said neither how long they are nor what is open before them.
const FIRST_VERSION: u8 = 1;

/// Where an entry lies in its pack: the block's first byte, and its place in the block.
pub(super) type Place = (u64, u32);

/// A finished run on its way to the archive.
pub(crate) struct Archived {
    /// As readers see it.
    pub(crate) run: Run,
    /// What happened in it, part by part.
    pub(crate) journal: Box<dyn Iterator<Item = Part> + Send>,
    /// Payloads that either names, kept as blobs.
    pub(crate) payloads: Vec<DataName>,
}

/// What a pack holds: a run with the end of its journal, or an earlier part of a long journal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// None in a part.
    pub(super) run: Option<Run>,
    /// The earlier parts of the journal, the first first.
    pub(super) earlier: Vec<Earlier>,
    /// This part of it.
    pub(super) part: Part,
    /// Whether the part says what is open before it.
    pub(super) says_open: bool,
    /// Payloads that the run and the whole of its journal name.
    pub(super) payloads: Vec<DataName>,
}

/// An earlier part of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Earlier {
    pub(super) place: Place,
    /// Entries in it, if that is known.
    pub(super) count: Option<u64>,
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

/// The entries of a journal as records: time, kind, version and body of each.
struct Records<'a>(&'a Entries);

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let count = usize::try_from(self.0.count()).map_err(S::Error::custom)?;
        let mut records = to.serialize_seq(Some(count))?;
        for entry in self.0.iter() {
            let entry = entry.map_err(S::Error::custom)?;
            let body = Bytes::new(entry.body);
            records.serialize_element(&(entry.at, entry.kind, entry.version, body))?;
        }
        records.end()
    }
}

type ReadRecord<'a> = (Timestamp, u8, u16, &'a Bytes);

fn entries(records: &[ReadRecord<'_>]) -> Entries {
    let mut entries = Entries::default();
    for &(at, kind, version, body) in records {
        entries.push(journal::Entry {
            at,
            kind,
            version,
            body,
        });
    }
    entries
}

/// The bytes of an entry that holds an earlier part of a journal.
pub(super) fn encode_part(part: &Part) -> Vec<u8> {
    encode(None, &[], part, &[])
}

/// The bytes of an entry that holds a run and the end of its journal. Of each earlier part, the place
/// and how many entries it has.
pub(super) fn encode_run(
    run: &Run,
    earlier: &[(Place, u64)],
    part: &Part,
    payloads: &[DataName],
) -> Vec<u8> {
    encode(Some(run), earlier, part, payloads)
}

fn encode(
    run: Option<&Run>,
    earlier: &[(Place, u64)],
    part: &Part,
    payloads: &[DataName],
) -> Vec<u8> {
    let saved = run.cloned().map(Saved::from);
    let earlier: Vec<_> = earlier
        .iter()
        .map(|((block, place), count)| (block, place, count))
        .collect();
    let (records, before) = (Records(&part.entries), &part.before);
    if payloads.is_empty() {
        let mut bytes = vec![VERSION];
        put(&mut bytes, &(saved, earlier, records, before));
        return bytes;
    }
    let mut bytes = vec![VERSION_NAMING];
    put(&mut bytes, &(saved, earlier, records, before, payloads));
    bytes
}

/// Reads an entry of any version ever written.
///
/// # Errors
/// When a newer program wrote it, or it is none.
pub(super) fn read(bytes: &[u8]) -> Result<Entry, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION_NAMING, body)) => {
            let (saved, earlier, records, before, payloads): Naming<'_> =
                rmp_serde::from_slice(body)?;
            Ok(counted((saved, earlier, records, before), payloads))
        }
        Some((&VERSION, body)) => Ok(counted(rmp_serde::from_slice(body)?, Vec::new())),
        Some((&FIRST_VERSION, body)) => {
            let (saved, earlier, records): Uncounted<'_> = rmp_serde::from_slice(body)?;
            let entries = entries(&records);
            let earlier = earlier
                .into_iter()
                .map(|place| Earlier { place, count: None });
            Ok(Entry {
                run: saved.map(Run::from),
                earlier: earlier.collect(),
                part: Part {
                    before: Open::default(),
                    entries,
                },
                says_open: false,
                payloads: Vec::new(),
            })
        }
        Some((&version, _)) => {
            let version = u16::from(version);
            Err(DecodeError::UnknownVersion { kind: 0, version })
        }
        None => Err(DecodeError::Malformed("an entry is empty".to_owned())),
    }
}

fn counted(counted: Counted<'_>, payloads: Vec<DataName>) -> Entry {
    let (saved, earlier, records, before) = counted;
    let entries = entries(&records);
    let earlier = earlier.into_iter().map(|(block, place, count)| Earlier {
        place: (block, place),
        count: Some(count),
    });
    Entry {
        run: saved.map(Run::from),
        earlier: earlier.collect(),
        part: Part { before, entries },
        says_open: true,
        payloads,
    }
}

/// Version 3.
type Naming<'a> = (
    Option<Saved>,
    Vec<(u64, u32, u64)>,
    Vec<ReadRecord<'a>>,
    Open,
    Vec<DataName>,
);
/// Version 2.
type Counted<'a> = (
    Option<Saved>,
    Vec<(u64, u32, u64)>,
    Vec<ReadRecord<'a>>,
    Open,
);
/// Version 1.
type Uncounted<'a> = (Option<Saved>, Vec<Place>, Vec<ReadRecord<'a>>);
