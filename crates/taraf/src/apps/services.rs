//! Starting shipped services in this process, all on one listener told apart by host.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use taraf_base::Tasks;
use taraf_service::metrics::Registry;
use taraf_service::{Client, Descriptor, Service, ServiceName, serve};
use tokio::net::TcpListener;

use super::App;
use crate::adapters::discovery::{self, Known};
use crate::config::Config;

/// The services that were started, and what all of the applications' services say of themselves.
pub(crate) struct Started {
    /// Where those started here answer.
    pub(crate) addr: SocketAddr,
    pub(crate) names: Vec<ServiceName>,
    /// Of all shipped services of the applications, those that run elsewhere too.
    pub(crate) descriptors: Vec<Descriptor>,
    pub(crate) metrics: Option<Registry>,
}

impl Started {
    /// Who answers for each service, with endpoints as configuration and manifests say now.
    pub(crate) fn known(&self, config: &Config, apps: &[App]) -> anyhow::Result<Known> {
        let elsewhere = elsewhere(config, apps);
        let directory = discovery::directory(&elsewhere, &self.names, self.addr)?;
        let fixed = elsewhere.iter().filter(|(_, all)| !all.is_empty());
        let fixed: Result<_, _> = fixed.map(|(name, _)| ServiceName::new(name)).collect();
        let services = config.services.iter();
        Ok(Known {
            directory,
            fixed: fixed?,
            transports: services
                .map(|(name, service)| (name.clone(), service.transport()))
                .collect(),
            ..Known::default()
        })
    }
}

/// The one application whose services are part of the program.
const BUILT_IN: &str = "romania";

/// The endpoints of services that run elsewhere: configured ones, then those that manifests name. A
/// service of a manifest without endpoints is known, and has nobody who answers yet.
fn elsewhere(config: &Config, apps: &[App]) -> BTreeMap<String, Vec<SocketAddr>> {
    let mut endpoints: BTreeMap<_, _> = apps
        .iter()
        .flat_map(|app| app.services.iter().map(move |service| (app, service)))
        .filter(|(app, service)| app.name != BUILT_IN || !service.endpoints.is_empty())
        .map(|(_, service)| (service.name.clone(), service.endpoints.clone()))
        .collect();
    endpoints.extend(config.endpoints());
    endpoints
}

/// Starts the applications' services, but for those that the configuration says run elsewhere.
pub(crate) async fn start(
    apps: &[App],
    config: &Config,
    client: &Client,
    tasks: &Tasks,
) -> anyhow::Result<Started> {
    let elsewhere = elsewhere(config, apps);
    let mut started = Started {
        addr: config.apps.listen,
        names: Vec::new(),
        descriptors: Vec::new(),
        metrics: None,
    };
    let mut services = Vec::new();
    for (app, entry) in apps
        .iter()
        .flat_map(|app| app.services.iter().map(move |entry| (app, entry)))
    {
        started
            .descriptors
            .extend(descriptor(&app.name, &entry.name));
        if !elsewhere.contains_key(&entry.name) {
            let service = service(&app.name, &entry.name, config, client, tasks).await?;
            started.names.push(service.descriptor.name.clone());
            services.push(service);
        }
    }
    if services.is_empty() {
        return Ok(started);
    }
    let listener = TcpListener::bind(config.apps.listen)
        .await
        .with_context(|| format!("failed to listen on {} for services", config.apps.listen))?;
    let served = serve::serve(listener, services, config.apps.server.clone(), tasks).await?;
    started.addr = served.addr;
    started.metrics = Some(served.metrics);
    Ok(started)
}

/// Makes a shipped service ready to be served.
pub(crate) async fn service(
    app: &str,
    name: &str,
    config: &Config,
    client: &Client,
    tasks: &Tasks,
) -> anyhow::Result<Service> {
    anyhow::ensure!(
        app == BUILT_IN,
        "the application `{app}` has no services that are built in"
    );
    let settings = config.apps.romania.clone();
    taraf_romania::service(name, settings, client.clone(), tasks)
        .await
        .with_context(|| format!("failed to start the service `{name}`"))
}

/// What a shipped service says of itself, without starting it.
fn descriptor(app: &str, name: &str) -> Option<Descriptor> {
    if app == BUILT_IN {
        taraf_romania::descriptor(name)
    } else {
        None
    }
}
