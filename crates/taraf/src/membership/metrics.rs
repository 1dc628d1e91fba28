//! What membership counts, on the page of metrics.

use std::collections::BTreeMap;

use taraf_gossip::agent::Handle;
use taraf_gossip::rpc::Agent as _;
use taraf_service::metrics::Registry;

/// What a page shows: label values and a number.
type Rows = Vec<(Vec<String>, i64)>;

/// The queues of Serf's layer, by their names in its figures.
const QUEUES: [(&str, &str); 3] = [
    ("intent", "intent_queue"),
    ("event", "event_queue"),
    ("query", "query_queue"),
];

/// Registers all metrics of a member.
pub(super) fn of(handle: &Handle) -> Registry {
    let registry = Registry::new();
    let of = handle.clone();
    registry.asked(
        "taraf_gossip_members",
        "Members that are known, by what is thought of them; `suspect` are alive and doubted.",
        &["status"],
        move || members(&of),
    );
    let of = handle.clone();
    registry.asked(
        "taraf_gossip_queue",
        "Messages that wait to be sent to all.",
        &["queue"],
        move || queues(&of),
    );
    let of = handle.clone();
    registry.asked(
        "taraf_gossip_health",
        "Our own health: 0 is sound, more is slower and doubts others more slowly.",
        &[],
        move || vec![(Vec::new(), figure(&of, "health_score"))],
    );
    let of = handle.clone();
    registry.counted(
        "taraf_gossip_packets_total",
        "Packets of gossip, and those that could not be read.",
        &["direction"],
        move || {
            let counts = of.counters();
            rows([
                ("in", counts.packets_in),
                ("out", counts.packets_out),
                ("bad", counts.packets_bad),
            ])
        },
    );
    let of = handle.clone();
    registry.counted(
        "taraf_gossip_packet_bytes_total",
        "Bytes of the packets of gossip.",
        &["direction"],
        move || {
            let counts = of.counters();
            rows([
                ("in", counts.packet_bytes_in),
                ("out", counts.packet_bytes_out),
            ])
        },
    );
    events(&registry, handle);
    registry
}

/// What happened, told apart by what it was.
fn events(registry: &Registry, handle: &Handle) {
    let of = handle.clone();
    registry.counted(
        "taraf_gossip_swim_total",
        "What membership did: probes, refutations, exchanges of state, streams, members of other clusters ignored.",
        &["what"],
        move || {
            let counts = of.counters();
            rows([
                ("probe", counts.probes),
                ("probe_failed", counts.probes_failed),
                ("probe_over_tcp", counts.probes_over_tcp),
                ("refutation", counts.refutations),
                ("stall", counts.stalls),
                ("push_pull", counts.push_pulls),
                ("conflict", counts.conflicts),
                ("stranger", counts.strangers),
                ("port_refused", counts.refusals),
                ("death_refused", counts.deaths_refused),
                ("member_refused", counts.members_refused),
                ("stream_in", counts.streams_in),
                ("stream_out", counts.streams_out),
                ("stream_failed", counts.streams_failed),
                ("stream_refused", counts.streams_refused),
            ])
        },
    );
    let of = handle.clone();
    registry.counted(
        "taraf_gossip_serf_total",
        "What Serf's layer did: user events, queries, their answers, what was dropped.",
        &["what"],
        move || {
            let counts = of.serf_counters();
            rows([
                ("user_event", counts.events),
                ("query", counts.queries),
                ("query_ack", counts.query_acks),
                ("query_response", counts.query_responses),
                ("flap", counts.flaps),
                ("malformed", counts.malformed),
                ("pruned", counts.pruned),
            ])
        },
    );
}

fn rows<const N: usize>(counts: [(&str, u64); N]) -> Rows {
    let row = |(what, count): (&str, u64)| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        (vec![what.to_owned()], count)
    };
    counts.map(row).into()
}

fn members(handle: &Handle) -> Rows {
    let members = handle.watch_members().borrow().clone();
    let words = ["alive", "suspect", "leaving", "left", "failed"];
    let mut counts: BTreeMap<&str, i64> = words.map(|word| (word, 0)).into();
    for seen in &members.all {
        *counts.entry(super::word(seen)).or_default() += 1;
    }
    let row = |(word, count): (&str, i64)| (vec![word.to_owned()], count);
    counts.into_iter().map(row).collect()
}

fn queues(handle: &Handle) -> Rows {
    let row =
        |(queue, figure_of): (&str, &str)| (vec![queue.to_owned()], figure(handle, figure_of));
    QUEUES.map(row).into()
}

/// A number out of the figures that Serf shows.
fn figure(handle: &Handle, name: &str) -> i64 {
    let stats = handle.stats();
    let serf = stats.get("serf").and_then(|serf| serf.get(name));
    serf.and_then(|text| text.parse().ok()).unwrap_or(0)
}
