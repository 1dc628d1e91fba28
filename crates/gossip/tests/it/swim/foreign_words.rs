//! User events and queries between ours and the real Serf.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taraf_gossip::rpc::event::{Event, Query, UserEvent};
use taraf_gossip::rpc::{Agent as _, QueryRequest, Reply};
use taraf_gossip::swim::Name;
use tokio::time::timeout;

use super::LIMIT;
use super::ours::Ours;
use super::theirs::Theirs;

/// The next event that `pick` takes.
async fn next<T>(ours: &mut Ours, pick: impl Fn(&Event) -> Option<T>) -> T {
    let wait = async {
        loop {
            let event: Arc<Event> = ours.events.recv().await.unwrap();
            if let Some(picked) = pick(&event) {
                return picked;
            }
        }
    };
    timeout(LIMIT, wait).await.expect("the event comes")
}

fn user(event: &Event) -> Option<UserEvent> {
    match event {
        Event::User(event) => Some(event.clone()),
        Event::Members(..) | Event::Query(_) => None,
    }
}

fn query(event: &Event) -> Option<Query> {
    match event {
        Event::Query(query) => Some(query.clone()),
        Event::Members(..) | Event::User(_) => None,
    }
}

async fn pair() -> (Ours, Theirs) {
    // Theirs answers the query `load` with what the script prints.
    let theirs = Theirs::start("theirs", &["-event-handler", "query:load=echo heavy"]).await;
    let ours = Ours::start("ours", None, true);
    assert_eq!(ours.join(&[theirs.address]).await.count, 1);
    theirs.until("ours", "alive").await;
    (ours, theirs)
}

#[tokio::test]
async fn user_events_go_both_ways() {
    let (mut ours, theirs) = pair().await;
    for number in 0..3 {
        let payload = format!("p{number}");
        theirs
            .command(&["event", "-coalesce=false", "deploy", &payload])
            .await;
        let event = next(&mut ours, user).await;
        assert_eq!(
            (&*event.name.text(), &event.payload[..]),
            ("deploy", payload.as_bytes())
        );
    }
    // What we say comes back to us first, and to theirs by gossip.
    let said = ours
        .handle
        .user_event(Name::from("hello"), Bytes::from_static(b"there"), false);
    said.await.unwrap();
    let event = next(&mut ours, user).await;
    assert_eq!((&*event.name.text(), event.ltime), ("hello", 4));
    super::eventually("serf has heard it", async || {
        theirs
            .command(&["info"])
            .await
            .contains("event_time = 5")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn our_query_is_acked_and_answered_by_theirs() {
    let (ours, _theirs) = pair().await;
    let request = QueryRequest {
        wants_ack: true,
        timeout: Duration::from_secs(3),
        name: Name::from("load"),
        payload: Some(Bytes::new()),
        ..QueryRequest::default()
    };
    let mut answered = ours.handle.query(request).await.unwrap();
    let mut heard = Vec::new();
    while let Some(reply) = timeout(LIMIT, answered.replies.recv()).await.unwrap() {
        heard.push(match reply {
            Reply::Ack(from) => format!("{from} heard it"),
            Reply::Response(from, payload) => {
                format!("{from}: {}", String::from_utf8_lossy(&payload))
            }
        });
    }
    heard.sort();
    assert_eq!(
        heard,
        ["ours heard it", "theirs heard it", "theirs: heavy\n"]
    );
}

#[tokio::test]
async fn their_query_is_answered_by_ours() {
    let (mut ours, theirs) = pair().await;
    let asked = async { theirs.command(&["query", "-timeout", "2s", "who"]).await };
    let answer = async {
        let query = next(&mut ours, query).await;
        assert_eq!(&*query.name.text(), "who");
        ours.handle
            .respond(query.key, Bytes::from_static(b"me"))
            .await
            .unwrap();
        let again = ours
            .handle
            .respond(query.key, Bytes::from_static(b"me"))
            .await;
        assert_eq!(again.unwrap_err().0, "response already sent");
    };
    let (said, ()) = tokio::join!(asked, answer);
    assert!(said.contains("Ack from 'ours'"), "{said}");
    assert!(said.contains("Response from 'ours': me"), "{said}");
}

#[tokio::test]
async fn round_trips_are_foretold_on_both_sides() {
    let (ours, theirs) = pair().await;
    super::eventually("we know where theirs is", async || {
        let (a, b) = (Name::from("ours"), Name::from("theirs"));
        ours.handle.round_trip(&a, &b)
    })
    .await;
    super::eventually("theirs knows where ours is", async || {
        theirs
            .command(&["rtt", "ours"])
            .await
            .starts_with("Estimated")
            .then_some(())
    })
    .await;
}
