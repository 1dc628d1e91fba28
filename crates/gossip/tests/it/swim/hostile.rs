//! What comes from those who mean no good: forged, replayed, too large, too much.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use taraf_gossip::rpc::Agent as _;
use taraf_gossip::rpc::event::{Status, Tags};
use taraf_gossip::serf::LTime;
use taraf_gossip::swim::Name;
use taraf_gossip::wire::Address;
use taraf_gossip::wire::memberlist::{Alive, Dead, Message, Suspect, Versions};
use taraf_gossip::wire::serf::Query;
use tokio::net::UdpSocket;

use super::ours::{Ours, settings};
use super::proxy::Proxy;
use super::{PORT, address, eventually};

const KEY: &[u8] = b"0123456789abcdef";

async fn socket() -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(address(), 0))
        .await
        .unwrap()
}

fn packet(message: &Message) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    bytes.freeze()
}

fn alive(name: &str, incarnation: u32, at: SocketAddr) -> Message {
    Message::Alive(Alive {
        incarnation,
        node: Name::from(name),
        address: Address::from(at.ip()),
        port: at.port(),
        meta: Bytes::new(),
        versions: Some(Versions::SERF),
    })
}

/// Two of ours that know each other.
async fn two(key: Option<&[u8]>) -> (Ours, Ours) {
    let (a, b) = (Ours::start("a", key, true), Ours::start("b", key, true));
    assert_eq!(a.join(&[b.address]).await.count, 1);
    b.until("a", Status::Alive).await;
    a.until("b", Status::Alive).await;
    (a, b)
}

