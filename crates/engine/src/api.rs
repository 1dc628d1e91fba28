//! The engine as its users hold it.

mod finding;
mod opening;
mod payloads;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use taraf_base::Tasks;
use taraf_flow::event::CloudEvent;
use taraf_flow::{Data, Definition, Finding, Report, Severity, check, check_with};
use taraf_log::machine::{Class, Handle, Phase};
use taraf_log::{Log, NullLog, PartitionId};
use taraf_service::Client;
use taraf_service::metrics::Registry;
use tokio::sync::{broadcast, watch};

use crate::archive::Archive;
use crate::collector::Collector;
use crate::definitions::{Library, Publish, Sources, Verdict};
use crate::invoker::{Authenticator, Means, Pace, Places};
use crate::leader::{Hub, Leader};
use crate::partition::{Begin, Control, Input, Partition, Reply, Settings, State};
use crate::{
    Beside, Catalog, Config, Error, FlowId, Published, Run, RunId, Start, Started, Status,
    placement, resources,
};

/// The partition of runs that are not recorded.
const EPHEMERAL: PartitionId = PartitionId(15);
/// How long a run that is not recorded stays when nobody took it away.
const EPHEMERAL_KEPT_MAX: Duration = Duration::from_secs(60);
/// Longest idempotency key.
const KEY_MAX: usize = 255;
/// How often a start looks for its key while many runs move to the archive.
const LOOKS_MAX: usize = 8;

/// A definition that can be run, with its warnings.
fn sound(report: Report) -> Result<(Arc<Definition>, Vec<Finding>), Error> {
    let Some(definition) = report.definition else {
        return Err(Error::Invalid(report.findings));
    };
    let unsupported = definition.unsupported();
    if !unsupported.is_empty() {
        return Err(Error::Unsupported(unsupported));
    }
    Ok((definition, report.findings))
}

fn flow_id(definition: &Definition) -> FlowId {
    let document = &definition.document;
    FlowId {
        namespace: document.namespace.clone(),
        name: document.name.clone(),
        version: document.version.clone(),
    }
}

/// Executes flows durably. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Arc<Hub>,
    catalog: watch::Receiver<Arc<Catalog>>,
    sources: Handle<Sources>,
    means: Arc<Means>,
    leaders: Vec<Leader>,
    ephemeral: Leader,
    archive: Option<Archive>,
    turn: AtomicU64,
    tasks: Tasks,
}

