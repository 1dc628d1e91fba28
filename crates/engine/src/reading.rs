//! [pure] Finding runs in a partition: filters and pages.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::partition::{Ending, Run, State};
use crate::{Filter, RunId, Status, view};

/// How far the order of ids and that of records may differ.
const SKEW: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs that one look goes through at most: the leader does nothing else meanwhile.
const LOOKED_AT_MAX: usize = 2_000;

/// What one look at a partition found.
pub(crate) struct Found {
    pub(crate) runs: Vec<view::Run>,
    /// The last run looked at, when others lie behind it.
    pub(crate) rest: Option<RunId>,
}

/// Runs of a partition that a filter lets through, newest first, those before `before` in the order
/// of all partitions.
pub(crate) fn find(
    state: &State,
    partition: taraf_log::PartitionId,
    filter: &Filter,
    before: Option<RunId>,
    limit: usize,
) -> Found {
    let end = match before {
        None => Bound::Unbounded,
        // Runs of the same instant and chance are ordered by partition, the highest first.
        Some(last) if partition < last.partition() => Bound::Included(last.moved_to(partition)),
        Some(last) => Bound::Excluded(last.moved_to(partition)),
    };
    let q = filter.q.as_ref().map(|q| q.to_lowercase());
    let mut runs = Vec::new();
    let mut last = None;
    for (n, (id, status)) in state.runs.statuses_back_from(end).enumerate() {
        if n == LOOKED_AT_MAX || runs.len() == limit {
            return Found { runs, rest: last };
        }
        last = Some(id);
        // Looked at first: what rests need not be decoded for it.
        if filter.status.is_some_and(|wanted| wanted != status) {
            continue;
        }
        let Some(run) = state.runs.get(&id) else {
            continue;
        };
        let is_older = |since| run.created.plus(SKEW) < since;
        if filter.since.is_some_and(is_older) {
            break;
        }
        if lets_through(filter, q.as_deref(), &run) {
            runs.push(run.view());
        }
    }
    Found { runs, rest: None }
}

/// Runs by phase, a bounded number of those behind `after`; also the last one looked at, when others
/// lie behind it.
pub(crate) fn count(state: &State, after: Option<RunId>) -> (BTreeMap<Status, u64>, Option<RunId>) {
    let behind = (
        after.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    );
    let mut counts = BTreeMap::new();
    let mut last = None;
    for (n, (id, status)) in state.runs.statuses(behind).enumerate() {
        if n == LOOKED_AT_MAX {
            return (counts, last);
        }
        *counts.entry(status).or_default() += 1;
        last = Some(id);
    }
    (counts, None)
}

/// The order of runs of all partitions, the newest first when compared in reverse.
pub(crate) fn order(run: RunId) -> (u128, u32) {
    (run.within_partition(), run.partition().0)
}

fn lets_through(filter: &Filter, q: Option<&str>, run: &Run) -> bool {
    let flow = &run.begun.flow;
    filter.since.is_none_or(|since| run.created >= since)
        && filter.until.is_none_or(|until| run.created < until)
        && filter
            .owner
            .as_ref()
            .is_none_or(|owner| run.begun.owner.as_ref() == Some(owner))
        && filter.flow.as_ref().is_none_or(|wanted| {
            wanted.namespace == flow.namespace
                && wanted.name == flow.name
                && wanted
                    .version
                    .as_ref()
                    .is_none_or(|version| *version == flow.version)
        })
        && q.is_none_or(|q| mentions(run, q))
}

fn mentions(run: &Run, q: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(q);
    let begun = &run.begun;
    has(&run.id.to_string())
        || has(&begun.flow.to_string())
        || begun.key.as_deref().is_some_and(has)
        || matches!(&run.ended, Some((_, Ending::Faulted(error))) if has(&error.to_string()))
}
