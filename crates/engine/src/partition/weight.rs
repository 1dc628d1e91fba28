//! [pure] What runs and their events take in memory, roughly: limits on the state are kept by it.

use taraf_flow::{Data, FlowError};

use super::event::{BranchOutcome, Given, Outcome, What};
use super::run::{Doing, Ending, Run, TryPhase};

/// What one event takes beside its data.
const EVENT_BYTES: usize = 160;
/// What a run takes beside its data, steps and lanes.
const RUN_BYTES: usize = 800;
/// What a step takes beside its data.
const STEP_BYTES: usize = 400;
/// What a lane takes beside its data.
const LANE_BYTES: usize = 200;
/// What one of many small things takes: an item of a loop, a branch that ended, an effect key.
const SMALL_BYTES: usize = 96;

impl What {
    /// Roughly what it takes in memory, and the most by which a run can grow by it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let given = |given: &Given| match given {
            Given::Data(data) => len(data),
            Given::Input | Given::Lane(_) | Given::Answer => 0,
        };
        let data = match self {
            Self::Started(begun) => len(&begun.raw) + begun.input.as_ref().map_or(0, len),
            Self::Entered(entered) => entered.input.as_ref().map_or(0, len),
            Self::Looped { items, .. } => items.iter().map(len).sum(),
            Self::Iterated { input, .. } => given(input),
            Self::Scheduled { request, .. } => len(request),
            Self::Answered { outcome, .. } => match outcome {
                Outcome::Ok(data) => len(data),
                Outcome::Err(failed) | Outcome::Unsent(failed) => error(failed),
            },
            Self::Joined { outcome, .. } => match outcome {
                BranchOutcome::Done => 0,
                BranchOutcome::Faulted(failed) => error(failed),
            },
            Self::Caught(caught) => error(&caught.error),
            Self::TaskCompleted {
                output, context, ..
            } => given(output) + context.as_ref().map_or(0, len),
            Self::TaskFaulted { error: failed, .. } | Self::Faulted { error: failed } => {
                error(failed)
            }
            Self::Completed { output } => len(output),
            Self::Skipped { .. }
            | Self::Waiting { .. }
            | Self::Retried { .. }
            | Self::TaskCancelled { .. }
            | Self::Paused { .. }
            | Self::Suspended
            | Self::Resumed { .. }
            | Self::Cancelled { .. }
            | Self::Removed
            | Self::Moved => 0,
        };
        data.saturating_add(EVENT_BYTES)
    }
}

impl Run {
    /// Roughly what it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let begun = &self.begun;
        let input = begun.input.as_ref().map_or(0, len);
        let output = match &self.ended {
            Some((_, Ending::Completed(output))) => len(output),
            Some((_, Ending::Faulted(failed))) => error(failed),
            Some((_, Ending::Cancelled(_))) | None => 0,
        };
        let steps = self.steps.values().map(|step| {
            // Most of the time the input is the raw one.
            let input = len(&step.input).max(len(&step.raw));
            input.saturating_add(doing(&step.doing))
        });
        let lanes = self.lanes.values();
        let lanes = lanes.map(|lane| len(&lane.data).saturating_add(LANE_BYTES));
        let spent = self.spent.values().map(std::collections::BTreeSet::len);
        let fixed = [
            RUN_BYTES,
            len(&begun.raw),
            input,
            output,
            len(&self.context),
        ];
        let spent = spent.map(|keys| keys.saturating_mul(SMALL_BYTES));
        let all = fixed.into_iter().chain(steps).chain(lanes).chain(spent);
        all.fold(0, usize::saturating_add)
    }
}

fn doing(doing: &Doing) -> usize {
    let data = match doing {
        Doing::For { items, .. } => {
            let items = items
                .iter()
                .map(|item| len(item).saturating_add(SMALL_BYTES));
            items.fold(0, usize::saturating_add)
        }
        Doing::Fork { ended } => ended.len().saturating_mul(SMALL_BYTES),
        Doing::Try {
            phase: TryPhase::Handling { error: failed },
            ..
        } => error(failed),
        Doing::Call {
            request, answer, ..
        } => len(request).saturating_add(match answer {
            Some(Outcome::Ok(data)) => len(data),
            Some(Outcome::Err(failed) | Outcome::Unsent(failed)) => error(failed),
            None => 0,
        }),
        Doing::Instant | Doing::Do | Doing::Try { .. } | Doing::Wait { .. } => 0,
    };
    data.saturating_add(STEP_BYTES)
}

fn len(data: &Data) -> usize {
    // What is kept elsewhere takes a name.
    data.name().map_or_else(|| data.size(), |_name| SMALL_BYTES)
}

fn error(error: &FlowError) -> usize {
    error.detail.as_deref().map_or(0, str::len)
}
