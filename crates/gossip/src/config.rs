//! What an agent is told to be: Serf's configuration, from files and flags.
//!
//! A value that was not given is none, so that whoever comes later changes only what it names. Defaults come
//! last, with the accessors of [`Config`].

mod address;
mod decode;
pub mod duration;
mod files;
mod key;
mod tags;
mod timing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use address::{AddressError, listen_address};
pub use decode::DecodeError;
pub use files::{ReadError, read_paths};
pub use key::{IllegalBase64, decode_key};
pub use tags::{InvalidTag, parse_tags};
use taraf_base::Secret;
pub use timing::Timing;

pub use crate::platform::{addresses_of, host_name};

/// Where gossip is listened for when no port is named.
pub const DEFAULT_PORT: u16 = 7946;

/// The least that an interval between tries to join, and a broadcast's timeout, may be.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Serf's agent configuration: every key of its files, and ours.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the file has as many switches"
)]
pub struct Config {
    /// `node_name`: unique in the cluster; the host's name when there is none.
    pub node_name: Option<String>,
    /// `role`: the tag of that name, as it was before there were tags.
    pub role: Option<String>,
    /// `disable_coordinates`.
    pub disable_coordinates: bool,
    /// `tags`.
    pub tags: BTreeMap<String, String>,
    /// `tags_file`: where tags are kept that are changed while the agent runs.
    pub tags_file: Option<PathBuf>,
    /// `bind`: where gossip is listened for.
    pub bind: Option<String>,
    /// `advertise`: what others are told instead.
    pub advertise: Option<String>,
    /// `encrypt_key`, in base64.
    pub encrypt_key: Option<Secret>,
    /// `keyring_file`: where keys are kept that are changed while the agent runs.
    pub keyring_file: Option<PathBuf>,
    /// `log_level`.
    pub log_level: Option<String>,
    /// `rpc_addr`.
    pub rpc_addr: Option<String>,
    /// `rpc_auth`: what RPC's clients must know.
    pub rpc_auth: Option<Secret>,
    /// `protocol`: Serf's, from 2 to 5.
    pub protocol: Option<u32>,
    /// `replay_on_join`.
    pub replay_on_join: bool,
    /// `query_response_size_limit`, in bytes.
    pub query_response_size_limit: Option<usize>,
    /// `query_size_limit`, in bytes.
    pub query_size_limit: Option<usize>,
    /// `user_event_size_limit`, in bytes.
    pub user_event_size_limit: Option<usize>,
    /// `start_join`: must be reached at the start.
    pub start_join: Vec<String>,
    /// `event_handlers`.
    pub event_handlers: Vec<String>,
    /// `profile`: lan, wan or local.
    pub profile: Option<String>,
    /// `snapshot_path`: the rejoin file.
    pub snapshot_path: Option<PathBuf>,
    /// `leave_on_terminate`.
    pub leave_on_terminate: bool,
    /// `skip_leave_on_interrupt`.
    pub skip_leave_on_interrupt: bool,
    /// `discover`: the name under which members find one another by mDNS.
    pub discover: Option<String>,
    /// `interface`: whose address is bound.
    pub interface: Option<String>,
    /// `reconnect_interval`.
    pub reconnect_interval: Option<Duration>,
    /// `reconnect_timeout`.
    pub reconnect_timeout: Option<Duration>,
    /// `tombstone_timeout`.
    pub tombstone_timeout: Option<Duration>,
    /// `disable_name_resolution`: two members of one name do not settle who keeps it.
    pub disable_name_resolution: bool,
    /// `enable_syslog`.
    pub enable_syslog: bool,
    /// `syslog_facility`.
    pub syslog_facility: Option<String>,
    /// `retry_join`: are tried until one is reached.
    pub retry_join: Vec<String>,
    /// `retry_max_attempts`: no end when zero.
    pub retry_max_attempts: u32,
    /// `retry_interval`.
    pub retry_interval: Option<Duration>,
    /// `rejoin_after_leave`.
    pub rejoin_after_leave: bool,
    /// `enable_compression`: without effect in a file, as in Serf; see [`Config::disable_compression`].
    pub enable_compression: bool,
    /// No key, only a flag.
    pub disable_compression: bool,
    /// `statsite_addr`.
    pub statsite_addr: Option<String>,
    /// `statsd_addr`.
    pub statsd_addr: Option<String>,
    /// `broadcast_timeout`.
    pub broadcast_timeout: Option<Duration>,
    /// `timing`, ours: constants of the protocol that differ from those of the profile.
    pub timing: Timing,
    /// `cluster_name`, ours: members that say they belong to another are not taken.
    pub cluster_name: Option<String>,
    /// `queries_wait`, ours: a query waits its whole time even when all have answered, as in Serf.
    pub queries_wait: bool,
    /// `plain_serf`, ours: nothing is done that Serf does not do.
    pub plain_serf: bool,
    /// `rpc_socket`, ours: a path where RPC is served to this user and to `rpc_socket_users`, without a key.
    pub rpc_socket: Option<PathBuf>,
    /// `rpc_socket_users`, ours: the numbers of further users.
    pub rpc_socket_users: Vec<u32>,
    /// `event_handlers_serial`, ours: scripts are run one after another and without a limit, as in Serf.
    pub event_handlers_serial: bool,
    /// `event_handler_timeout`, ours: how long a script may take before it is killed.
    pub event_handler_timeout: Option<Duration>,
}

