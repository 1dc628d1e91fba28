//! [pure] Queries: questions to all members or to some, their answers, and answers by way of others.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fmt;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::{LTime, code, first, ltime, name, names};
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Address, Error, Name};

/// The most filters of a query. Serf has no limit but the size of the query.
const FILTERS_MAX: usize = 256;
/// The most names in a filter.
const FILTER_NODES_MAX: usize = 16_384;
/// The longest tag or expression of a filter, in bytes.
const FILTER_TEXT_BYTES_MAX: usize = 4_096;

/// A question that a person or program asks all members, or those that all filters let pass.
#[derive(Clone, PartialEq, Eq)]
pub struct Query {
    /// Of the query clock.
    pub ltime: LTime,
    /// Drawn by the asker; with the time it names the query.
    pub id: u32,
    /// Where answers go.
    pub address: Address,
    /// Where answers go.
    pub port: u16,
    /// The asker; empty from older members.
    pub source_node: Name,
    /// [`Filter`]s as bytes, so that unknown ones can be told apart from wrong ones.
    pub filters: Vec<Bytes>,
    /// Bits of [`Query::ACK`] and [`Query::NO_BROADCAST`]; unknown ones are kept.
    pub flags: u32,
    /// By how many others each answer goes too.
    pub relay_factor: u8,
    /// How long answers are waited for.
    pub timeout: Duration,
    /// What is asked.
    pub name: Name,
    /// More about it. Shares the bytes of the packet.
    pub payload: Bytes,
}

impl Query {
    /// Whoever gets the query says so.
    pub const ACK: u32 = 1;
    /// Whoever gets the query does not pass it on.
    pub const NO_BROADCAST: u32 = 2;
}

/// A payload that may be a key is not shown.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_key = self.payload.first() == Some(&code::KEY_REQUEST);
        let payload: &dyn fmt::Debug = if is_key { &"***" } else { &self.payload };
        f.debug_struct("Query")
            .field("ltime", &self.ltime)
            .field("id", &self.id)
            .field("address", &self.address)
            .field("port", &self.port)
            .field("source_node", &self.source_node)
            .field("filters", &self.filters)
            .field("flags", &self.flags)
            .field("relay_factor", &self.relay_factor)
            .field("timeout", &self.timeout)
            .field("name", &self.name)
            .field("payload", payload)
            .finish()
    }
}

/// An answer, or the word that the query has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryResponse {
    /// That of the query.
    pub ltime: LTime,
    /// That of the query.
    pub id: u32,
    /// Who answers.
    pub from: Name,
    /// Bits of [`QueryResponse::ACK`]; unknown ones are kept.
    pub flags: u32,
    /// The answer. Shares the bytes of the packet.
    pub payload: Bytes,
}

impl QueryResponse {
    /// It only says that the query has arrived.
    pub const ACK: u32 = 1;
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Members of these names.
    Nodes(Vec<Name>),
    /// Members whose tag matches.
    Tag {
        /// The tag; a member without it has an empty one.
        tag: String,
        /// A regular expression, found anywhere in the value.
        expression: String,
    },
}

/// A message that is passed on to whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Where it goes.
    pub address: Address,
    /// Where it goes.
    pub port: u16,
    /// Whom it is for; empty from older members.
    pub node: Name,
    /// The body of the user message to be sent there. Shares the bytes of the packet.
    pub inner: Bytes,
}

// === impl Query ===

impl Query {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let fields = [
            "LTime",
            "ID",
            "Addr",
            "Port",
            "SourceNode",
            "Filters",
            "Flags",
            "RelayFactor",
            "Timeout",
            "Name",
            "Payload",
        ];
        let mut address = None;
        let mut query = Self {
            ltime: LTime(0),
            id: 0,
            address: Address::Four([0; 4]),
            port: 0,
            source_node: Name::default(),
            filters: Vec::new(),
            flags: 0,
            relay_factor: 0,
            timeout: Duration::ZERO,
            name: Name::default(),
            payload: Bytes::new(),
        };
        decoder.fields("query", &fields, |decoder, field| {
            match field {
                "LTime" => query.ltime = ltime(decoder)?,
                "ID" => query.id = decoder.uint()?,
                "Addr" => address = Some(Address::from_bytes(decoder.slice()?)?),
                "Port" => query.port = decoder.uint()?,
                "SourceNode" => query.source_node = name(decoder)?,
                "Filters" => query.filters = filters(decoder)?,
                "Flags" => query.flags = decoder.uint()?,
                "RelayFactor" => query.relay_factor = decoder.uint()?,
                // One before now is over: none is left of it.
                "Timeout" => {
                    let nanos = u64::try_from(decoder.int()?).unwrap_or(0);
                    query.timeout = Duration::from_nanos(nanos);
                }
                "Name" => query.name = name(decoder)?,
                _ => query.payload = decoder.bytes()?,
            }
            Ok(())
        })?;
        let Some(address) = address else {
            return Err(Error::Address { bytes: 0 }.of("query", "Addr"));
        };
        Ok(Self { address, ..query })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::QUERY);
        let mut encoder = Encoder::gossip(out);
        encoder.map(11);
        encoder.key("Addr").bytes(self.address.as_bytes());
        if self.filters.is_empty() {
            encoder.key("Filters").nil();
        } else {
            encoder.key("Filters").array(self.filters.len());
            for filter in &self.filters {
                encoder.bytes(filter);
            }
        }
        encoder.key("Flags").uint(self.flags);
        encoder.key("ID").uint(self.id);
        encoder.key("LTime").uint(self.ltime);
        encoder.key("Name").text(self.name.as_bytes());
        encoder.key("Payload").bytes_or_nil(&self.payload);
        encoder.key("Port").uint(self.port);
        encoder.key("RelayFactor").uint(self.relay_factor);
        encoder.key("SourceNode").text(self.source_node.as_bytes());
        let nanos = i64::try_from(self.timeout.as_nanos()).unwrap_or(i64::MAX);
        encoder.key("Timeout").int(nanos);
    }
}

