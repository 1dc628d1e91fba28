//! `taraf service NAME`: one shipped microservice alone in its own process.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use taraf_base::Tasks;
use taraf_service::{Directory, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{services, shipped};
use crate::adapters::outside;
use crate::config::Config;
use crate::node::signal::Signals;
use crate::telemetry;

/// Runs the service until a signal ends it. Its settings are the defaults and `TARAF_` variables.
/// When it answers, the first line on standard output is one JSON object with its address.
pub(crate) async fn serve_one(
    name: &str,
    listen: Option<SocketAddr>,
    data: Option<&Path>,
) -> anyhow::Result<()> {
    let config = Config::from_environment(std::env::vars())?;
    let data = data
        .map(Path::to_path_buf)
        .or_else(|| config.data.dir.clone());
    let config = config.placed(data.as_deref());
    telemetry::init(&config.telemetry)?;
    let signals = Signals::catch()?;
    let app = owner(name)?;
    let listen = listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("failed to listen on {listen}"))?;
    let (callers, serving) = (Tasks::new(), Tasks::new());
    // It calls institutions, never other services: those it must not know.
    let (_directory, nobody) = watch::channel(Arc::new(Directory::new()));
    let client = outside::client(nobody, &config.client, &callers)?;
    let service = services::service(&app, name, &config, &client, &callers).await?;
    let server = config.apps.server.clone();
    let served = serve::serve(listener, vec![service], server, &serving).await?;
    let line = json!({"ready": true, "service": name, "address": served.addr.to_string(),
        "pid": std::process::id()});
    writeln!(std::io::stdout(), "{line}").context("failed to say that the service is ready")?;
    signals.wait_then_force().await;
    for tasks in [serving, callers] {
        for name in tasks.drain(config.stop.limit).await {
            tracing::warn!(task = name, "did not end in time");
        }
    }
    Ok(())
}

/// The application that has the service.
fn owner(name: &str) -> anyhow::Result<String> {
    let apps = shipped(&Config::default().apps.enabled)?;
    let has = |app: &&super::App| app.services.iter().any(|service| service.name == name);
    if let Some(app) = apps.iter().find(has) {
        return Ok(app.name.clone());
    }
    let known = apps.iter().flat_map(|app| &app.services);
    let known: Vec<_> = known.map(|service| service.name.as_str()).collect();
    anyhow::bail!(
        "no shipped service is called `{name}`; there are {}",
        known.join(", ")
    )
}
