//! Start and stop of a node, in order.

pub(crate) mod data;
mod groups;
mod serve;
pub(crate) mod signal;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use taraf_base::{Secret, Tasks, Timestamp};
use taraf_engine::Engine;
use taraf_gateway::{Accounts, Gateway, Routes};
use taraf_log::{FileLog, Log, MemoryLog};
use taraf_service::{Client, Descriptor, Directory, ServiceName};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::adapters::flows::EngineFlows;
use crate::adapters::{discovery, documents};
use crate::apps::{self, App, OnConflict};
use crate::config::Config;
use crate::operator;
use groups::Groups;

pub(crate) use serve::serve;

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
    pub(crate) gateway: SocketAddr,
    pub(crate) operator: SocketAddr,
    pub(crate) token: Secret,
    config: Config,
    /// What the services that were started here are called, and where they answer.
    started: (Vec<ServiceName>, SocketAddr),
    descriptors: Vec<Descriptor>,
    directory: watch::Sender<Arc<Directory>>,
    routes: watch::Sender<Arc<Routes>>,
    openapi: watch::Sender<Arc<bytes::Bytes>>,
    reasons: watch::Sender<Vec<String>>,
    groups: Groups,
}

impl Node {
    /// Starts everything. When this returns, calls are answered.
    pub(crate) async fn start(
        config: Config,
        place: &DataPlace,
        apps: &[App],
        on_conflict: OnConflict,
    ) -> anyhow::Result<Self> {
        match place {
            DataPlace::Folder(dir) => {
                data::create(dir)?;
                let groups = Groups::new();
                let opened = FileLog::open(&dir.join("log"), config.log.clone(), &groups.log);
                let log = opened.map_err(anyhow::Error::from);
                let log = Arc::new(log.context("failed to open the log")?);
                Self::start_on(log, config, place, (apps, on_conflict), groups).await
            }
            DataPlace::Memory => {
                let log = Arc::new(MemoryLog::new());
                Self::start_on(log, config, place, (apps, on_conflict), Groups::new()).await
            }
        }
    }

    /// Services come before the engine, so that a run that goes on after a crash finds them.
    async fn start_on<L: Log>(
        log: Arc<L>,
        config: Config,
        place: &DataPlace,
        (apps, on_conflict): (&[App], OnConflict),
        groups: Groups,
    ) -> anyhow::Result<Self> {
        let began = Timestamp::now();
        let operator_listener = listen(config.operator.listen, "the operator API").await?;
        let token = token(&config, place)?;

        let (directory, follow_directory) = watch::channel(Arc::new(Directory::new()));
        let client = Client::new(follow_directory, config.client.clone(), &groups.client);
        let elsewhere = elsewhere(&config, apps);
        let started = apps::start(apps, &config, &elsewhere, &client, &groups.services).await?;
        directory.send_replace(Arc::new(discovery::directory(
            &elsewhere,
            &started.names,
            started.addr,
        )?));

        let accounts = Accounts::start(Arc::clone(&log), config.accounts.clone(), &groups.accounts);
        let accounts = accounts.await.context("failed to start the accounts")?;
        let settings = engine_settings(&config)?;
        let engine = Engine::start(log, settings, client.clone(), &groups.engine);
        let engine = engine.await.context("failed to start the engine")?;
        apps::publish_all(&engine, apps, on_conflict).await?;

        let routes = routes(apps)?;
        let document = documents::public(&routes, &started.descriptors, &engine.flows())?;
        let (routes, follow_routes) = watch::channel(Arc::new(routes));
        let (openapi, follow_openapi) = watch::channel(Arc::new(document));
        let parts = taraf_gateway::Parts {
            accounts: accounts.clone(),
            routes: follow_routes.clone(),
            flows: Arc::new(EngineFlows(engine.clone())),
            client: client.clone(),
            openapi: follow_openapi,
        };
        let gateway = Gateway::start(config.gateway.clone(), parts, &groups.gateway).await?;

        let (reasons, follow_reasons) = watch::channel(Vec::new());
        let operator_addr = operator_listener.local_addr()?;
        let mut registries = vec![client.metrics().clone()];
        registries.extend(started.metrics);
        let parts = operator::Parts {
            engine: engine.clone(),
            accounts: accounts.clone(),
            client,
            directory: directory.subscribe(),
            routes: follow_routes,
            registries,
            gateway: gateway.clone(),
            token: token.clone(),
            reasons: follow_reasons,
            tasks: groups.operator.clone(),
            node: operator::NodeInfo {
                gateway: gateway.addr(),
                operator: operator_addr,
                data: place.to_string(),
                started: began,
            },
        };
        operator::serve(operator_listener, parts, &groups.operator);
        Ok(Self {
            engine,
            accounts,
            gateway: gateway.addr(),
            operator: operator_addr,
            token,
            config,
            started: (started.names, started.addr),
            descriptors: started.descriptors,
            directory,
            routes,
            openapi,
            reasons,
            groups,
        })
    }

    /// Takes a changed set of applications and endpoints: all of it or nothing.
    pub(crate) fn change(&self, config: &Config, apps: &[App]) -> anyhow::Result<()> {
        let elsewhere = elsewhere(config, apps);
        let (names, here) = &self.started;
        let directory = discovery::directory(&elsewhere, names, *here)?;
        let routes = routes(apps)?;
        let document = documents::public(&routes, &self.descriptors, &self.engine.flows())?;
        self.directory.send_replace(Arc::new(directory));
        self.routes.send_replace(Arc::new(routes));
        self.openapi.send_replace(Arc::new(document));
        Ok(())
    }

    /// Stops in the reverse order of the start; each part finishes what it has begun.
    pub(crate) async fn stop(self) {
        self.reasons.send_replace(vec!["stopping".to_owned()]);
        self.groups.stop(self.config.stop.limit).await;
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

/// Configured endpoints, then those that manifests name.
fn elsewhere(config: &Config, apps: &[App]) -> BTreeMap<String, Vec<SocketAddr>> {
    let mut endpoints: BTreeMap<_, _> = apps
        .iter()
        .flat_map(|app| &app.services)
        .filter(|service| !service.endpoints.is_empty())
        .map(|service| (service.name.clone(), service.endpoints.clone()))
        .collect();
    endpoints.extend(config.endpoints());
    endpoints
}

fn routes(apps: &[App]) -> anyhow::Result<Routes> {
    let all = apps.iter().flat_map(|app| app.routes.clone()).collect();
    Routes::build(all).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
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
