//! Start and stop of a node, in order.

pub(crate) mod data;
pub(crate) mod directories;
mod document;
mod groups;
mod member;
pub(crate) mod names;
mod serve;
pub(crate) mod signal;
mod space;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use taraf_base::{Secret, Tasks, Timestamp};
use taraf_engine::Engine;
use taraf_gateway::auth::Authenticators;
use taraf_gateway::openapi::Source;
use taraf_gateway::{Accounts, Gateway, Routes, Target, auth};
use taraf_gossip::rpc::Lines;
use taraf_log::backup::{BLOBS, LOG};
use taraf_log::blob::BlobStore;
use taraf_log::{FileLog, Log, MemoryLog, Space};
use taraf_service::Client;
use taraf_service::metrics::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::adapters::documents;
use crate::adapters::flows::EngineFlows;
use crate::adapters::outside;
use crate::apps::{self, App, OnConflict, Started};
use crate::config::Config;
use crate::membership::Membership;
use crate::operator;
use directories::Directories;
use groups::Groups;
use names::Naming;

pub(crate) use serve::{Chosen, serve};

/// The folder of finished runs in the data directory.
pub(crate) const ARCHIVE: &str = "archive";
/// The folder of live runs' journals in a data directory.
pub(crate) const RUNS: &str = "runs";

/// Where a node keeps what must survive.
#[derive(Clone, Debug)]
pub(crate) enum DataPlace {
    Folder(PathBuf),
    /// Nothing survives.
    Memory,
}

/// A node that runs.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) accounts: Accounts,
    pub(crate) gateway: taraf_gateway::Handle,
    pub(crate) operator: SocketAddr,
    pub(crate) token: Secret,
    /// How long calls under way, and then each part, may take to end.
    stop_limits: (Duration, Duration),
    started: Started,
    directories: Arc<Directories>,
    pub(crate) membership: Option<Arc<Membership>>,
    naming: Naming,
    routes: watch::Sender<Arc<Routes>>,
    documents: watch::Sender<Arc<Vec<Source>>>,
    doorkeepers: Doorkeepers,
    reasons: watch::Sender<Vec<String>>,
    settings: watch::Sender<Arc<operator::Settings>>,
    groups: Groups,
}

/// Who may call beside the holders of keys: begun once, and anew only when the settings change.
struct Doorkeepers {
    client: Client,
    tasks: Tasks,
    last: Mutex<Option<(auth::Config, Arc<Authenticators>)>>,
}

/// What opening the operator's door takes: the listener, what is told of the node, who may enter, and
/// what a backup holds.
type Opening = (
    TcpListener,
    operator::NodeInfo,
    Secret,
    Option<operator::Kept>,
);

/// What a node is made of, before its doors are opened.
struct Core {
    client: Client,
    started: Started,
    directories: Arc<Directories>,
    membership: Option<Arc<Membership>>,
    naming: Naming,
    accounts: Accounts,
    engine: Engine,
    space: watch::Receiver<Space>,
}

impl Node {
    /// Starts everything. When this returns, calls are answered.
    pub(crate) async fn start(
        config: &Config,
        place: &DataPlace,
        apps: &[App],
        on_conflict: OnConflict,
        lines: Lines,
    ) -> anyhow::Result<Self> {
        let began = Timestamp::now();
        let config = &config.clone().placed(place.folder());
        // First, as it is the most common reason for not starting at all.
        let door = listen(config.operator.listen, "the operator API").await?;
        let groups = Groups::new();
        let mut kept = None;
        let mut core = match place {
            DataPlace::Folder(dir) => {
                data::create(dir)?;
                let opened = FileLog::open(&dir.join(LOG), config.log.clone(), &groups.log);
                let log = Arc::new(opened.context("failed to open the log")?);
                let blobs = BlobStore::open(&dir.join(BLOBS));
                let blobs = blobs.context("failed to open the payloads")?;
                kept = Some(operator::Kept {
                    log: Arc::clone(&log),
                    blobs: blobs.clone(),
                    dir: dir.clone(),
                });
                let kept = (Some(dir.join(ARCHIVE)), blobs);
                Core::start(log, config, kept, apps, &groups).await?
            }
            DataPlace::Memory => {
                let log = Arc::new(MemoryLog::new());
                let kept = (None, BlobStore::memory());
                Core::start(log, config, kept, apps, &groups).await?
            }
        };
        let folder = place.folder();
        core.membership = member::start(config, folder, &core, lines, &groups.gossip).await?;
        core.naming = names::start(config, &core, &groups.names).await?;
        apps::publish_all(&core.engine, apps, on_conflict).await?;
        let info = operator::NodeInfo {
            gateway: config.gateway.listen,
            operator: door.local_addr().context("failed to read an address")?,
            data: place.to_string(),
            started: began,
        };
        let token = token(config, place)?;
        let node = Self::open(core, config, apps, groups, (door, info, token, kept)).await?;
        // Last: whoever finds us finds us answering.
        if let Some(membership) = &node.membership
            && let Err(error) = membership.join(&config.gossip).await
        {
            node.stop().await;
            return Err(error);
        }
        Ok(node)
    }

