//! [pure] `fork`: branches of one task each, all from the same input; with `compete` the first to end wins.

use taraf_flow::tasks::Fork;
use taraf_flow::{Data, FlowError};

use super::super::event::{BranchOutcome, Given, Lane, What};
use super::super::run::Doing;
use super::super::work::{Next, Work};

pub(super) fn begin(work: &mut Work<'_>, id: u32, fork: &Fork) -> Result<(), FlowError> {
    let (count, limit) = (fork.branches.len(), work.limits.branches);
    if count > limit {
        return Err(FlowError::runtime(format!(
            "{count} branches, more than {limit}"
        )));
    }
    if count == 0 {
        let raw = Given::Data(Data::array([]));
        work.queue.push(Next::Raw {
            step: id,
            raw,
            then: None,
        });
        return Ok(());
    }
    let branches = u32::try_from(count).unwrap_or(u32::MAX);
    // The queue is taken from its end: the first branch goes first.
    for slot in (0..branches).rev() {
        work.queue.push(Next::Enter {
            lane: Lane { step: id, slot },
            index: slot,
        });
    }
    Ok(())
}

/// A branch ended well: it wins, or the fork ends with the last one.
pub(in super::super) fn branch_done(work: &mut Work<'_>, id: u32, branch: u32, fork: &Fork) {
    work.record(What::Joined {
        step: id,
        branch,
        outcome: BranchOutcome::Done,
    });
    if fork.compete {
        work.cancel_below(id);
        work.queue.push(Next::Raw {
            step: id,
            raw: Given::Lane(branch),
            then: None,
        });
        return;
    }
    if ended(work, id) < fork.branches.len() {
        return;
    }
    let branches = u32::try_from(fork.branches.len()).unwrap_or(u32::MAX);
    let outputs = (0..branches).map(|slot| work.run.lane_data(Lane { step: id, slot }));
    let outputs: Vec<Data> = outputs.collect();
    // Before they become one: many branches of allowed size may be far too large together.
    let bytes: usize = outputs.iter().map(Data::size).sum();
    let limit = work.limits.data_bytes;
    if bytes > limit {
        let error = FlowError::runtime(format!(
            "the outputs of the branches have {bytes} bytes, more than the {limit} that are allowed"
        ));
        work.queue.push(Next::Failed { step: id, error });
        return;
    }
    let raw = Given::Data(Data::array(outputs));
    work.queue.push(Next::Raw {
        step: id,
        raw,
        then: None,
    });
}

/// A branch failed: the fork does too, except that in a competition all must have failed.
pub(in super::super) fn branch_failed(
    work: &mut Work<'_>,
    id: u32,
    branch: u32,
    fork: &Fork,
    error: FlowError,
) {
    let outcome = BranchOutcome::Faulted(error.clone());
    work.record(What::Joined {
        step: id,
        branch,
        outcome,
    });
    if !fork.compete || ended(work, id) == fork.branches.len() {
        work.queue.push(Next::Failed { step: id, error });
    }
}

fn ended(work: &Work<'_>, id: u32) -> usize {
    match work.run.steps.get(&id).map(|step| &step.doing) {
        Some(Doing::Fork { ended }) => ended.len(),
        _ => 0,
    }
}
