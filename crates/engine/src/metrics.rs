//! Names of everything that the engine counts.

use taraf_log::machine::Phase;
use taraf_service::metrics::{Counter, Family, Gauge, Histogram, Registry};

use crate::leader::Leader;

/// What the engine counts.
pub(crate) struct Metrics {
    /// Where `/metrics` finds it.
    pub(crate) registry: Registry,
    /// Runs accepted.
    pub(crate) started: Counter,
    /// Runs ended, by phase.
    pub(crate) ended: Family<Counter>,
    /// Calls that have ended, by result.
    pub(crate) calls: Family<Counter>,
    /// How long calls took.
    pub(crate) call_seconds: Histogram,
    /// Record events that became durable.
    pub(crate) events: Counter,
    /// Finished runs moved to the archive.
    pub(crate) archived: Counter,
    /// How long the archive took to take some.
    pub(crate) archive_seconds: Histogram,
    /// How often it did not take them.
    pub(crate) archive_failures: Counter,
    /// How often journals of live runs could not be written.
    pub(crate) journal_failures: Counter,
    /// Payloads kept as blobs when they were last counted.
    pub(crate) payloads: Gauge,
    /// Bytes of them.
    pub(crate) payload_bytes: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        Self {
            started: registry.counter("taraf_engine_runs_started_total", "Runs accepted."),
            ended: registry.counters(
                "taraf_engine_runs_ended_total",
                "Runs ended, by phase.",
                &["status"],
            ),
            calls: registry.counters(
                "taraf_engine_calls_total",
                "Calls of flows that have ended, by result.",
                &["result"],
            ),
            call_seconds: registry
                .histogram("taraf_engine_call_seconds", "How long calls of flows took."),
            events: registry.counter(
                "taraf_engine_events_total",
                "Record events that became durable.",
            ),
            archived: registry.counter(
                "taraf_engine_runs_archived_total",
                "Finished runs moved to the archive.",
            ),
            archive_seconds: registry.histogram(
                "taraf_engine_archive_seconds",
                "How long the archive took to take finished runs.",
            ),
            archive_failures: registry.counter(
                "taraf_engine_archive_failures_total",
                "How often the archive did not take finished runs.",
            ),
            journal_failures: registry.counter(
                "taraf_engine_journal_failures_total",
                "How often journals of live runs could not be written.",
            ),
            payloads: registry.gauge(
                "taraf_engine_payloads",
                "Large payloads kept beside the log, when they were last counted.",
            ),
            payload_bytes: registry.gauge(
                "taraf_engine_payload_bytes",
                "Bytes of large payloads kept beside the log, when they were last counted.",
            ),
            registry,
        }
    }

    /// Says of each partition whether it is led.
    pub(crate) fn tell_of_partitions(&self, leaders: &[Leader]) {
        let statuses = leaders.iter().map(|leader| {
            let name = leader.partition.0.to_string();
            (name, leader.handle.status())
        });
        let statuses: Vec<_> = statuses.collect();
        self.registry.asked(
            "taraf_engine_partition_led",
            "Whether a partition of runs is led: 1, or 0; then /health/ready says why not.",
            &["partition"],
            move || {
                let series = statuses.iter().map(|(name, status)| {
                    let is_led = status.borrow().phase == Phase::Leading;
                    (vec![name.clone()], i64::from(is_led))
                });
                series.collect()
            },
        );
    }
}
