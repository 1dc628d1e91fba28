//! [pure] A run as bytes, each of its data once: in the memory of runs that rest, and in snapshots.
//! They are drawn in `docs/protocols/run-log.md`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::Data;
use taraf_log::machine::DecodeError;

use super::action::{Purpose, Wake};
use super::codec;
use super::event::Outcome;
use super::run::{Doing, Ending, Run};
use super::state::key_of;
use crate::{RunId, Status};

/// Data of so many bytes stay where they are: a place in the table would hardly be shorter.
const SHORT_BYTES: usize = 8;
/// Says of data that they stay where they are.
const HERE: u32 = 0;

/// What is asked of a resting run without decoding it. Stands before the run in the packed bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) id: RunId,
    pub(super) status: Status,
    /// When it ended.
    pub(super) ended: Option<Timestamp>,
    /// Its owner and key.
    pub(super) key: Option<(String, String)>,
    /// The timers that are set for it, if nothing else will wake it.
    pub(super) timers: Option<Vec<(u32, Purpose, Timestamp)>>,
}

impl Label {
    fn of(run: &Run) -> Self {
        let timer = |wake| match wake {
            Wake::Timer { step, purpose, due } => Some((step, purpose, due)),
            Wake::Call { .. } | Wake::Continue { .. } => None,
        };
        Self {
            id: run.id,
            status: run.status(),
            ended: run.ended.as_ref().map(|(at, _)| *at),
            key: key_of(run.begun.owner.as_deref(), run.begun.key.as_deref()),
            timers: run.wakes().into_iter().map(timer).collect(),
        }
    }

    /// Reads what stands before the run.
    pub(super) fn read(packed: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = packed;
        first(&mut rest)
    }
}

/// The label, the run without its longer data, where these stand in the table, and the table.
pub(super) fn pack(run: &Run) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::put(&mut bytes, &Label::of(run));
    let mut run = run.clone();
    let mut table: Vec<Data> = Vec::new();
    let mut places: Vec<u32> = Vec::new();
    each_data(&mut run, |data| {
        // The name of one that is kept elsewhere is short, too.
        if data.name().is_some() || data.as_bytes().len() <= SHORT_BYTES {
            places.push(HERE);
            return;
        }
        let known = table
            .iter()
            .position(|other| other.as_bytes() == data.as_bytes());
        let at = known.unwrap_or_else(|| {
            table.push(data.clone());
            table.len().saturating_sub(1)
        });
        // Invariant: a run has far fewer data than there are numbers.
        places.push(u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1));
        *data = Data::null();
    });
    codec::put(&mut bytes, &(&run, &places, &table));
    bytes
}

/// Reads such bytes.
pub(super) fn unpack(packed: &[u8]) -> Result<Run, DecodeError> {
    let mut rest = packed;
    let _label: Label = first(&mut rest)?;
    let (mut run, places, table): (Run, Vec<u32>, Vec<Data>) = codec::get(rest)?;
    let mut places = places.into_iter();
    let mut is_whole = true;
    each_data(&mut run, |data| {
        let found = match places.next() {
            Some(HERE) => return,
            Some(place) => usize::try_from(place.saturating_sub(1))
                .ok()
                .and_then(|at| table.get(at)),
            None => None,
        };
        match found {
            Some(found) => data.clone_from(found),
            None => is_whole = false,
        }
    });
    if is_whole {
        return Ok(run);
    }
    Err(DecodeError::Malformed(
        "data of a run are missing".to_owned(),
    ))
}

/// Reads the value that stands first, and leaves the bytes behind it.
fn first<T: for<'de> Deserialize<'de>>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    Ok(rmp_serde::from_read(bytes)?)
}

/// Everything in the state of a run that may be long and the same as something else, always in the
/// same order.
fn each_data(run: &mut Run, mut change: impl FnMut(&mut Data)) {
    let begun = Arc::make_mut(&mut run.begun);
    change(&mut begun.raw);
    if let Some(input) = &mut begun.input {
        change(input);
    }
    if let Some((_, Ending::Completed(output))) = &mut run.ended {
        change(output);
    }
    change(&mut run.context);
    for step in run.steps.values_mut() {
        change(&mut step.raw);
        change(&mut step.input);
        if let Doing::Call {
            request, answer, ..
        } = &mut step.doing
        {
            change(request);
            if let Some(Outcome::Ok(data)) = answer {
                change(data);
            }
        }
    }
    for lane in run.lanes.values_mut() {
        change(&mut lane.data);
    }
}
