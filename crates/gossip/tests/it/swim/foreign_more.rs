//! Members of ours with the real Serf: names, force, filters, much state, and what must not get in.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use taraf_gossip::rpc::event::{Event, Status, Tags};
use taraf_gossip::rpc::{Agent as _, Client, QueryRequest, Reply};
use taraf_gossip::serf::Window;
use taraf_gossip::swim::Name;
use taraf_gossip::wire::Envelope;
use tokio::time::timeout;

use super::ours::{Ours, settings};
use super::theirs::Theirs;
use super::{LIMIT, PORT, address, eventually};

async fn cluster(flags: &[&str]) -> (Ours, Theirs) {
    let theirs = Theirs::start("theirs", flags).await;
    let ours = Ours::start("ours", None, true);
    assert_eq!(ours.join(&[theirs.address]).await.count, 1);
    theirs.until("ours", "alive").await;
    (ours, theirs)
}

#[tokio::test]
async fn of_two_with_one_name_the_later_one_ends_whichever_it_is() {
    let (ours, theirs) = cluster(&[]).await;
    // A third, so that there is a majority.
    let third = Theirs::start("third", &[]).await;
    third.command(&["join", &theirs.address.to_string()]).await;
    ours.until("third", Status::Alive).await;
    // A second `theirs`, of ours, that comes later.
    let late = Ours::start("theirs", None, true);
    late.join(&[third.address]).await;
    timeout(LIMIT, late.handle.stopping())
        .await
        .expect("ours gives the name up");
    // And a second `ours`, of theirs.
    let mut late = Theirs::start("ours", &[]).await;
    late.command(&["join", &third.address.to_string()]).await;
    late.ended().await;
    theirs.until("ours", "alive").await;
    assert_eq!(ours.member("theirs").unwrap().status, Status::Alive);
}

