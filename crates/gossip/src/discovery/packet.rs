//! [pure] Questions and answers of multicast DNS, as far as Serf's discovery has them (RFC 6762, RFC 1035).
//!
//! The service is `_serf_CLUSTER._tcp.local.`, a member of it `NODE._serf_CLUSTER._tcp.local.`
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::wire;

/// How long what is answered may be kept, in seconds (Serf 0.9.4).
const TTL: u32 = 120;
/// Serf's priority and weight of a member, which nobody reads.
const PRIORITY: u16 = 10;
const WEIGHT: u16 = 1;
/// How much of the name of a cluster a member's text tells.
const TEXT_CHARS_MAX: usize = 63;

/// How many questions a packet may have, and how many records.
const QUESTIONS_MAX: u16 = 16;
const RECORDS_MAX: usize = 256;

/// A name does not fit into a packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name for discovery: each part between dots has 1 to 63 bytes, the whole at most 255"
)]
pub struct InvalidName(String);

/// What one member tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    service: Name,
    instance: Name,
    host: Name,
    address: SocketAddr,
    text: String,
}

impl Service {
    /// The member of this name, on this host, reached at this address, in the cluster that is discovered by this
    /// name.
    ///
    /// # Errors
    /// When a name does not fit.
    pub fn new(
        cluster: &str,
        node: &wire::Name,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self, InvalidName> {
        let service = service_of(cluster)?;
        let node = node.text();
        let instance = name_of(&node)?.append_domain(&service);
        let instance = instance.map_err(|_too_long| InvalidName(node.into_owned()))?;
        let text = format!("Serf '{cluster}' cluster");
        Ok(Self {
            service,
            instance,
            host: name_of(host)?,
            address,
            text: text.chars().take(TEXT_CHARS_MAX).collect(),
        })
    }

    /// The answer to a packet, if it asks for anything of ours.
    #[must_use]
    pub fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let asked = read(packet, MessageType::Query)?;
        let records: Vec<Record> = asked
            .queries
            .iter()
            .flat_map(|query| self.records(query.name(), query.query_type()))
            .collect();
        if records.is_empty() {
            return None;
        }
        // Serf's answers have no number of a question either.
        let mut answer = Message::response(0, OpCode::Query);
        answer.metadata.authoritative = true;
        answer.answers = records;
        answer.to_vec().ok()
    }

    /// The records of a name.
    fn records(&self, name: &Name, kind: RecordType) -> Vec<Record> {
        let is = |one| kind == one || kind == RecordType::ANY;
        let is_service = *name == self.service && is(RecordType::PTR);
        let is_instance = *name == self.instance;
        let wants_srv = is_service || (is_instance && is(RecordType::SRV));
        let is_host = is_instance || *name == self.host;
        let is_address = is_host && (is(RecordType::A) || is(RecordType::AAAA));
        let mut records = Vec::new();
        let mut put = |name: &Name, data| records.push(Record::from_rdata(name.clone(), TTL, data));
        if is_service {
            put(&self.service, RData::PTR(PTR(self.instance.clone())));
        }
        if wants_srv {
            let srv = SRV::new(PRIORITY, WEIGHT, self.address.port(), self.host.clone());
            put(&self.instance, RData::SRV(srv));
        }
        if wants_srv || is_address {
            let ip = match self.address.ip().to_canonical() {
                IpAddr::V4(ip) => RData::A(ip.into()),
                IpAddr::V6(ip) => RData::AAAA(ip.into()),
            };
            put(&self.host, ip);
        }
        if is_service || (is_instance && is(RecordType::TXT)) {
            put(
                &self.instance,
                RData::TXT(TXT::new(vec![self.text.clone()])),
            );
        }
        records
    }
}

/// The question for the members of a cluster.
///
/// # Errors
/// When the name does not fit.
pub fn question(cluster: &str, id: u16) -> Result<Vec<u8>, InvalidName> {
    let mut packet = Message::new(id, MessageType::Query, OpCode::Query);
    packet.add_query(Query::query(service_of(cluster)?, RecordType::PTR));
    packet
        .to_vec()
        .map_err(|_too_long| InvalidName(cluster.to_owned()))
}

/// Where the members of a cluster are, by what a packet says; nothing when it says nothing of them.
#[must_use]
pub fn members_in(packet: &[u8], cluster: &str) -> Vec<SocketAddr> {
    let (Ok(service), Some(answer)) = (service_of(cluster), read(packet, MessageType::Response))
    else {
        return Vec::new();
    };
    let addresses: Vec<(&Name, IpAddr)> = answer
        .all_sections()
        .filter_map(|record| Some((&record.name, record.data.ip_addr()?)))
        .collect();
    let mut found = Vec::new();
    for record in answer.all_sections() {
        if let RData::SRV(srv) = &record.data
            && service.zone_of(&record.name)
        {
            let of_host = addresses.iter().filter(|(name, _)| **name == srv.target);
            found.extend(of_host.map(|(_, ip)| SocketAddr::new(*ip, srv.port)));
        }
    }
    found
}

/// A packet of the kind that goes well and is within limits.
fn read(packet: &[u8], kind: MessageType) -> Option<Message> {
    // The decoder makes room for as much as the header announces, so this is looked at first.
    let &[_, _, _, _, q1, q2, a1, a2, n1, n2, r1, r2] = packet.first_chunk()?;
    let records =
        [[a1, a2], [n1, n2], [r1, r2]].map(|bytes| usize::from(u16::from_be_bytes(bytes)));
    let is_within = u16::from_be_bytes([q1, q2]) <= QUESTIONS_MAX
        && records.iter().sum::<usize>() <= RECORDS_MAX;
    let message = is_within
        .then(|| Message::from_vec(packet).ok())
        .flatten()?;
    let said = &message.metadata;
    let is_it = said.message_type == kind
        && said.op_code == OpCode::Query
        && said.response_code == ResponseCode::NoError;
    is_it.then_some(message)
}

fn service_of(cluster: &str) -> Result<Name, InvalidName> {
    name_of(&format!("_serf_{cluster}._tcp.local"))
}

/// Dots alone part a name: what else stands there is taken as it is.
fn name_of(text: &str) -> Result<Name, InvalidName> {
    let labels = text.trim_end_matches('.').split('.').map(str::as_bytes);
    Name::from_labels(labels).map_err(|_refused| InvalidName(text.to_owned()))
}
