//! [pure] Questions and answers of multicast DNS, as far as Serf's discovery has them (RFC 6762, RFC 1035).
//!
//! The service is `_serf_CLUSTER._tcp.local.`, a member of it `NODE._serf_CLUSTER._tcp.local.`
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::net::{IpAddr, SocketAddr};

use crate::wire::Name;

/// How long what is answered may be kept, in seconds (Serf 0.9.4).
const TTL: u32 = 120;
/// Serf's priority and weight of a member, which nobody reads.
const PRIORITY: u16 = 10;
const WEIGHT: u16 = 1;

const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 255;
/// How often a name may go on elsewhere in the packet.
const JUMPS_MAX: usize = 16;
/// How many questions of a packet are looked at.
const QUESTIONS_MAX: u16 = 16;
/// How many records of a packet are looked at.
const RECORDS_MAX: usize = 256;

pub(super) const ANSWER: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
/// The bits that say what is asked and how it went.
const OPCODE_AND_OUTCOME: u16 = 0x780f;

pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const TXT: u16 = 16;
const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const ANY: u16 = 255;
pub(super) const INTERNET: u16 = 1;

/// A name does not fit into a packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name for discovery: each part between dots has 1 to 63 bytes, the whole at most 255"
)]
pub struct InvalidName(String);

/// The parts of a name, in lower case where they are ASCII: names are compared so.
type Labels = Vec<Vec<u8>>;

/// What one member tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    service: Labels,
    instance: Labels,
    host: Labels,
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
        node: &Name,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self, InvalidName> {
        let service = service_of(cluster)?;
        let node = node.text();
        let mut instance = labels(&node)?;
        instance.extend(service.iter().cloned());
        if bytes_of(&instance) > NAME_BYTES_MAX {
            return Err(InvalidName(node.into_owned()));
        }
        let text = format!("Serf '{cluster}' cluster");
        Ok(Self {
            service,
            instance,
            host: labels(host)?,
            address,
            text: text.chars().take(LABEL_BYTES_MAX).collect(),
        })
    }

    /// The answer to a packet, if it asks for anything of ours.
    #[must_use]
    pub fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader { packet, at: 0 };
        let header = reader.header()?;
        if header.flags & (ANSWER | OPCODE_AND_OUTCOME) != 0 {
            return None;
        }
        let mut records = Vec::new();
        let mut count: u16 = 0;
        for _ in 0..header.questions.min(QUESTIONS_MAX) {
            let name = reader.name()?;
            let kind = reader.number()?;
            let _class = reader.number()?;
            count = count.saturating_add(self.put(&name, kind, &mut records));
        }
        (count > 0).then(|| {
            // Serf's answers have no number of a question either.
            let mut answer = header_of(0, ANSWER | AUTHORITATIVE, 0, count);
            answer.extend(records);
            answer
        })
    }

    /// Writes the records of a name, and gives their number.
    fn put(&self, name: &Labels, kind: u16, out: &mut Vec<u8>) -> u16 {
        let is = |one: u16| kind == one || kind == ANY;
        let is_service = *name == self.service && is(PTR);
        let is_instance = *name == self.instance;
        let wants_srv = is_service || (is_instance && is(SRV));
        let is_address = (is_instance || *name == self.host) && (is(A) || is(AAAA));
        let mut count: u16 = 0;
        let mut put = |name: &Labels, kind: u16, data: &[u8]| {
            record(out, name, kind, data);
            count = count.saturating_add(1);
        };
        if is_service {
            put(&self.service, PTR, &written(&self.instance));
        }
        if wants_srv {
            let mut data = Vec::new();
            for number in [PRIORITY, WEIGHT, self.address.port()] {
                data.extend(number.to_be_bytes());
            }
            data.extend(written(&self.host));
            put(&self.instance, SRV, &data);
        }
        if wants_srv || is_address {
            match self.address.ip().to_canonical() {
                IpAddr::V4(ip) => put(&self.host, A, &ip.octets()),
                IpAddr::V6(ip) => put(&self.host, AAAA, &ip.octets()),
            }
        }
        if is_service || (is_instance && is(TXT)) {
            put(&self.instance, TXT, &label(self.text.as_bytes()));
        }
        count
    }
}

/// The question for the members of a cluster.
///
/// # Errors
/// When the name does not fit.
pub fn question(cluster: &str, id: u16) -> Result<Vec<u8>, InvalidName> {
    let mut packet = header_of(id, 0, 1, 0);
    packet.extend(written(&service_of(cluster)?));
    packet.extend(PTR.to_be_bytes());
    packet.extend(INTERNET.to_be_bytes());
    Ok(packet)
}

/// Where the members of a cluster are, by what a packet says; nothing when it says nothing of them.
#[must_use]
pub fn members_in(packet: &[u8], cluster: &str) -> Vec<SocketAddr> {
    let Ok(service) = service_of(cluster) else {
        return Vec::new();
    };
    let records = Records::of(packet, &service).unwrap_or_default();
    let mut found = Vec::new();
    for (host, port) in &records.hosts {
        let addresses = records.addresses.iter().filter(|(name, _)| name == host);
        found.extend(addresses.map(|(_, ip)| SocketAddr::new(*ip, *port)));
    }
    found
}

