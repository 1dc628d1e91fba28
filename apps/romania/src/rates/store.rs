//! Fixings by day: what is at hand, what must be fetched first, and what to do when that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::Method;
use jiff::civil::Date;
use taraf_base::Timestamp;
use tokio::sync::Mutex;

use super::archive::{Archive, FIRST_DAY, Fixing, Rule, last_day};
use super::feed;
use super::kept::{self, Year};
use super::schedule;
use crate::config::Config;
use crate::source::{Answer, Question, Source, SourceError};

const WHO: &str = "the National Bank";
const NEWEST_PATH: &str = "/nbrfxrates.xml";
const TEN_DAYS_PATH: &str = "/nbrfxrates10days.xml";
/// The file of the current year grows: after this long it is read again before it answers.
const CURRENT_YEAR_AGE: Duration = Duration::from_secs(24 * 3600);
/// After a failure the same file is left alone for a moment, so that callers do not queue for it.
const FAILURE_AGE: Duration = Duration::from_secs(15);

/// The fixings; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    clock: fn() -> Timestamp,
    /// Where the archive is kept, and the address of its source.
    kept: Option<(PathBuf, String)>,
    archive: RwLock<Archive>,
    /// One request at a time: callers that need the same year wait for one answer.
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    years: BTreeMap<i16, Timestamp>,
    failures: BTreeMap<i16, (Timestamp, SourceError)>,
    newest_failure: Option<(Timestamp, SourceError)>,
}

/// A fixing found for a question.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The fixing.
    pub(crate) fixing: Fixing,
    /// The day that was asked about.
    pub(crate) asked: Date,
    /// A newer one may exist: the bank could not be asked.
    pub(crate) is_stale: bool,
}

/// Why no fixing is answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RatesError {
    /// The bank gave no data.
    #[error("the fixings cannot be fetched")]
    Source(#[from] SourceError),
    /// Tomorrow's rate is not known.
    #[error("{0} lies in the future")]
    Future(Date),
    /// None on that day or shortly before.
    #[error("no fixing is known for {0} or the days before")]
    None(Date),
}

impl Store {
    /// A store over a source, with what was kept of it.
    #[must_use]
    pub(crate) fn open(source: Source, config: &Config) -> Self {
        let address = config.bnr_base_url.clone();
        let store = Self {
            shared: Arc::new(Shared {
                source,
                clock: config.clock,
                kept: config.folder.clone().map(|folder| (folder, address)),
                archive: RwLock::default(),
                files: Mutex::default(),
            }),
        };
        store.recall();
        store
    }

    /// Takes what was kept into the archive.
    fn recall(&self) {
        let Some((folder, address)) = &self.shared.kept else {
            return;
        };
        let years = kept::read(folder, address, self.today());
        let archive = self.shared.archive.write();
        let mut archive = archive.unwrap_or_else(PoisonError::into_inner);
        let mut files = self.shared.files.try_lock().ok();
        for (number, year) in years {
            let read_at = year.read_at_millis.map(Timestamp::from_millis);
            let Some(fixings) = year.fixings() else {
                continue;
            };
            for (cube, provenance) in fixings {
                archive.add(vec![cube], &provenance);
            }
            if let (Some(files), Some(read_at)) = (&mut files, read_at) {
                files.years.insert(number, read_at);
            }
        }
    }

