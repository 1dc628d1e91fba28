//! What is done with a cluster, and what of it is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use taraf_gossip::rpc::codec::QueryRecord;
use taraf_gossip::rpc::{Incoming, QueryRequest, Reply};
use tokio::time::{sleep, timeout};

use crate::agents::{Cluster, QUERY, What};
use crate::namespace::{self, Loss};
use crate::report::Measure;

/// How long a join at once may take.
const JOIN_LIMIT: Duration = Duration::from_secs(25);
/// After a join, so that what is told of it has been told.
const SETTLE: Duration = Duration::from_secs(4);
const IDLE: Duration = Duration::from_secs(10);
const EVENTS: usize = 25;
const EVENT_GAP: Duration = Duration::from_millis(120);
const EVENT_LIMIT: Duration = Duration::from_secs(5);
const QUERIES: usize = 10;
const QUERY_LIMIT: Duration = Duration::from_secs(8);
const CALLING: Duration = Duration::from_millis(1_500);
const VERDICT_LIMIT: Duration = Duration::from_secs(45);
const RETURN_LIMIT: Duration = Duration::from_secs(20);
/// Between the events of a thousand: as many as Serf's packets can carry often enough.
const MANY_GAP: Duration = Duration::from_millis(20);
const MANY_LIMIT: Duration = Duration::from_secs(6);
const LATE: Duration = Duration::from_secs(1);
/// One of so many is frozen in turns, for longer than it takes to declare somebody dead.
const FROZEN_SHARE: usize = 5;
const FROZEN: Duration = Duration::from_secs(8);
const THAWED: Duration = Duration::from_secs(1);
const FROZEN_TURNS: usize = 2;

/// The values of one measure after another.
pub(crate) type Found = Vec<(Measure, f64)>;

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, |time| time.as_secs_f64())
}

/// From nothing to a cluster.
pub(crate) async fn gather(cluster: &mut Cluster, found: &mut Found) {
    let starts = cluster.agents.iter().map(|agent| agent.started);
    found.extend(starts.map(|time| (Measure::Start, milliseconds(time))));
    let joined = cluster.join(JOIN_LIMIT).await;
    found.push((Measure::Joined, seconds(joined)));
    if joined.is_none() {
        cluster.mend(JOIN_LIMIT).await;
    }
    cluster.rest(SETTLE).await;
}

/// Nothing is asked.
pub(crate) async fn idle(cluster: &mut Cluster, found: &mut Found) {
    let computed = |cluster: &Cluster| -> Duration {
        let agents = cluster.agents.iter();
        agents.map(|agent| agent.process.computed()).sum()
    };
    let (before, (bytes, packets)) = (computed(cluster), namespace::traffic());
    let began = Instant::now();
    cluster.rest(IDLE).await;
    let (after, (bytes_after, packets_after)) = (computed(cluster), namespace::traffic());
    let agent_seconds = began.elapsed().as_secs_f64() * count(cluster.agents.len());
    let per_agent = |number: u64| f64::from(u32::try_from(number).unwrap()) / agent_seconds;
    let spent = (after - before).as_secs_f64();
    found.push((Measure::Processor, 100.0 * spent / agent_seconds));
    found.push((Measure::Bytes, per_agent(bytes_after - bytes)));
    found.push((Measure::Packets, per_agent(packets_after - packets)));
    for agent in &cluster.agents {
        let [all, share, anonymous] = agent.process.memory();
        found.extend([
            (Measure::Memory, all),
            (Measure::Share, share),
            (Measure::Anonymous, anonymous),
        ]);
    }
}

