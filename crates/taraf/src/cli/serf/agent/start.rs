//! Starts an agent, in Serf's order and with Serf's words.

use std::time::Duration;

use taraf_base::Tasks;
use taraf_gossip::agent;
use taraf_gossip::config::{Config, addresses_of, host_name};
use taraf_gossip::discovery;
use taraf_gossip::handlers::{self, Handlers};
use taraf_gossip::rpc::{Agent as _, Level, Listener, Server, Settings as Access};
use taraf_gossip::statsd;

use super::configure::{Configured, configure};
use super::log::Log;
use super::output::{detail, say};
use super::settings::{Addresses, addresses, key, load, name_of, of_start, profile, settings};
use super::syslog::Syslog;
use super::watch::{self, Watched};
use crate::cli::serf::command::{Call, Done, Failed};
use crate::membership::Served;

/// How long parts have to end when the agent does; handlers may be at work still.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Runs an agent until it leaves, is told to stop, or fails.
pub(in crate::cli::serf) async fn run(call: &Call) -> Done {
    let tasks = Tasks::new();
    let ended = begin(call, &tasks).await;
    let late = tasks.drain(STOP_LIMIT).await;
    if !late.is_empty() {
        tracing::warn!("did not end in time: {}", late.join(", "));
    }
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failed::silent()),
        Err(text) => {
            say(&text);
            Err(Failed::silent())
        }
    }
}

/// True when it ended well.
async fn begin(call: &Call, tasks: &Tasks) -> Result<bool, String> {
    let signals = watch::catch()?;
    let Configured {
        config,
        handlers,
        said,
    } = configure(&call.flags)?;
    for line in said {
        say(&line);
    }
    let level = level_of(&config)?;
    refuse_what_is_missing(&config)?;
    let syslog = config
        .enable_syslog
        .then(|| Syslog::open(config.syslog_facility()));
    let log = Log::start(level, syslog.transpose()?);
    let addresses = addresses(&config).await?;
    if let Some(said) = &addresses.said {
        say(said);
    }
    let served = start_agent(&config, &addresses, tasks)?;
    let settings = handler_settings(&config);
    served.set_handlers(Handlers::start(served.clone(), handlers, settings, tasks));
    report(&config, &served, tasks)?;
    discover(&config, &served, tasks)?;
    serve_rpc(&config, &served, &log, tasks).await?;
    tell(&config, &addresses);
    join(&config, &served).await?;
    detail("");
    say("Log data will now stream in as it occurs:\n");
    log.open();
    let watched = Watched {
        config,
        log,
        served,
        flags: &call.flags,
    };
    Ok(watched.run(signals, tasks).await)
}

/// # Errors
/// When there is no such level.
pub(super) fn level_of(config: &Config) -> Result<Level, String> {
    let level = Level::parse(config.log_level());
    level.map_err(|unknown| {
        let all = Level::ALL.map(Level::word).join(" ");
        format!(
            "Invalid log level: {}. Valid log levels are: [{all}]",
            unknown.0
        )
    })
}

/// Better no agent than one that does not do what it was told.
fn refuse_what_is_missing(config: &Config) -> Result<(), String> {
    if config.statsite_addr.is_some() {
        let why = "this agent has none; statsd_addr tells the same by UDP";
        return Err(format!("Failed to start statsite sink. Got: {why}"));
    }
    Ok(())
}

/// Tells a statsd server what the agent counts, where that is wanted.
fn report(config: &Config, served: &Served, tasks: &Tasks) -> Result<(), String> {
    if let Some(to) = &config.statsd_addr {
        let host =
            host_name().map_err(|error| format!("Failed to start statsd sink. Got: {error}"))?;
        statsd::start(served.handle().clone(), to.clone(), host, tasks);
    }
    Ok(())
}

fn handler_settings(config: &Config) -> handlers::Settings {
    let standard = handlers::Settings::default();
    handlers::Settings {
        one_after_another: config.event_handlers_serial,
        time_max: config.event_handler_timeout.unwrap_or(standard.time_max),
        ..standard
    }
}