impl Engine {
    /// Opens the partitions, rebuilds what they hold and goes on with what is outstanding.
    ///
    /// # Errors
    /// When a partition cannot be claimed or replayed.
    pub async fn start<L: Log>(
        log: Arc<L>,
        config: Config,
        client: Client,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let (publisher, catalog) = watch::channel(Arc::new(Catalog::default()));
        let sources = opening::sources(&log, &config, publisher, tasks).await?;
        let hub = Arc::new(Hub::new(config.event_backlog));
        let archive = match &config.archive_dir {
            Some(dir) => Some(Archive::open(dir.clone()).await?),
            None => None,
        };
        let settings = opening::settings(&config, archive.is_some(), &hub);
        let runs_dir = config.runs_dir.clone();
        let (linger, keep_for) = (config.archive.linger, config.archive.keep_for);
        let count = opening::partitions(log.as_ref(), config.partition_count()).await?;
        let means = Arc::new(Means {
            authenticator: Authenticator::new(client.clone(), tasks),
            client,
            hub: Arc::clone(&hub),
            places: Places::new(config.calls),
            pace: Pace::new(config.restarted_per_second, config.hold),
            busy: Arc::default(),
            config,
        });
        let library = Arc::new(Library(catalog.clone()));
        let machines = opening::machines(count, &settings, runs_dir.as_deref(), &library);
        let kept = archive.clone().map(|archive| (archive, linger));
        let leaders = opening::lead(&log, machines, &means, kept, tasks).await?;
        hub.metrics.tell_of_partitions(&leaders);
        if let Some(archive) = &archive {
            let expiry = opening::expiry(archive.clone(), catalog.clone(), keep_for, tasks.clone());
            tasks.spawn("expiry of the archive", expiry);
        }
        Collector::start(&leaders, archive.clone(), &means, tasks);
        let null = Arc::new(NullLog);
        let settings = Settings {
            keep_for: settings.keep_for.min(EPHEMERAL_KEPT_MAX),
            archives: false,
            payloads: None,
            ..settings
        };
        let machine = Partition::new(settings, library);
        let ephemeral =
            Leader::start(null, EPHEMERAL, machine, Arc::clone(&means), None, tasks).await?;
        let inner = Inner {
            hub,
            catalog,
            sources,
            means,
            leaders,
            ephemeral,
            archive,
            turn: AtomicU64::new(0),
            tasks: tasks.clone(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Whether every partition leads.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let leaders = self.inner.leaders.iter();
        leaders
            .chain([&self.inner.ephemeral])
            .all(|leader| leader.handle.status().borrow().phase == Phase::Leading)
    }

    /// What keeps partitions from being led, a sentence each. Empty when all are.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let leaders = self.inner.leaders.iter();
        let phases = leaders.map(|leader| leader.handle.status().borrow().phase.clone());
        let phases = phases.chain([self.inner.sources.status().borrow().phase.clone()]);
        phases
            .filter_map(|phase| match phase {
                Phase::Leading | Phase::Replaying | Phase::Stopped => None,
                Phase::Fenced => Some("another process leads a partition of runs".to_owned()),
                Phase::Poisoned(why) | Phase::Diverged(why) => Some(why),
            })
            .collect()
    }

    /// Whether the engine leads and performs nothing: no call, no timer, no next turn.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.inner.means.pace.is_held()
    }

    /// Lets go on what was held; answers whether anything was.
    #[must_use]
    pub fn release(&self) -> bool {
        self.inner.means.pace.release()
    }

    /// Says that the gateway in front of this engine listens there. Calls to it may wait for runs
    /// that call in their turn, so they do not count against the limit of calls.
    pub fn add_front_door(&self, address: SocketAddr) {
        self.inner.means.places.add_door(address);
    }

    /// Publishes a definition. A version is immutable; the same content again changes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Unsupported`] with all findings, [`Error::Conflict`] for other content.
    pub async fn publish(&self, source: &str) -> Result<Published, Error> {
        self.publish_with(source, &Beside::new()).await
    }

    /// The same, with documents that lie beside the definition. Those that lie elsewhere are fetched
    /// now and belong to the version: no run looks at them again.
    ///
    /// # Errors
    /// As above; [`Error::Changed`] when the text is the same and what it needs is not.
    pub async fn publish_with(&self, source: &str, beside: &Beside) -> Result<Published, Error> {
        let bare = sound(check(source))?;
        let contents = match resources::fetch(&self.inner.means, &bare.0, beside).await {
            Ok(contents) => contents,
            Err(findings) => return self.published_before(&bare.0, findings),
        };
        let (definition, findings) = if contents.is_empty() {
            bare
        } else {
            sound(check_with(source, &contents))?
        };
        let flow = flow_id(&definition);
        let hash = definition.hash.clone();
        let input = Publish {
            flow: flow.clone(),
            hash: hash.clone(),
            source: source.to_owned(),
            contents,
        };
        let created = match self.inner.sources.propose(Class::Control, input).await? {
            Verdict::Created => true,
            Verdict::Existed => false,
            Verdict::Conflict => return Err(Error::Conflict(flow)),
            Verdict::Changed(places) => return Err(Error::Changed { flow, places }),
            Verdict::Full => return Err(Error::Overloaded("too many definitions are published")),
        };
        let mut catalog = self.inner.catalog.clone();
        // The catalog follows what is durable; it closes only with the partition.
        let _closed = catalog
            .wait_for(|catalog| catalog.get(&flow).is_some())
            .await;
        Ok(Published {
            flow,
            hash,
            created,
            warnings: findings,
        })
    }