fn filters(decoder: &mut Decoder<'_>) -> Result<Vec<Bytes>, Error> {
    let count = decoder.array(FILTERS_MAX)?;
    (0..count).map(|_| decoder.bytes()).collect()
}

// === impl QueryResponse ===

impl QueryResponse {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut response = Self {
            ltime: LTime(0),
            id: 0,
            from: Name::default(),
            flags: 0,
            payload: Bytes::new(),
        };
        let fields = ["LTime", "ID", "From", "Flags", "Payload"];
        decoder.fields("query response", &fields, |decoder, field| {
            match field {
                "LTime" => response.ltime = ltime(decoder)?,
                "ID" => response.id = decoder.uint()?,
                "From" => response.from = name(decoder)?,
                "Flags" => response.flags = decoder.uint()?,
                _ => response.payload = decoder.bytes()?,
            }
            Ok(())
        })?;
        Ok(response)
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::QUERY_RESPONSE);
        let mut encoder = Encoder::gossip(out);
        encoder.map(5);
        encoder.key("Flags").uint(self.flags);
        encoder.key("From").text(self.from.as_bytes());
        encoder.key("ID").uint(self.id);
        encoder.key("LTime").uint(self.ltime);
        encoder.key("Payload").bytes_or_nil(&self.payload);
    }
}

// === impl Filter ===

const FILTER_NODES: u8 = 0;
const FILTER_TAG: u8 = 1;

impl Filter {
    /// Reads one of [`Query::filters`].
    ///
    /// # Errors
    /// When it is empty, of an unknown kind, cut, beyond a limit, or wrong in a field. The query is not
    /// for us then.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        match first(&mut decoder)? {
            FILTER_NODES => {
                let count = decoder.array(FILTER_NODES_MAX)?;
                let nodes = (0..count).map(|_| name(&mut decoder));
                Ok(Self::Nodes(nodes.collect::<Result<_, Error>>()?))
            }
            FILTER_TAG => {
                let (mut tag, mut expression) = (String::new(), String::new());
                decoder.fields("tag filter", &["Tag", "Expr"], |decoder, field| {
                    let text = decoder.string(FILTER_TEXT_BYTES_MAX)?;
                    match field {
                        "Tag" => tag = text,
                        _ => expression = text,
                    }
                    Ok(())
                })?;
                Ok(Self::Tag { tag, expression })
            }
            code => Err(Error::Unknown {
                what: "kind of filter",
                code: code.into(),
            }),
        }
    }

    /// One of [`Query::filters`].
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Nodes(nodes) => {
                out.put_u8(FILTER_NODES);
                names(&mut Encoder::gossip(&mut out), nodes);
            }
            Self::Tag { tag, expression } => {
                out.put_u8(FILTER_TAG);
                let mut encoder = Encoder::gossip(&mut out);
                encoder.map(2);
                encoder.key("Expr").text(expression);
                encoder.key("Tag").text(tag);
            }
        }
        out.freeze()
    }
}

// === impl Relay ===

impl Relay {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let (mut address, mut port, mut node) = (None, 0, Name::default());
        decoder.fields("relay", &["DestAddr", "DestName"], |decoder, field| {
            if field == "DestName" {
                node = name(decoder)?;
                return Ok(());
            }
            let fields = ["IP", "Port", "Zone"];
            decoder.fields("relay address", &fields, |decoder, field| {
                match field {
                    "IP" => address = Some(Address::from_bytes(decoder.slice()?)?),
                    "Port" => port = decoder.uint()?,
                    _ => decoder.skip()?,
                }
                Ok(())
            })
        })?;
        let Some(address) = address else {
            return Err(Error::Address { bytes: 0 }.of("relay", "DestAddr"));
        };
        Ok(Self {
            address,
            port,
            node,
            inner: decoder.rest(),
        })
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::RELAY);
        let mut encoder = Encoder::gossip(out);
        encoder.map(2);
        encoder.key("DestAddr").map(3);
        encoder.key("IP").bytes(self.address.as_bytes());
        encoder.key("Port").uint(self.port);
        encoder.key("Zone").text("");
        encoder.key("DestName").text(self.node.as_bytes());
        out.put_slice(&self.inner);
    }
}
