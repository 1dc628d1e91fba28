//! The companies service: memory first, then the tax office, then older answers marked as such.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taraf_base::Tasks;
use taraf_service::metrics::Registry;
use taraf_service::{Client, Service};
use tokio::sync::Semaphore;

use super::api;
use super::balances::{Balances, FIRST_YEAR};
use super::limiter::Limiter;
use super::lookup::{Lookups, Outcome, Parts, instant};
use super::record::{Balance, Entry};
use super::search::{self, Page, Query};
use super::store::Store;
use crate::config::Config;
use crate::cui::Cui;
use crate::document;
use crate::error::Error;
use crate::metrics::SourceMetrics;
use crate::onrc::RegisterNumber;
use crate::register::{Live, Register, RegisterError};
use crate::source::{Source, SourceError};

/// Searches at once: each takes some 3 MB while it lasts, and is done in milliseconds.
const MAX_SEARCHES: usize = 8;
/// How soon a register that was imported is answered from.
const REGISTER_INTERVAL: Duration = Duration::from_secs(2);

/// What the HTTP face calls; cheap to clone.
#[derive(Clone)]
pub(super) struct Companies {
    store: Arc<Mutex<Store>>,
    live: Arc<Live>,
    searches: Arc<Semaphore>,
    lookups: Lookups,
    balances: Balances,
    config: Config,
}

/// Starts the service.
pub(crate) fn start(config: &Config, client: Client, tasks: &Tasks) -> Result<Service, Error> {
    let base = document::base_url("anaf_base_url", &config.anaf_base_url)?;
    let warm = warm_codes(config)?;
    let registry = Registry::new();
    let metrics = SourceMetrics::new(&registry, "anaf");
    let source = Source::new(client, base, config.source_timeout, metrics);
    let limiter = Arc::new(Limiter::new(config.anaf_interval));
    let live = Arc::new(config.live_register().map_err(Error::Register)?);
    let store = Arc::new(Mutex::new(Store::new()));
    let parts = Parts {
        source: source.clone(),
        limiter: Arc::clone(&limiter),
        store: Arc::clone(&store),
        live: Arc::clone(&live),
        clock: config.clock,
    };
    let companies = Companies {
        store,
        live,
        searches: Arc::new(Semaphore::new(MAX_SEARCHES)),
        lookups: Lookups::start(parts, tasks),
        balances: Balances::new(source, limiter, config.clone(), tasks),
        config: config.clone(),
    };
    let router = api::router(companies.clone());
    let service = Service::new(document::companies()?, router).with_metrics(registry);
    if companies.live.follows_a_file() {
        let (token, companies) = (tasks.token(), companies.clone());
        tasks.spawn("trade register", async move {
            tokio::select! {
                // Nothing is lost: the next start reads what is there.
                () = token.cancelled() => {}
                () = companies.follow_register() => {}
            }
        });
    }
    if !warm.is_empty() {
        let token = tasks.token();
        tasks.spawn("companies warm up", async move {
            tokio::select! {
                // Nothing is lost: callers ask for themselves.
                () = token.cancelled() => {}
                () = companies.warm(&warm) => {}
            }
        });
    }
    Ok(service)
}

fn warm_codes(config: &Config) -> Result<Vec<Cui>, Error> {
    let read = |code: &String| {
        Cui::parse(code).map_err(|source| Error::BadWarmCode {
            code: code.clone(),
            source,
        })
    };
    config.warm.iter().map(read).collect()
}

impl Companies {
    /// One company; `None` when the tax office does not know the code.
    pub(super) async fn get(&self, cui: Cui) -> Outcome {
        let mut outcomes = self.get_all(&[cui]).await;
        outcomes
            .pop()
            .unwrap_or(Err(SourceError::Overloaded(super::lookup::WHO)))
    }

    /// Several, in the order of their codes.
    pub(super) async fn get_all(&self, codes: &[Cui]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = {
            let (now, config) = ((self.config.clock)(), &self.config);
            let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = |cui: &Cui| store.fresh(*cui, now, config.company_age, config.unknown_age);
            codes.iter().map(|cui| fresh(cui).map(Ok)).collect()
        };
        let wanted: Vec<Cui> = codes
            .iter()
            .zip(&outcomes)
            .filter_map(|(cui, outcome)| outcome.is_none().then_some(*cui))
            .collect();
        let mut asked = self.lookups.ask(&wanted).await.into_iter();
        for (cui, place) in codes.iter().zip(&mut outcomes) {
            if place.is_none() {
                *place = asked.next().map(|outcome| self.or_stale(*cui, outcome));
            }
        }
        outcomes.into_iter().flatten().collect()
    }