    /// Opens the doors: the gateway's, then the operator's.
    async fn open(
        core: Core,
        config: &Config,
        apps: &[App],
        groups: Groups,
        (door, mut info, token, kept): Opening,
    ) -> anyhow::Result<Self> {
        let sources = sources(&core.started, apps);
        let doorkeepers = Doorkeepers::new(&core.client, &groups.gateway);
        let table = routes(config, apps, &sources, &doorkeepers)?;
        let (routes, follow_routes) = watch::channel(Arc::new(table));
        let (documents, follow_documents) = watch::channel(Arc::new(sources));
        let parts = taraf_gateway::Parts {
            accounts: core.accounts.clone(),
            routes: follow_routes.clone(),
            flows: Arc::new(EngineFlows(core.engine.clone())),
            client: core.client.clone(),
            openapi: document::keep(
                follow_routes.clone(),
                &core.engine,
                follow_documents,
                &groups.operator,
            )?,
        };
        let gateway = Gateway::start(config.gateway.clone(), parts, &groups.gateway).await?;
        info.gateway = gateway.addr();
        core.engine.add_front_door(gateway.addr());
        let (reasons, follow_reasons) = watch::channel(Vec::new());
        let (settings, follow_settings) = watch::channel(Arc::default());
        let registries = registries(&core, &gateway);
        let node = Self {
            gateway,
            operator: info.operator,
            token: token.clone(),
            stop_limits: (config.gateway.limits.drain, config.stop.limit),
            routes,
            documents,
            doorkeepers,
            settings,
            reasons,
            directories: core.directories,
            membership: core.membership,
            naming: core.naming,
            started: core.started,
            engine: core.engine,
            accounts: core.accounts,
            groups,
        };
        let parts = operator::Parts {
            engine: node.engine.clone(),
            accounts: node.accounts.clone(),
            client: core.client,
            directory: node.directories.subscribe(),
            directories: Arc::clone(&node.directories),
            membership: node.membership.clone(),
            naming: node.naming.clone(),
            routes: follow_routes,
            registries,
            token,
            reasons: follow_reasons,
            settings: follow_settings,
            tasks: node.groups.operator.clone(),
            kept,
            space: core.space,
            node: info,
        };
        operator::serve(door, parts, &node.groups.operator).await?;
        Ok(node)
    }

    /// Takes changed applications, endpoints, plans and ways to call: all of it or nothing. What came
    /// of it is told by the operator API.
    pub(crate) async fn change(&self, config: &Config, apps: &[App]) -> anyhow::Result<()> {
        let changed = self.try_change(config, apps).await;
        self.tell_settings(changed.as_ref().err().map(|error| format!("{error:#}")));
        changed
    }

    /// Says whether the settings that were read last are those that hold.
    pub(crate) fn tell_settings(&self, error: Option<String>) {
        self.settings.send_modify(|settings| {
            let loaded = if error.is_none() {
                Timestamp::now()
            } else {
                settings.loaded
            };
            *settings = Arc::new(operator::Settings { loaded, error });
        });
    }

    async fn try_change(&self, config: &Config, apps: &[App]) -> anyhow::Result<()> {
        let known = self.started.known(config, apps)?;
        let sources = sources(&self.started, apps);
        let routes = routes(config, apps, &sources, &self.doorkeepers)?;
        for (name, plan) in &config.accounts.plans {
            let set = self.accounts.set_plan(name, plan.clone()).await;
            set.with_context(|| format!("the plan `{name}` cannot be taken over"))?;
        }
        if let Some(membership) = &self.membership {
            member::change(config, membership, &self.started).await?;
        }
        self.directories.set_known(known);
        self.documents.send_replace(Arc::new(sources));
        self.routes.send_replace(Arc::new(routes));
        Ok(())
    }

    /// Takes over the gateway's certificates whose files have changed, beside the calls.
    pub(crate) fn reload_certificates(&self) {
        let gateway = self.gateway.clone();
        let work = move || gateway.reload_certificates();
        self.groups.gateway.spawn_blocking("certificates", work);
    }

    /// Where the gateway is reached.
    pub(crate) fn gateway_url(&self) -> String {
        let scheme = if self.gateway.is_secure() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.gateway.addr())
    }

    /// Adds to a ready line where the member is reached, if there is one, and where names are asked for.
    pub(crate) fn add_gossip(&self, line: &mut serde_json::Value) {
        if let Some(membership) = &self.membership {
            line["gossip"] = membership.address().to_string().into();
            if let Some(rpc) = membership.rpc() {
                line["rpc"] = rpc.to_string().into();
            }
        }
        self.naming.add_to(line);
    }

    /// Stops in the reverse order of the start; each part finishes what it has begun.
    pub(crate) async fn stop(self) {
        self.reasons.send_replace(vec!["stopping".to_owned()]);
        if let Some(membership) = &self.membership {
            membership.leave().await;
        }
        let (calls, limit) = self.stop_limits;
        self.groups.stop(calls, limit).await;
    }
}

