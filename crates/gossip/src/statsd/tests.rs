//! Lines of statsd beside what was counted.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::figures::Figures;
use crate::rpc::event::{Event, Member, MemberChange, UserEvent};
use crate::swim::Name;
use crate::{serf, swim};

fn said(event: &str) -> Event {
    Event::User(UserEvent {
        ltime: 1,
        name: Name::from(event),
        payload: Bytes::new(),
        coalesce: false,
    })
}

/// All lines that are told now.
fn told(figures: &mut Figures, sent: u64, stats: &[(&str, u64)]) -> Vec<String> {
    let swim = swim::Counters {
        packet_bytes_out: sent,
        ..swim::Counters::default()
    };
    let stats: BTreeMap<&str, u64> = stats.iter().copied().collect();
    let packets = figures.packets(&swim, &serf::Counters::default(), |name| {
        stats.get(name).copied()
    });
    assert!(packets.iter().all(|packet| packet.len() <= 1400));
    let text = String::from_utf8(packets.concat()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_was_counted_since_the_last_time_is_told_once() {
    let mut figures = Figures::new("web-1");
    figures.event(&said("deploy"));
    figures.event(&said("deploy"));
    figures.event(&Event::Members(
        MemberChange::Failed,
        vec![Member::default(); 3],
    ));
    let lines = told(
        &mut figures,
        100,
        &[("health_score", 2), ("intent_queue", 4)],
    );
    let expected = [
        "serf-agent.memberlist.udp.sent:100|c",
        "serf-agent.serf.events.deploy:2|c",
        "serf-agent.serf.member.failed:3|c",
        "serf-agent.web-1.memberlist.health.score:2|g",
        "serf-agent.serf.queue.Intent:4|ms",
    ];
    assert_eq!(lines, expected);
    assert_eq!(
        told(&mut figures, 130, &[]),
        ["serf-agent.memberlist.udp.sent:30|c"]
    );
    assert!(told(&mut figures, 130, &[]).is_empty());
}

#[test]
fn names_that_others_chose_forge_no_line_and_fill_nothing() {
    let mut figures = Figures::new("h");
    figures.event(&said("a:1|g\nb c"));
    let lines = told(&mut figures, 0, &[]);
    assert_eq!(lines, ["serf-agent.serf.events.a_1_g_b_c:1|c"]);
    for number in 0..5_000 {
        figures.event(&said(&format!("{number}{}", "x".repeat(500))));
    }
    let lines = told(&mut figures, 0, &[]);
    assert!(lines.len() == 256 && lines.iter().all(|line| line.len() < 200));
}
