//! [pure] Finding runs in a partition: filters and pages.

use std::ops::Bound;

use crate::partition::{Run, State};
use crate::{Filter, RunId, view};

/// How far the order of ids and that of records may differ.
const SKEW: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs of a partition that a filter lets through, newest first, those before `before` in the order
/// of all partitions.
pub(crate) fn find(
    state: &State,
    partition: taraf_log::PartitionId,
    filter: &Filter,
    before: Option<RunId>,
    limit: usize,
) -> Vec<view::Run> {
    let end = match before {
        None => Bound::Unbounded,
        // Runs of the same instant and chance are ordered by partition, the highest first.
        Some(last) if partition < last.partition() => Bound::Included(last.moved_to(partition)),
        Some(last) => Bound::Excluded(last.moved_to(partition)),
    };
    let runs = state
        .runs
        .range((Bound::Unbounded, end))
        .rev()
        .map(|(_, run)| run);
    runs.take_while(|run| {
        filter
            .since
            .is_none_or(|since| run.created.plus(SKEW) >= since)
    })
    .filter(|run| lets_through(filter, run))
    .take(limit)
    .map(Run::view)
    .collect()
}

/// The order of runs of all partitions, the newest first when compared in reverse.
pub(crate) fn order(run: RunId) -> (u128, u32) {
    (run.within_partition(), run.partition().0)
}

fn lets_through(filter: &Filter, run: &Run) -> bool {
    let flow = &run.begun.flow;
    filter.status.is_none_or(|status| run.status() == status)
        && filter.since.is_none_or(|since| run.created >= since)
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
        && filter
            .q
            .as_ref()
            .is_none_or(|q| mentions(run, &q.to_lowercase()))
}

fn mentions(run: &Run, q: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(q);
    let view = run.view();
    has(&view.id.to_string())
        || has(&view.flow.to_string())
        || view.idempotency_key.as_deref().is_some_and(has)
        || view.error.is_some_and(|error| has(&error.to_string()))
}
