//! [pure] Which names there are: members and what they offer, as name servers want them.

use std::collections::BTreeMap;
use std::sync::Arc;

use taraf_gossip::cluster::Members;
use taraf_gossip::serf::{self, Status};
use taraf_service::dns::{Instance, Names, Node, Tags};
use taraf_service::{Directory, Endpoint};

use super::discovery::offer;

/// The tags of an endpoint that no member offers, as far as it has what tags would say.
const VERSION: &str = "version";
const ZONE: &str = "zone";

/// What is answered here: all members, and services where calls of this node would go.
pub(crate) fn answered(serial: u32, members: &Members, directory: &Directory) -> Names {
    let mut names = of_members(serial, members);
    let mut offering = BTreeMap::new();
    for member in present(members) {
        for (service, endpoint) in offer(member).services {
            let is_alive = member.status == Status::Alive;
            let place = (service.clone(), endpoint.address);
            offering.insert(place, member);
            names.add_service(service.clone());
            if !is_alive {
                names.add_instance(service, instance(&endpoint, Some(member), false));
            }
        }
    }
    for (service, endpoints) in directory.iter() {
        names.add_service(service.clone());
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.drained) {
            let member = offering.get(&(service.clone(), endpoint.address));
            let one = instance(endpoint, member.copied(), true);
            names.add_instance(service.clone(), one);
        }
    }
    names
}

/// What is published elsewhere: members and what they offer by their tags, which every node of a cluster sees alike. What
/// this node alone knows, by its configuration or its doubts, is left out: nodes would undo each other's work.
pub(crate) fn published(serial: u32, members: &Members) -> Names {
    let mut names = of_members(serial, members);
    for member in present(members) {
        for (service, endpoint) in offer(member).services {
            let is_alive = member.status == Status::Alive;
            names.add_instance(service, instance(&endpoint, Some(member), is_alive));
        }
    }
    names
}

fn of_members(serial: u32, members: &Members) -> Names {
    let mut names = Names::new(serial);
    for member in present(members) {
        names.add_node(Node {
            name: member.name.text().into_owned(),
            addresses: vec![member.address.ip()],
            tags: tags(member),
            is_alive: member.status == Status::Alive,
        });
    }
    names
}

/// Those who have not left for good.
fn present(members: &Members) -> impl Iterator<Item = &serf::Member> {
    let all = members.all.iter().map(|seen| &*seen.member);
    all.filter(|member| member.status != Status::Left)
}

fn tags(member: &serf::Member) -> Tags {
    Arc::new(member.tags.0.clone())
}

fn instance(endpoint: &Endpoint, member: Option<&serf::Member>, is_alive: bool) -> Instance {
    let text = |key: &str, value: &Option<Arc<str>>| {
        let value = value.as_ref()?;
        Some((key.to_owned(), value.to_string()))
    };
    let own = || {
        let own = [text(VERSION, &endpoint.version), text(ZONE, &endpoint.zone)];
        Arc::new(own.into_iter().flatten().collect())
    };
    Instance {
        node: member.map(|member| member.name.text().into_owned()),
        address: endpoint.address.ip(),
        port: endpoint.address.port(),
        weight: endpoint.weight,
        tags: member.map_or_else(own, tags),
        is_alive,
    }
}

#[cfg(test)]
mod tests {
    use taraf_gossip::cluster::Seen;
    use taraf_gossip::wire::memberlist::Versions;
    use taraf_gossip::wire::{Address, Name};
    use taraf_service::ServiceName;

    use super::*;

    fn seen(name: &str, last: u8, status: Status) -> Seen {
        let tags = [("service", "rates"), ("port", "80"), ("version", "2")];
        let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let member = serf::Member {
            name: Name::from(name),
            address: Address::Four([10, 0, 0, last]),
            port: 7946,
            tags: serf::Tags(tags.map(text).into()),
            status,
            versions: Versions::SERF,
        };
        Seen {
            member: Arc::new(member),
            accusers: 0,
        }
    }

    fn members() -> Members {
        Members {
            all: vec![
                seen("a", 1, Status::Alive),
                seen("b", 2, Status::Failed),
                seen("c", 3, Status::Left),
            ],
        }
    }

    fn shown(names: &Names) -> (Vec<String>, Vec<String>) {
        let node = |node: &Node| format!("{} {} {}", node.name, node.addresses[0], node.is_alive);
        let instances = names.services().flat_map(|(service, instances)| {
            let shown = |one: &Instance| {
                let node = one.node.as_deref().unwrap_or("-");
                format!(
                    "{service} {node} {}:{} {}",
                    one.address, one.port, one.is_alive
                )
            };
            instances.iter().map(shown).collect::<Vec<_>>()
        });
        (names.nodes().map(node).collect(), instances.collect())
    }

    #[test]
    fn what_is_published_is_what_members_say() {
        let (nodes, instances) = shown(&published(1, &members()));
        assert_eq!(nodes, ["a 10.0.0.1 true", "b 10.0.0.2 false"]);
        let expected = ["rates a 10.0.0.1:80 true", "rates b 10.0.0.2:80 false"];
        assert_eq!(instances, expected);
    }

    #[test]
    fn what_is_answered_is_where_calls_go() {
        let endpoint = |text: &str| Endpoint::new(text.parse().unwrap());
        let rates = ServiceName::new("rates").unwrap();
        let mut drained = endpoint("10.0.0.8:80");
        drained.drained = true;
        let all = vec![endpoint("10.0.0.1:80"), endpoint("10.0.0.9:81"), drained];
        let directory = Directory::new()
            .with(rates, all)
            .with(ServiceName::new("later").unwrap(), Vec::new());
        let names = answered(1, &members(), &directory);
        let (nodes, instances) = shown(&names);
        assert_eq!(nodes.len(), 2);
        let expected = [
            "rates b 10.0.0.2:80 false",
            "rates a 10.0.0.1:80 true",
            "rates - 10.0.0.9:81 true",
        ];
        assert_eq!(instances, expected);
        assert_eq!(names.service("rates").unwrap()[1].tags["version"], "2");
        assert!(names.service("later").is_some());
    }
}
