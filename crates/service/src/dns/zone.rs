//! [pure] The zone that is answered for: its name, its own records, and what a name in it means.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{Name, RData, Record};

use super::error::Error;
use super::names::Names;

/// The names that stand right under the zone's.
const SERVICE: &str = "service";
const NODE: &str = "node";
const ADDRESS: &str = "addr";
/// Who answers for the zone.
const SERVER: &str = "ns";
/// Who is written to about the zone, of which nobody reads.
const PERSON: &str = "hostmaster";
/// In `_NAME._tcp.service.ZONE`, as RFC 2782 writes it.
const TCP: &str = "_tcp";

/// Nobody copies this zone: the times of its SOA record, in seconds, are there because the record has them.
const REFRESH: i32 = 60;
const RETRY: i32 = 10;
const EXPIRE: i32 = 3_600;

/// A zone that is answered for.
#[derive(Clone, Debug)]
pub struct Zone {
    origin: Name,
    server: Name,
    person: Name,
    ttl: u32,
    answers_max: usize,
    addresses: Vec<IpAddr>,
}

/// What a name of the zone means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The zone itself.
    Apex,
    /// Whoever answers.
    Server,
    /// Something below has records, it itself has none.
    Branch,
    Service {
        name: String,
        /// Labels of tags that all must be carried.
        filters: Vec<String>,
    },
    Node(String),
    Address(IpAddr),
    /// There is no such name.
    Nothing,
    /// Another's name.
    Foreign,
}

impl Zone {
    /// The zone `domain`, whose answers may be kept for `ttl` seconds and hold at most `answers_max` records, served at
    /// these addresses.
    ///
    /// # Errors
    /// When the domain is no name, or too long to have names below it.
    pub fn new(
        domain: &str,
        ttl: u32,
        answers_max: usize,
        addresses: Vec<IpAddr>,
    ) -> Result<Self, Error> {
        let invalid = |_| Error::Domain(domain.to_owned());
        let mut origin = Name::from_ascii(domain).map_err(invalid)?;
        origin.set_fqdn(true);
        if origin.is_root() {
            return Err(Error::Domain(domain.to_owned()));
        }
        let origin = origin.to_lowercase();
        Ok(Self {
            server: origin.prepend_label(SERVER).map_err(invalid)?,
            person: origin.prepend_label(PERSON).map_err(invalid)?,
            origin,
            ttl,
            answers_max,
            addresses,
        })
    }

    pub(super) const fn answers_max(&self) -> usize {
        self.answers_max
    }

    /// What the name means here.
    pub(super) fn meaning(&self, name: &Name) -> Meaning {
        if !self.origin.zone_of(name) {
            return Meaning::Foreign;
        }
        // Not `num_labels`, which does not count `*`.
        let depth = name.iter().count() - self.origin.iter().count();
        let mut labels = Vec::with_capacity(depth);
        for label in name.iter().take(depth) {
            let Ok(label) = std::str::from_utf8(label) else {
                return Meaning::Nothing;
            };
            labels.push(label.to_ascii_lowercase());
        }
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        meaning(&labels)
    }

    pub(super) fn record(&self, name: &Name, data: RData) -> Record {
        Record::from_rdata(name.clone(), self.ttl, data)
    }

    pub(super) fn address(&self, name: &Name, address: IpAddr) -> Record {
        self.record(name, address_data(address))
    }

    /// The addresses of the name server of the zone.
    pub(super) fn server_addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The record that says who answers for the zone.
    pub(super) fn ns(&self) -> Record {
        self.record(&self.origin, RData::NS(NS(self.server.clone())))
    }

    pub(super) const fn server(&self) -> &Name {
        &self.server
    }

    /// The record that says, beside an answer of nothing, for how long that holds.
    pub(super) fn soa(&self, names: &Names) -> Record {
        let soa = SOA::new(
            self.server.clone(),
            self.person.clone(),
            names.serial(),
            REFRESH,
            RETRY,
            EXPIRE,
            self.ttl,
        );
        self.record(&self.origin, RData::SOA(soa))
    }

    /// `NODE.node.ZONE`; none for a node whose name is no name here.
    pub(super) fn node_name(&self, node: &str) -> Option<Name> {
        let labels = node.split('.').chain([NODE]);
        let name = Name::from_labels(labels.map(str::as_bytes)).ok()?;
        name.append_domain(&self.origin).ok()
    }

