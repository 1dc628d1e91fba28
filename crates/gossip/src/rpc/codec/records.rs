//! [pure] What a stream tells: events, log lines, and what comes back of a query.

use std::sync::Arc;

use bytes::Bytes;

use super::answers::put_members;
use super::{Body, bytes, list, name, text};
use crate::rpc::agent::Reply;
use crate::rpc::event::{Event, Member, MemberChange, UserEvent};
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Error, Name};

/// What comes back of a query over RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryRecord {
    /// An ack or an answer.
    Reply(Reply),
    /// Nothing more comes.
    Done,
}

impl Body for QueryRecord {
    fn encode(&self, out: &mut Encoder<'_>) {
        let nobody = Name::default();
        let (kind, from, payload) = match self {
            Self::Reply(Reply::Ack(from)) => ("ack", from, None),
            Self::Reply(Reply::Response(from, payload)) => ("response", from, Some(payload)),
            Self::Done => ("done", &nobody, None),
        };
        out.map(3);
        out.key("From").text(from.as_bytes());
        match payload {
            Some(payload) => out.key("Payload").bytes(payload),
            None => out.key("Payload").nil(),
        }
        out.key("Type").text(kind);
    }

    /// A record without a sender is taken for the end too: Serf's agent can send one shortly before it, and its
    /// command line reads it so.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let (mut kind, mut sender, mut payload) = (String::new(), Name::default(), Bytes::new());
        from.fields(
            "a query's record",
            &["Type", "From", "Payload"],
            |from, field| {
                match field {
                    "Type" => kind = text(from)?,
                    "From" => sender = name(from)?,
                    _ => payload = bytes(from)?,
                }
                Ok(())
            },
        )?;
        Ok(match kind.as_str() {
            "ack" if !sender.is_empty() => Self::Reply(Reply::Ack(sender)),
            "response" if !sender.is_empty() => Self::Reply(Reply::Response(sender, payload)),
            _ => Self::Done,
        })
    }
}

/// A log line.
impl Body for Arc<str> {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(1);
        out.key("Log").text(self.as_bytes());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut line = String::new();
        from.fields("a log record", &["Log"], |from, _| {
            line = text(from)?;
            Ok(())
        })?;
        Ok(line.into())
    }
}

/// An event as a stream tells it.
#[derive(Clone, Debug, PartialEq)]
pub enum EventRecord {
    /// Of members, or of a user.
    Event(Arc<Event>),
    /// A query, with the number by which this connection may answer it.
    Query {
        /// The number.
        id: u64,
        /// When it was asked, in the cluster's Lamport time of queries.
        ltime: u64,
        /// Its name.
        name: Name,
        /// What comes with it.
        payload: Bytes,
    },
    /// Of a kind that we do not know.
    Unknown(String),
}

impl Body for EventRecord {
    fn encode(&self, out: &mut Encoder<'_>) {
        match self {
            Self::Event(event) => put_event(out, event),
            Self::Query {
                id,
                ltime,
                name,
                payload,
            } => {
                out.map(5);
                out.key("Event").text("query");
                out.key("ID").uint(*id);
                out.key("LTime").uint(*ltime);
                out.key("Name").text(name.as_bytes());
                out.key("Payload").bytes_or_nil(payload);
            }
            Self::Unknown(kind) => {
                out.map(1);
                out.key("Event").text(kind);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut read = Fields::default();
        let fields = [
            "Event", "Members", "ID", "LTime", "Name", "Payload", "Coalesce",
        ];
        from.fields("an event's record", &fields, |from, field| {
            match field {
                "Event" => read.kind = text(from)?,
                "Members" => read.members = list(from, Member::decode)?,
                "ID" => read.id = from.uint()?,
                "LTime" => read.ltime = from.uint()?,
                "Name" => read.name = name(from)?,
                "Payload" => read.payload = bytes(from)?,
                _ => read.coalesce = from.bool()?,
            }
            Ok(())
        })?;
        Ok(read.into_record())
    }
}

fn put_event(out: &mut Encoder<'_>, event: &Event) {
    match event {
        Event::Members(change, members) => {
            out.map(2);
            out.key("Event").text(change.event());
            put_members(out.key("Members"), members);
        }
        Event::User(event) => {
            out.map(5);
            out.key("Coalesce").bool(event.coalesce);
            out.key("Event").text("user");
            out.key("LTime").uint(event.ltime);
            out.key("Name").text(event.name.as_bytes());
            out.key("Payload").bytes_or_nil(&event.payload);
        }
        // A query needs a number of the connection: see `EventRecord::Query`. Without one, nobody can answer.
        Event::Query(query) => EventRecord::Query {
            id: 0,
            ltime: query.key.ltime,
            name: query.name.clone(),
            payload: query.payload.clone(),
        }
        .encode(out),
    }
}

#[derive(Default)]
struct Fields {
    kind: String,
    members: Vec<Member>,
    id: u64,
    ltime: u64,
    name: Name,
    payload: Bytes,
    coalesce: bool,
}

impl Fields {
    fn into_record(self) -> EventRecord {
        use MemberChange::{Failed, Join, Leave, Reap, Update};
        if self.kind == "query" {
            return EventRecord::Query {
                id: self.id,
                ltime: self.ltime,
                name: self.name,
                payload: self.payload,
            };
        }
        let change = [Join, Leave, Failed, Update, Reap]
            .into_iter()
            .find(|change| change.event() == self.kind);
        let event = match change {
            Some(change) => Event::Members(change, self.members),
            None if self.kind == "user" => Event::User(UserEvent {
                ltime: self.ltime,
                name: self.name,
                payload: self.payload,
                coalesce: self.coalesce,
            }),
            None => return EventRecord::Unknown(self.kind),
        };
        EventRecord::Event(Arc::new(event))
    }
}
