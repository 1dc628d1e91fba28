//! [pure] The state of a partition as a snapshot, drawn in `docs/protocols/run-log.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read as _, Write};
use std::ops::RangeInclusive;

use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use taraf_base::Timestamp;
use taraf_flow::DataName;
use taraf_log::machine::DecodeError;
use taraf_log::snapshot::Reader;

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

/// Version 5 as it is read: into a state, one run at a time.
struct Saving<'a>(&'a mut State);

/// The runs of it.
struct Recalling<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Saving<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_tuple(3, self)
    }
}

impl<'de> Visitor<'de> for Saving<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("runs, what moved, and names of payloads")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        let missing = |at| A::Error::invalid_length(at, &"3 parts");
        let runs = parts.next_element_seed(Recalling(&mut *self.0))?;
        runs.ok_or_else(|| missing(0))?;
        let moved = parts.next_element()?.ok_or_else(|| missing(1))?;
        self.0.recall_moved(moved);
        let payloads = parts.next_element()?.ok_or_else(|| missing(2))?;
        self.0.recall_payloads(payloads);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Recalling<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Recalling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packed runs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut runs: A) -> Result<(), A::Error> {
        while let Some(packed) = runs.next_element::<ByteBuf>()? {
            let recalled = self.0.recall_packed(packed.into_vec());
            recalled.map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Equal states have equal snapshots.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let saved = |state: &Self| {
            let mut bytes = Vec::new();
            state.save(&mut bytes).map(|()| bytes).ok()
        };
        saved(self) == saved(other)
    }
}

impl State {
    /// Writes the whole state, one run at a time.
    ///
    /// # Errors
    /// As `to` answers.
    pub fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        let saved = Saved {
            runs: Packed(&self.runs),
            moved: &self.moved,
            payloads: &self.payloads,
        };
        to.write_all(&[codec::SNAPSHOT_VERSION])?;
        rmp_serde::encode::write(to, &saved).map_err(io::Error::other)
    }

    /// The state that was written so.
    ///
    /// # Errors
    /// When it is none of a version that this program knows.
    pub fn load(from: &mut Reader<'_>, rest: Rest) -> Result<Self, DecodeError> {
        let mut state = Self::new(rest);
        let mut version = [0];
        let empty = |_| DecodeError::Malformed("the snapshot is empty".to_owned());
        from.read_exact(&mut version).map_err(empty)?;
        let [version] = version;
        if version == codec::SNAPSHOT_VERSION {
            let mut from = rmp_serde::Deserializer::new(from);
            Saving(&mut state).deserialize(&mut from)?;
            return Ok(state);
        }
        let mut body = Vec::new();
        from.read_to_end(&mut body)?;
        let journals = if NAMELESS.contains(&version) {
            let saved: Nameless<'_> = rmp_serde::from_slice(&body)?;
            state.recall_moved(saved.moved);
            for packed in saved.runs {
                state.recall_packed(packed.to_vec())?;
            }
            saved.journals
        } else if UNPACKED.contains(&version) {
            let saved: Unpacked = codec::get(&body)?;
            state.recall_moved(saved.moved);
            for run in saved.runs {
                state.recall_run(run);
            }
            saved.journals
        } else {
            let version = u16::from(version);
            return Err(DecodeError::UnknownVersion { kind: 0, version });
        };
        state.inherited = journals.into_iter().collect();
        Ok(state)
    }
}
