//! From flags and files to one configuration, with what is to be said about it.

use std::path::PathBuf;
use std::time::Duration;

use taraf_gossip::config::{Config, duration, host_name, parse_tags, read_paths};
use taraf_gossip::handlers::Spec;

use crate::cli::serf::flags::Parsed;

/// A configuration that can be used, and what is said before it is.
pub(super) struct Configured {
    pub(super) config: Config,
    pub(super) handlers: Vec<Spec>,
    pub(super) said: Vec<String>,
}

/// Reads all files anew: defaults, files in the order in which they are named, flags.
///
/// # Errors
/// With what Serf says when that does not go.
pub(super) fn configure(flags: &Parsed) -> Result<Configured, String> {
    let given = from_flags(flags)?;
    let paths = flags.in_order(&["config-file", "config-dir"]);
    let files = read_paths(&paths).map_err(|error| error.to_string())?;
    let mut config = files.merged(given);
    if config.node_name.is_none() {
        let name = host_name().map_err(|error| format!("Error determining hostname: {error}"))?;
        config.node_name = Some(name);
    }
    let handlers = Spec::parse_all(&config.event_handlers);
    let handlers = handlers.map_err(|error| format!("Invalid event script: {error}"))?;
    let said = config.adjust();
    Ok(Configured {
        config,
        handlers,
        said,
    })
}

fn from_flags(flags: &Parsed) -> Result<Config, String> {
    let text = |name: &str| flags.filled(name).map(str::to_owned);
    let path = |name: &str| flags.filled(name).map(PathBuf::from);
    let switch = |name: &str| flags.switch(name, false);
    let positive = |name: &str| {
        let number = flags.number(name).filter(|number| *number > 0);
        number.and_then(|number| u32::try_from(number).ok())
    };
    let wrong = |error: &dyn std::fmt::Display| format!("Error: {error}");
    let time = |name: &str| -> Result<Option<Duration>, String> {
        let time = flags.filled(name).map(duration::parse).transpose();
        time.map_err(|error| wrong(&error))
    };
    Ok(Config {
        node_name: text("node"),
        role: text("role"),
        tags: parse_tags(flags.texts("tag")).map_err(|error| wrong(&error))?,
        tags_file: path("tags-file"),
        bind: text("bind"),
        advertise: text("advertise"),
        encrypt_key: text("encrypt").map(Into::into),
        keyring_file: path("keyring-file"),
        log_level: text("log-level"),
        rpc_addr: text("rpc-addr"),
        rpc_socket: path("rpc-socket"),
        protocol: positive("protocol"),
        replay_on_join: switch("replay"),
        start_join: flags.texts("join").to_vec(),
        event_handlers: flags.texts("event-handler").to_vec(),
        profile: text("profile"),
        cluster_name: text("cluster-name"),
        snapshot_path: path("snapshot"),
        discover: text("discover"),
        interface: text("iface"),
        enable_syslog: switch("syslog"),
        retry_join: flags.texts("retry-join").to_vec(),
        retry_max_attempts: positive("retry-max").unwrap_or(0),
        retry_interval: time("retry-interval")?,
        rejoin_after_leave: switch("rejoin"),
        disable_compression: switch("disable-compression"),
        broadcast_timeout: time("broadcast-timeout")?,
        ..Config::default()
    })
}
