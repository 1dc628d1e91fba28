//! A cluster of agents, ours or Serf's: started, asked over RPC, listened to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use taraf_gossip::rpc::codec::EventRecord;
use taraf_gossip::rpc::event::Event;
use taraf_gossip::rpc::{Client, Incoming};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::process::Process;
use crate::report::Who;

/// How long an agent may take to answer on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often it is asked whether it answers.
const START_PAUSE: Duration = Duration::from_micros(500);
/// How much may wait to be counted.
const HEARD_MAX: usize = 1 << 17;
/// The query that all answer.
pub(crate) const QUERY: &str = "load";

/// What an agent told, and when it was heard.
pub(crate) struct Heard {
    pub(crate) at: Instant,
    /// The agent's number.
    pub(crate) by: usize,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// A change of a member, by the word and number that the agent's log has.
    Member(String, usize),
    /// A user event of that name.
    User(String),
}

pub(crate) struct Agent {
    pub(crate) process: Process,
    /// For what is asked.
    pub(crate) client: Client,
    /// From the start of the process to the answer of its RPC.
    pub(crate) started: Duration,
}

/// Agents that run, those that do not any more left out of `live`.
pub(crate) struct Cluster {
    pub(crate) agents: Vec<Agent>,
    pub(crate) live: BTreeSet<usize>,
    /// Whom each agent thinks alive.
    pub(crate) views: Vec<BTreeSet<usize>>,
    heard: mpsc::Receiver<Heard>,
    listeners: tokio::task::JoinSet<()>,
}

fn host(number: usize) -> String {
    format!("127.0.{}.{}", 1 + number / 200, 10 + number % 200)
}

/// Where an agent gossips.
pub(crate) fn address(number: usize) -> String {
    host(number) + ":7946"
}

fn arguments(number: usize) -> Vec<String> {
    let own = host(number);
    let all = [
        "agent".to_owned(),
        format!("-node=n{number}"),
        format!("-bind={own}:7946"),
        format!("-rpc-addr={own}:7373"),
        "-log-level=err".to_owned(),
    ];
    all.into()
}

impl Cluster {
    /// Starts agents one after another, and listens to them.
    pub(crate) async fn start(who: Who, size: usize) -> Self {
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let mut cluster = Self {
            agents: Vec::new(),
            live: (0..size).collect(),
            views: vec![BTreeSet::new(); size],
            heard,
            listeners: tokio::task::JoinSet::new(),
        };
        for number in 0..size {
            let before = Instant::now();
            let process = Process::start(who.program(number), &arguments(number));
            let client = connect(number).await;
            cluster.agents.push(Agent {
                process,
                client,
                started: before.elapsed(),
            });
        }
        for number in 0..size {
            let mut log = connect(number).await;
            log.monitor("INFO").await.unwrap();
            cluster.listeners.spawn(listen(number, log, sender.clone()));
            let mut events = connect(number).await;
            events.stream("user,query").await.unwrap();
            cluster
                .listeners
                .spawn(listen(number, events, sender.clone()));
        }
        cluster
    }

    /// What is heard next, within a time. Views are kept.
    pub(crate) async fn next(&mut self, within: Duration) -> Option<Heard> {
        let heard = timeout(within, self.heard.recv()).await.ok()??;
        if let What::Member(change, of) = &heard.what {
            let view = &mut self.views[heard.by];
            match change.as_str() {
                "Join" => view.insert(*of),
                "Failed" | "Leave" | "Reap" => view.remove(of),
                _ => false,
            };
        }
        Some(heard)
    }

    /// Hears all that comes within a time.
    pub(crate) async fn rest(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.next(left).await;
        }
    }

    /// How many of those that live see all that live.
    pub(crate) fn complete(&self) -> usize {
        let is_complete = |number: &&usize| self.live.is_subset(&self.views[**number]);
        self.live.iter().filter(is_complete).count()
    }

    /// All join the first at once. The time until all see all, when that is within the limit.
    pub(crate) async fn join(&mut self, limit: Duration) -> Option<Duration> {
        let mut clients = Vec::new();
        for number in 1..self.agents.len() {
            clients.push(connect(number).await);
        }
        let mut others = tokio::task::JoinSet::new();
        let before = Instant::now();
        for mut client in clients {
            others.spawn(async move { client.join(vec![address(0)], false).await });
        }
        let found = self.see_all(before, limit).await;
        others.join_all().await;
        found
    }

    /// Waits until all see all.
    pub(crate) async fn see_all(&mut self, since: Instant, limit: Duration) -> Option<Duration> {
        loop {
            if self.complete() == self.live.len() {
                return Some(since.elapsed());
            }
            let left = limit.checked_sub(since.elapsed())?;
            self.next(left).await?;
        }
    }

    /// Brings those together that a join at once has not, one after another.
    pub(crate) async fn mend(&mut self, limit: Duration) {
        let since = Instant::now();
        for number in 1..self.agents.len() {
            let to = vec![address(number - 1), address(0)];
            self.agents[number].client.join(to, false).await.unwrap();
        }
        self.see_all(since, limit).await;
    }

    pub(crate) fn kill(&mut self, number: usize) {
        self.agents[number].process.kill();
        self.live.remove(&number);
    }
}

/// A connection to an agent that may be about to start.
async fn connect(number: usize) -> Client {
    let to = host(number) + ":7373";
    let connected = timeout(START_LIMIT, async {
        loop {
            match Client::connect(&to, "").await {
                Ok(client) => return client,
                Err(_not_yet) => sleep(START_PAUSE).await,
            }
        }
    });
    let connected = connected.await;
    connected.unwrap_or_else(|_elapsed| panic!("the agent on {to} does not answer"))
}

/// Tells what an agent tells, and answers the query. Ends with the agent.
async fn listen(by: usize, mut client: Client, to: mpsc::Sender<Heard>) {
    while let Ok((_, incoming)) = client.next().await {
        let at = Instant::now();
        let what = match incoming {
            Incoming::Line(line) => member(&line),
            Incoming::Event(EventRecord::Event(event)) => match &*event {
                Event::User(user) => Some(What::User(user.name.text().into_owned())),
                Event::Members(..) | Event::Query(_) => None,
            },
            Incoming::Event(EventRecord::Query { id, .. }) => {
                // Too late, or a query of another name: nobody waits for it.
                drop(client.respond(id, "answer".into()).await);
                None
            }
            Incoming::Event(EventRecord::Unknown(_)) | Incoming::Query(_) => None,
        };
        if let Some(what) = what
            && to.send(Heard { at, by, what }).await.is_err()
        {
            return;
        }
    }
}

/// What the log says of a member: `… serf: EventMemberFailed: n7 127.0.1.17`.
fn member(line: &str) -> Option<What> {
    let (_, said) = line.split_once("EventMember")?;
    let (change, rest) = said.split_once(": n")?;
    let number = rest.split(' ').next()?.parse().ok()?;
    let change = change.split(' ').next()?;
    Some(What::Member(change.to_owned(), number))
}
