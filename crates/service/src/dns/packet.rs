//! [pure] Packets: a question in, an answer out that fits the way back.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::Record;
use taraf_base::Rng;

use super::answer::{self, Reply};
use super::names::Names;
use super::zone::Zone;

/// Longest question that is read; a sound one has far fewer bytes.
pub const QUESTION_BYTES_MAX: usize = 4096;

/// What every client takes over UDP (RFC 1035 §4.2.1).
const UDP_BYTES_MIN: u16 = 512;

const HEADER_BYTES: usize = 12;
/// The bits of the third byte: an answer; what kind of question; whether it should be passed on.
const IS_ANSWER: u8 = 0x80;
const OPCODE: u8 = 0x78;
const RECURSION_DESIRED: u8 = 0x01;
const TRUNCATED: u8 = 0x02;
/// Beside a question stands an OPT record, perhaps a signature.
const ADDITIONALS_MAX: u16 = 4;

/// How an answer goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// As much as the client takes, which is told what does not fit.
    Udp,
    /// Up to 65,535 bytes.
    Tcp,
}

/// Answers packets from a snapshot.
#[derive(Clone, Debug)]
pub struct Responder {
    zone: Zone,
    udp_bytes_max: u16,
}

impl Responder {
    /// Answers for this zone, with at most so many bytes over UDP to clients that say that they take them.
    #[must_use]
    pub fn new(zone: Zone, udp_bytes_max: u16) -> Self {
        Self {
            zone,
            udp_bytes_max: udp_bytes_max.max(UDP_BYTES_MIN),
        }
    }

    /// The answer to a packet, in an order that follows from the seed. None to what is no question: to answer an
    /// answer would begin a talk without an end.
    #[must_use]
    pub fn respond(
        &self,
        packet: &[u8],
        transport: Transport,
        names: &Names,
        seed: u64,
    ) -> Option<Vec<u8>> {
        let header = Header::of(packet)?;
        if header.opcode() != 0 {
            return Some(header.answer(ResponseCode::NotImp, 0));
        }
        let sound = header.is_sound() && packet.len() <= QUESTION_BYTES_MAX;
        let message = sound.then(|| Message::from_vec(packet).ok()).flatten();
        let Some(message) = message else {
            return Some(header.answer(ResponseCode::FormErr, 0));
        };
        let Some(query) = message.queries.first() else {
            return Some(header.answer(ResponseCode::FormErr, 0));
        };
        let mut response = self.frame(&message);
        let is_known = message.edns.as_ref().is_none_or(|edns| edns.version() == 0);
        let reply = if is_known {
            answer::answer(&self.zone, names, query, &mut Rng::new(seed))
        } else {
            response.metadata.authoritative = false;
            response.metadata.response_code = ResponseCode::BADVERS;
            return response.to_vec().ok();
        };
        response.metadata.response_code = reply.code;
        response.metadata.authoritative = reply.code != ResponseCode::Refused;
        let room = match transport {
            Transport::Tcp => u16::MAX,
            Transport::Udp => message.max_payload().min(self.udp_bytes_max),
        };
        fit(response, reply, room.into())
    }

    /// The answer to a client that asks too much: an empty one, no longer than the question, that sends it to TCP.
    #[must_use]
    pub fn come_over_tcp(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let header = Header::of(packet)?;
        Some(header.answer(ResponseCode::NoError, TRUNCATED))
    }

    /// What every answer to a question has.
    fn frame(&self, question: &Message) -> Message {
        let mut response = Message::new(question.id, MessageType::Response, OpCode::Query);
        response.metadata.recursion_desired = question.recursion_desired;
        response.add_queries(question.queries.iter().cloned());
        if let Some(asked) = &question.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(self.udp_bytes_max);
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            response.set_edns(edns);
        }
        response
    }
}

/// What is read of a packet before anybody trusts it.
struct Header {
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// None for what is no question.
    fn of(packet: &[u8]) -> Option<Self> {
        let &bytes = packet.first_chunk()?;
        let header = Self { bytes };
        (header.flags() & IS_ANSWER == 0).then_some(header)
    }

    const fn flags(&self) -> u8 {
        self.bytes[2]
    }

    const fn opcode(&self) -> u8 {
        self.flags() & OPCODE
    }

    /// Whether it announces what a question has: itself (RFC 9619), and hardly anything else. The decoder makes
    /// room for as much as is announced, so this is looked at first.
    fn is_sound(&self) -> bool {
        let [_, _, _, _, q1, q2, a1, a2, n1, n2, r1, r2] = self.bytes;
        let is_alone = [a1, a2, n1, n2] == [0; 4];
        let additionals = u16::from_be_bytes([r1, r2]);
        u16::from_be_bytes([q1, q2]) == 1 && is_alone && additionals <= ADDITIONALS_MAX
    }

    /// An answer without anything.
    fn answer(&self, code: ResponseCode, flag: u8) -> Vec<u8> {
        let [id1, id2, flags, ..] = self.bytes;
        let flags = IS_ANSWER | (flags & (OPCODE | RECURSION_DESIRED)) | flag;
        let mut bytes = vec![id1, id2, flags, code.low()];
        bytes.resize(HEADER_BYTES, 0);
        bytes
    }
}

/// Puts as much of the reply into the response as there is room for: first what was asked, then what may help
/// besides, whose absence needs no mention (RFC 2181 §9).
fn fit(mut response: Message, reply: Reply, room: usize) -> Option<Vec<u8>> {
    response.authorities = reply.authorities;
    response.answers = reply.answers;
    response.additionals = reply.additionals;
    if fits(&response, room) {
        return response.to_vec().ok();
    }
    let helpful = std::mem::take(&mut response.additionals);
    let answers = response.answers.len();
    response.answers = most(std::mem::take(&mut response.answers), |some| {
        response.answers = some.to_vec();
        fits(&response, room)
    });
    response.metadata.truncation = response.answers.len() < answers;
    if !response.metadata.truncation {
        response.additionals = most(helpful, |some| {
            response.additionals = some.to_vec();
            fits(&response, room)
        });
    }
    response.to_vec().ok()
}

fn fits(response: &Message, room: usize) -> bool {
    // Beyond what a message can have the encoder itself leaves out what is too much, and says so in the header.
    let is_whole = |bytes: &[u8]| bytes.get(2).is_some_and(|flags| flags & TRUNCATED == 0);
    let encoded = response.to_vec();
    encoded.is_ok_and(|bytes| bytes.len() <= room && is_whole(&bytes))
}

/// As many of the records, from the first, as it holds for; it holds for fewer if it holds for more.
fn most(mut records: Vec<Record>, mut holds: impl FnMut(&[Record]) -> bool) -> Vec<Record> {
    let (mut good, mut bad) = (0, records.len().saturating_add(1));
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if records.get(..middle).is_some_and(&mut holds) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    records.truncate(good);
    records
}
