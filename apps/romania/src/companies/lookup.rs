//! Lookups at the tax office: gathered into batches, spaced, each code asked once at a time.

use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use taraf_base::{Tasks, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::anaf::{self, AnafError, Lookup};
use super::limiter::Limiter;
use super::queue::Queue;
use super::record::{Company, Marks};
use super::store::Store;
use crate::cui::Cui;
use crate::register::Live;
use crate::source::{Answer, Provenance, Question, Source, SourceError};

pub(super) const WHO: &str = "the tax office";
const PATH: &str = "/api/PlatitorTvaRest/v9/tva";
/// Codes that may wait or be under way: more would wait longer than any caller does.
const MAX_WAITING: usize = 5_000;
/// A slow answer must not stop the next request, but a source that hangs gets no pile of them.
const MAX_UNDER_WAY: usize = 4;
const INBOX: usize = 256;

/// What the tax office says of a code: nothing when it does not know it.
pub(super) type Outcome = Result<Option<Company>, SourceError>;
type Waiter = oneshot::Sender<Outcome>;
type Done = (Vec<Cui>, Result<Lookup, SourceError>);

/// Asks the tax office about companies; cheap to clone.
#[derive(Clone)]
pub(super) struct Lookups {
    inbox: mpsc::Sender<Vec<(Cui, Waiter)>>,
}

/// What the task needs.
pub(super) struct Parts {
    pub(super) source: Source,
    pub(super) limiter: Arc<Limiter>,
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) live: Arc<Live>,
    pub(super) clock: fn() -> Timestamp,
}

impl Lookups {
    /// Starts the task that gathers.
    pub(super) fn start(parts: Parts, tasks: &Tasks) -> Self {
        let (inbox, asks) = mpsc::channel(INBOX);
        let (token, group) = (tasks.token(), tasks.clone());
        tasks.spawn("company lookups", async move {
            tokio::select! {
                // Those who wait are told by the closing of their channels.
                () = token.cancelled() => {}
                () = gather(asks, Arc::new(parts), &group) => {}
            }
        });
        Self { inbox }
    }

    /// Asks about these codes; the answers come in their order.
    pub(super) async fn ask(&self, codes: &[Cui]) -> Vec<Outcome> {
        let (waiters, answers): (Vec<_>, Vec<_>) = codes
            .iter()
            .map(|cui| {
                let (waiter, answer) = oneshot::channel();
                ((*cui, waiter), answer)
            })
            .unzip();
        // A full inbox or a task that has ended drops the waiters, which the answers show.
        let _dropped = self.inbox.try_send(waiters);
        let mut outcomes = Vec::with_capacity(codes.len());
        for answer in answers {
            let outcome = answer.await;
            outcomes.push(outcome.unwrap_or(Err(SourceError::Overloaded(WHO))));
        }
        outcomes
    }
}

async fn gather(mut asks: mpsc::Receiver<Vec<(Cui, Waiter)>>, parts: Arc<Parts>, tasks: &Tasks) {
    let mut queue: Queue<Waiter> = Queue::new(MAX_WAITING);
    let (done, mut answered) = mpsc::channel::<Done>(MAX_UNDER_WAY);
    let mut under_way = 0;
    loop {
        let may_ask = queue.has_waiting() && under_way < MAX_UNDER_WAY;
        tokio::select! {
            Some((codes, outcome)) = answered.recv() => {
                under_way -= 1;
                settle(&mut queue, &codes, &outcome);
            }
            ask = asks.recv() => match ask {
                Some(wanted) => enqueue(&mut queue, wanted),
                None => return,
            },
            () = parts.limiter.turn(), if may_ask => {
                let codes = queue.batch(anaf::MAX_CODES);
                under_way += 1;
                let (parts, done) = (Arc::clone(&parts), done.clone());
                tasks.spawn("company lookup", async move {
                    let outcome = fetch(&parts, &codes).await;
                    // Fails only when the gathering task has ended, and nobody waits.
                    let _sent = done.send((codes, outcome)).await;
                });
            }
        }
    }
}

fn enqueue(queue: &mut Queue<Waiter>, wanted: Vec<(Cui, Waiter)>) {
    for (cui, waiter) in wanted {
        if let Err(refused) = queue.push(cui, waiter) {
            // Fails only when the caller has gone.
            let _sent = refused.send(Err(SourceError::Overloaded(WHO)));
        }
    }
}

fn settle(queue: &mut Queue<Waiter>, codes: &[Cui], outcome: &Result<Lookup, SourceError>) {
    for cui in codes {
        let told: Outcome = match outcome {
            Ok(lookup) => Ok(lookup
                .found
                .iter()
                .find(|(found, _)| found == cui)
                .map(|(_, company)| company.clone())),
            Err(error) => Err(error.clone()),
        };
        for waiter in queue.settle(*cui) {
            // Fails only when the caller has gone.
            let _sent = waiter.send(told.clone());
        }
    }
}

/// One request.
async fn fetch(parts: &Parts, codes: &[Cui]) -> Result<Lookup, SourceError> {
    let now = (parts.clock)();
    let question = Question {
        who: WHO,
        method: Method::POST,
        path: PATH.to_owned(),
        body: Some(anaf::request(codes, crate::rates::today(instant(now))).into()),
        max_bytes: anaf::MAX_BYTES,
    };
    let read = |answer: Answer| {
        let mut lookup = anaf::read_lookup(&answer.body, codes, &written(now))?;
        for (cui, company) in &mut lookup.found {
            company.meta.marks = marks(&answer.provenance, &cui.to_string());
        }
        Ok::<_, AnafError>(lookup)
    };
    let outcome = parts.source.ask(&question, read).await;
    match outcome {
        Ok(mut lookup) => {
            let registered = registered(&parts.live, &lookup);
            let mut store = parts.store.lock().unwrap_or_else(PoisonError::into_inner);
            store.learn(&mut lookup, &registered, now);
            Ok(lookup)
        }
        Err(error) => {
            tracing::warn!(codes = codes.len(), error = %error, "failed to look companies up");
            Err(error)
        }
    }
}

/// Those that the register has. A code takes some twenty short reads of a file that lies in memory.
fn registered(live: &Live, lookup: &Lookup) -> Vec<Cui> {
    let Some(register) = live.current() else {
        return Vec::new();
    };
    let codes = lookup.found.iter().map(|(cui, _)| *cui);
    // What cannot be read there is found here.
    codes
        .filter(|cui| register.has(*cui).unwrap_or(false))
        .collect()
}

/// The marks of an entry of an answer.
pub(super) fn marks(provenance: &Provenance, entry: &str) -> Marks {
    Marks {
        recorded: provenance.is_recorded,
        sample: provenance.is_sample(entry),
        stale: false,
    }
}

pub(super) fn instant(now: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(now.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// ISO date and time with microseconds and without a zone, as OpenAPI.ro writes it.
pub(super) fn written(now: Timestamp) -> String {
    instant(now).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}