    /// What was published with this text stands, though what it needs cannot be looked at now.
    fn published_before(
        &self,
        definition: &Definition,
        findings: Vec<Finding>,
    ) -> Result<Published, Error> {
        let flow = flow_id(definition);
        let catalog = self.flows();
        let known = catalog.get(&flow);
        let Some(known) = known.filter(|known| known.definition.source == definition.source) else {
            return Err(Error::Invalid(findings));
        };
        let warning = |finding| Finding {
            severity: Severity::Warning,
            ..finding
        };
        Ok(Published {
            flow,
            hash: known.definition.hash.clone(),
            created: false,
            warnings: findings.into_iter().map(warning).collect(),
        })
    }

    /// All published flows now.
    #[must_use]
    pub fn flows(&self) -> Arc<Catalog> {
        Arc::clone(&self.inner.catalog.borrow())
    }

    /// All published flows, as they change.
    #[must_use]
    pub fn watch_flows(&self) -> watch::Receiver<Arc<Catalog>> {
        self.inner.catalog.clone()
    }

    /// Starts a run. `Ok` means that it is durable.
    ///
    /// # Errors
    /// [`Error::NoSuchFlow`], [`Error::KeyConflict`], or when there is no room.
    pub async fn start_run(&self, start: Start) -> Result<Started, Error> {
        let leader = self.place_of(&start);
        self.begin(leader, leader.new_run(), start).await
    }

    fn place_of(&self, start: &Start) -> &Leader {
        let inner = &self.inner;
        let turn = inner.turn.fetch_add(1, Ordering::Relaxed);
        let (owner, key) = (start.owner.as_deref(), start.idempotency_key.as_deref());
        let place = placement::place(owner, key, turn, inner.leaders.len());
        inner.leaders.get(place).unwrap_or(&inner.ephemeral)
    }

    async fn begin(&self, leader: &Leader, id: RunId, start: Start) -> Result<Started, Error> {
        if start
            .idempotency_key
            .as_ref()
            .is_some_and(|key| key.is_empty() || key.len() > KEY_MAX)
        {
            let why = format!("it must have 1 to {KEY_MAX} bytes");
            return Err(Error::Refused {
                what: "the idempotency key",
                why,
            });
        }
        let (bytes, max) = (
            start
                .input
                .as_ref()
                .map_or(0, |input| input.as_bytes().len()),
            self.inner.means.config.limits.input_bytes,
        );
        if bytes > max {
            return Err(Error::TooLarge { bytes, max });
        }
        let catalog = self.flows();
        let Some(info) = catalog.resolve(&start.flow) else {
            return Err(Error::NoSuchFlow(start.flow));
        };
        let mut begin = Begin {
            id,
            flow: info.id.clone(),
            versioned: start.flow.version.is_some(),
            hash: info.definition.hash.clone(),
            input: start.input.unwrap_or_else(Data::object),
            owner: start.owner,
            key: start.idempotency_key,
            traceparent: start.traceparent,
            moved: 0,
            expired: None,
        };
        if leader.journals.is_overfull() {
            let why = "the disk takes the journals of runs more slowly than they grow";
            return Err(Error::Overloaded(why));
        }
        for _ in 0..LOOKS_MAX {
            // Before the archive: what moves from here on, the partition still remembers.
            begin.moved = leader.ended.moved();
            if let Some(found) = self.archived_start(&begin).await? {
                return found;
            }
            let input = Input::Start(Box::new(begin.clone()));
            return match leader.handle.propose(Class::Start, input).await? {
                Reply::Started { id, existing } => Ok(Started { id, existing }),
                Reply::KeyConflict { existing } => Err(Error::KeyConflict { existing }),
                Reply::Overloaded(why) => Err(Error::Overloaded(why)),
                Reply::Moved { existing } => {
                    begin.expired = self.expired(existing).await?;
                    continue;
                }
                Reply::LookAgain => continue,
                _ => Err(Error::NoSuchFlow(start.flow)),
            };
        }
        Err(Error::Overloaded(
            "runs move to the archive faster than keys are found there",
        ))
    }

