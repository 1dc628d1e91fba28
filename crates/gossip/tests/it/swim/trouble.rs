//! Ours and the real Serf on a bad network, and after it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bytes::Bytes;
use taraf_gossip::rpc::codec::EventRecord;
use taraf_gossip::rpc::event::{Event, Status};
use taraf_gossip::rpc::{Agent as _, Incoming};
use taraf_gossip::swim::Name;
use tokio::time::timeout;

use super::LIMIT;
use super::ours::{Ours, settings};
use super::proxy::Proxy;
use super::theirs::Theirs;

/// Of Serf, so that a split heals within the time of a test.
const SOON: &str = r#"{"reconnect_interval": "1s"}"#;

/// Two of each kind behind proxies, all known to all.
struct Mixed {
    proxies: Vec<Proxy>,
    ours: Vec<Ours>,
    theirs: Vec<Theirs>,
}

fn named(place: usize) -> String {
    let kind = if place < 2 { 'o' } else { 't' };
    format!("{kind}{place}")
}

impl Mixed {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("serf.json");
        std::fs::write(&file, SOON).unwrap();
        let (mut proxies, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..4 {
            let proxy = Proxy::start(u64::try_from(place).unwrap()).await;
            if place < 2 {
                let mut settings = settings(&named(place), proxy.bind);
                settings.advertise = Some(proxy.advertised);
                settings.cluster.serf.reconnect_interval = std::time::Duration::from_secs(1);
                ours.push(Ours::with(settings));
            } else {
                let advertised = proxy.advertised.to_string();
                let file = file.to_str().unwrap();
                let flags = ["-advertise", &advertised, "-config-file", file];
                theirs.push(Theirs::start_at(&named(place), proxy.bind.ip(), &flags).await);
            }
            proxies.push(proxy);
        }
        let first: SocketAddr = proxies[0].advertised;
        ours[1].join(&[first]).await;
        for one in &theirs {
            one.command(&["join", &first.to_string()]).await;
        }
        let mixed = Self {
            proxies,
            ours,
            theirs,
        };
        mixed.all_see_all().await;
        mixed
    }

    async fn all_see_all(&self) {
        for place in 0..4 {
            for one in &self.ours {
                one.until(&named(place), Status::Alive).await;
            }
            for one in &self.theirs {
                one.until(&named(place), "alive").await;
            }
        }
    }

    /// Nothing goes between the first of each kind and the second.
    fn split(&self) {
        let all = &self.proxies;
        for (place, proxy) in all.iter().enumerate() {
            let others = all.iter().enumerate();
            let others = others.filter(|(other, _)| other % 2 != place % 2);
            let others: Vec<&Proxy> = others.map(|(_, other)| other).collect();
            proxy.cut(&others);
        }
    }

    fn heal(&self) {
        for proxy in &self.proxies {
            proxy.cut(&[]);
        }
    }
}

/// The next so many, which are all different if each is heard once.
async fn heard(count: usize, mut next: impl AsyncFnMut() -> Bytes) -> BTreeSet<Bytes> {
    let mut heard = BTreeSet::new();
    for _ in 0..count {
        let one = timeout(LIMIT, next()).await;
        heard.insert(one.unwrap_or_else(|_| panic!("no more than {heard:?}")));
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_cluster_bears_the_loss_of_every_fifth_packet() {
    let mut mixed = Mixed::start().await;
    for proxy in &mixed.proxies {
        proxy.lose(20);
    }
    let mut clients = Vec::new();
    for theirs in &mixed.theirs {
        let mut client = theirs.client().await;
        client.stream("user:deploy").await.unwrap();
        clients.push(client);
    }
    let all: BTreeSet<Bytes> = (0..12)
        .map(|number| Bytes::from(format!("p{number}")))
        .collect();
    for (number, payload) in all.iter().enumerate() {
        let name = Name::from("deploy");
        if number % 2 == 0 {
            let said = mixed.ours[0]
                .handle
                .user_event(name, payload.clone(), false);
            said.await.unwrap();
        } else {
            let mut teller = mixed.theirs[0].client().await;
            teller
                .user_event(name, payload.clone(), false)
                .await
                .unwrap();
        }
    }
    // All of them are heard everywhere and once, by gossip or, at the latest, by an exchange of states.
    for ours in &mut mixed.ours {
        let heard = heard(all.len(), async || {
            loop {
                let event = ours.events.recv().await.unwrap();
                if let Event::User(event) = &*event {
                    return event.payload.clone();
                }
            }
        });
        assert_eq!(heard.await, all);
    }
    for client in &mut clients {
        let heard = heard(all.len(), async || {
            loop {
                let (_, incoming) = client.next().await.unwrap();
                if let Incoming::Event(EventRecord::Event(event)) = incoming
                    && let Event::User(event) = &*event
                {
                    return event.payload.clone();
                }
            }
        });
        assert_eq!(heard.await, all);
    }
    mixed.all_see_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_of_a_mixed_cluster_is_seen_by_both_sides_and_heals() {
    let mixed = Mixed::start().await;
    mixed.split();
    mixed.ours[0].until("t3", Status::Failed).await;
    mixed.ours[0].until("o1", Status::Failed).await;
    mixed.ours[1].until("t2", Status::Failed).await;
    mixed.theirs[0].until("o1", "failed").await;
    mixed.theirs[1].until("o0", "failed").await;
    // Each side holds together.
    assert_eq!(mixed.theirs[0].status("o0").await.as_deref(), Some("alive"));
    assert_eq!(mixed.theirs[1].status("o1").await.as_deref(), Some("alive"));
    mixed.heal();
    mixed.all_see_all().await;
}
