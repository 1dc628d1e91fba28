//! [pure] The state of a partition as a snapshot, drawn in `docs/protocols/run-log.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use taraf_base::Timestamp;
use taraf_flow::DataName;
use taraf_log::machine::DecodeError;

use super::codec;
use super::rest::Rest;
use super::run::Run;
use super::runs::Runs;
use super::state::{Moved, State};
use crate::RunId;

/// Versions whose runs stand as they are, without their labels.
const UNPACKED: RangeInclusive<u8> = 1..=2;
/// Versions whose runs are packed, and which name no payloads.
const NAMELESS: RangeInclusive<u8> = 3..=4;

/// Version 5: the state without what can be found again.
#[derive(Serialize)]
struct Saved<'a> {
    runs: Packed<'a>,
    moved: &'a Moved,
    payloads: &'a BTreeMap<RunId, BTreeSet<DataName>>,
}

/// Version 5 as it is read: the runs are bytes of the snapshot.
#[derive(Deserialize)]
struct Restored<'a> {
    #[serde(borrow)]
    runs: Vec<&'a Bytes>,
    moved: Moved,
    payloads: BTreeMap<RunId, BTreeSet<DataName>>,
}

/// Versions 3 and 4, whose records named no payloads.
#[derive(Deserialize)]
struct Nameless<'a> {
    #[serde(borrow)]
    runs: Vec<&'a Bytes>,
    moved: Moved,
    /// In version 3 alone.
    #[serde(default)]
    journals: Vec<(RunId, Vec<SavedEntry>)>,
}

/// Versions 1 and 2. What a version added stands at the end and has a default.
#[derive(Deserialize)]
struct Unpacked {
    runs: Vec<Run>,
    journals: Vec<(RunId, Vec<SavedEntry>)>,
    /// Since version 2.
    #[serde(default)]
    moved: Moved,
}

/// Time, kind, version and body of a journal's entry.
pub type SavedEntry = (Timestamp, u8, u16, ByteBuf);

/// Each run as `packed.rs` makes it, one at a time.
struct Packed<'a>(&'a Runs);

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut runs = to.serialize_seq(Some(self.0.len()))?;
        self.0
            .each_packed(|packed| runs.serialize_element(Bytes::new(packed)))?;
        runs.end()
    }
}

/// Equal states have equal snapshots.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.save() == other.save()
    }
}

impl State {
    /// The whole state as bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let saved = Saved {
            runs: Packed(&self.runs),
            moved: &self.moved,
            payloads: &self.payloads,
        };
        let mut bytes = vec![codec::SNAPSHOT_VERSION];
        codec::put(&mut bytes, &saved);
        bytes
    }

    /// The state of such bytes.
    ///
    /// # Errors
    /// When they are no snapshot of a version that this program knows.
    pub fn load(bytes: &[u8], rest: Rest) -> Result<Self, DecodeError> {
        let mut state = Self::new(rest);
        let journals = match bytes.split_first() {
            Some((&codec::SNAPSHOT_VERSION, body)) => {
                let saved: Restored<'_> = rmp_serde::from_slice(body)?;
                state.recall_moved(saved.moved);
                for packed in saved.runs {
                    state.recall_packed(packed)?;
                }
                state.payloads = saved.payloads;
                Vec::new()
            }
            Some((version, body)) if NAMELESS.contains(version) => {
                let saved: Nameless<'_> = rmp_serde::from_slice(body)?;
                state.recall_moved(saved.moved);
                for packed in saved.runs {
                    state.recall_packed(packed)?;
                }
                saved.journals
            }
            Some((version, body)) if UNPACKED.contains(version) => {
                let saved: Unpacked = codec::get(body)?;
                state.recall_moved(saved.moved);
                for run in saved.runs {
                    state.recall_run(run);
                }
                saved.journals
            }
            Some((version, _)) => {
                let version = u16::from(*version);
                return Err(DecodeError::UnknownVersion { kind: 0, version });
            }
            None => return Err(DecodeError::Malformed("the snapshot is empty".to_owned())),
        };
        state.inherited = journals.into_iter().collect();
        Ok(state)
    }
}
