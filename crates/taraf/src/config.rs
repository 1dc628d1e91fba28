//! The one configuration file: its sections, their defaults, and what overrides them.

mod load;
mod size;
mod suggest;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use taraf_base::Secret;

pub use load::Error;
pub use size::Size;

/// Where the listeners begin: the gateway takes the first port, the operator API the second.
pub const FIRST_PORT: u16 = 7400;

/// Everything `taraf.toml` can say. A section that is absent keeps its defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub gateway: Gateway,
    pub operator: Operator,
    pub data: Data,
    pub engine: Engine,
    pub log: Log,
    pub telemetry: Telemetry,
    /// Services that run elsewhere, by name. A shipped service named here is not started.
    pub services: BTreeMap<String, Service>,
    pub apps: Apps,
    /// Plans by name, beside the built-in ones or in their place.
    pub plans: BTreeMap<String, Plan>,
    /// How long calls in flight may take to end when the node stops.
    pub stop: Stop,
}

/// `[gateway]`: the public front door.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    pub listen: SocketAddr,
    /// The address that callers see, when a proxy stands before it.
    pub public_url: Option<String>,
    /// The plan of a key that a new account gets.
    pub register_plan: String,
    /// Registrations that one address may ask for in an hour.
    pub register_per_hour: u32,
    /// The most a request body may hold where its route does not say.
    pub body_max: Size,
    /// How long a client may take to send the head of a request.
    #[serde(with = "taraf_base::duration::serde")]
    pub header_timeout: Duration,
    /// How long a call may take where its route does not say.
    #[serde(with = "taraf_base::duration::serde")]
    pub deadline: Duration,
    /// Connections at one time.
    pub connections_max: u32,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: loopback(FIRST_PORT),
            public_url: None,
            register_plan: "free".to_owned(),
            register_per_hour: 5,
            body_max: Size::from_bytes(1 << 20),
            header_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            connections_max: 10_000,
        }
    }
}

/// `[operator]`: the operator API, health and metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    pub listen: SocketAddr,
    /// The file that holds the token; without it one is made in the data directory.
    pub token_file: Option<PathBuf>,
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
pub struct Data {
    /// `serve` needs it; a relative path starts at the configuration file.
    pub dir: Option<PathBuf>,
}

/// `[engine]`: how flows run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Over how many partitions runs are spread; fixed once data exist.
    pub partitions: u32,
    /// Secrets that flows may name in `use.secrets`.
    pub secrets: BTreeMap<String, Secret>,
    /// The same, each read from a file; a trailing line end is dropped.
    pub secret_files: BTreeMap<String, PathBuf>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            partitions: 4,
            secrets: BTreeMap::new(),
            secret_files: BTreeMap::new(),
        }
    }
}

/// `[log]`: the segment files.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The size at which a segment is closed and the next begun.
    pub segment_max: Size,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            segment_max: Size::from_bytes(64 << 20),
        }
    }
}

/// `[telemetry]`: what is logged and how.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// A level or a filter such as `info,taraf_engine=debug`; `RUST_LOG` goes before it.
    pub level: Option<String>,
    pub format: Format,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

/// `[services.NAME]`: a service that runs elsewhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    pub endpoints: Vec<SocketAddr>,
}

/// `[apps]`: the shipped applications.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Apps {
    /// Which of them are offered here.
    pub enabled: Vec<String>,
    /// Where the services started in this process listen, all on one port told apart by host.
    pub listen: SocketAddr,
    pub romania: toml::Table,
}

impl Default for Apps {
    fn default() -> Self {
        Self {
            enabled: vec!["romania".to_owned()],
            listen: loopback(0),
            romania: toml::Table::default(),
        }
    }
}

/// `[plans.NAME]`: what a key may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Calls a second, on average.
    pub rate: u32,
    /// Calls at once after a quiet time; the rate where it is absent.
    pub burst: Option<u32>,
    /// Calls a calendar month; without it as many as the rate allows.
    pub monthly: Option<u64>,
}

/// `[stop]`: how the node ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// How long each part may take to finish what it has begun.
    #[serde(with = "taraf_base::duration::serde")]
    pub limit: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(30),
        }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests;