    fn or_stale(&self, cui: Cui, outcome: Outcome) -> Outcome {
        outcome.or_else(|error| {
            let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            let stale = store.stale(cui, (self.config.clock)(), self.config.stale_age);
            stale.map_or(Err(error), |company| Ok(Some(company)))
        })
    }

    /// A page of companies.
    pub(super) async fn search(&self, query: Query) -> Result<Page, RegisterError> {
        let store = Arc::clone(&self.store);
        self.with_register(move |register| {
            search::page(&query, register, |ask| {
                let store = store.lock().unwrap_or_else(PoisonError::into_inner);
                ask(&store.index);
            })
        })
        .await
    }

    /// What the trade register says of a code: nothing outside when there is no register, nothing
    /// inside when it does not have the code.
    pub(super) async fn entry(&self, cui: Cui) -> Result<Option<Option<Entry>>, RegisterError> {
        self.with_register(move |register| {
            let Some(register) = register else {
                return Ok(None);
            };
            let firm = register.by_code(cui)?;
            Ok(Some(firm.map(|firm| Entry::of(firm, register))))
        })
        .await
    }

    /// Reads in the register, off the runtime's threads and a few at a time.
    async fn with_register<T: Send + 'static>(
        &self,
        read: impl FnOnce(Option<&Register>) -> Result<T, RegisterError> + Send + 'static,
    ) -> Result<T, RegisterError> {
        // The semaphore is never closed.
        let _permit = self.searches.acquire().await.ok();
        let register = self.live.current();
        let reading = tokio::task::spawn_blocking(move || read(register.as_deref()));
        reading
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
    }

    /// Takes each register that is imported.
    async fn follow_register(&self) {
        loop {
            tokio::time::sleep(REGISTER_INTERVAL).await;
            let companies = self.clone();
            let taken = tokio::task::spawn_blocking(move || companies.refresh_register());
            match taken.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = taraf_base::with_causes(&error);
                    tracing::error!(
                        error,
                        "failed to take the new trade register; the one before stays"
                    );
                }
                Err(error) => tracing::error!(%error, "failed to look at the trade register"),
            }
        }
    }

    fn refresh_register(&self) -> Result<(), RegisterError> {
        let Some(register) = self.live.refresh()? else {
            return Ok(());
        };
        let known = {
            let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            store.index.codes()
        };
        let mut registered = Vec::new();
        for cui in known {
            if register.has(cui)? {
                registered.push(cui);
            }
        }
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.index.remove(&registered);
        drop(store);
        let (firms, created) = (register.len(), register.created());
        tracing::info!(
            firms,
            created,
            "answers from the trade register that was imported"
        );
        Ok(())
    }

    /// The balance of one year.
    pub(super) async fn balance(
        &self,
        cui: Cui,
        year: i16,
    ) -> Result<Option<Balance>, SourceError> {
        if !self.years(cui).contains(&year) {
            return Ok(None);
        }
        self.balances.year(cui, year).await
    }

    /// The newest balance there is.
    pub(super) async fn newest_balance(&self, cui: Cui) -> Result<Option<Balance>, SourceError> {
        for year in self.years(cui).rev() {
            if let Some(balance) = self.balances.year(cui, year).await? {
                return Ok(Some(balance));
            }
        }
        Ok(None)
    }

    /// All balances, the newest first.
    pub(super) async fn all_balances(&self, cui: Cui) -> Result<Vec<Balance>, SourceError> {
        let mut balances = Vec::new();
        for year in self.years(cui).rev() {
            balances.extend(self.balances.year(cui, year).await?);
        }
        Ok(balances)
    }

    /// The years that can have a balance: not before the firm was registered, where that is known.
    fn years(&self, cui: Cui) -> std::ops::RangeInclusive<i16> {
        let now = (self.config.clock)();
        let today = crate::rates::today(instant(now));
        let known = {
            let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            store.fresh(cui, now, self.config.stale_age, self.config.unknown_age)
        };
        let number = known.flatten().and_then(|company| company.numar_reg_com);
        let registered = number
            .and_then(|number| RegisterNumber::parse(&number, today).ok())
            .map_or(FIRST_YEAR, |number| number.year());
        registered.max(FIRST_YEAR)..=today.year() - 1
    }

    /// Fetches what the first callers will want. Failures are logged where they happen.
    async fn warm(&self, codes: &[Cui]) {
        let _outcomes = self.get_all(codes).await;
        for cui in codes {
            let _outcome = self.all_balances(*cui).await;
        }
    }
}
