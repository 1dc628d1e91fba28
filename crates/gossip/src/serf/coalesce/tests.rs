//! Rules of coalescing, one by one.

use bytes::Bytes;

use super::super::Status;
use super::super::event::{QueryEvent, QueryKey};
use super::*;
use crate::swim::Versions;

fn at(millis: u64) -> Moment {
    Moment::START + Duration::from_millis(millis)
}

fn member(name: &str, port: u16) -> Arc<Member> {
    Arc::new(Member {
        name: Name::from(name),
        address: std::net::IpAddr::from([127, 0, 0, 1]).into(),
        port,
        tags: crate::serf::Tags::default(),
        status: Status::Alive,
        versions: Versions::SERF,
    })
}

fn happened(change: Change, name: &str) -> Event {
    Event::Members(MemberEvent {
        change,
        members: vec![member(name, 1)],
    })
}

fn sent(time: u64, name: &str, payload: &'static str, coalesce: bool) -> Event {
    let payload = Bytes::from_static(payload.as_bytes());
    Event::User(UserEvent {
        time: LTime(time),
        name: Name::from(name),
        payload,
        coalesce,
    })
}

/// Events in short: `join a b`, `deploy@3=x`.
fn text(events: &[Event]) -> Vec<String> {
    let one = |event: &Event| match event {
        Event::Members(event) => {
            let names: Vec<String> = event.members.iter().map(|m| m.name.to_string()).collect();
            format!("{} {}", event.change.word(), names.join(" "))
        }
        Event::User(event) => {
            format!(
                "{}@{}={}",
                event.name,
                event.time,
                String::from_utf8_lossy(&event.payload)
            )
        }
        Event::Query(event) => format!("query {}", event.name),
    };
    events.iter().map(one).collect()
}

/// Feeds events at their times and runs the timer at each deadline; returns `time: event`.
fn run(events: Vec<(u64, Event)>) -> Vec<String> {
    let mut coalescer = Coalescer::new(Some(Window::SERF), Some(Window::SERF));
    let mut told = Vec::new();
    let mut note = |now: Moment, out: Vec<Event>| {
        let millis = now.as_nanos() / 1_000_000;
        told.extend(text(&out).into_iter().map(|one| format!("{millis}: {one}")));
    };
    let due =
        |coalescer: &mut Coalescer, until: Moment, note: &mut dyn FnMut(Moment, Vec<Event>)| {
            while let Some(deadline) = coalescer.next_deadline().filter(|&at| at <= until) {
                let mut out = Vec::new();
                coalescer.timer(deadline, &mut out);
                note(deadline, out);
            }
        };
    for (time, event) in events {
        due(&mut coalescer, at(time), &mut note);
        let mut out = Vec::new();
        coalescer.offer(at(time), event, &mut out);
        note(at(time), out);
    }
    due(&mut coalescer, at(1_000_000), &mut note);
    told
}

#[test]
fn a_lone_event_is_told_after_the_quiet_time() {
    assert_eq!(
        run(vec![(0, happened(Change::Join, "a"))]),
        ["1000: member-join a"]
    );
}

#[test]
fn a_stream_of_events_is_told_after_the_period() {
    let events = (0..50)
        .map(|i| (i * 100, happened(Change::Join, &format!("n{i:02}"))))
        .collect();
    let told = run(events);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("3000: member-join n00 n01") && told[0].ends_with("n29"),
        "{told:?}"
    );
    assert!(told[1].starts_with("5900: member-join n30"), "{told:?}");
}

#[test]
fn the_last_that_happened_to_a_member_counts() {
    let told = run(vec![
        (0, happened(Change::Join, "a")),
        (10, happened(Change::Join, "b")),
        (20, happened(Change::Failed, "a")),
    ]);
    assert_eq!(told, ["1020: member-join b", "1020: member-failed a"]);
}

#[test]
fn what_was_told_last_is_not_told_again() {
    let told = run(vec![
        (0, happened(Change::Join, "a")),
        (5_000, happened(Change::Failed, "a")),
        (5_100, happened(Change::Join, "a")),
        (10_000, happened(Change::Leave, "a")),
    ]);
    assert_eq!(told, ["1000: member-join a", "11000: member-leave a"]);
}

#[test]
fn updates_are_always_told() {
    let told = run(vec![
        (0, happened(Change::Update, "a")),
        (5_000, happened(Change::Update, "a")),
        (10_000, happened(Change::Update, "a")),
        (10_010, happened(Change::Update, "a")),
    ]);
    assert_eq!(
        told,
        [
            "1000: member-update a",
            "6000: member-update a",
            "11010: member-update a"
        ]
    );
}

#[test]
fn a_reaped_member_is_told_anew() {
    let told = run(vec![
        (0, happened(Change::Join, "a")),
        (5_000, happened(Change::Reap, "a")),
        (10_000, happened(Change::Join, "a")),
    ]);
    assert_eq!(
        told,
        [
            "1000: member-join a",
            "6000: member-reap a",
            "11000: member-join a"
        ]
    );
    let mut coalescer = Coalescer::new(Some(Window::SERF), None);
    let mut out = Vec::new();
    coalescer.offer(at(0), happened(Change::Join, "a"), &mut out);
    coalescer.flush(&mut out);
    coalescer.offer(at(0), happened(Change::Reap, "a"), &mut out);
    coalescer.flush(&mut out);
    assert!(coalescer.members.unwrap().held.told.is_empty());
    assert_eq!(out.len(), 2);
}

#[test]
fn of_user_events_the_newest_of_a_name_are_told() {
    let told = run(vec![
        (0, sent(1, "deploy", "a", true)),
        (10, sent(3, "deploy", "c", true)),
        (20, sent(2, "deploy", "b", true)),
        (30, sent(3, "deploy", "d", true)),
        (40, sent(2, "other", "x", true)),
    ]);
    assert_eq!(
        told,
        ["1040: other@2=x", "1040: deploy@3=c", "1040: deploy@3=d"]
    );
}

#[test]
fn what_is_not_to_be_coalesced_passes_at_once() {
    let query = Event::Query(QueryEvent {
        key: QueryKey {
            time: LTime(1),
            id: 7,
        },
        from: Name::from("a"),
        name: Name::from("load"),
        payload: Bytes::new(),
        deadline: at(9),
    });
    let told = run(vec![
        (0, sent(1, "deploy", "held", true)),
        (5, sent(2, "deploy", "now", false)),
        (6, query),
    ]);
    assert_eq!(
        told,
        ["5: deploy@2=now", "6: query load", "1000: deploy@1=held"]
    );
}

#[test]
fn without_windows_everything_passes() {
    let mut coalescer = Coalescer::default();
    let mut out = Vec::new();
    coalescer.offer(at(0), happened(Change::Join, "a"), &mut out);
    coalescer.offer(at(0), sent(1, "deploy", "x", true), &mut out);
    assert_eq!(text(&out), ["member-join a", "deploy@1=x"]);
    assert_eq!(coalescer.next_deadline(), None);
}

#[test]
fn a_full_window_ends_early() {
    let mut coalescer = Coalescer::new(None, Some(Window::SERF));
    let mut out = Vec::new();
    for number in 1..=HELD_MAX as u64 {
        assert!(out.is_empty());
        coalescer.offer(at(0), sent(number, &number.to_string(), "", true), &mut out);
    }
    assert_eq!(out.len(), HELD_MAX);
    assert_eq!(coalescer.next_deadline(), None);
}
