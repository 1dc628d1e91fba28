//! From `[gossip]` to the settings of an agent.

use std::net::SocketAddr;

use anyhow::Context as _;
use taraf_base::random_u64;
use taraf_gossip::agent::Settings;
use taraf_gossip::config::host_name;
use taraf_gossip::serf::{CLUSTER_TAG, Tags};
use taraf_gossip::wire::{Address, Envelope, Error as WireError, Name};
use taraf_gossip::{cluster, serf, swim};

use super::Start;
use super::keys::Keys;
use crate::config::Gossip;
use crate::config::gossip::{BIND, Profile};

/// The file of known members in a data directory.
const REJOIN: &str = "gossip.rejoin";

/// The settings; their port may be one that another program has.
pub(super) fn make(start: &Start<'_>, keys: Keys) -> anyhow::Result<Settings> {
    let config = start.config;
    let bind = config.bind.unwrap_or(BIND);
    let name = name(config, start.role, bind);
    let swim = profile(config.profile, name.clone());
    let mut swim = swim::Config {
        compress: config.compress,
        ..swim
    };
    let mut serf = serf::Config {
        cluster: (!config.cluster.is_empty()).then(|| config.cluster.clone()),
        ..serf::Config::serf(name, start.tags.clone())
    };
    config.timing.apply(&mut swim, &mut serf);
    // Serf's agents have no label and would hear nothing of those who do: the name of the cluster is a tag.
    let envelope = Envelope::new(b"", keys.keyring)?;
    Ok(Settings {
        bind,
        advertise: config.advertise,
        cluster: cluster::Config::new(swim, serf, envelope),
        snapshot: start.folder.map(|folder| folder.join(REJOIN)),
        rejoins_after_leave: config.rejoin,
        keyring: keys.file,
    })
}

/// Gives the member the name that goes with its changed address.
pub(super) fn rename(made: &mut Settings, config: &Gossip, role: &str) {
    let name = name(config, role, made.bind);
    made.cluster.swim.name = name.clone();
    made.cluster.serf.name = name;
}

/// `ROLE-HOST-PORT`: two nodes on a machine are two members, and a node that comes back is the one that it was. Where
/// the operating system chooses the port, chance makes the difference.
fn name(config: &Gossip, role: &str, bind: SocketAddr) -> Name {
    if let Some(name) = &config.name {
        return Name::from(name.as_str());
    }
    let host = host_name().unwrap_or_else(|_unknown| "host".to_owned());
    let host = host.split('.').next().unwrap_or_default();
    let name = match bind.port() {
        0 => format!("{role}-{host}-{:08x}", random_u64() & 0xffff_ffff),
        port => format!("{role}-{host}-{port}"),
    };
    Name::from(name.as_str())
}

fn profile(profile: Profile, name: Name) -> swim::Config {
    // Where we are is seen when it is bound.
    let nowhere = Address::Four([0; 4]);
    match profile {
        Profile::Lan => swim::Config::lan(name, nowhere, 0),
        Profile::Wan => swim::Config::wan(name, nowhere, 0),
        Profile::Local => swim::Config::local(name, nowhere, 0),
    }
}

/// Refuses tags that do not fit, together with that of the cluster, into what a member may say of itself.
pub(super) fn check_tags(cluster: &str, tags: &Tags) -> anyhow::Result<()> {
    let mut tags = tags.clone();
    if !cluster.is_empty() {
        let said = tags.0.insert(CLUSTER_TAG.to_owned(), cluster.to_owned());
        if let Some(said) = said.filter(|said| said != cluster) {
            anyhow::bail!(
                "gossip.tags say {CLUSTER_TAG} = \"{said}\", and gossip.cluster is \"{cluster}\": leave the tag out"
            );
        }
    }
    match tags.to_bytes() {
        Ok(_) => Ok(()),
        Err(WireError::TooLarge { found, max, .. }) => {
            let max = u64::try_from(max).unwrap_or(u64::MAX);
            anyhow::bail!(
                "the tags of this member take {found} bytes, {} more than the {max} that Serf's protocol has room for: \
                 shorten gossip.tags, or offer fewer services",
                found.saturating_sub(max)
            )
        }
        Err(other) => Err(other).context("the tags of this member"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_named_after_its_role_host_and_port() {
        let config = Gossip::default();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = |port| name(&config, "taraf", at(port)).to_string();
        assert!(text(7946).starts_with("taraf-") && text(7946).ends_with("-7946"));
        assert_eq!(text(7946), text(7946));
        assert_ne!(text(0), text(0));
        let named = Gossip {
            name: Some("n1".to_owned()),
            ..Gossip::default()
        };
        assert_eq!(name(&named, "taraf", at(0)).to_string(), "n1");
    }

    #[test]
    fn tags_that_do_not_fit_are_refused_with_the_bytes_too_many() {
        // A pair takes a byte for each length, longer texts three; all pairs take two before them.
        let tags = |bytes: usize| Tags([("a".to_owned(), "x".repeat(bytes))].into());
        assert!(check_tags("", &tags(505)).is_ok());
        let error = check_tags("", &tags(520)).unwrap_err().to_string();
        assert!(
            error.contains("take 527 bytes, 15 more than the 512"),
            "{error}"
        );
    }

    #[test]
    fn the_name_of_the_cluster_is_a_tag_that_nobody_else_sets() {
        let tags = |cluster: &str| Tags([("cluster".to_owned(), cluster.to_owned())].into());
        assert!(check_tags("blue", &tags("blue")).is_ok());
        assert!(check_tags("", &tags("green")).is_ok());
        let error = check_tags("blue", &tags("green")).unwrap_err().to_string();
        assert!(error.contains("leave the tag out"), "{error}");
        // It takes room, too.
        let long = Tags([("a".to_owned(), "x".repeat(500))].into());
        assert!(check_tags("", &long).is_ok() && check_tags("blue", &long).is_err());
    }
}