/// Single events, each until all have heard it.
pub(crate) async fn events(cluster: &mut Cluster, found: &mut Found) {
    let idle = found.iter().rev();
    let mut idle = idle.filter(|(measure, _)| *measure == Measure::Packets);
    let idle = idle.next().map_or(0.0, |(_, packets)| *packets);
    let (started, (_, packets)) = (Instant::now(), namespace::traffic());
    for number in 0..EVENTS {
        let name = format!("single-{number}");
        let began = Instant::now();
        tell(cluster, 0, &name).await;
        let mut waited: BTreeSet<usize> = cluster.live.clone();
        let mut last = Some(Duration::ZERO);
        while !waited.is_empty() {
            let left = EVENT_LIMIT.saturating_sub(began.elapsed());
            let Some(heard) = cluster.next(left).await else {
                last = None;
                break;
            };
            if matches!(&heard.what, What::User(user) if *user == name) {
                waited.remove(&heard.by);
                last = last.max(Some(heard.at - began));
            }
        }
        found.push((Measure::EventLast, last.map_or(f64::INFINITY, milliseconds)));
        cluster.rest(EVENT_GAP).await;
    }
    cluster.rest(SETTLE).await;
    let sent = u32::try_from(namespace::traffic().1 - packets).unwrap();
    let agents = count(cluster.agents.len());
    let more = f64::from(sent) - idle * agents * started.elapsed().as_secs_f64();
    found.push((Measure::EventPackets, more / agents / count(EVENTS)));
}

async fn tell(cluster: &mut Cluster, from: usize, name: &str) {
    let client = &mut cluster.agents[from].client;
    let told = client.user_event(name.into(), "payload8".into(), false);
    told.await.unwrap();
}

/// Queries that all answer, each until the last answer.
pub(crate) async fn queries(cluster: &mut Cluster, found: &mut Found) {
    let wanted = cluster.live.len();
    let mut missing = 0;
    for _ in 0..QUERIES {
        let began = Instant::now();
        let client = &mut cluster.agents[0].client;
        let request = QueryRequest {
            name: QUERY.into(),
            ..QueryRequest::default()
        };
        let own = client.query(request).await.unwrap();
        let (mut answers, mut last) = (0, Duration::ZERO);
        while answers < wanted {
            let left = QUERY_LIMIT.saturating_sub(began.elapsed());
            match timeout(left, client.next()).await {
                Ok(Ok((of, Incoming::Query(QueryRecord::Reply(Reply::Response(..))))))
                    if of == own =>
                {
                    answers += 1;
                    last = began.elapsed();
                }
                Ok(Ok((of, Incoming::Query(QueryRecord::Done)))) if of == own => break,
                // Of a query before.
                Ok(Ok(_)) => {}
                Ok(Err(error)) => panic!("the query's agent: {error}"),
                Err(_elapsed) => break,
            }
        }
        missing += wanted - answers;
        found.push((Measure::QueryLast, milliseconds(last)));
        cluster.rest(EVENT_GAP).await;
    }
    found.push((Measure::QueryMissing, count(missing)));
}

/// One client asks one agent as fast as it answers.
pub(crate) async fn calls(cluster: &mut Cluster, found: &mut Found) {
    let size = cluster.live.len();
    let client = &mut cluster.agents[0].client;
    let (began, mut calls) = (Instant::now(), 0);
    while began.elapsed() < CALLING {
        assert!(client.members().await.unwrap().len() >= size);
        calls += 1;
    }
    found.push((Measure::Calls, count(calls) / began.elapsed().as_secs_f64()));
    cluster.rest(Duration::from_millis(100)).await;
}

/// Many events from all in turn; what never came, what came late, and how late.
pub(crate) async fn many(cluster: &mut Cluster, events: usize, loss: u32, found: &mut Found) {
    let lossy = (loss > 0).then(|| Loss::begin(loss));
    let sources: Vec<usize> = cluster.live.iter().copied().collect();
    let mut told = Told::default();
    let began = Instant::now();
    for number in 0..events {
        let name = format!("{loss}-{number}");
        told.sent.insert(name.clone(), Instant::now());
        tell(cluster, sources[number % sources.len()], &name).await;
        let next = began + MANY_GAP * u32::try_from(number + 1).unwrap();
        told.listen(cluster, next).await;
    }
    let wanted = events * sources.len();
    let end = Instant::now() + MANY_LIMIT;
    while told.heard.len() < wanted && Instant::now() < end {
        let soon = Instant::now() + Duration::from_millis(100);
        told.listen(cluster, soon).await;
    }
    drop(lossy);
    let times: Vec<Duration> = told.heard.values().copied().collect();
    let late = times.iter().filter(|time| **time > LATE).count();
    let slowest = times.iter().max().copied().unwrap_or_default();
    let [of_lost, of_late, of_slowest] = if loss > 0 {
        [
            Measure::LossyLost,
            Measure::LossyLate,
            Measure::LossySlowest,
        ]
    } else {
        [Measure::CalmLost, Measure::CalmLate, Measure::CalmSlowest]
    };
    found.push((of_lost, count(wanted - times.len())));
    found.push((of_late, count(late)));
    found.push((of_slowest, milliseconds(slowest)));
    found.push((Measure::Twice, count(told.twice)));
}