    /// Keeps what changed. A disk that fails costs no answer: the archive is in memory too.
    async fn keep(&self, files: &Files, years: BTreeSet<i16>) {
        let Some((folder, address)) = &self.shared.kept else {
            return;
        };
        let year = |number: i16| {
            let read_at = files.years.get(&number).copied();
            let year =
                self.with_archive(|archive| Year::new(address, read_at, archive.year(number)));
            (number, year)
        };
        let years: Vec<_> = years.into_iter().map(year).collect();
        let folder = folder.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut each = years.iter();
            each.try_for_each(|(number, year)| kept::write(&folder, *number, year))
        });
        let written = writing
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = written {
            tracing::error!(%error, "failed to keep fixings on disk");
        }
    }

    /// Today in Bucharest.
    #[must_use]
    pub(crate) fn today(&self) -> Date {
        schedule::today(self.now())
    }

    /// The instant, for planning.
    #[must_use]
    pub(crate) fn now(&self) -> jiff::Timestamp {
        let millis = (self.shared.clock)().as_millis();
        jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Day of the newest fixing at hand.
    #[must_use]
    pub(crate) fn newest_day(&self) -> Option<Date> {
        self.with_archive(|archive| archive.newest().map(|fixing| fixing.cube.date))
    }

    /// The fixing for a day, or the last one of all.
    pub(crate) async fn find(&self, day: Option<Date>, rule: Rule) -> Result<Found, RatesError> {
        let today = self.today();
        let Some(day) = day else {
            return match rule {
                Rule::Day => self.last(today).await,
                Rule::Tax => self.on(today, rule, today).await,
            };
        };
        if day > today {
            return Err(RatesError::Future(day));
        }
        self.on(day, rule, today).await
    }

    async fn last(&self, today: Date) -> Result<Found, RatesError> {
        let newest = || self.with_archive(|archive| archive.newest().cloned());
        let mut files = self.shared.files.lock().await;
        if newest().is_none() {
            match recent(files.newest_failure.as_ref(), self.clock()) {
                Some(failure) => return Err(failure.into()),
                None => self.fetch_newest_into(&mut files).await?,
            }
        }
        Ok(Found {
            fixing: newest().ok_or(RatesError::None(today))?,
            asked: today,
            is_stale: files.newest_failure.is_some(),
        })
    }

    async fn on(&self, day: Date, rule: Rule, today: Date) -> Result<Found, RatesError> {
        let last = last_day(day, rule);
        if last < FIRST_DAY {
            return Err(RatesError::None(day));
        }
        let find = || self.with_archive(|archive| archive.find(day, rule).cloned());
        let mut is_stale = self.year(last.year(), today).await?;
        // In the first days of a year the answer may stand in the file of the year before.
        if find().is_none() && last.year() > FIRST_DAY.year() {
            is_stale |= self.year(last.year() - 1, today).await?;
        }
        Ok(Found {
            fixing: find().ok_or(RatesError::None(day))?,
            asked: day,
            is_stale,
        })
    }

    /// Makes sure that the year's file was read; true when it could not be read again.
    async fn year(&self, year: i16, today: Date) -> Result<bool, SourceError> {
        let mut files = self.shared.files.lock().await;
        let now = self.clock();
        let read = files.years.get(&year).copied();
        let is_fresh = read.is_some_and(|read| {
            let closed = day_of(read).year() > year;
            closed || (year == today.year() && now.since(read) < CURRENT_YEAR_AGE)
        });
        if is_fresh {
            return Ok(false);
        }
        let failure = match recent(files.failures.get(&year), now) {
            Some(failure) => failure,
            None => match self.fetch(&year_path(year)).await {
                Ok(mut years) => {
                    files.years.insert(year, now);
                    files.failures.remove(&year);
                    years.insert(year);
                    self.keep(&files, years).await;
                    return Ok(false);
                }
                Err(failure) => {
                    files.failures.insert(year, (now, failure.clone()));
                    failure
                }
            },
        };
        if read.is_some() {
            return Ok(true);
        }
        Err(failure)
    }

    /// Reads the newest fixing, and the last ten when some were missed in between.
    pub(crate) async fn fetch_newest(&self) -> Result<(), SourceError> {
        let mut files = self.shared.files.lock().await;
        self.fetch_newest_into(&mut files).await
    }

    async fn fetch_newest_into(&self, files: &mut Files) -> Result<(), SourceError> {
        let before = self.newest_day();
        let mut years = BTreeSet::new();
        let outcome = async {
            years = self.fetch(NEWEST_PATH).await?;
            let skipped = before
                .zip(self.newest_day())
                .is_some_and(|(old, new)| new > old && schedule::next_banking_day(old) < new);
            if skipped {
                years.extend(self.fetch(TEN_DAYS_PATH).await?);
            }
            Ok(())
        }
        .await;
        if self.newest_day() != before {
            self.keep(files, years).await;
        }
        files.newest_failure = outcome.as_ref().err().map(|failure: &SourceError| {
            tracing::warn!(error = %failure, "failed to fetch the newest fixing");
            (self.clock(), failure.clone())
        });
        outcome
    }

    /// Reads a file into the archive; answers the years that it has fixings of.
    async fn fetch(&self, path: &str) -> Result<BTreeSet<i16>, SourceError> {
        let question = Question {
            who: WHO,
            method: Method::GET,
            path: path.to_owned(),
            body: None,
            max_bytes: feed::MAX_BYTES,
        };
        let read = |answer: Answer| {
            let cubes = feed::parse(&answer.body, self.today())?;
            Ok::<_, feed::FeedError>((cubes, answer.provenance))
        };
        let (cubes, provenance) = self.shared.source.ask(&question, read).await?;
        let (days, years) = (
            cubes.len(),
            cubes.iter().map(|cube| cube.date.year()).collect(),
        );
        self.shared
            .archive
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .add(cubes, &provenance);
        tracing::debug!(path, days, "fixings fetched");
        Ok(years)
    }

    fn clock(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn with_archive<T>(&self, read: impl FnOnce(&Archive) -> T) -> T {
        let archive = self.shared.archive.read();
        read(&archive.unwrap_or_else(PoisonError::into_inner))
    }
}

fn recent(failure: Option<&(Timestamp, SourceError)>, now: Timestamp) -> Option<SourceError> {
    failure
        .filter(|(at, _)| now.since(*at) < FAILURE_AGE)
        .map(|(_, failure)| failure.clone())
}

fn day_of(instant: Timestamp) -> Date {
    jiff::Timestamp::from_millisecond(instant.as_millis()).map_or(Date::MIN, schedule::today)
}

fn year_path(year: i16) -> String {
    format!("/files/xml/years/nbrfxrates{year}.xml")
}
