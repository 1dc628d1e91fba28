//! From Serf's configuration to the settings of an agent.

use std::net::{IpAddr, SocketAddr};

use taraf_base::with_causes;
use taraf_gossip::agent::{self, Settings};
use taraf_gossip::config::{Config, addresses_of, decode_key, listen_address};
use taraf_gossip::rpc::dial::text_of;
use taraf_gossip::serf::Tags;
use taraf_gossip::snapshot::{self, keyring_file, tags_file};
use taraf_gossip::wire::keyring::Keyring;
use taraf_gossip::wire::{Address, Envelope, Name};
use taraf_gossip::{cluster, serf, swim};

/// Serf's protocols.
const PROTOCOL_MIN: u32 = 2;
const PROTOCOL_MAX: u32 = 5;

/// What is bound and told, and what is said about it.
pub(super) struct Addresses {
    pub(super) bind: SocketAddr,
    pub(super) advertise: Option<SocketAddr>,
    pub(super) said: Option<String>,
}

/// Finds the addresses that a configuration means.
///
/// # Errors
/// With what Serf says when there are none.
pub(super) async fn addresses(config: &Config) -> Result<Addresses, String> {
    let mut bind = listen_address(config.bind())
        .await
        .map_err(|error| format!("Invalid bind address: {error}"))?;
    let mut said = None;
    if let Some(interface) = &config.interface {
        let found = addresses_of(interface)
            .map_err(|error| format!("Invalid network interface: {error}"))?;
        if found.is_empty() {
            return Err(format!("Interface '{interface}' has no addresses"));
        }
        if bind.ip().is_unspecified() {
            let Some(ip) = found.iter().find(|ip| !is_link_local(**ip)) else {
                return Err(format!(
                    "Failed to find usable address for interface '{interface}'"
                ));
            };
            bind.set_ip(*ip);
            said = Some(format!("Using interface '{interface}' address '{ip}'"));
        } else if !found.contains(&bind.ip()) {
            return Err(format!(
                "Interface '{interface}' has no '{}' address",
                bind.ip()
            ));
        }
    }
    let advertise = match &config.advertise {
        Some(text) => {
            let found = listen_address(text).await;
            Some(found.map_err(|error| format!("Invalid advertise address: {error}"))?)
        }
        None => None,
    };
    Ok(Addresses {
        bind,
        advertise,
        said,
    })
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The key that is configured, if one is.
///
/// # Errors
/// With what Serf says of what is no base64.
pub(super) fn key(config: &Config) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = &config.encrypt_key else {
        return Ok(None);
    };
    let decoded = decode_key(text.expose());
    decoded
        .map(Some)
        .map_err(|error| format!("Invalid encryption key: {error}"))
}

/// The timing of a profile.
///
/// # Errors
/// When there is none of the name.
pub(super) fn profile(config: &Config) -> Result<swim::Config, String> {
    let name = name_of(config);
    // Where we are is seen when it is bound.
    let nowhere = Address::Four([0; 4]);
    match config.profile() {
        "lan" => Ok(swim::Config::lan(name, nowhere, 0)),
        "wan" => Ok(swim::Config::wan(name, nowhere, 0)),
        "local" => Ok(swim::Config::local(name, nowhere, 0)),
        other => Err(format!("Unknown profile: {other}")),
    }
}

pub(super) fn name_of(config: &Config) -> Name {
    config.node_name.as_deref().unwrap_or_default().into()
}

/// The tags, out of their file where there is one, and a look into that of the keys.
///
/// # Errors
/// With what Serf says when a file and the configuration both say something, or the file is none.
pub(super) fn load(config: &Config, key: Option<&[u8]>) -> Result<Tags, String> {
    let tags = match &config.tags_file {
        Some(_) if !config.tags.is_empty() => {
            return Err("Tags config not allowed while using tag files".to_owned());
        }
        Some(path) => {
            let tags = tags_file::load(path).map_err(|error| of_tags(&error))?;
            if let Some(tags) = &tags {
                tracing::info!("Restored {} tag(s) from {}", tags.0.len(), path.display());
            }
            tags.unwrap_or_default()
        }
        None => Tags(config.tags.clone()),
    };
    let said = tags.0.get(serf::CLUSTER_TAG);
    if let (Some(cluster), Some(said)) = (&config.cluster_name, said)
        && said != cluster
    {
        return Err(format!(
            "The tag 'cluster' is '{said}', and cluster_name '{cluster}': leave the tag out"
        ));
    }
    match (&config.keyring_file, key) {
        (Some(_), Some(_)) => {
            return Err("Encryption key not allowed while using a keyring".to_owned());
        }
        (Some(path), None) => {
            // The agent reads it again when it starts; here it is refused in Serf's words, before anything is bound.
            let keyring = keyring_file::load(path).map_err(|error| of_keyring(&error))?;
            let (count, path) = (keyring.keys().count(), path.display());
            tracing::info!("Restored keyring with {count} keys from {path}");
        }
        (None, _) => {}
    }
    Ok(tags)
}

