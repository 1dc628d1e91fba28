//! `taraf dev`: everything in one process, with recorded data and live reloading.

mod credentials;
mod ready;
mod reload;
mod watch;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use taraf_base::Tasks;
use taraf_gateway::quota::Plan;
use taraf_romania::recorded;
use taraf_service::dns;
use tokio::net::TcpListener;

use crate::apps::{self, OnConflict, Project};
use crate::config::Config;
use crate::config::gossip::{BIND, RPC_LISTEN};
use crate::node::signal::Signals;
use crate::node::{DataPlace, Node};
use crate::telemetry;
use ready::Ready;
use reload::Reloader;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The project that is watched.
    pub(crate) dir: PathBuf,
    /// A folder, or `:memory:` to keep nothing; `DIR/.taraf` where it is absent.
    pub(crate) data: Option<String>,
    /// The first of the consecutive ports that the listeners take.
    pub(crate) ports: Option<u16>,
}

/// The plan of the key that is printed: nobody should meet a limit on his own machine.
const PLAN: &str = "dev";
const PLAN_LIMITS: Plan = Plan {
    rate_per_second: 10_000,
    burst: 20_000,
    quota_per_month: None,
};

/// Companies that are looked up at the start: the first call for one should not wait for the tax
/// office's pace of a request a second.
const WARM: [&str; 2] = ["38744563", "13548146"];

/// Where data lie in a project that does not say it.
pub(crate) const DATA: &str = ".taraf";

/// Held back on the disk of a developer, who has other things on it.
const BALLAST_BYTES_MAX: u64 = 8 << 20;

/// Says that nothing is kept.
const MEMORY: &str = ":memory:";

/// Runs until a signal ends it.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let dir = options.dir.canonicalize();
    let dir = dir.with_context(|| format!("failed to find {}", options.dir.display()))?;
    let mut config = project_config(&dir)?;
    config.log.ballast_bytes = config.log.ballast_bytes.min(BALLAST_BYTES_MAX);
    // What is on a developer's machine is nobody else's.
    config.gossip.encrypt.get_or_insert(true);
    let lines = telemetry::init(&config.telemetry)?;
    let signals = Signals::catch()?;
    let place = data_place(&options, &config, &dir);
    if let Some(first) = options.ports {
        take_ports(&mut config, first)?;
    }
    config
        .accounts
        .plans
        .entry(PLAN.to_owned())
        .or_insert(PLAN_LIMITS);

    let sources = Tasks::new();
    use_recorded_data(&mut config, &sources).await?;
    let shipped = apps::shipped(&config.apps.enabled)?;
    let project = Project::read(&dir)?;
    let mut reloader = Reloader::new(config.clone(), shipped);
    let all = reloader.first(&project)?;
    let node = Node::start(&config, &place, &all, OnConflict::Number, lines).await?;
    let key = credentials::api_key(&node.accounts, &place, PLAN).await?;
    let ready = Ready::of(&node, &key, &place, &dir);
    ready.announce()?;

    let watching = Tasks::new();
    let changes = watch::start(&dir, &watching)?;
    tokio::select! {
        () = signals.wait_then_force() => {}
        () = reloader.follow(&node, &dir, changes) => {}
    }
    report_left(&watching).await;
    node.stop().await;
    report_left(&sources).await;
    ready.withdraw();
    Ok(())
}

/// The project's `taraf.toml`, or the defaults where it has none.
fn project_config(dir: &Path) -> anyhow::Result<Config> {
    let file = dir.join(apps::CONFIG_FILE);
    let variables = std::env::vars();
    if file.exists() {
        return Ok(Config::load(&file, variables)?);
    }
    Ok(Config::from_environment(variables)?)
}

fn data_place(options: &Options, config: &Config, dir: &Path) -> DataPlace {
    match options.data.as_deref() {
        Some(MEMORY) => DataPlace::Memory,
        Some(folder) => DataPlace::Folder(PathBuf::from(folder)),
        None => {
            let configured = config.data.dir.clone();
            DataPlace::Folder(configured.unwrap_or_else(|| dir.join(DATA)))
        }
    }
}

/// The listeners take consecutive ports: the gateway the first, the operator API the second, gossip the third, Serf's
/// RPC the fourth, names the fifth. Those that are not built keep their places, so that nothing moves when they come.
fn take_ports(config: &mut Config, first: u16) -> anyhow::Result<()> {
    let port = |place: u16| {
        let port = first.checked_add(place);
        port.context("there is no port after 65535")
    };
    config.gateway.listen.set_port(first);
    config.operator.listen.set_port(port(1)?);
    config.gossip.bind.get_or_insert(BIND).set_port(port(2)?);
    let rpc = &mut config.gossip.rpc.listen;
    rpc.get_or_insert(RPC_LISTEN).set_port(port(3)?);
    let names = &mut config.dns.listen;
    if names.is_empty() {
        names.push(dns::LISTEN);
    }
    let fifth = port(4)?;
    names.iter_mut().for_each(|listen| listen.set_port(fifth));
    Ok(())
}

/// Starts the source of recorded answers and lets the connectors ask it, unless the project names
/// another source.
async fn use_recorded_data(config: &mut Config, tasks: &Tasks) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.context("failed to listen for the recorded sources")?;
    let source = recorded::start(listener, tasks).await;
    let source = source.context("failed to start the recorded sources")?;
    let real = taraf_romania::Config::default();
    let romania = &mut config.apps.romania;
    if romania.anaf_base_url == real.anaf_base_url {
        romania.anaf_base_url = source.base_url();
        romania.warm = WARM.map(str::to_owned).to_vec();
    }
    if romania.bnr_base_url == real.bnr_base_url {
        romania.bnr_base_url = source.base_url();
    }
    Ok(())
}

async fn report_left(tasks: &Tasks) {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
    for task in tasks.drain(LIMIT).await {
        tracing::warn!(task, "did not end in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_take_consecutive_ports() {
        let mut config = Config::default();
        take_ports(&mut config, 9000).unwrap();
        assert_eq!(config.gateway.listen.port(), 9000);
        assert_eq!(config.operator.listen.port(), 9001);
        assert_eq!(config.gossip.bind.unwrap().port(), 9002);
        assert_eq!(config.gossip.rpc.listen.unwrap().port(), 9003);
        assert_eq!(config.dns.listen[0].port(), 9004);
        assert!(take_ports(&mut config, u16::MAX).is_err());
    }

    #[test]
    fn data_lie_in_the_project_unless_told_otherwise() {
        let place = |data: Option<&str>| {
            let options = Options {
                dir: PathBuf::from("/project"),
                data: data.map(str::to_owned),
                ports: None,
            };
            data_place(&options, &Config::default(), &options.dir).to_string()
        };
        assert_eq!(place(None), "/project/.taraf");
        assert_eq!(place(Some("/else")), "/else");
        assert_eq!(place(Some(MEMORY)), MEMORY);
    }
}