/// What an answer says of members of a service.
#[derive(Default)]
struct Records {
    hosts: Vec<(Labels, u16)>,
    addresses: Vec<(Labels, IpAddr)>,
}

impl Records {
    fn of(packet: &[u8], service: &Labels) -> Option<Self> {
        let mut reader = Reader { packet, at: 0 };
        let header = reader.header()?;
        if header.flags & ANSWER == 0 || header.flags & OPCODE_AND_OUTCOME != 0 {
            return None;
        }
        for _ in 0..header.questions.min(QUESTIONS_MAX) {
            reader.name()?;
            reader.take(4)?;
        }
        let mut found = Self::default();
        for _ in 0..header.records.min(RECORDS_MAX) {
            // A packet that is cut says what it says until there.
            if found.take(&mut reader, service).is_none() {
                break;
            }
        }
        Some(found)
    }

    fn take(&mut self, reader: &mut Reader<'_>, service: &Labels) -> Option<()> {
        let name = reader.name()?;
        let kind = reader.number()?;
        let _class = reader.number()?;
        reader.take(4)?;
        let length = usize::from(reader.number()?);
        let mut data = Reader {
            packet: reader.packet,
            at: reader.at,
        };
        let bytes = reader.take(length)?;
        match kind {
            SRV if name.ends_with(service) => {
                data.take(4)?;
                let port = data.number()?;
                self.hosts.push((data.name()?, port));
            }
            A => {
                let octets: [u8; 4] = bytes.try_into().ok()?;
                self.addresses.push((name, IpAddr::from(octets)));
            }
            AAAA => {
                let octets: [u8; 16] = bytes.try_into().ok()?;
                self.addresses.push((name, IpAddr::from(octets)));
            }
            _ => {}
        }
        Some(())
    }
}

fn service_of(cluster: &str) -> Result<Labels, InvalidName> {
    labels(&format!("_serf_{cluster}._tcp.local"))
}

pub(super) fn labels(name: &str) -> Result<Labels, InvalidName> {
    let labels: Labels = name
        .trim_end_matches('.')
        .split('.')
        .map(|label| label.as_bytes().to_ascii_lowercase())
        .collect();
    let fits = |label: &Vec<u8>| (1..=LABEL_BYTES_MAX).contains(&label.len());
    if labels.iter().all(fits) && bytes_of(&labels) <= NAME_BYTES_MAX {
        Ok(labels)
    } else {
        Err(InvalidName(name.to_owned()))
    }
}

fn bytes_of(labels: &Labels) -> usize {
    let bytes = labels.iter().map(|label| label.len().saturating_add(1));
    bytes.sum::<usize>().saturating_add(1)
}

fn label(bytes: &[u8]) -> Vec<u8> {
    let mut label = vec![u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
    label.extend(bytes);
    label
}

pub(super) fn written(labels: &Labels) -> Vec<u8> {
    let mut name: Vec<u8> = labels.iter().flat_map(|bytes| label(bytes)).collect();
    name.push(0);
    name
}

pub(super) fn header_of(id: u16, flags: u16, questions: u16, answers: u16) -> Vec<u8> {
    let numbers = [id, flags, questions, answers, 0, 0];
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

fn record(out: &mut Vec<u8>, name: &Labels, kind: u16, data: &[u8]) {
    out.extend(written(name));
    out.extend(kind.to_be_bytes());
    out.extend(INTERNET.to_be_bytes());
    out.extend(TTL.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(data);
}

struct Header {
    flags: u16,
    questions: u16,
    /// Of all three sections.
    records: usize,
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.packet.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes: [u8; 2] = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    fn header(&mut self) -> Option<Header> {
        let _id = self.number()?;
        let (flags, questions) = (self.number()?, self.number()?);
        let mut records: usize = 0;
        for _ in 0..3 {
            records = records.saturating_add(self.number()?.into());
        }
        Some(Header {
            flags,
            questions,
            records,
        })
    }

    /// A name, which may go on elsewhere; the reader stays behind its first part.
    fn name(&mut self) -> Option<Labels> {
        let mut labels = Labels::new();
        let (mut at, mut jumps) = (self.at, 0_usize);
        loop {
            let length = usize::from(*self.packet.get(at)?);
            let next = at.checked_add(1)?;
            match length {
                0 => {
                    if jumps == 0 {
                        self.at = next;
                    }
                    return Some(labels);
                }
                1..=LABEL_BYTES_MAX => {
                    let end = next.checked_add(length)?;
                    labels.push(self.packet.get(next..end)?.to_ascii_lowercase());
                    if bytes_of(&labels) > NAME_BYTES_MAX {
                        return None;
                    }
                    at = end;
                    if jumps == 0 {
                        self.at = at;
                    }
                }
                0xc0.. => {
                    let low = usize::from(*self.packet.get(next)?);
                    if jumps == 0 {
                        self.at = next.checked_add(1)?;
                    }
                    jumps = jumps.checked_add(1).filter(|jumps| *jumps <= JUMPS_MAX)?;
                    at = ((length & 0x3f) << 8) | low;
                }
                _ => return None,
            }
        }
    }
}
