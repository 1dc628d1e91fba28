//! [pure] What the index says of a run, and which of its rows a filter lets through.

use taraf_base::Timestamp;
use taraf_flow::DataName;

use super::entry::Place;
use crate::{Filter, Run, RunId, Status};

/// Longest part of an error that can be searched.
const ERROR_CHARS_MAX: usize = 200;

/// One finished run in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: RunId,
    pub(super) status: Status,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) owner: Option<String>,
    pub(super) key: Option<String>,
    pub(super) created: Timestamp,
    pub(super) ended: Timestamp,
    /// The beginning of its error, in small letters, for text searches.
    pub(super) error: Option<String>,
    pub(super) place: Place,
}

/// A row with the payloads that its run names.
pub(super) type Naming = (Row, Vec<DataName>);

impl Row {
    /// What the index says of this run.
    pub(super) fn of(run: &Run, place: Place) -> Self {
        let error = run.error.as_ref().map(|error| {
            let text = error.to_string().to_lowercase();
            text.chars().take(ERROR_CHARS_MAX).collect()
        });
        Self {
            id: run.id,
            status: run.status,
            namespace: run.flow.namespace.clone(),
            name: run.flow.name.clone(),
            version: run.flow.version.clone(),
            owner: run.owner.clone(),
            key: run.idempotency_key.clone(),
            created: run.created,
            ended: run.ended.unwrap_or(run.updated),
            error,
            place,
        }
    }

    /// Whether the filter, its text in small letters, lets it through.
    pub(super) fn passes(&self, filter: &Filter) -> bool {
        filter.status.is_none_or(|status| status == self.status)
            && filter.since.is_none_or(|since| self.created >= since)
            && filter.until.is_none_or(|until| self.created < until)
            && filter
                .owner
                .as_ref()
                .is_none_or(|owner| self.owner.as_ref() == Some(owner))
            && filter.flow.as_ref().is_none_or(|flow| {
                let version = flow.version.as_ref();
                flow.namespace == self.namespace
                    && flow.name == self.name
                    && version.is_none_or(|version| *version == self.version)
            })
            && filter.q.as_ref().is_none_or(|q| self.mentions(q))
    }

    fn mentions(&self, q: &str) -> bool {
        let flow = format!("{}/{}/{}", self.namespace, self.name, self.version);
        self.id.to_string().to_lowercase().contains(q)
            || flow.to_lowercase().contains(q)
            || self
                .key
                .as_ref()
                .is_some_and(|key| key.to_lowercase().contains(q))
            || self.error.as_ref().is_some_and(|error| error.contains(q))
    }
}

/// Where a run stands in lists of all partitions: by the time of its start, then chance, then
/// partition, as one sortable key.
pub(super) fn sequence(id: RunId) -> [u8; 16] {
    id.get().rotate_left(16).to_be_bytes()
}

/// The run that stands there.
pub(super) fn run_at(sequence: [u8; 16]) -> RunId {
    RunId::new(u128::from_be_bytes(sequence).rotate_right(16))
}

/// The word of a phase as a number of the index.
pub(super) const fn number(status: Status) -> i64 {
    match status {
        Status::Pending => 0,
        Status::Running => 1,
        Status::Waiting => 2,
        Status::Suspended => 3,
        Status::Cancelled => 4,
        Status::Faulted => 5,
        Status::Completed => 6,
    }
}

/// The phase with this number.
pub(super) fn status(number: i64) -> Option<Status> {
    Status::ALL
        .into_iter()
        .find(|status| self::number(*status) == number)
}
