//! [pure] What a question is answered: records from a snapshot of nodes and services, and chance for their order.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use taraf_base::Rng;

use super::choose;
use super::names::{Instance, Names, Node};
use super::zone::{Meaning, Zone};

/// Who takes calls, and who takes them only when none of those does (RFC 2782).
const PRIORITY: u16 = 1;
const PRIORITY_OF_LAST_RESORT: u16 = 2;

/// Longest piece of a TXT record.
const TEXT_BYTES_MAX: usize = 255;

/// What is answered, before anybody knows how much room there is.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
}

impl Reply {
    fn of(code: ResponseCode) -> Self {
        Self {
            code,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }
}

/// Answers a question about the zone.
pub(super) fn answer(zone: &Zone, names: &Names, query: &Query, rng: &mut Rng) -> Reply {
    let is_ours = query.query_class() == DNSClass::IN;
    let meaning = zone.meaning(query.name());
    if !is_ours || meaning == Meaning::Foreign || is_about_the_server(query.query_type()) {
        return Reply::of(ResponseCode::Refused);
    }
    let asking = Asking {
        zone,
        names,
        name: query.name(),
        kind: query.query_type(),
    };
    let mut reply = Reply::of(ResponseCode::NoError);
    let is_known = asking.put(&meaning, &mut reply, rng);
    if !is_known {
        reply.code = ResponseCode::NXDomain;
    }
    if reply.answers.is_empty() {
        reply.authorities.push(zone.soa(names));
    }
    reply
}

/// Copies of the zone, signatures of messages and the like, which are no data of a name.
fn is_about_the_server(kind: RecordType) -> bool {
    let is_meta = matches!(u16::from(kind), 128..=254);
    is_meta || kind == RecordType::OPT
}

struct Asking<'a> {
    zone: &'a Zone,
    names: &'a Names,
    name: &'a Name,
    kind: RecordType,
}

impl Asking<'_> {
    /// Puts what a name has into the reply. False when there is no such name.
    fn put(&self, meaning: &Meaning, reply: &mut Reply, rng: &mut Rng) -> bool {
        match meaning {
            Meaning::Apex => {
                self.put_apex(reply);
                true
            }
            Meaning::Server => {
                self.put_addresses(self.zone.server_addresses(), reply);
                true
            }
            Meaning::Branch => true,
            Meaning::Address(address) => {
                self.put_addresses(&[*address], reply);
                true
            }
            Meaning::Node(name) => match self.names.node(name) {
                Some(node) => {
                    self.put_node(node, reply);
                    true
                }
                None => false,
            },
            Meaning::Service { name, filters } => match self.names.service(name) {
                Some(instances) => self.put_service(instances, filters, reply, rng),
                None => false,
            },
            Meaning::Nothing | Meaning::Foreign => false,
        }
    }

    /// `ANY` is answered with what is at hand (RFC 8482 §4.1).
    fn wants(&self, kind: RecordType) -> bool {
        self.kind == kind || self.kind == RecordType::ANY
    }

    fn wants_address(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.wants(RecordType::A),
            IpAddr::V6(_) => self.wants(RecordType::AAAA),
        }
    }

    fn put_apex(&self, reply: &mut Reply) {
        if self.wants(RecordType::SOA) {
            reply.answers.push(self.zone.soa(self.names));
        }
        if self.wants(RecordType::NS) {
            reply.answers.push(self.zone.ns());
            let server = self.zone.server();
            let addresses = self.zone.server_addresses().iter();
            reply
                .additionals
                .extend(addresses.map(|&address| self.zone.address(server, address)));
        }
    }

    fn put_addresses(&self, addresses: &[IpAddr], reply: &mut Reply) {
        let wanted = addresses
            .iter()
            .filter(|&&address| self.wants_address(address));
        let records = wanted.map(|&address| self.zone.address(self.name, address));
        reply.answers.extend(records);
    }

    fn put_node(&self, node: &Node, reply: &mut Reply) {
        if !node.is_alive {
            return;
        }
        self.put_addresses(&node.addresses, reply);
        if self.kind != RecordType::TXT {
            return;
        }
        for (key, value) in node.tags.iter() {
            let text = format!("{key}={value}");
            let pieces = text.as_bytes().chunks(TEXT_BYTES_MAX).collect();
            let data = RData::TXT(TXT::from_bytes(pieces));
            reply.answers.push(self.zone.record(self.name, data));
        }
    }

    /// False when a filter asks for a tag that nobody of the service carries.
    fn put_service(
        &self,
        instances: &[Instance],
        filters: &[String],
        reply: &mut Reply,
        rng: &mut Rng,
    ) -> bool {
        let mut fitting = instances
            .iter()
            .filter(|instance| filters.iter().all(|label| instance.is_tagged(label)))
            .peekable();
        if !filters.is_empty() && fitting.peek().is_none() {
            return false;
        }
        let alive = fitting.filter(|instance| instance.is_alive);
        if self.kind == RecordType::SRV {
            let alive = alive.map(|one| (one.weight, one)).collect();
            let told = choose::order(alive, self.zone.answers_max(), rng);
            self.put_places(&told, reply);
        } else {
            let alive = alive.filter(|one| self.wants_address(one.address));
            let mut alive: Vec<_> = alive.map(|one| (one.weight, one.address)).collect();
            // An address says nothing of its weight: whoever should be called last is told when nobody else is there.
            if alive.iter().any(|&(weight, _)| weight > 0) {
                alive.retain(|&(weight, _)| weight > 0);
            }
            let mut seen = BTreeSet::new();
            let mut told = choose::order(alive, usize::MAX, rng);
            told.retain(|&address| seen.insert(address));
            told.truncate(self.zone.answers_max());
            self.put_addresses(&told, reply);
        }
        true
    }

    fn put_places(&self, instances: &[&Instance], reply: &mut Reply) {
        let mut seen = BTreeSet::new();
        for instance in instances {
            let Some((target, addresses)) = self.target(instance) else {
                continue;
            };
            let priority = match instance.weight {
                0 => PRIORITY_OF_LAST_RESORT,
                _ => PRIORITY,
            };
            let weight = u16::try_from(instance.weight).unwrap_or(u16::MAX);
            let data = SRV::new(priority, weight, instance.port, target.clone());
            reply
                .answers
                .push(self.zone.record(self.name, RData::SRV(data)));
            if seen.insert(target.clone()) {
                let records = addresses
                    .iter()
                    .map(|&address| self.zone.address(&target, address));
                reply.additionals.extend(records);
            }
        }
    }

    /// The name of the host of an instance, and what addresses that has: its node's, unless it listens elsewhere.
    fn target(&self, instance: &Instance) -> Option<(Name, Vec<IpAddr>)> {
        let node = instance.node.as_deref();
        let node = node.and_then(|name| self.names.node(name));
        let node = node.filter(|node| node.addresses == [instance.address]);
        if let Some(name) = node.and_then(|node| self.zone.node_name(&node.name)) {
            return Some((name, vec![instance.address]));
        }
        let name = self.zone.address_name(instance.address)?;
        Some((name, vec![instance.address]))
    }
}