    /// The run, if the archive no longer keeps it.
    async fn expired(&self, id: RunId) -> Result<Option<RunId>, Error> {
        let kept = match &self.inner.archive {
            Some(archive) => archive.find(id).await?,
            None => None,
        };
        Ok(kept.is_none().then_some(id))
    }

    /// What an earlier start with the same key made, when that run is in the archive.
    async fn archived_start(&self, begin: &Begin) -> Result<Option<Result<Started, Error>>, Error> {
        let (Some(archive), Some(key)) = (&self.inner.archive, &begin.key) else {
            return Ok(None);
        };
        let Some(mut run) = archive.by_key(begin.owner.clone(), key.clone()).await? else {
            return Ok(None);
        };
        self.fetch(run.id, &mut run.input).await?;
        let (id, existing) = (run.id, true);
        Ok(Some(match begin.is_same(&run.flow, &run.input) {
            true => Ok(Started { id, existing }),
            false => Err(Error::KeyConflict { existing: id }),
        }))
    }

    /// Ends a run.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn cancel(&self, id: RunId) -> Result<Run, Error> {
        self.control("cancel", id, Control::Cancel).await
    }

    /// Holds a run between tasks: what is in flight ends, nothing new starts.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn suspend(&self, id: RunId) -> Result<Run, Error> {
        self.control("suspend", id, Control::Suspend).await
    }

    /// Lets a held run go on.
    ///
    /// # Errors
    /// When there is no such run, or it is not held.
    pub async fn resume(&self, id: RunId) -> Result<Run, Error> {
        self.control("resume", id, Control::Resume).await
    }

    /// Lifecycle CloudEvents from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<CloudEvent>> {
        self.inner.hub.lifecycle.subscribe()
    }

    /// What the engine counts, for `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.inner.hub.metrics.registry
    }

    async fn control(
        &self,
        action: &'static str,
        id: RunId,
        control: Control,
    ) -> Result<Run, Error> {
        let leader = self.leader(id)?;
        match leader
            .handle
            .propose(Class::Control, Input::Control(id, control))
            .await?
        {
            // A run in the archive has ended; an unknown one is told by its absence there.
            Reply::NotFound => Err(Error::NotPossible {
                action,
                run: id,
                status: self.expect(id).await?.status,
            }),
            Reply::NotPossible(status) => Err(Error::NotPossible {
                action,
                run: id,
                status,
            }),
            Reply::TryAgain => Err(Error::Overloaded("a payload cannot be read now")),
            Reply::Late => Err(Error::NotPossible {
                action,
                run: id,
                status: Status::Completed,
            }),
            _ => self.expect(id).await,
        }
    }

    async fn expect(&self, id: RunId) -> Result<Run, Error> {
        self.get(id).await?.ok_or(Error::NoSuchRun(id))
    }

    async fn expect_named(&self, id: RunId) -> Result<Run, Error> {
        self.find(id).await?.ok_or(Error::NoSuchRun(id))
    }

    fn leader(&self, id: RunId) -> Result<&Leader, Error> {
        let leaders = self.inner.leaders.iter().chain([&self.inner.ephemeral]);
        let mut found = leaders.filter(|leader| leader.partition == id.partition());
        found.next().ok_or(Error::NoSuchRun(id))
    }

    async fn look<T: Send + 'static>(
        &self,
        id: RunId,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let leader = self.leader(id)?;
        Ok(leader
            .handle
            .read(move |machine: &Partition| look(machine.state()))
            .await?)
    }
}
