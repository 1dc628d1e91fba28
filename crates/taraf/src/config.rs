//! The one configuration file: its sections, their defaults, and what overrides them.

pub(crate) mod gossip;
mod load;
mod suggest;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use taraf_service::Transport;

pub(crate) use gossip::Gossip;

/// Where the listeners begin: the gateway takes the first port, the operator API the second.
pub(crate) const FIRST_PORT: u16 = 7400;

/// Everything `taraf.toml` can say. A section that is absent keeps its defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The public front door.
    pub(crate) gateway: taraf_gateway::Config,
    /// API keys and plans.
    pub(crate) accounts: taraf_gateway::AccountsConfig,
    pub(crate) operator: Operator,
    pub(crate) data: Data,
    /// How flows run.
    pub(crate) engine: taraf_engine::Config,
    /// The same as `engine.secrets`, each read from a file; a trailing line end is dropped.
    pub(crate) secret_files: BTreeMap<String, PathBuf>,
    /// The segment files.
    pub(crate) log: taraf_log::file::Config,
    /// Calls to services and to hosts outside.
    pub(crate) client: taraf_service::client::Config,
    pub(crate) telemetry: Telemetry,
    /// Services that run elsewhere, by name. A shipped service named here is not started.
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) apps: Apps,
    /// Membership of a cluster.
    pub(crate) gossip: Gossip,
    /// Names of nodes and services.
    pub(crate) dns: taraf_service::dns::Config,
    pub(crate) stop: Stop,
}

/// `[operator]`: the operator API, health and metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Operator {
    pub(crate) listen: SocketAddr,
    /// The file that holds the token; without it one is made in the data directory.
    pub(crate) token_file: Option<PathBuf>,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            listen: loopback(FIRST_PORT + 1),
            token_file: None,
        }
    }
}

/// `[data]`: where everything durable lies.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Data {
    /// `serve` needs it; a relative path starts at the configuration file.
    pub(crate) dir: Option<PathBuf>,
}

/// `[telemetry]`: what is logged and how.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// A level or a filter such as `info,taraf_engine=debug`; `RUST_LOG` goes before it.
    pub(crate) level: Option<String>,
    pub(crate) format: Format,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

/// `[services.NAME]`: a service that runs elsewhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) endpoints: Vec<SocketAddr>,
    /// Whether all its routes answer from the examples of its document, without calling it.
    pub(crate) mock: bool,
    pub(crate) protocol: Protocol,
    /// With `protocol = "tls"`: the name that the certificate must be for, else the address.
    pub(crate) server_name: Option<String>,
}

/// How a service that runs elsewhere is spoken to.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS.
    H2c,
    /// TLS, and HTTP/2 in it when the service agrees.
    Tls,
}

impl Service {
    /// The same for the service client.
    pub(crate) fn transport(&self) -> Transport {
        match self.protocol {
            Protocol::Http1 => Transport::Http1,
            Protocol::H2c => Transport::H2c,
            Protocol::Tls => Transport::Tls(self.server_name.as_deref().map(Into::into)),
        }
    }
}

/// `[apps]`: the shipped applications.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Apps {
    /// Which of them are offered here.
    pub(crate) enabled: Vec<String>,
    /// A folder whose `services/` and `openapi/` are read beside them, as those of a project; a
    /// relative path starts at the configuration file. Read again at SIGHUP.
    pub(crate) folder: Option<PathBuf>,
    /// Where the services started in this process listen, all on one port told apart by host.
    pub(crate) listen: SocketAddr,
    /// The limits of their listener.
    pub(crate) server: taraf_service::serve::Config,
    pub(crate) romania: taraf_romania::Config,
}

impl Default for Apps {
    fn default() -> Self {
        Self {
            enabled: vec!["romania".to_owned()],
            folder: None,
            listen: loopback(0),
            server: taraf_service::serve::Config::default(),
            romania: taraf_romania::Config::default(),
        }
    }
}

/// `[stop]`: how the node ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Stop {
    /// How long each part may take to finish what it has begun; calls under way have
    /// `gateway.limits.drain` before it.
    #[serde(with = "taraf_base::duration::serde")]
    pub(crate) limit: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// The applications keep what must survive in folders of their own under the data directory.
    pub(crate) fn placed(mut self, data: Option<&Path>) -> Self {
        self.apps.romania.folder = data.map(|dir| dir.join("romania"));
        self
    }

    /// Takes over what can be changed while calls go on: endpoints of services, plans, who may call, what our member
    /// says of itself and does at events.
    pub(crate) fn take(&mut self, other: Self) {
        self.services = other.services;
        self.gateway.auth = other.gateway.auth;
        // Plans that the program added to those of the file stay.
        self.accounts.plans.extend(other.accounts.plans);
        self.apps.folder = other.apps.folder;
        self.gossip.tags = other.gossip.tags;
        self.gossip.handlers = other.gossip.handlers;
    }

    /// Whether the routes of a service answer from its document.
    pub(crate) fn is_mocked(&self, service: &str) -> bool {
        self.services
            .get(service)
            .is_some_and(|service| service.mock)
    }

    /// The endpoints of the services that run elsewhere.
    pub(crate) fn endpoints(&self) -> BTreeMap<String, Vec<SocketAddr>> {
        let named = self.services.iter();
        // A service that is only mocked need not be anywhere.
        let named = named.filter(|(_, service)| !service.endpoints.is_empty() || !service.mock);
        named
            .map(|(name, service)| (name.clone(), service.endpoints.clone()))
            .collect()
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests;