/// Events that were told, and how long each took to each agent.
#[derive(Default)]
struct Told {
    sent: BTreeMap<String, Instant>,
    heard: BTreeMap<(String, usize), Duration>,
    twice: usize,
}

impl Told {
    /// Hears until a moment. What else is heard is of times before.
    async fn listen(&mut self, cluster: &mut Cluster, end: Instant) {
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Some(heard) = cluster.next(left).await else {
                return;
            };
            if let What::User(name) = heard.what
                && let Some(sent) = self.sent.get(&name)
            {
                let before = self.heard.insert((name, heard.by), heard.at - *sent);
                self.twice += usize::from(before.is_some());
            }
        }
    }
}

/// One is killed; another stands still, and goes on later.
pub(crate) async fn verdicts(cluster: &mut Cluster, found: &mut Found) {
    let killed = *cluster.live.last().unwrap();
    let began = Instant::now();
    cluster.kill(killed);
    let (first, last) = verdict(cluster, killed, began).await;
    found.push((Measure::KilledFirst, seconds(first)));
    found.push((Measure::KilledLast, seconds(last)));
    cluster.rest(SETTLE).await;
    let frozen = cluster.live.pop_last().unwrap();
    let began = Instant::now();
    cluster.agents[frozen].process.freeze(true);
    let (first, last) = verdict(cluster, frozen, began).await;
    found.push((Measure::FrozenFirst, seconds(first)));
    found.push((Measure::FrozenLast, seconds(last)));
    cluster.agents[frozen].process.freeze(false);
    cluster.live.insert(frozen);
    cluster.see_all(Instant::now(), RETURN_LIMIT).await;
}

/// When the first and the last of those that live say that a member failed.
async fn verdict(
    cluster: &mut Cluster,
    of: usize,
    began: Instant,
) -> (Option<Duration>, Option<Duration>) {
    let mut waited = cluster.live.clone();
    let (mut first, mut last) = (None, Duration::ZERO);
    while !waited.is_empty() {
        let left = VERDICT_LIMIT.saturating_sub(began.elapsed());
        let Some(heard) = cluster.next(left).await else {
            return (first, None);
        };
        if matches!(&heard.what, What::Member(change, who) if change == "Failed" && *who == of)
            && waited.remove(&heard.by)
        {
            last = heard.at - began;
            first = first.or(Some(last));
        }
    }
    (first, Some(last))
}

/// Some are frozen again and again; how often a healthy one calls a healthy one failed.
pub(crate) async fn frozen_in_turns(cluster: &mut Cluster, found: &mut Found) {
    let all: Vec<usize> = cluster.live.iter().copied().collect();
    let frozen: BTreeSet<usize> = all
        .iter()
        .rev()
        .take(all.len() / FROZEN_SHARE)
        .copied()
        .collect();
    let mut wrong = 0;
    for _ in 0..FROZEN_TURNS {
        for (stands, time) in [(true, FROZEN), (false, THAWED)] {
            for number in &frozen {
                cluster.agents[*number].process.freeze(stands);
            }
            let end = Instant::now() + time;
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                let Some(heard) = cluster.next(left).await else {
                    break;
                };
                if let What::Member(change, of) = &heard.what {
                    let healthy = |number| !frozen.contains(number);
                    let is_wrong = change == "Failed" && healthy(of) && healthy(&heard.by);
                    wrong += usize::from(is_wrong && cluster.live.contains(of));
                }
            }
        }
    }
    // What was said in the last moments is on its way.
    sleep(THAWED).await;
    found.push((Measure::FalseFailures, count(wrong)));
}