impl Core {
    /// Services come before the engine, so that a run that goes on after a crash finds them.
    async fn start<L: Log>(
        log: Arc<L>,
        config: &Config,
        (archive, blobs): (Option<PathBuf>, BlobStore),
        apps: &[App],
        groups: &Groups,
    ) -> anyhow::Result<Self> {
        let directories = Directories::new();
        let follow = directories.subscribe();
        let client = outside::client(follow, &config.client, &groups.client)?;
        let started = apps::start(apps, config, &client, &groups.services).await?;
        directories.set_known(started.known(config, apps)?);

        let space = log.space();
        let settings = config.accounts.clone();
        let accounts = Accounts::start(Arc::clone(&log), settings, &groups.accounts).await;
        let mut settings = engine_settings(config)?;
        let data = archive.as_ref().and_then(|dir| dir.parent());
        settings.runs_dir = data.map(|dir| dir.join(RUNS));
        settings.archive_dir = archive;
        settings.blobs = Some(blobs);
        let engine = Engine::start(log, settings, client.clone(), &groups.engine).await;
        Ok(Self {
            client,
            started,
            directories,
            membership: None,
            naming: Naming::default(),
            accounts: accounts.context("failed to start the accounts")?,
            engine: engine.context("failed to start the engine")?,
            space,
        })
    }
}

impl DataPlace {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(dir) => Some(dir),
            Self::Memory => None,
        }
    }
}

impl std::fmt::Display for DataPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{}", dir.display()),
            Self::Memory => f.write_str(":memory:"),
        }
    }
}

/// Listens, or says which listener could not.
async fn listen(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address} for {what}"))
}

/// What is measured, by the parts that measure it.
fn registries(core: &Core, gateway: &taraf_gateway::Handle) -> Vec<Registry> {
    let mut registries = vec![
        gateway.metrics().clone(),
        core.engine.metrics().clone(),
        core.client.metrics().clone(),
    ];
    registries.extend(core.started.metrics.clone());
    registries.push(space::metrics(core.space.clone()));
    registries.extend(core.membership.iter().map(|own| own.metrics()));
    registries.push(core.naming.metrics());
    registries
}

/// The documents of all services, whoever runs them.
fn sources(started: &Started, apps: &[App]) -> Vec<Source> {
    let shipped = started.descriptors.iter().map(documents::source);
    let others = apps.iter().flat_map(|app| app.documents.iter().cloned());
    shipped.chain(others).collect()
}

fn routes(
    config: &Config,
    apps: &[App],
    sources: &[Source],
    doorkeepers: &Doorkeepers,
) -> anyhow::Result<Routes> {
    let mut all: Vec<_> = apps.iter().flat_map(|app| app.routes.clone()).collect();
    for route in &mut all {
        let Target::Service { service, .. } = &route.target else {
            continue;
        };
        route.settings.mock |= config.is_mocked(service);
    }
    let table = Routes::build_with(all, sources).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    let authenticators = doorkeepers.of(&config.gateway.auth)?;
    table.with(authenticators).map_err(anyhow::Error::msg)
}

impl Doorkeepers {
    fn new(client: &Client, tasks: &Tasks) -> Self {
        Self {
            client: client.clone(),
            tasks: tasks.child(),
            last: Mutex::default(),
        }
    }

    fn of(&self, config: &auth::Config) -> anyhow::Result<Arc<Authenticators>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, begun)) = &*last
            && known == config
        {
            return Ok(Arc::clone(begun));
        }
        let begun = Authenticators::start(config, &self.client, &self.tasks);
        let begun = begun.map_err(|why| anyhow::anyhow!("gateway.auth.{why}"))?;
        let begun = Arc::new(begun);
        *last = Some((config.clone(), Arc::clone(&begun)));
        Ok(begun)
    }
}

/// The operator token: from its file, else made once in the data directory.
fn token(config: &Config, place: &DataPlace) -> anyhow::Result<Secret> {
    match (&config.operator.token_file, place) {
        (Some(file), _) => data::read_secret(file)?
            .with_context(|| format!("there is no operator token in {}", file.display())),
        (None, DataPlace::Folder(dir)) => {
            data::secret(&dir.join(data::OPERATOR_TOKEN), data::new_token)
        }
        (None, DataPlace::Memory) => Ok(data::new_token()),
    }
}

/// The engine's settings with the secrets that lie in files.
fn engine_settings(config: &Config) -> anyhow::Result<taraf_engine::Config> {
    let mut settings = config.engine.clone();
    for (name, file) in &config.secret_files {
        let secret = data::read_secret(file)?
            .with_context(|| format!("there is no secret `{name}` in {}", file.display()))?;
        settings.secrets.insert(name.clone(), secret);
    }
    Ok(settings)
}
