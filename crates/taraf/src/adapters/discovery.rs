//! [pure] Who answers for each service: what was configured goes before what was started here, and members that offer it
//! by their tags come beside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use taraf_gossip::cluster::{Members, Seen};
use taraf_gossip::serf::{self, Status, Tags};
use taraf_gossip::wire::Name;
use taraf_service::{Directory, Endpoint, InvalidServiceName, ServiceName, Transport};

/// The tag that names the services which a member offers.
const SERVICE: &str = "service";
/// The tag of the port that they have in common; `port.NAME` is that of one.
const PORT: &str = "port";
const WEIGHT: &str = "weight";
const ZONE: &str = "zone";
const VERSION: &str = "version";

/// No member can ask for a larger share than this many times that of an ordinary one.
const WEIGHT_MAX: u32 = 1000;

/// Members that must doubt a member before it loses its calls, where so many are heard.
const ACCUSERS_ENOUGH: usize = 2;

/// The directory of services that are configured and of those that this process started, which all
/// answer at `here`.
pub(crate) fn directory<'a>(
    configured: &BTreeMap<String, Vec<SocketAddr>>,
    started: impl IntoIterator<Item = &'a ServiceName>,
    here: SocketAddr,
) -> Result<Directory, InvalidServiceName> {
    let started = started
        .into_iter()
        .map(|name| (name.clone(), vec![Endpoint::new(here)]));
    let mut directory: Directory = started.collect();
    for (name, addresses) in configured {
        let endpoints = addresses.iter().copied().map(Endpoint::new).collect();
        directory = directory.with(ServiceName::new(name)?, endpoints);
    }
    Ok(directory)
}

/// What is known of services without asking anybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Those that are configured and those that were started here.
    pub(crate) directory: Directory,
    /// Services whose endpoints are configured: members that offer them too are not asked.
    pub(crate) fixed: BTreeSet<ServiceName>,
    /// How services are spoken to, wherever they are.
    pub(crate) transports: BTreeMap<String, Transport>,
    /// Endpoints that an operator has taken out.
    pub(crate) drained: BTreeSet<(ServiceName, SocketAddr)>,
}

/// How the cluster is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Our own member: what it offers is known already.
    pub(crate) me: Name,
    /// Membership's `SuspicionMult`: in smaller clusters than this nobody waits for a second opinion.
    pub(crate) suspicion_mult: u32,
}

impl Reading {
    /// For a node that is no member.
    pub(crate) fn alone() -> Self {
        Self {
            me: Name::from(""),
            suspicion_mult: 0,
        }
    }
}

/// The directory with the services that members offer.
pub(crate) fn with_members(known: &Known, members: &Members, reading: &Reading) -> Directory {
    let alive = members.all.iter();
    let alive = alive
        .filter(|seen| seen.member.status == Status::Alive)
        .count();
    let enough = accusers_enough(alive, reading.suspicion_mult);
    let mut found: BTreeMap<ServiceName, Vec<Endpoint>> = BTreeMap::new();
    for (name, endpoints) in known.directory.iter() {
        found.insert(name.clone(), endpoints.to_vec());
    }
    let others = members.all.iter();
    for seen in others.filter(|seen| seen.member.name != reading.me && is_usable(seen, enough)) {
        for (name, mut endpoint) in offer(&seen.member).services {
            if known.fixed.contains(&name) {
                continue;
            }
            if seen.accusers > 0 {
                // One doubts it: it is asked when nobody else is there.
                endpoint.weight = 0;
            }
            found.entry(name).or_default().push(endpoint);
        }
    }
    for (name, address) in &known.drained {
        let endpoints = found.get_mut(name).into_iter().flatten();
        for endpoint in endpoints.filter(|endpoint| endpoint.address == *address) {
            endpoint.drained = true;
        }
    }
    let directory: Directory = found.into_iter().collect();
    let transports = known.transports.iter();
    transports.fold(directory, |directory, (name, transport)| {
        directory.speaking(name, transport)
    })
}

/// Whether calls may go to it.
fn is_usable(seen: &Seen, enough: usize) -> bool {
    seen.member.status == Status::Alive && seen.accusers < enough
}

/// How many must doubt a member. Membership asks for no confirmation where there are too few members to give it,
/// and then one doubt is all that will be heard.
fn accusers_enough(alive: usize, suspicion_mult: u32) -> usize {
    let is_small = u32::try_from(alive).is_ok_and(|alive| alive < suspicion_mult);
    if is_small { 1 } else { ACCUSERS_ENOUGH }
}

/// What a member offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) services: Vec<(ServiceName, Endpoint)>,
    /// What its tags say that cannot be, for people.
    pub(crate) troubles: Vec<String>,
}

/// Reads a member's tags.
pub(crate) fn offer(member: &serf::Member) -> Offer {
    let tags = &member.tags.0;
    let mut offer = Offer::default();
    let Some(names) = tags.get(SERVICE) else {
        return offer;
    };
    let ip = member.address.ip();
    if ip.is_unspecified() || ip.is_multicast() {
        let trouble = format!("nothing can be called at {ip}");
        offer.troubles.push(trouble);
        return offer;
    }
    let weight = weight(tags, &mut offer.troubles);
    let text = |name: &str| tags.get(name).map(|text| Arc::from(text.as_str()));
    for name in names.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let found = ServiceName::new(name)
            .map_err(|error| format!("tag `{SERVICE}`: {error}"))
            .and_then(|name| Ok((port(tags, &name)?, name)));
        match found {
            Ok((port, name)) => {
                let endpoint = Endpoint {
                    weight,
                    zone: text(ZONE),
                    version: text(VERSION),
                    ..Endpoint::new(SocketAddr::new(ip, port))
                };
                offer.services.push((name, endpoint));
            }
            Err(trouble) => offer.troubles.push(trouble),
        }
    }
    offer
}

fn port(tags: &BTreeMap<String, String>, service: &ServiceName) -> Result<u16, String> {
    let own = format!("{PORT}.{service}");
    let (tag, text) = [own.as_str(), PORT]
        .into_iter()
        .find_map(|tag| Some((tag, tags.get(tag)?)))
        .ok_or_else(|| format!("there is no tag `{own}` and no tag `{PORT}`"))?;
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("tag `{tag}`: `{text}` is not a port")),
        Ok(port) => Ok(port),
    }
}

fn weight(tags: &BTreeMap<String, String>, troubles: &mut Vec<String>) -> u32 {
    let Some(text) = tags.get(WEIGHT) else {
        return 1;
    };
    match text.parse() {
        Ok(weight @ ..=WEIGHT_MAX) => weight,
        Ok(_) | Err(_) => {
            troubles.push(format!(
                "tag `{WEIGHT}`: `{text}` is not a number from 0 to {WEIGHT_MAX}"
            ));
            1
        }
    }
}

/// The tags by which a member offers services that all answer at one port, beside those that are written.
///
/// Written ones go before: who writes `service` or `port` means it.
pub(crate) fn tags_of(
    written: &BTreeMap<String, String>,
    services: &[ServiceName],
    port: u16,
) -> Tags {
    let mut tags = BTreeMap::new();
    if !services.is_empty() {
        let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
        tags.insert(SERVICE.to_owned(), names.join(","));
        tags.insert(PORT.to_owned(), port.to_string());
        tags.insert(VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    }
    tags.extend(written.clone());
    Tags(tags)
}

#[cfg(test)]
mod tests;
