//! The companies service: memory first, then the tax office, then older answers marked as such.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use taraf_base::Tasks;
use taraf_service::metrics::Registry;
use taraf_service::{Client, Service};

use super::api;
use super::balances::{Balances, FIRST_YEAR};
use super::index::{Index, Page, Query};
use super::limiter::Limiter;
use super::lookup::{Lookups, Outcome, Parts, instant};
use super::record::Balance;
use super::register::{self, FIRMS_FILE, RegisterError, STATES_FILE};
use super::store::Store;
use crate::config::{Config, Register};
use crate::cui::Cui;
use crate::document;
use crate::error::Error;
use crate::metrics::SourceMetrics;
use crate::onrc::RegisterNumber;
use crate::source::{Source, SourceError};

const SAMPLE_FIRMS: &[u8] = include_bytes!("../../recorded/onrc/od_firme.csv");
const SAMPLE_STATES: &[u8] = include_bytes!("../../recorded/onrc/od_stare_firma.csv");

/// What the HTTP face calls; cheap to clone.
#[derive(Clone)]
pub(super) struct Companies {
    store: Arc<Mutex<Store>>,
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
    let store = Arc::new(Mutex::new(Store::new(index(&config.register)?)));
    let parts = Parts {
        source: source.clone(),
        limiter: Arc::clone(&limiter),
        store: Arc::clone(&store),
        clock: config.clock,
    };
    let companies = Companies {
        store,
        lookups: Lookups::start(parts, tasks),
        balances: Balances::new(source, limiter, config.clone(), tasks),
        config: config.clone(),
    };
    let router = api::router(companies.clone());
    let service = Service::new(document::companies()?, router).with_metrics(registry);
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

fn index(register: &Register) -> Result<Index, Error> {
    let mut index = Index::default();
    match register {
        Register::None => {}
        Register::Sample => {
            let states = register::struck_off(SAMPLE_STATES);
            let read = states.and_then(|gone| register::firms(SAMPLE_FIRMS, &gone, &mut index));
            read.map_err(|source| broken(Path::new(FIRMS_FILE), source))?;
        }
        Register::Folder(folder) => {
            let (states, firms) = (folder.join(STATES_FILE), folder.join(FIRMS_FILE));
            let gone: HashSet<String> = open(&states)
                .and_then(register::struck_off)
                .map_err(|source| broken(&states, source))?;
            let tally = open(&firms)
                .and_then(|file| register::firms(file, &gone, &mut index))
                .map_err(|source| broken(&firms, source))?;
            tracing::info!(?tally, companies = index.len(), "trade register read");
        }
    }
    Ok(index)
}

fn open(file: &Path) -> Result<BufReader<File>, RegisterError> {
    Ok(BufReader::new(File::open(file)?))
}

fn broken(file: &Path, source: RegisterError) -> Error {
    Error::Register {
        file: file.to_owned(),
        source,
    }
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

    pub(super) fn search(&self, query: &Query) -> Page {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.index.search(query)
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
