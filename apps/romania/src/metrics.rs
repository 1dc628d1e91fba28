//! What the Romanian services count: names, meanings and labels of all their metrics.

use taraf_service::metrics::{Counter, Family, Registry};

use crate::source::SourceError;

const SOURCE_REQUESTS: &str = "taraf_romania_source_requests_total";
const SOURCE_REQUESTS_HELP: &str = "Questions to an institution, by source and outcome.";

/// Questions to one institution, by outcome.
#[derive(Clone, Debug)]
pub(crate) struct SourceMetrics {
    source: &'static str,
    requests: Family<Counter>,
}

impl SourceMetrics {
    /// The metrics of a source, whose name becomes a label.
    pub(crate) fn new(registry: &Registry, source: &'static str) -> Self {
        let labels = &["source", "outcome"];
        Self {
            source,
            requests: registry.counters(SOURCE_REQUESTS, SOURCE_REQUESTS_HELP, labels),
        }
    }

    pub(crate) fn count<T>(&self, outcome: &Result<T, SourceError>) {
        let outcome = match outcome {
            Ok(_) => "ok",
            Err(SourceError::Unreachable(..)) => "unreachable",
            Err(SourceError::Timeout(_)) => "timeout",
            Err(SourceError::Refused(..)) => "refused",
            Err(SourceError::Broken(..)) => "broken",
            Err(SourceError::Overloaded(_)) => "overloaded",
        };
        self.requests.with(&[self.source, outcome]).increment();
    }
}