#[tokio::test]
async fn a_failed_member_is_forced_out_and_forgotten_by_either() {
    let (ours, theirs) = cluster(&[]).await;
    let witness = Ours::start("witness", None, true);
    witness.join(&[ours.address]).await;
    let names = ["x1", "x2", "x3"];
    let mut all = Vec::new();
    for name in names {
        let dead = Theirs::start(name, &[]).await;
        dead.command(&["join", &ours.address.to_string()]).await;
        witness.until(name, Status::Alive).await;
        theirs.until(name, "alive").await;
        all.push(dead);
    }
    // All at once, so that one suspicion is waited for and not three.
    for dead in all {
        dead.kill().await;
    }
    for name in names {
        ours.until(name, Status::Failed).await;
        theirs.until(name, "failed").await;
    }
    // By us, by them, and forgotten.
    let left = ours.handle.force_leave(Name::from("x1"), false);
    left.await.unwrap();
    theirs.until("x1", "left").await;
    theirs.command(&["force-leave", "x2"]).await;
    ours.until("x2", Status::Left).await;
    witness.until("x2", Status::Left).await;
    eventually("x3 is forgotten", async || {
        // Serf sends few copies of a word, and may send all of them to those who have just died.
        theirs.command(&["force-leave", "-prune", "x3"]).await;
        ours.member("x3").is_none().then_some(())
    })
    .await;
    let pruned = ours.handle.force_leave(Name::from("x1"), true);
    pruned.await.unwrap();
    eventually("x1 is forgotten", async || {
        theirs.status("x1").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn their_events_that_may_are_told_as_one() {
    let theirs = Theirs::start("theirs", &[]).await;
    let mut settings = settings("ours", SocketAddr::new(address(), PORT));
    settings.cluster.serf.user_window = Some(Window::SERF);
    let mut ours = Ours::with(settings);
    ours.join(&[theirs.address]).await;
    theirs.until("ours", "alive").await;
    let mut client = theirs.client().await;
    for number in 0..5 {
        let payload = Bytes::from(format!("p{number}"));
        let said = client.user_event(Name::from("deploy"), payload, true);
        said.await.unwrap();
    }
    let said = client.user_event(Name::from("end"), Bytes::new(), false);
    said.await.unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        let event = timeout(LIMIT, ours.events.recv()).await.unwrap().unwrap();
        if let Event::User(event) = &*event {
            told.push((event.name.to_string(), event.payload.clone()));
        }
    }
    told.sort();
    let expected = [("deploy", "p4"), ("end", "")];
    let expected = expected.map(|(name, payload)| (name.to_owned(), Bytes::from(payload)));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn queries_with_filters_and_relays_go_both_ways() {
    let (mut ours, theirs) = cluster(&["-event-handler", "query:load=echo heavy"]).await;
    let second = Theirs::start("second", &["-tag", "role=db"]).await;
    second.command(&["join", &ours.address.to_string()]).await;
    theirs.until("second", "alive").await;
    theirs.command(&["tags", "-set", "role=web"]).await;
    eventually("the tag is here", async || {
        (ours.member("theirs")?.tags.get("role")? == "web").then_some(())
    })
    .await;
    let request = QueryRequest {
        nodes: vec!["theirs".into(), "ours".into()],
        tags: Tags::from([("role".to_owned(), "^w.b$".to_owned())]),
        wants_ack: true,
        relay_factor: 2,
        timeout: Duration::from_secs(2),
        name: Name::from("load"),
        ..QueryRequest::default()
    };
    let mut answered = ours.handle.query(request).await.unwrap();
    let mut heard = Vec::new();
    while let Some(reply) = timeout(LIMIT, answered.replies.recv()).await.unwrap() {
        heard.push(match reply {
            Reply::Ack(from) => format!("{from} heard it"),
            Reply::Response(from, payload) => format!("{from}: {payload:?}"),
        });
    }
    heard.sort();
    // Each once, though answers come three times.
    assert_eq!(heard, ["theirs heard it", "theirs: b\"heavy\\n\""]);
    let counters = |ours: &Ours| {
        let stats = ours.handle.stats();
        stats["serf"]["query_time"].clone()
    };
    let before = counters(&ours);
    let asked = async {
        theirs
            .command(&[
                "query",
                "-relay-factor=1",
                "-node=ours",
                "-node=second",
                "-tag=role=d.",
                "who",
            ])
            .await
    };
    assert!(asked.await.contains("Ack from 'second'"));
    assert_ne!(before, counters(&ours));
    // Not meant, we were not asked.
    while let Ok(event) = ours.events.try_recv() {
        assert!(!matches!(&*event, Event::Query(query) if &*query.name.text() == "who"));
    }
}

#[tokio::test]
async fn much_state_is_exchanged_in_both_directions() {
    /// 400 events of 200 bytes are more than 64 KiB.
    const EVENTS: u32 = 400;
    let fill = async |client: &mut Client| {
        for number in 0..EVENTS {
            let payload = Bytes::from(format!("{number:>200}"));
            let said = client.user_event(Name::from("deploy"), payload, false);
            said.await.unwrap();
        }
    };
    let theirs = Theirs::start("theirs", &[]).await;
    fill(&mut theirs.client().await).await;
    let mut ours = Ours::start("ours", None, true);
    let joined = ours
        .handle
        .join(vec![theirs.address.to_string()], true)
        .await;
    assert_eq!((joined.count, joined.error), (1, None));
    let mut told = 0;
    while told < EVENTS {
        let event = timeout(LIMIT, ours.events.recv()).await.unwrap().unwrap();
        if let Event::User(event) = &*event {
            assert_eq!(event.payload, format!("{told:>200}"));
            told += 1;
        }
    }
    // And on from us to another of theirs.
    theirs.kill().await;
    let other = Theirs::start("other", &[]).await;
    let target = ours.address.to_string();
    other.command(&["join", "-replay", &target]).await;
    eventually("all events are there", async || {
        let info = other.command(&["info"]).await;
        info.contains(&format!("event_time = {}", EVENTS + 1))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_label_that_the_other_does_not_have_keeps_it_out() {
    let theirs = Theirs::start("theirs", &[]).await;
    for label in [b"blue".as_slice(), b"green"] {
        let mut settings = settings("ours", SocketAddr::new(address(), PORT));
        settings.cluster.envelope = Envelope::new(label, None).unwrap();
        let ours = Ours::with(settings);
        assert_eq!(ours.join(&[theirs.address]).await.count, 0);
        let said = theirs.command(&["join", &ours.address.to_string()]).await;
        assert!(said.contains("Error joining"), "{said}");
        // Nor one of ours with another label.
        let mut settings = super::ours::settings("red", SocketAddr::new(address(), PORT));
        settings.cluster.envelope = Envelope::new(b"red", None).unwrap();
        let red = Ours::with(settings);
        assert_eq!(red.join(&[ours.address]).await.count, 0);
        assert_eq!(ours.handle.members().len(), 1);
    }
    assert_eq!(theirs.status("ours").await, None);
}

#[tokio::test]
async fn a_cluster_with_a_name_takes_members_without_one_and_none_of_another() {
    let start = |name: &str, cluster: &str| {
        let mut settings = settings(name, SocketAddr::new(address(), PORT));
        settings.cluster.serf.cluster = Some(cluster.to_owned());
        Ours::with(settings)
    };
    let (blue, green) = (start("b1", "blue"), start("g1", "green"));
    let joined = blue.join(&[green.address]).await;
    assert_eq!(joined.count, 0);
    let why = joined.error.unwrap().0;
    assert!(
        why.contains("Member 'g1' belongs to the cluster 'green', and we to 'blue'"),
        "{why}"
    );
    assert_eq!((blue.member("g1"), green.member("b1")), (None, None));
    // A member of Serf's kind belongs to whom it joins, and does not become a bridge.
    let theirs = Theirs::start("theirs", &[]).await;
    theirs.command(&["join", &blue.address.to_string()]).await;
    blue.until("theirs", Status::Alive).await;
    theirs.until("b1", "alive").await;
    theirs.command(&["join", &green.address.to_string()]).await;
    theirs.until("g1", "alive").await;
    let second = start("b2", "blue");
    second.join(&[blue.address]).await;
    blue.until("b2", Status::Alive).await;
    theirs.until("b2", "alive").await;
    assert_eq!((blue.member("g1"), second.member("g1")), (None, None));
    assert!(blue.handle.counters().strangers > 0);
}