impl Config {
    /// This configuration with all that the other names: lists get longer, switches are only switched on, and
    /// of everything else the other's counts.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            node_name: other.node_name.or(self.node_name),
            role: other.role.or(self.role),
            disable_coordinates: self.disable_coordinates || other.disable_coordinates,
            tags: union(self.tags, other.tags),
            tags_file: other.tags_file.or(self.tags_file),
            bind: other.bind.or(self.bind),
            advertise: other.advertise.or(self.advertise),
            encrypt_key: other.encrypt_key.or(self.encrypt_key),
            keyring_file: other.keyring_file.or(self.keyring_file),
            log_level: other.log_level.or(self.log_level),
            rpc_addr: other.rpc_addr.or(self.rpc_addr),
            rpc_auth: other.rpc_auth.or(self.rpc_auth),
            protocol: other.protocol.or(self.protocol),
            replay_on_join: self.replay_on_join || other.replay_on_join,
            query_response_size_limit: other
                .query_response_size_limit
                .or(self.query_response_size_limit),
            query_size_limit: other.query_size_limit.or(self.query_size_limit),
            user_event_size_limit: other.user_event_size_limit.or(self.user_event_size_limit),
            start_join: chain(self.start_join, other.start_join),
            event_handlers: chain(self.event_handlers, other.event_handlers),
            profile: other.profile.or(self.profile),
            snapshot_path: other.snapshot_path.or(self.snapshot_path),
            leave_on_terminate: self.leave_on_terminate || other.leave_on_terminate,
            skip_leave_on_interrupt: self.skip_leave_on_interrupt || other.skip_leave_on_interrupt,
            discover: other.discover.or(self.discover),
            interface: other.interface.or(self.interface),
            reconnect_interval: other.reconnect_interval.or(self.reconnect_interval),
            reconnect_timeout: other.reconnect_timeout.or(self.reconnect_timeout),
            tombstone_timeout: other.tombstone_timeout.or(self.tombstone_timeout),
            disable_name_resolution: self.disable_name_resolution || other.disable_name_resolution,
            enable_syslog: self.enable_syslog || other.enable_syslog,
            syslog_facility: other.syslog_facility.or(self.syslog_facility),
            retry_join: chain(self.retry_join, other.retry_join),
            retry_max_attempts: match other.retry_max_attempts {
                0 => self.retry_max_attempts,
                attempts => attempts,
            },
            retry_interval: other.retry_interval.or(self.retry_interval),
            rejoin_after_leave: self.rejoin_after_leave || other.rejoin_after_leave,
            enable_compression: self.enable_compression || other.enable_compression,
            disable_compression: self.disable_compression || other.disable_compression,
            statsite_addr: other.statsite_addr.or(self.statsite_addr),
            statsd_addr: other.statsd_addr.or(self.statsd_addr),
            broadcast_timeout: other.broadcast_timeout.or(self.broadcast_timeout),
            timing: self.timing.merged(other.timing),
            cluster_name: other.cluster_name.or(self.cluster_name),
            queries_wait: self.queries_wait || other.queries_wait,
            plain_serf: self.plain_serf || other.plain_serf,
            rpc_socket: other.rpc_socket.or(self.rpc_socket),
            rpc_socket_users: chain(self.rpc_socket_users, other.rpc_socket_users),
            event_handlers_serial: self.event_handlers_serial || other.event_handlers_serial,
            event_handler_timeout: other.event_handler_timeout.or(self.event_handler_timeout),
        }
    }

    /// Puts right what a user should hear about, as Serf does, and says it.
    pub fn adjust(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(role) = self.role.take() {
            said.push("Deprecation warning: 'Role' has been replaced with 'Tags'".to_owned());
            self.tags.insert("role".to_owned(), role);
        }
        let mut raise = |what: &str, value: &mut Option<Duration>| {
            if value.is_some_and(|value| value < INTERVAL_MIN) {
                *value = Some(INTERVAL_MIN);
                let least = duration::format(INTERVAL_MIN);
                said.push(format!("Warning: '{what}' is too low. Setting to {least}"));
            }
        };
        raise("RetryInterval", &mut self.retry_interval);
        raise("BroadcastTimeout", &mut self.broadcast_timeout);
        if self.rejoin_after_leave && self.snapshot_path.is_none() {
            let warning = "Warning: 'RejoinAfterLeave' enabled without snapshot file";
            said.push(warning.to_owned());
        }
        said
    }

    /// Where gossip is listened for: all addresses unless said otherwise.
    #[must_use]
    pub fn bind(&self) -> &str {
        self.bind.as_deref().unwrap_or("0.0.0.0")
    }

    /// Where RPC is served.
    #[must_use]
    pub fn rpc_addr(&self) -> &str {
        self.rpc_addr.as_deref().unwrap_or("127.0.0.1:7373")
    }

    /// From which level on the log is written.
    #[must_use]
    pub fn log_level(&self) -> &str {
        self.log_level.as_deref().unwrap_or("INFO")
    }

    /// The timing: lan, wan or local.
    #[must_use]
    pub fn profile(&self) -> &str {
        self.profile.as_deref().unwrap_or("lan")
    }

    /// How long to wait before joining is tried again.
    #[must_use]
    pub fn retry_interval(&self) -> Duration {
        self.retry_interval.unwrap_or(Duration::from_secs(30))
    }

    /// How long a leave or a forced one is broadcast at most.
    #[must_use]
    pub fn broadcast_timeout(&self) -> Duration {
        self.broadcast_timeout.unwrap_or(Duration::from_secs(5))
    }

    /// Serf's protocol.
    #[must_use]
    pub fn protocol(&self) -> u32 {
        self.protocol.unwrap_or(5)
    }

    /// The facility of syslog.
    #[must_use]
    pub fn syslog_facility(&self) -> &str {
        self.syslog_facility.as_deref().unwrap_or("LOCAL0")
    }
}

fn chain<T>(mut first: Vec<T>, second: Vec<T>) -> Vec<T> {
    first.extend(second);
    first
}

fn union(
    mut first: BTreeMap<String, String>,
    second: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    first.extend(second);
    first
}

#[cfg(test)]
mod tests;
