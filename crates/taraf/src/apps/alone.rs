//! `taraf service NAME`: one shipped microservice alone in its own process, offered to a cluster when it joins one.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use taraf_base::Tasks;
use taraf_gossip::rpc::Lines;
use taraf_service::{Directory, ServiceName, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{services, shipped};
use crate::adapters::{discovery, outside};
use crate::config::Config;
use crate::membership::{KEYRING, Membership, Start};
use crate::node::signal::Signals;
use crate::telemetry;

/// The data of a project's `taraf dev`, looked for here and in the folders above.
const PROJECT_DATA: &str = ".taraf";

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alone {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) data: Option<PathBuf>,
    /// Members of the cluster to join.
    pub(crate) join: Vec<String>,
    /// Where gossip is listened for.
    pub(crate) gossip: Option<SocketAddr>,
    pub(crate) key_file: Option<PathBuf>,
}

/// Runs the service until a signal ends it. Its settings are the defaults and `TARAF_` variables.
/// When it answers, the first line on standard output is one JSON object with its address.
///
/// As a member of a cluster it leaves first, so that nobody calls it any more, then finishes what is under way.
pub(crate) async fn serve_one(name: &str, options: Alone) -> anyhow::Result<()> {
    let config = Config::from_environment(std::env::vars())?;
    let data = options.data.clone().or_else(|| config.data.dir.clone());
    let config = with_cluster(config.placed(data.as_deref()), &options);
    let lines = telemetry::init(&config.telemetry)?;
    let signals = Signals::catch()?;
    let app = owner(name)?;
    let listen = listen(&options);
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("failed to listen on {listen}"))?;
    let (callers, serving, gossip) = (Tasks::new(), Tasks::new(), Tasks::new());
    // It calls institutions, never other services: those it must not know.
    let (_directory, nobody) = watch::channel(Arc::new(Directory::new()));
    let client = outside::client(nobody, &config.client, &callers)?;
    let service = services::service(&app, name, &config, &client, &callers).await?;
    let server = config.apps.server.clone();
    let served = serve::serve(listener, vec![service], server, &serving).await?;
    let member = if joins(&config) {
        let offer = (ServiceName::new(name)?, served.addr.port());
        Some(become_member(&config, data.as_deref(), offer, lines, &gossip).await?)
    } else {
        None
    };
    let mut line = json!({"ready": true, "service": name, "address": served.addr.to_string(),
        "pid": std::process::id()});
    if let Some(member) = &member {
        line["member"] = member.reading().me.to_string().into();
        line["gossip"] = member.address().to_string().into();
    }
    writeln!(std::io::stdout(), "{line}").context("failed to say that the service is ready")?;
    signals.wait_then_force().await;
    if let Some(member) = &member {
        member.leave().await;
    }
    for tasks in [serving, callers, gossip] {
        for name in tasks.drain(config.stop.limit).await {
            tracing::warn!(task = name, "did not end in time");
        }
    }
    Ok(())
}

/// Where the service listens: where gossip does, unless it is said; on this machine alone without gossip.
fn listen(options: &Alone) -> SocketAddr {
    let ip = options
        .gossip
        .map_or_else(|| Ipv4Addr::LOCALHOST.into(), |gossip| gossip.ip());
    options.listen.unwrap_or_else(|| SocketAddr::new(ip, 0))
}

/// The settings with what the command line says of the cluster. A service that is one of many on a machine takes any port
/// for gossip, and serves no RPC unless it is asked to.
fn with_cluster(mut config: Config, options: &Alone) -> Config {
    let gossip = &mut config.gossip;
    gossip.join.extend(options.join.iter().cloned());
    gossip.bind = options.gossip.or(gossip.bind);
    gossip
        .bind
        .get_or_insert_with(|| SocketAddr::new(listen(options).ip(), 0));
    gossip.rpc.enabled = gossip.rpc.listen.is_some();
    let has_key = gossip.encrypt_key.is_some() || gossip.encrypt_key_file.is_some();
    if options.key_file.is_some() {
        gossip.encrypt_key = None;
        gossip.encrypt_key_file.clone_from(&options.key_file);
    } else if !has_key && gossip.encrypt.is_none() {
        gossip.encrypt_key_file = project_keyring();
    }
    config
}

/// The keys of the `taraf dev` that runs, or ran, for this folder or one above it.
fn project_keyring() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let files = here
        .ancestors()
        .map(|folder| folder.join(PROJECT_DATA).join(KEYRING));
    files.into_iter().find(|file| file.exists())
}

fn joins(config: &Config) -> bool {
    let gossip = &config.gossip;
    gossip.enabled && !(gossip.join.is_empty() && gossip.retry_join.is_empty())
}

/// Offers the service to the cluster.
async fn become_member(
    config: &Config,
    folder: Option<&Path>,
    (name, port): (ServiceName, u16),
    lines: Lines,
    tasks: &Tasks,
) -> anyhow::Result<Membership> {
    let role = name.to_string();
    let start = Start {
        config: &config.gossip,
        folder,
        role: &role,
        tags: discovery::tags_of(&config.gossip.tags, &[name], port),
        lines,
    };
    let member = Membership::start(start, tasks).await?;
    if let Err(error) = member.join(&config.gossip).await {
        let help = if config.gossip.is_encrypted() {
            "its members may have other gossip keys"
        } else {
            "if it is encrypted, name its gossip key with --key-file"
        };
        anyhow::bail!("{error:#}; {help}");
    }
    Ok(member)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_alone_takes_free_ports_beside_one_another() {
        let of = |options: &Alone| {
            let config = with_cluster(Config::default(), options);
            let rpc = config.gossip.rpc.enabled;
            (
                config.gossip.bind.unwrap().to_string(),
                listen(options).to_string(),
                rpc,
            )
        };
        let local = "127.0.0.1:0".to_owned();
        assert_eq!(of(&Alone::default()), (local.clone(), local, false));
        let wide = Alone {
            gossip: Some("0.0.0.0:7946".parse().unwrap()),
            ..Alone::default()
        };
        assert_eq!(
            of(&wide),
            ("0.0.0.0:7946".to_owned(), "0.0.0.0:0".to_owned(), false)
        );
    }

    #[test]
    fn only_who_is_told_whom_to_join_becomes_a_member() {
        assert!(!joins(&with_cluster(Config::default(), &Alone::default())));
        let told = Alone {
            join: vec!["127.0.0.1:1".to_owned()],
            ..Alone::default()
        };
        assert!(joins(&with_cluster(Config::default(), &told)));
    }
}
