//! An agent of two members and one memory, whose doings the tests see.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use taraf_gossip::rpc::event::{Event, Member, QueryKey, Status, Tags, UserEvent, Versions};
use taraf_gossip::rpc::{
    Agent, Answered, Coordinate, Joined, KeyCommand, KeysAnswer, QueryRequest, Refused, Reply,
    Stats,
};
use taraf_gossip::wire::{Address, Name};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

/// As in Serf.
const EVENT_BYTES_MAX: usize = 512;

#[derive(Clone)]
pub(crate) struct Fake(pub(super) Arc<Memory>);

pub(crate) struct Memory {
    pub(crate) tags: Mutex<Tags>,
    pub(crate) did: Mutex<Vec<String>>,
    pub(crate) has_ended: AtomicBool,
    pub(crate) events: broadcast::Sender<Arc<Event>>,
}

impl Default for Fake {
    fn default() -> Self {
        let memory = Memory {
            tags: Mutex::new([("role".to_owned(), "web".to_owned())].into()),
            did: Mutex::default(),
            has_ended: AtomicBool::new(false),
            events: broadcast::Sender::new(512),
        };
        Self(Arc::new(memory))
    }
}

impl Fake {
    pub(crate) fn did(&self) -> Vec<String> {
        self.0.did.lock().unwrap().clone()
    }

    fn does(&self, what: String) {
        self.0.did.lock().unwrap().push(what);
    }

    pub(crate) fn tell(&self, event: Event) {
        self.0.events.send(Arc::new(event)).unwrap();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.has_ended.load(Ordering::SeqCst)
    }
}

pub(crate) fn member(name: &str, last: u8, status: Status, tags: Tags) -> Member {
    Member {
        name: name.into(),
        address: Some(Address::Four([127, 0, 0, last])),
        port: 7946,
        tags,
        status,
        protocol: Versions {
            min: 1,
            max: 5,
            current: 2,
        },
        delegate: Versions {
            min: 2,
            max: 5,
            current: 5,
        },
    }
}

impl Agent for Fake {
    fn members(&self) -> Vec<Member> {
        let tags = self.0.tags.lock().unwrap().clone();
        vec![
            member("a1", 2, Status::Alive, tags),
            member("a2", 3, Status::Failed, Tags::new()),
        ]
    }

    fn name(&self) -> Name {
        "a1".into()
    }

    async fn join(&self, addresses: Vec<String>, replay: bool) -> Joined {
        self.does(format!("join {addresses:?} {replay}"));
        let is_dead = |address: &&String| address.starts_with("127.0.0.200");
        let dead: Vec<String> = addresses
            .iter()
            .filter(is_dead)
            .map(|address| format!("\t* Failed to join {address}: dial tcp {address}:7946: connect: connection refused\n"))
            .collect();
        let count = u32::try_from(addresses.len() - dead.len()).unwrap();
        let error = (count == 0).then(|| {
            let plural = if dead.len() == 1 { "error" } else { "errors" };
            Refused(format!(
                "{} {plural} occurred:\n{}\n",
                dead.len(),
                dead.concat()
            ))
        });
        Joined { count, error }
    }

    async fn leave(&self) -> Result<(), Refused> {
        self.does("leave".to_owned());
        Ok(())
    }

    fn shutdown(&self) {
        self.0.has_ended.store(true, Ordering::SeqCst);
    }

    async fn force_leave(&self, node: Name, prune: bool) -> Result<(), Refused> {
        self.does(format!("force-leave {node} {prune}"));
        Ok(())
    }

    async fn user_event(&self, name: Name, payload: Bytes, coalesce: bool) -> Result<(), Refused> {
        if name.as_bytes().len() + payload.len() > EVENT_BYTES_MAX {
            return Err("user event exceeds configured limit of 512 bytes before encoding".into());
        }
        self.does(format!("event {name} {payload:?} {coalesce}"));
        let event = UserEvent {
            ltime: 1,
            name,
            payload,
            coalesce,
        };
        drop(self.0.events.send(Arc::new(Event::User(event))));
        Ok(())
    }

    async fn query(&self, request: QueryRequest) -> Result<Answered, Refused> {
        self.does(format!("query {request:?}"));
        let (sender, replies) = mpsc::channel(8);
        let nodes = ["a1", "a2"].map(Name::from);
        let asked = nodes
            .into_iter()
            .filter(|node| request.nodes.is_empty() || request.nodes.contains(node));
        for node in asked {
            if request.wants_ack {
                sender.send(Reply::Ack(node.clone())).await.unwrap();
            }
            if request.name == "load".into() {
                sender
                    .send(Reply::Response(node, Bytes::from_static(b"0.5\n")))
                    .await
                    .unwrap();
            }
        }
        Ok(Answered {
            deadline: Instant::now() + Duration::from_secs(5),
            replies,
        })
    }

    async fn respond(&self, query: QueryKey, payload: Bytes) -> Result<(), Refused> {
        self.does(format!("respond {} {} {payload:?}", query.ltime, query.id));
        Ok(())
    }

    async fn change_tags(&self, set: Tags, delete: Vec<String>) -> Result<(), Refused> {
        if set.values().any(|value| value.len() > EVENT_BYTES_MAX) {
            return Err("Encoded length of tags exceeds limit of 512 bytes".into());
        }
        let mut tags = self.0.tags.lock().unwrap();
        tags.retain(|key, _| !delete.contains(key));
        tags.extend(set);
        Ok(())
    }

    async fn keys(&self, command: KeyCommand) -> KeysAnswer {
        self.does(format!("{command:?}"));
        let why = "No keyring to modify (encryption not enabled)".to_owned();
        let messages: BTreeMap<_, _> =
            [("a1".to_owned(), why.clone()), ("a2".to_owned(), why)].into();
        match command {
            KeyCommand::List => KeysAnswer {
                keys: Some([("a2V5".to_owned(), 2), ("b3RoZXIga2V5".to_owned(), 1)].into()),
                asked: 2,
                answered: 2,
                ..KeysAnswer::default()
            },
            KeyCommand::Install(key) if key == "good" => KeysAnswer {
                asked: 2,
                answered: 2,
                ..KeysAnswer::default()
            },
            KeyCommand::Install(_) | KeyCommand::Use(_) | KeyCommand::Remove(_) => KeysAnswer {
                messages,
                keys: None,
                asked: 2,
                failed: 2,
                answered: 2,
                error: Some("2/2 nodes reported failure".into()),
            },
        }
    }

    fn coordinate(&self, node: &Name) -> Option<Coordinate> {
        let at = |x: f64| Coordinate {
            vector: vec![x, 0.0],
            error: 0.1,
            adjustment: 0.0,
            height: 0.0001,
        };
        match node.as_bytes() {
            b"a1" => Some(at(0.001)),
            b"a2" => Some(at(0.0015)),
            _ => None,
        }
    }

    fn stats(&self) -> Stats {
        let section = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        [
            ("agent".to_owned(), section(&[("name", "a1")])),
            (
                "serf".to_owned(),
                section(&[("members", "2"), ("failed", "1")]),
            ),
            ("tags".to_owned(), self.0.tags.lock().unwrap().clone()),
        ]
        .into()
    }

    fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.events.subscribe()
    }
}
