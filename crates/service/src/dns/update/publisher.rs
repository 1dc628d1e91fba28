//! Keeps a zone as membership would have it: compares, changes, tries again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::Name;
use taraf_base::{Backoff, Rng, Tasks, random_u64, with_causes};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::names::Names;
use super::config::Config;
use super::error::Error;
use super::exchange::Exchange;
use super::key::Key;
use super::plan::{Publication, Zone};
use super::session::Session;
use super::wanted::Templates;

/// What changes together is published together.
const SETTLE: Duration = Duration::from_millis(100);
/// How often a server that does not answer is tried.
const RETRY: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(60),
    factor: 2,
};
/// From here on later nodes wait no longer than the one before.
const RANK_MAX: u32 = 10;

/// How the publishing to one zone stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Names that are published.
    pub names: usize,
    /// Names that belong to somebody else there, and are left alone.
    pub taken: Vec<String>,
    /// What could not be published, and why.
    pub left_out: Vec<String>,
    /// Why the zone is not as it should be, if it is not.
    pub error: Option<String>,
    /// How often the zone was made as it should be.
    pub rounds: u64,
    /// Changes that were made.
    pub changes: u64,
}

/// Publishes to one zone.
#[derive(Clone, Debug)]
pub struct Publisher {
    name: Arc<str>,
    status: Arc<Mutex<Status>>,
}

impl Publisher {
    /// Starts to keep the zone as the names would have it, until the tasks stop. `name` is that of the section, `me`
    /// that of this node.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn start(
        name: &str,
        me: &str,
        config: &Config,
        names: watch::Receiver<Arc<Names>>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let key = config.key()?;
        let templates = Templates::new(config)?;
        let publisher = Self {
            name: name.into(),
            status: Arc::default(),
        };
        let publication = Publication {
            zone: templates.zone().clone(),
            owner: config.owner.clone(),
            ttl: super::super::config::seconds(config.ttl).unwrap_or_default(),
        };
        if publication.index().is_none() {
            let why = format!("`{}` is too long to have names below it", config.zone);
            return Err(Error::Setting {
                setting: "zone",
                why,
            });
        }
        let work = Work {
            name: name.into(),
            me: me.to_owned(),
            config: config.clone(),
            key,
            templates,
            publication,
            status: Arc::clone(&publisher.status),
            begun: Instant::now(),
            rng: Rng::new(random_u64()),
            known: None,
            taken: BTreeSet::new(),
        };
        tasks.spawn("dns updates", work.run(names, tasks.token()));
        Ok(publisher)
    }

    /// The name of its section.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Work {
    name: Arc<str>,
    me: String,
    config: Config,
    key: Key,
    templates: Templates,
    publication: Publication,
    status: Arc<Mutex<Status>>,
    begun: Instant,
    rng: Rng,
    /// What is ours in the zone; none when it must be read.
    known: Option<Zone>,
    /// Names that somebody else has.
    taken: BTreeSet<Name>,
}

impl Work {
    async fn run(mut self, mut names: watch::Receiver<Arc<Names>>, token: CancellationToken) {
        let mut failures = 0;
        let mut at = Instant::now() + SETTLE;
        loop {
            // Until it is time: everything that happens meanwhile is published with it.
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = sleep_until(at) => {}
            }
            let snapshot = Arc::clone(&names.borrow_and_update());
            // May be dropped: what was sent and not heard of is read again, by the mark of each name.
            let outcome = tokio::select! {
                biased;
                () = token.cancelled() => return,
                outcome = self.publish(&snapshot) => outcome,
            };
            at = match outcome {
                Ok(again) => {
                    failures = 0;
                    again.unwrap_or_else(|| Instant::now() + self.config.resync)
                }
                Err(error) => {
                    self.known = None;
                    let wait = RETRY.delay(failures, &mut self.rng);
                    self.tell_failure(&error, wait);
                    failures = failures.saturating_add(1);
                    at = Instant::now() + wait;
                    continue;
                }
            };
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                changed = names.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    at = at.min(Instant::now() + SETTLE + self.patience(&names.borrow()));
                }
                () = sleep_until(at) => self.known = None,
            }
        }
    }

    /// How long this node leaves the work to those before it.
    fn patience(&self, names: &Names) -> Duration {
        let before = names
            .nodes()
            .filter(|node| node.is_alive && node.name.as_str() < self.me.as_str());
        let rank = u32::try_from(before.count()).unwrap_or(RANK_MAX);
        self.config.stagger.saturating_mul(rank.min(RANK_MAX))
    }

    /// Makes the zone as it should be. Returns when something is left to do that must wait.
    async fn publish(&mut self, names: &Names) -> Result<Option<Instant>, Error> {
        let (wanted, left_out) = self.templates.wanted(names);
        let removals_from = self.begun + self.config.removals_after;
        let may_remove = Instant::now() >= removals_from;
        let mut made = 0;
        let is_right = self.known.as_ref().is_some_and(|known| {
            let mut changes = self.publication.changes(&wanted, known).into_iter();
            changes.all(|change| self.taken.contains(&change.name))
        });
        let mut is_done = true;
        if !is_right {
            let config = &self.config;
            let exchange = Exchange::connect(&config.server, &config.zone, &self.key).await?;
            let known = self.known.take();
            let mut session = Session::begin(exchange, &self.publication, known, random_u64());
            // Another node may have done already what this one has waited with.
            let is_late = !self.patience(names).is_zero();
            let outcome = session.reconcile(&wanted, may_remove, is_late).await;
            made = session.made;
            is_done = outcome?;
            self.taken.clone_from(&session.taken);
            self.known = Some(session.known);
        }
        self.tell_success(left_out, made);
        Ok((!is_done).then_some(removals_from))
    }

    fn tell_success(&self, left_out: Vec<String>, made: u64) {
        let taken: Vec<String> = self.taken.iter().map(Name::to_ascii).collect();
        let names = self.known.as_ref().map_or(0, BTreeMap::len);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if taken != status.taken && !taken.is_empty() {
            let names = taken.join(" ");
            tracing::warn!(
                update = &*self.name,
                names,
                "names belong to somebody else and are left alone"
            );
        }
        if left_out != status.left_out && !left_out.is_empty() {
            let names = left_out.join("; ");
            tracing::warn!(update = &*self.name, names, "names are not published");
        }
        if status.error.is_some() {
            tracing::info!(update = &*self.name, "names are published again");
        }
        if made > 0 {
            tracing::debug!(
                update = &*self.name,
                changes = made,
                names,
                "names published"
            );
        }
        *status = Status {
            names,
            taken,
            left_out,
            error: None,
            rounds: status.rounds.saturating_add(1),
            changes: status.changes.saturating_add(made),
        };
    }

    fn tell_failure(&self, error: &Error, wait: Duration) {
        let error = with_causes(error);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        // Once for each cause: tried again it will be for as long as it takes.
        if status.error.as_ref() != Some(&error) {
            let (server, zone) = (&self.config.server, &self.config.zone);
            let update = &*self.name;
            tracing::warn!(
                update,
                server,
                zone,
                error,
                ?wait,
                "failed to publish names; trying again"
            );
        }
        status.error = Some(error);
    }
}
