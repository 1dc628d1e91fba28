//! Balances by company and year: kept with their ages, each asked once at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use taraf_base::{Tasks, Timestamp};
use tokio::sync::watch;

use super::anaf::{self, AnafError};
use super::cache::Cache;
use super::limiter::Limiter;
use super::lookup::{WHO, marks, written};
use super::record::Balance;
use crate::config::Config;
use crate::cui::Cui;
use crate::source::{Answer, Question, Source, SourceError};

/// The first year of which balances are published.
pub(super) const FIRST_YEAR: i16 = 2014;
/// Balances and their absences kept in memory.
const MAX_BALANCES: usize = 100_000;
/// Questions under way: more would wait longer than any caller does.
const MAX_UNDER_WAY: usize = 200;

type Key = (Cui, i16);
type Outcome = Result<Option<Balance>, SourceError>;

/// Asks for balances; cheap to clone.
#[derive(Clone)]
pub(super) struct Balances {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    limiter: Arc<Limiter>,
    tasks: Tasks,
    config: Config,
    known: Mutex<Cache<Key, Option<Balance>>>,
    /// Questions under way, and where their outcome will be seen.
    flights: Mutex<HashMap<Key, watch::Receiver<Option<Outcome>>>>,
}

impl Balances {
    pub(super) fn new(
        source: Source,
        limiter: Arc<Limiter>,
        config: Config,
        tasks: &Tasks,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                source,
                limiter,
                tasks: tasks.clone(),
                config,
                known: Mutex::new(Cache::new(MAX_BALANCES)),
                flights: Mutex::default(),
            }),
        }
    }

    /// The balance of a year; an older answer, marked, when the source fails.
    pub(super) async fn year(&self, cui: Cui, year: i16) -> Outcome {
        let key = (cui, year);
        if let Some(known) = self.shared.known(key, self.shared.config.balance_age) {
            return Ok(known);
        }
        let mut flight = self.flight(key)?;
        let outcome = match flight.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone(),
            // The task that asks has been stopped.
            Err(_closed) => None,
        };
        let error = match outcome {
            Some(Ok(balance)) => return Ok(balance),
            Some(Err(error)) => error,
            None => SourceError::Overloaded(WHO),
        };
        let stale = self.shared.known(key, self.shared.config.stale_age);
        stale.map_or(Err(error), |known| {
            Ok(known.map(|mut balance| {
                balance.meta.marks.stale = true;
                balance
            }))
        })
    }

    /// The question under way, or a new one. It goes on when its askers leave.
    fn flight(&self, key: Key) -> Result<watch::Receiver<Option<Outcome>>, SourceError> {
        let shared = &self.shared;
        let mut flights = shared
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return Ok(flight.clone());
        }
        if flights.len() >= MAX_UNDER_WAY {
            return Err(SourceError::Overloaded(WHO));
        }
        let (landing, flight) = watch::channel(None);
        flights.insert(key, flight.clone());
        let (shared, token) = (Arc::clone(shared), shared.tasks.token());
        self.shared.tasks.spawn("balance lookup", async move {
            let outcome = tokio::select! {
                () = token.cancelled() => Err(SourceError::Overloaded(WHO)),
                outcome = shared.fetch(key) => outcome,
            };
            let mut flights = shared
                .flights
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            flights.remove(&key);
            landing.send_replace(Some(outcome));
        });
        Ok(flight)
    }
}

impl Shared {
    #[expect(
        clippy::option_option,
        reason = "not asked lately and none are two answers"
    )]
    fn known(&self, key: Key, age: std::time::Duration) -> Option<Option<Balance>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key, (self.config.clock)(), age).cloned()
    }

    async fn fetch(&self, (cui, year): Key) -> Outcome {
        let question = Question {
            who: WHO,
            method: Method::GET,
            path: format!("/bilant?an={year}&cui={cui}"),
            body: None,
            max_bytes: anaf::MAX_BYTES,
        };
        self.limiter.turn().await;
        let now: Timestamp = (self.config.clock)();
        let read = |answer: Answer| {
            let mut balance = anaf::read_balance(&answer.body, cui, year, &written(now))?;
            if let Some(balance) = &mut balance {
                balance.meta.marks = marks(&answer.provenance, &cui.to_string());
            }
            Ok::<_, AnafError>(balance)
        };
        let outcome = self.source.ask(&question, read).await;
        match &outcome {
            Ok(balance) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.put((cui, year), balance.clone(), now);
            }
            Err(error) => {
                tracing::warn!(year, error = %error, "failed to fetch a balance");
            }
        }
        outcome
    }
}
