//! [pure] Who is there and what each offers: the snapshot from which names are answered and published.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ServiceName;

/// What a node or an instance carries.
pub type Tags = Arc<BTreeMap<String, String>>;

/// A node with a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, as it was given; names are told apart without regard to case.
    pub name: String,
    /// Where it is reached, the preferred address first.
    pub addresses: Vec<IpAddr>,
    /// What it carries.
    pub tags: Tags,
    /// Whether it may be sent anything. The name of one that may not is known still, and has no address.
    pub is_alive: bool,
}

/// One place where a service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The node that it is on, where that is known.
    pub node: Option<String>,
    /// Where it listens.
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// Its share of the calls relative to the others; 0 takes none while another can.
    pub weight: u32,
    /// What it, or its node, carries: what filters ask for.
    pub tags: Tags,
    /// Whether it may be sent anything.
    pub is_alive: bool,
}

/// All nodes and services at one moment.
///
/// It crosses borders as a whole (`watch::Receiver<Arc<Names>>`), so a late reader is never wrong. Who fills it knows
/// where members come from; who reads it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    serial: u32,
    /// Invariant: each key is the node's name in lower case, since names are compared so ([`Names::add_node`] is the
    /// only way in).
    nodes: BTreeMap<String, Node>,
    services: BTreeMap<ServiceName, Vec<Instance>>,
}

impl Names {
    /// Nobody, with the number that the zone's SOA record tells; it should grow with each change.
    #[must_use]
    pub fn new(serial: u32) -> Self {
        Self {
            serial,
            ..Self::default()
        }
    }

    /// The number of this snapshot.
    #[must_use]
    pub const fn serial(&self) -> u32 {
        self.serial
    }

    /// Adds a node. Of several that one name means, one that is alive goes before one that is not, then the first.
    pub fn add_node(&mut self, node: Node) {
        let key = node.name.to_ascii_lowercase();
        let is_better = |known: &Node| node.is_alive && !known.is_alive;
        if self.nodes.get(&key).is_none_or(is_better) {
            self.nodes.insert(key, node);
        }
    }

    /// Adds an instance of a service. Of several at one address and port the first stays.
    pub fn add_instance(&mut self, service: ServiceName, instance: Instance) {
        let instances = self.services.entry(service).or_default();
        let place = (instance.address, instance.port);
        if instances.iter().all(|one| (one.address, one.port) != place) {
            instances.push(instance);
        }
    }

    /// Makes a service known, though nobody may offer it.
    pub fn add_service(&mut self, service: ServiceName) {
        self.services.entry(service).or_default();
    }

    /// The node that a name means, in whatever case it is written.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(&name.to_ascii_lowercase())
    }

    /// All nodes, sorted by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The instances of a service; none when nobody ever offered it.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&[Instance]> {
        self.services.get(name).map(Vec::as_slice)
    }

    /// All services with their instances, sorted by name.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceName, &[Instance])> {
        self.services
            .iter()
            .map(|(name, instances)| (name, instances.as_slice()))
    }
}

/// The label that asks for those that carry a tag: `KEY-VALUE` in lower case, with `-` for everything that is no
/// letter, digit or hyphen. So `version=1.2` is asked for as `version-1-2`.
#[must_use]
pub fn tag_label(key: &str, value: &str) -> String {
    let plain = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9' | '-') => letter,
        _ => '-',
    };
    format!("{key}-{value}").chars().map(plain).collect()
}

impl Instance {
    /// Whether a tag of it is what this label asks for.
    pub(super) fn is_tagged(&self, label: &str) -> bool {
        self.tags
            .iter()
            .any(|(key, value)| tag_label(key, value) == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, is_alive: bool) -> Node {
        Node {
            name: name.to_owned(),
            addresses: vec!["127.0.0.1".parse().unwrap()],
            tags: Tags::default(),
            is_alive,
        }
    }

    #[test]
    fn names_differ_by_more_than_case() {
        let mut names = Names::new(1);
        names.add_node(node("Web", false));
        names.add_node(node("web", true));
        names.add_node(node("WEB", true));
        assert_eq!(names.nodes().count(), 1);
        assert_eq!(names.node("wEb").unwrap().name, "web");
    }

    #[test]
    fn a_place_counts_once_in_a_service() {
        let mut names = Names::new(1);
        let rates = ServiceName::new("rates").unwrap();
        let instance = Instance {
            node: None,
            address: "127.0.0.1".parse().unwrap(),
            port: 1,
            weight: 1,
            tags: Tags::default(),
            is_alive: true,
        };
        names.add_instance(rates.clone(), instance.clone());
        names.add_instance(
            rates,
            Instance {
                weight: 2,
                ..instance
            },
        );
        assert_eq!(names.service("rates").unwrap().len(), 1);
        assert!(names.service("other").is_none());
    }

    #[test]
    fn a_tag_is_asked_for_by_a_label() {
        assert_eq!(tag_label("version", "2"), "version-2");
        assert_eq!(tag_label("Version", "1.2 beta"), "version-1-2-beta");
        assert_eq!(tag_label("oraș", "Iași"), "ora--ia-i");
    }
}