fn start_agent(config: &Config, addresses: &Addresses, tasks: &Tasks) -> Result<Served, String> {
    let key = key(config)?;
    let swim = profile(config)?;
    say("Starting Serf agent...");
    let tags = load(config, key.as_deref())
        .map_err(|error| format!("Failed to setup the Serf agent: {error}"))?;
    tracing::info!("Serf agent starting");
    let failed =
        |error: &str| format!("Failed to start the Serf agent: Error creating Serf: {error}");
    let settings =
        settings(config, addresses, swim, tags, key.as_deref()).map_err(|error| failed(&error))?;
    let handle = agent::start(settings, tasks).map_err(|error| failed(&of_start(&error)))?;
    Ok(Served::new(handle, config.tags_file.clone()))
}

/// Finds and is found by multicast, where that is wanted.
fn discover(config: &Config, served: &Served, tasks: &Tasks) -> Result<(), String> {
    let Some(cluster) = &config.discover else {
        return Ok(());
    };
    let failed = |error: &dyn std::fmt::Display| format!("Error starting mDNS listener: {error}");
    let interface = config.interface.as_deref().map(addresses_of).transpose();
    let settings = discovery::Settings {
        cluster: cluster.clone(),
        host: host_name().map_err(|error| failed(&error))?,
        address: served.handle().address(),
        replay: config.replay_on_join,
        interface: interface
            .map_err(|error| failed(&error))?
            .unwrap_or_default(),
    };
    discovery::start(served.clone(), settings, tasks).map_err(|error| failed(&error))
}

async fn serve_rpc(
    config: &Config,
    served: &Served,
    log: &Log,
    tasks: &Tasks,
) -> Result<(), String> {
    let failed = |error| format!("Error starting RPC listener: {error}");
    let listener = Listener::tcp(config.rpc_addr()).await.map_err(failed)?;
    say("Starting Serf agent RPC...");
    let access = Access {
        key: config.rpc_auth.clone().unwrap_or_default(),
        users: config.rpc_socket_users.clone(),
        ..Access::default()
    };
    let server = Server::new(served.clone(), log.lines.clone(), access);
    server.listen(listener, tasks);
    if let Some(path) = &config.rpc_socket {
        server.listen(Listener::local(path).map_err(failed)?, tasks);
    }
    Ok(())
}

fn tell(config: &Config, addresses: &Addresses) {
    let is_encrypted = config.encrypt_key.is_some() || config.keyring_file.is_some();
    say("Serf agent running!");
    let pair = |name: &str, value: &str| detail(&format!("{name:>27}: {value}"));
    pair("Node name", &format!("'{}'", name_of(config)));
    pair("Bind addr", &format!("'{}'", addresses.bind));
    if let Some(advertise) = addresses.advertise {
        detail(&format!("Advertise addr: '{advertise}'"));
    }
    pair("RPC addr", &format!("'{}'", config.rpc_addr()));
    if let Some(path) = &config.rpc_socket {
        pair("RPC socket", &format!("'{}'", path.display()));
    }
    pair("Encrypted", &is_encrypted.to_string());
    pair("Snapshot", &config.snapshot_path.is_some().to_string());
    pair("Profile", config.profile());
    pair(
        "Message Compression Enabled",
        &(!config.disable_compression).to_string(),
    );
    if let Some(cluster) = &config.discover {
        pair("mDNS cluster", cluster);
    }
}

/// Joins those that must be reached.
async fn join(config: &Config, served: &Served) -> Result<(), String> {
    if config.start_join.is_empty() {
        return Ok(());
    }
    let replay = config.replay_on_join;
    say(&format!("Joining cluster...(replay: {replay})"));
    let joined = served.join(config.start_join.clone(), replay).await;
    match joined.error {
        Some(error) => Err(error.to_string()),
        None => {
            detail(&format!(
                "Join completed. Synced with {} initial agents",
                joined.count
            ));
            Ok(())
        }
    }
}
