//! What a node says of itself to the cluster, and when.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use taraf_base::Tasks;
use taraf_gossip::rpc::Lines;
use taraf_gossip::serf::Tags;

use super::Core;
use crate::adapters::discovery;
use crate::apps::Started;
use crate::config::Config;
use crate::config::gossip::BIND;
use crate::membership::{Membership, Start};

/// What a node is called where nobody says it.
const ROLE: &str = "taraf";

/// Makes the node a member, unless the settings say that it is none; calls go to what members offer from then on.
pub(super) async fn start(
    config: &Config,
    folder: Option<&Path>,
    core: &Core,
    lines: Lines,
    tasks: &Tasks,
) -> anyhow::Result<Option<Arc<Membership>>> {
    if !config.gossip.enabled {
        return Ok(None);
    }
    let start = Start {
        config: &config.gossip,
        folder,
        role: ROLE,
        tags: tags(config, &core.started),
        lines,
    };
    let membership = Membership::start(start, tasks).await?;
    core.directories.follow(&membership, tasks);
    Ok(Some(Arc::new(membership)))
}

/// Takes over changed tags and handlers: both or none.
pub(super) async fn change(
    config: &Config,
    membership: &Membership,
    started: &Started,
) -> anyhow::Result<()> {
    membership.set_tags(tags(config, started)).await?;
    membership.set_handlers(&config.gossip.handlers)
}

/// The tags of this node: what it offers, and what is configured.
fn tags(config: &Config, started: &Started) -> Tags {
    let gossip = &config.gossip;
    let told = gossip.advertise.or(gossip.bind).unwrap_or(BIND).ip();
    let listens = started.addr.ip();
    let mut offered = started.names.as_slice();
    if !gossip.offer {
        offered = &[];
    } else if !is_reached(listens, told) && !offered.is_empty() {
        tracing::info!(%listens, member = %told,
            "the services that run here are not offered to the cluster: they listen at another address than the member \
             (apps.listen)");
        offered = &[];
    }
    discovery::tags_of(&gossip.tags, offered, started.addr.port())
}

/// Whether what listens there is reached by the address that a member tells.
fn is_reached(listens: IpAddr, told: IpAddr) -> bool {
    listens.is_unspecified() || listens == told || (told.is_unspecified() && !listens.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_offered_where_others_reach_them() {
        let check = |listens: &str, told: &str, expected: bool| {
            let reached = is_reached(listens.parse().unwrap(), told.parse().unwrap());
            assert_eq!(reached, expected, "{listens} {told}");
        };
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("127.0.0.1", "10.0.0.1", false);
        check("127.0.0.1", "0.0.0.0", false);
        check("10.0.0.1", "0.0.0.0", true);
        check("0.0.0.0", "10.0.0.1", true);
        check("10.0.0.2", "10.0.0.1", false);
    }
}