    /// `HEX.addr.ZONE`, which every address has.
    pub(super) fn address_name(&self, address: IpAddr) -> Option<Name> {
        let label = match address {
            IpAddr::V4(address) => format!("{:08x}", u32::from(address)),
            IpAddr::V6(address) => format!("{:032x}", u128::from(address)),
        };
        let name = Name::from_labels([label.as_bytes(), ADDRESS.as_bytes()]).ok()?;
        name.append_domain(&self.origin).ok()
    }
}

pub(super) fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// What these labels in front of the zone's name mean, in lower case.
fn meaning(labels: &[&str]) -> Meaning {
    match labels {
        [] => Meaning::Apex,
        [one] if *one == SERVER => Meaning::Server,
        [one] if [SERVICE, NODE, ADDRESS].contains(one) => Meaning::Branch,
        [address, last] if *last == ADDRESS => {
            hex(address).map_or(Meaning::Nothing, Meaning::Address)
        }
        [node @ .., last] if *last == NODE => Meaning::Node(node.join(".")),
        [tcp, last] if *last == SERVICE && *tcp == TCP => Meaning::Branch,
        [filters @ .., name, last] if *last == SERVICE => match (filters, *name) {
            ([name], TCP) => name
                .strip_prefix('_')
                .map_or(Meaning::Nothing, |name| service(name, &[])),
            (filters, name) => service(name, filters),
        },
        _ => Meaning::Nothing,
    }
}

fn service(name: &str, filters: &[&str]) -> Meaning {
    Meaning::Service {
        name: name.to_owned(),
        filters: filters.iter().map(|&label| label.to_owned()).collect(),
    }
}

fn hex(label: &str) -> Option<IpAddr> {
    if !label.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    match label.len() {
        8 => Some(Ipv4Addr::from(u32::from_str_radix(label, 16).ok()?).into()),
        32 => Some(Ipv6Addr::from(u128::from_str_radix(label, 16).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone::new("Taraf", 1, 8, Vec::new()).unwrap()
    }

    fn check(name: &str, expected: &Meaning) {
        let name = Name::from_ascii(name).unwrap();
        assert_eq!(&zone().meaning(&name), expected, "{name}");
    }

    #[test]
    fn names_mean_what_stands_left_of_the_zone() {
        check("taraf.", &Meaning::Apex);
        check("NS.taraf.", &Meaning::Server);
        check("service.taraf.", &Meaning::Branch);
        check("_tcp.service.taraf.", &Meaning::Branch);
        check("Web.Node.TARAF.", &Meaning::Node("web".to_owned()));
        check("a.b.node.taraf.", &Meaning::Node("a.b".to_owned()));
        check("rates.service.taraf.", &service("rates", &[]));
        check("_rates._tcp.service.taraf.", &service("rates", &[]));
        check(
            "zone-a.version-2.rates.service.taraf.",
            &service("rates", &["zone-a", "version-2"]),
        );
        check("other.taraf.", &Meaning::Nothing);
        check("*.taraf.", &Meaning::Nothing);
        check("*.service.taraf.", &service("*", &[]));
        check("rates._tcp.service.taraf.", &Meaning::Nothing);
        check("example.com.", &Meaning::Foreign);
        check("nottaraf.", &Meaning::Foreign);
        check(".", &Meaning::Foreign);
    }

    #[test]
    fn every_address_has_a_name() {
        for address in ["127.0.0.1", "::1", "2001:db8::a"] {
            let address: IpAddr = address.parse().unwrap();
            let name = zone().address_name(address).unwrap();
            assert_eq!(zone().meaning(&name), Meaning::Address(address));
        }
        check("7f00001.addr.taraf.", &Meaning::Nothing);
        check("zf000001.addr.taraf.", &Meaning::Nothing);
    }

    #[test]
    fn a_domain_that_is_no_name_is_refused() {
        for domain in ["", ".", "a..b", &"x".repeat(64)] {
            assert!(Zone::new(domain, 1, 8, Vec::new()).is_err(), "{domain}");
        }
    }

    #[test]
    fn a_node_whose_name_is_too_long_has_none_here() {
        assert!(zone().node_name(&"x".repeat(64)).is_none());
        assert!(zone().node_name("a..b").is_none());
        let name = zone().node_name("web.example").unwrap();
        assert_eq!(name.to_ascii(), "web.example.node.taraf.");
    }
}