/// What Serf says of a tags file that cannot be used.
fn of_tags(error: &snapshot::Error) -> String {
    match error {
        snapshot::Error::Io { source, .. } => {
            format!("Failed to read tags file: {}", text_of(source))
        }
        snapshot::Error::Json { source, .. } => format!("Failed to decode tags file: {source}"),
        other => format!("Failed to read tags file: {}", with_causes(other)),
    }
}

/// What Serf says of a keyring file that cannot be used.
fn of_keyring(error: &snapshot::Error) -> String {
    use snapshot::Error::{Base64, Io, Json, Key, NoKeys, TooLarge};
    match error {
        Io { path, source, .. } => format!("stat {}: {}", path.display(), text_of(source)),
        Json { source, .. } => format!("Failed to decode keyring file: {source}"),
        Base64 { source, .. } => format!("Failed to decode key from keyring: {source}"),
        Key { source, .. } => format!("Failed to restore keyring: {source}"),
        NoKeys { .. } => "Keyring file contains no keys".to_owned(),
        TooLarge { .. } => format!("Failed to read keyring file: {error}"),
    }
}

/// What Serf says of an agent that does not start.
pub(super) fn of_start(error: &agent::Error) -> String {
    match error {
        agent::Error::Bind(bind) => {
            let (what, at) = (bind.what, SocketAddr::new(bind.ip, bind.port));
            format!(
                "Failed to create memberlist: {error}: Failed to start {what} listener on \"{}\" port {}: \
                 listen {} {at}: bind: {}",
                bind.ip,
                bind.port,
                what.to_lowercase(),
                text_of(&bind.source)
            )
        }
        agent::Error::File(snapshot::Error::Io { path, source, .. }) => format!(
            "Failed to setup snapshot: failed to open snapshot: open {}: {}",
            path.display(),
            text_of(source)
        ),
        agent::Error::File(_) | agent::Error::Address(_) | agent::Error::Member(_) => {
            with_causes(error)
        }
    }
}

/// The settings of an agent.
///
/// # Errors
/// With what Serf says of a protocol or a key that there is not.
pub(super) fn settings(
    config: &Config,
    addresses: &Addresses,
    mut swim: swim::Config,
    tags: Tags,
    key: Option<&[u8]>,
) -> Result<Settings, String> {
    let protocol = config.protocol();
    let range = format!("Must be in range: [{PROTOCOL_MIN}, {PROTOCOL_MAX}]");
    if protocol < PROTOCOL_MIN {
        return Err(format!("Protocol version '{protocol}' too low. {range}"));
    }
    let spoken = u8::try_from(protocol.min(PROTOCOL_MAX + 1)).unwrap_or(u8::MAX);
    if protocol > PROTOCOL_MAX {
        return Err(format!("Protocol version '{protocol}' too high. {range}"));
    }
    let failed = |error| format!("Failed to create memberlist: {error}");
    let keyring = key.map(Keyring::new).transpose().map_err(failed)?;
    let envelope = Envelope::new(b"", keyring).map_err(|error| error.to_string())?;
    swim.compress = !config.disable_compression;
    swim.versions.delegate = spoken;
    let mut serf = serf_settings(config, &swim, tags, spoken);
    config.timing.apply(&mut swim, &mut serf);
    Ok(Settings {
        bind: addresses.bind,
        advertise: addresses.advertise,
        cluster: cluster::Config::new(swim, serf, envelope),
        snapshot: config.snapshot_path.clone(),
        rejoins_after_leave: config.rejoin_after_leave,
        keyring: config.keyring_file.clone(),
    })
}

fn serf_settings(config: &Config, swim: &swim::Config, tags: Tags, protocol: u8) -> serf::Config {
    let standard = serf::Config::serf(name_of(config), tags);
    serf::Config {
        protocol,
        retransmit_mult: swim.retransmit_mult,
        gossip_interval: swim.gossip_interval,
        broadcast_timeout: config.broadcast_timeout(),
        reconnect_interval: config
            .reconnect_interval
            .unwrap_or(standard.reconnect_interval),
        reconnect_timeout: config
            .reconnect_timeout
            .unwrap_or(standard.reconnect_timeout),
        tombstone_timeout: config
            .tombstone_timeout
            .unwrap_or(standard.tombstone_timeout),
        user_event_bytes_max: config
            .user_event_size_limit
            .unwrap_or(standard.user_event_bytes_max),
        query_bytes_max: config.query_size_limit.unwrap_or(standard.query_bytes_max),
        query_response_bytes_max: config
            .query_response_size_limit
            .unwrap_or(standard.query_response_bytes_max),
        cluster: config.cluster_name.clone(),
        extends: !config.plain_serf,
        ends_queries: !config.queries_wait && !config.plain_serf,
        coordinates: if config.disable_coordinates {
            None
        } else {
            standard.coordinates
        },
        resolves_conflicts: !config.disable_name_resolution,
        ..standard
    }
}