/// Waits until an agent has taken so many packets that could not be read.
async fn bad(ours: &Ours, count: u64) {
    eventually("the packets came", async || {
        (ours.handle.counters().packets_bad >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn words_without_the_key_change_nothing() {
    let (a, b) = two(Some(KEY)).await;
    let socket = socket().await;
    let dead = Message::Dead(Dead {
        incarnation: 100,
        node: Name::from("b"),
        from: Name::from("b"),
    });
    let stranger = alive("x", 1, "127.0.0.9:7946".parse().unwrap());
    for message in [&dead, &stranger] {
        socket.send_to(&packet(message), a.address).await.unwrap();
    }
    socket.send_to(&[], a.address).await.unwrap();
    socket.send_to(&[0xFF; 1400], a.address).await.unwrap();
    bad(&a, 3).await;
    assert_eq!(a.member("b").unwrap().status, Status::Alive);
    assert_eq!(a.member("x"), None);
    drop(b);
}

#[tokio::test]
async fn forged_words_about_the_living_are_refuted() {
    let (a, b) = two(None).await;
    let socket = socket().await;
    for incarnation in [1, 7, u32::MAX - 1] {
        let before = b.handle.counters().refutations;
        let (node, from) = (Name::from("b"), Name::from("nobody"));
        let suspect = Message::Suspect(Suspect {
            incarnation,
            node: node.clone(),
            from: from.clone(),
        });
        let dead = Message::Dead(Dead {
            incarnation,
            node,
            from,
        });
        for message in [&suspect, &dead] {
            socket.send_to(&packet(message), a.address).await.unwrap();
        }
        eventually("it says that it lives", async || {
            let refutations = b.handle.counters().refutations;
            (refutations > before && a.member("b")?.status == Status::Alive).then_some(())
        })
        .await;
    }
    // Our own name from elsewhere is a conflict, and an old word about us is old.
    let elsewhere = alive("a", 1, "127.0.0.9:7946".parse().unwrap());
    socket
        .send_to(&packet(&elsewhere), a.address)
        .await
        .unwrap();
    eventually("it is a conflict", async || {
        (a.handle.counters().conflicts > 0).then_some(())
    })
    .await;
    assert_eq!(a.handle.address(), a.address);
}

#[tokio::test]
async fn packets_that_come_again_do_not_bring_back_who_left() {
    let proxy = Proxy::start(1).await;
    let mut settings = settings("a", proxy.bind);
    settings.advertise = Some(proxy.advertised);
    let a = Ours::with(settings);
    let b = Ours::start("b", None, true);
    assert_eq!(b.join(&[proxy.advertised]).await.count, 1);
    a.until("b", Status::Alive).await;
    b.tag("role", "web").await;
    eventually("the tag is here", async || {
        a.member("b")?.tags.get("role").map(|_| ())
    })
    .await;
    b.handle.leave().await.unwrap();
    a.until("b", Status::Left).await;
    let (socket, replayed) = (socket().await, proxy.kept());
    assert!(replayed.len() > 2, "{}", replayed.len());
    let before = a.handle.counters().packets_in;
    for _ in 0..3 {
        for packet in &replayed {
            socket.send_to(packet, proxy.bind).await.unwrap();
        }
    }
    eventually("all came", async || {
        let came = a.handle.counters().packets_in - before;
        (came >= u64::try_from(3 * replayed.len()).unwrap()).then_some(())
    })
    .await;
    assert_eq!(a.member("b").unwrap().status, Status::Left);
}

#[tokio::test]
async fn tags_and_events_that_are_too_large_are_refused_by_how_much() {
    let (a, b) = two(None).await;
    let set = Tags::from([("role".to_owned(), "x".repeat(600))]);
    let refused = a.handle.change_tags(set, Vec::new()).await.unwrap_err();
    assert!(
        refused.0.contains("512") && refused.0.contains("by "),
        "{refused}"
    );
    assert!(a.member("a").unwrap().tags.is_empty());
    let event = a
        .handle
        .user_event(Name::from("e"), Bytes::from(vec![7; 600]), false);
    let refused = event.await.unwrap_err();
    assert!(refused.0.contains("512"), "{refused}");
    let mut large = settings("c", SocketAddr::new(address(), PORT));
    large
        .cluster
        .serf
        .tags
        .0
        .insert("role".to_owned(), "x".repeat(600));
    let tasks = taraf_base::Tasks::new();
    let error = taraf_gossip::agent::start(large, &tasks).unwrap_err();
    assert!(error.to_string().contains("512"), "{error}");
    drop(b);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_queries_fills_nothing_and_stops_nobody() {
    let (a, mut b) = two(None).await;
    let socket = socket().await;
    let count = 20_000_u32;
    for id in 0..count {
        let query = Query {
            ltime: LTime(u64::from(id / 16) + 1),
            id,
            address: Address::from(socket.local_addr().unwrap().ip()),
            port: 9,
            source_node: Name::from("flood"),
            filters: Vec::new(),
            flags: Query::ACK,
            relay_factor: 255,
            timeout: Duration::from_secs(3600),
            name: Name::from("load"),
            payload: Bytes::from_static(&[7; 100]),
        };
        let mut body = BytesMut::new();
        query.encode(&mut body);
        let sent = socket
            .send_to(&packet(&Message::User(body.freeze())), a.address)
            .await;
        sent.unwrap();
    }
    // Events still get through, both ways, and nobody is taken for dead.
    for (number, from) in [&a, &b].into_iter().enumerate() {
        let name = Name::from(format!("e{number}").as_str());
        from.handle
            .user_event(name, Bytes::new(), false)
            .await
            .unwrap();
    }
    let mut told = 0;
    while told < 2 {
        use taraf_gossip::rpc::event::Event;
        use tokio::sync::broadcast::error::RecvError;
        match tokio::time::timeout(super::LIMIT, b.events.recv())
            .await
            .unwrap()
        {
            Ok(event) => told += usize::from(matches!(&*event, Event::User(_))),
            // Of the queries.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => panic!("it has ended"),
        }
    }
    let stats = a.handle.stats();
    let queued: usize = stats["serf"]["query_queue"].parse().unwrap();
    assert!(queued <= 4096 * 2, "{queued}");
    assert_eq!(a.member("b").unwrap().status, Status::Alive);
    assert_eq!(b.member("a").unwrap().status, Status::Alive);
}
