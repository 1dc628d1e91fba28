//! [pure] Figures as lines of statsd: `NAME:VALUE|KIND`, several to a packet.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use crate::rpc::event::{Event, MemberChange};
use crate::{serf, swim};

/// Before all names (Serf 0.9.4).
const PREFIX: &str = "serf-agent";
/// The longest packet, which passes everywhere (Serf 0.9.4).
const PACKET_BYTES_MAX: usize = 1400;
/// How many counters with names that others chose are kept between two tellings.
const NAMED_MAX: usize = 256;
/// How much of such a name is told.
const NAME_CHARS_MAX: usize = 128;

/// What was told, and what was counted since.
pub(super) struct Figures {
    host: String,
    swim: swim::Counters,
    serf: serf::Counters,
    /// By the names of user events, queries and changes.
    named: BTreeMap<String, u64>,
}

impl Figures {
    /// Gauges are told apart by this host.
    pub(super) fn new(host: &str) -> Self {
        Self {
            host: plain(host),
            swim: swim::Counters::default(),
            serf: serf::Counters::default(),
            named: BTreeMap::new(),
        }
    }

    /// Something happened.
    pub(super) fn event(&mut self, event: &Event) {
        let (name, count) = match event {
            Event::Members(change, members) => {
                let word = match change {
                    MemberChange::Join => "join",
                    MemberChange::Leave => "left",
                    MemberChange::Failed => "failed",
                    MemberChange::Update => "update",
                    MemberChange::Reap => "reap",
                };
                (format!("serf.member.{word}"), members.len())
            }
            Event::User(event) => (format!("serf.events.{}", plain(&event.name.text())), 1),
            Event::Query(event) => (format!("serf.queries.{}", plain(&event.name.text())), 1),
        };
        let is_known = self.named.contains_key(&name);
        if is_known || self.named.len() < NAMED_MAX {
            let counted = self.named.entry(name).or_default();
            *counted = counted.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// What is to be told now: what was counted since the last time, and how things stand, which `figure` says by
    /// the names of `serf info`.
    pub(super) fn packets(
        &mut self,
        swim: &swim::Counters,
        serf: &serf::Counters,
        figure: impl Fn(&str) -> Option<u64>,
    ) -> Vec<Vec<u8>> {
        let (swim_before, serf_before) = (self.swim, self.serf);
        (self.swim, self.serf) = (*swim, *serf);
        let counted = [
            (
                "memberlist.udp.received",
                swim.packet_bytes_in,
                swim_before.packet_bytes_in,
            ),
            (
                "memberlist.udp.sent",
                swim.packet_bytes_out,
                swim_before.packet_bytes_out,
            ),
            (
                "memberlist.tcp.accept",
                swim.streams_in,
                swim_before.streams_in,
            ),
            (
                "memberlist.tcp.connect",
                swim.streams_out,
                swim_before.streams_out,
            ),
            (
                "memberlist.degraded.probe",
                swim.probes_failed,
                swim_before.probes_failed,
            ),
            (
                "memberlist.degraded.timeout",
                swim.suspicions_lonely,
                swim_before.suspicions_lonely,
            ),
            ("serf.events", serf.events, serf_before.events),
            ("serf.queries", serf.queries, serf_before.queries),
            ("serf.query_acks", serf.query_acks, serf_before.query_acks),
            (
                "serf.query_responses",
                serf.query_responses,
                serf_before.query_responses,
            ),
            ("serf.member.flap", serf.flaps, serf_before.flaps),
        ];
        let counted = counted.map(|(name, now, before)| (name, now.saturating_sub(before)));
        let counted = counted.into_iter().filter(|(_, more)| *more > 0);
        let mut lines: Vec<String> = counted
            .map(|(name, more)| format!("{PREFIX}.{name}:{more}|c\n"))
            .collect();
        let named = std::mem::take(&mut self.named);
        lines.extend(
            named
                .iter()
                .map(|(name, more)| format!("{PREFIX}.{name}:{more}|c\n")),
        );
        if let Some(health) = figure("health_score") {
            let host = &self.host;
            lines.push(format!(
                "{PREFIX}.{host}.memberlist.health.score:{health}|g\n"
            ));
        }
        for (name, queue) in [
            ("Intent", "intent_queue"),
            ("Event", "event_queue"),
            ("Query", "query_queue"),
        ] {
            // Serf's are of the kind of which the server tells the mean and the largest.
            if let Some(length) = figure(queue) {
                lines.push(format!("{PREFIX}.serf.queue.{name}:{length}|ms\n"));
            }
        }
        packed(&lines)
    }
}

/// Lines in packets, none of which is too long.
fn packed(lines: &[String]) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        match packets.last_mut() {
            Some(last) if last.len().saturating_add(line.len()) <= PACKET_BYTES_MAX => {
                last.extend(line.as_bytes());
            }
            _ => packets.push(line.as_bytes().to_vec()),
        }
    }
    packets
}

/// A name that others chose, without what has a meaning in a line.
fn plain(name: &str) -> String {
    let plain = |letter: char| match letter {
        ':' | '|' | '@' => '_',
        letter if letter.is_whitespace() || letter.is_control() => '_',
        letter => letter,
    };
    name.chars().take(NAME_CHARS_MAX).map(plain).collect()
}
