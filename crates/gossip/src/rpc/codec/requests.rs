//! [pure] What is asked.

use std::time::Duration;

use bytes::Bytes;

use super::{Body, bytes, list, name, put_list, put_tags, tags, text};
use crate::rpc::agent::{KeyCommand, QueryRequest};
use crate::rpc::event::Tags;
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Error, Name};

/// A command, by its word in the header of a request; what each asks stands at [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Handshake,
    Auth,
    Event,
    ForceLeave,
    Join,
    Members,
    MembersFiltered,
    Tags,
    Stream,
    Monitor,
    Stop,
    Leave,
    Query,
    Respond,
    InstallKey,
    UseKey,
    RemoveKey,
    ListKeys,
    Stats,
    GetCoordinate,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Handshake,
        Self::Auth,
        Self::Event,
        Self::ForceLeave,
        Self::Join,
        Self::Members,
        Self::MembersFiltered,
        Self::Tags,
        Self::Stream,
        Self::Monitor,
        Self::Stop,
        Self::Leave,
        Self::Query,
        Self::Respond,
        Self::InstallKey,
        Self::UseKey,
        Self::RemoveKey,
        Self::ListKeys,
        Self::Stats,
        Self::GetCoordinate,
    ];

    /// As it stands in a header.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Auth => "auth",
            Self::Event => "event",
            Self::ForceLeave => "force-leave",
            Self::Join => "join",
            Self::Members => "members",
            Self::MembersFiltered => "members-filtered",
            Self::Tags => "tags",
            Self::Stream => "stream",
            Self::Monitor => "monitor",
            Self::Stop => "stop",
            Self::Leave => "leave",
            Self::Query => "query",
            Self::Respond => "respond",
            Self::InstallKey => "install-key",
            Self::UseKey => "use-key",
            Self::RemoveKey => "remove-key",
            Self::ListKeys => "list-keys",
            Self::Stats => "stats",
            Self::GetCoordinate => "get-coordinate",
        }
    }

    /// The command of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.word() == word)
    }

    /// Whether a body follows the header of the request.
    #[must_use]
    pub const fn has_body(self) -> bool {
        !matches!(
            self,
            Self::Members | Self::Leave | Self::ListKeys | Self::Stats
        )
    }
}

/// What stands in front of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The word of a command, or one that nobody knows.
    pub command: String,
    /// A number that the client gave it, for the answers.
    pub seq: u64,
}

impl Body for RequestHeader {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map(2);
        out.key("Command").text(&self.command);
        out.key("Seq").uint(self.seq);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut header = Self {
            command: String::new(),
            seq: 0,
        };
        from.fields("a request's header", &["Command", "Seq"], |from, field| {
            match field {
                "Command" => header.command = text(from)?,
                _ => header.seq = from.uint()?,
            }
            Ok(())
        })?;
        Ok(header)
    }
}

/// A request, without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The first of a connection.
    Handshake { version: i64 },
    /// Proves who asks.
    Auth { key: String },
    /// Says something to everybody.
    Event {
        name: Name,
        payload: Bytes,
        coalesce: bool,
    },
    /// Makes a failed member one that left.
    ForceLeave { node: Name, prune: bool },
    /// Makes the agent part of a cluster.
    Join {
        addresses: Vec<String>,
        replay: bool,
    },
    /// Who is there.
    Members,
    /// Who is there and matches.
    MembersFiltered {
        tags: Tags,
        status: String,
        name: String,
    },
    /// Changes the agent's tags.
    Tags { set: Tags, delete: Vec<String> },
    /// Begins a stream of events.
    Stream { kinds: String },
    /// Begins a stream of log lines.
    Monitor { level: String },
    /// Ends a stream.
    Stop { stream: u64 },
    /// Leaves the cluster, and ends the agent.
    Leave,
    /// Asks everybody, or some.
    Query(QueryRequest),
    /// Answers a query that a stream told of.
    Respond { id: u64, payload: Bytes },
    /// Changes or lists gossip keys.
    Keys(KeyCommand),
    /// What the agent says of itself.
    Stats,
    /// Where a member is.
    GetCoordinate { node: Name },
}

impl Request {
    /// Its command.
    #[must_use]
    pub const fn command(&self) -> Command {
        match self {
            Self::Handshake { .. } => Command::Handshake,
            Self::Auth { .. } => Command::Auth,
            Self::Event { .. } => Command::Event,
            Self::ForceLeave { .. } => Command::ForceLeave,
            Self::Join { .. } => Command::Join,
            Self::Members => Command::Members,
            Self::MembersFiltered { .. } => Command::MembersFiltered,
            Self::Tags { .. } => Command::Tags,
            Self::Stream { .. } => Command::Stream,
            Self::Monitor { .. } => Command::Monitor,
            Self::Stop { .. } => Command::Stop,
            Self::Leave => Command::Leave,
            Self::Query(_) => Command::Query,
            Self::Respond { .. } => Command::Respond,
            Self::Keys(KeyCommand::Install(_)) => Command::InstallKey,
            Self::Keys(KeyCommand::Use(_)) => Command::UseKey,
            Self::Keys(KeyCommand::Remove(_)) => Command::RemoveKey,
            Self::Keys(KeyCommand::List) => Command::ListKeys,
            Self::Stats => Command::Stats,
            Self::GetCoordinate { .. } => Command::GetCoordinate,
        }
    }

    /// Writes the body, for commands that have one.
    pub fn encode_body(&self, out: &mut Encoder<'_>) {
        match self {
            Self::Members | Self::Leave | Self::Stats | Self::Keys(KeyCommand::List) => {}
            Self::Handshake { version } => one(out, "Version").int(*version),
            Self::Auth { key } => one(out, "AuthKey").text(key),
            Self::Event {
                name,
                payload,
                coalesce,
            } => {
                out.map(3);
                out.key("Coalesce").bool(*coalesce);
                out.key("Name").text(name.as_bytes());
                out.key("Payload").bytes_or_nil(payload);
            }
            Self::ForceLeave { node, prune } => {
                out.map(2);
                out.key("Node").text(node.as_bytes());
                out.key("Prune").bool(*prune);
            }
            Self::Join { addresses, replay } => {
                out.map(2);
                put_list(out.key("Existing"), addresses.iter());
                out.key("Replay").bool(*replay);
            }
            Self::MembersFiltered { tags, status, name } => {
                out.map(3);
                out.key("Name").text(name);
                out.key("Status").text(status);
                put_tags(out.key("Tags"), tags);
            }
            Self::Tags { set, delete } => {
                out.map(2);
                put_list(out.key("DeleteTags"), delete.iter());
                put_tags(out.key("Tags"), set);
            }
            Self::Stream { kinds } => one(out, "Type").text(kinds),
            Self::Monitor { level } => one(out, "LogLevel").text(level),
            Self::Stop { stream } => one(out, "Stop").uint(*stream),
            Self::Query(query) => put_query(out, query),
            Self::Respond { id, payload } => {
                out.map(2);
                out.key("ID").uint(*id);
                out.key("Payload").bytes_or_nil(payload);
            }
            Self::Keys(
                KeyCommand::Install(key) | KeyCommand::Use(key) | KeyCommand::Remove(key),
            ) => {
                one(out, "Key").text(key);
            }
            Self::GetCoordinate { node } => one(out, "Node").text(node.as_bytes()),
        }
    }

    /// Reads the body of a command.
    ///
    /// # Errors
    /// When it is something else, or cut.
    pub fn decode_body(command: Command, from: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(match command {
            Command::Members => Self::Members,
            Command::Leave => Self::Leave,
            Command::Stats => Self::Stats,
            Command::ListKeys => Self::Keys(KeyCommand::List),
            Command::Handshake => Self::Handshake {
                version: only(from, "handshake", "Version", Decoder::int)?,
            },
            Command::Auth => Self::Auth {
                key: only(from, "auth", "AuthKey", text)?,
            },
            Command::Stream => Self::Stream {
                kinds: only(from, "stream", "Type", text)?,
            },
            Command::Monitor => Self::Monitor {
                level: only(from, "monitor", "LogLevel", text)?,
            },
            Command::Stop => Self::Stop {
                stream: only(from, "stop", "Stop", Decoder::uint)?,
            },
            Command::GetCoordinate => Self::GetCoordinate {
                node: only(from, "get-coordinate", "Node", name)?,
            },
            Command::InstallKey => {
                Self::Keys(KeyCommand::Install(only(from, "install-key", "Key", text)?))
            }
            Command::UseKey => Self::Keys(KeyCommand::Use(only(from, "use-key", "Key", text)?)),
            Command::RemoveKey => {
                Self::Keys(KeyCommand::Remove(only(from, "remove-key", "Key", text)?))
            }
            Command::Event => event(from)?,
            Command::ForceLeave => force_leave(from)?,
            Command::Join => join(from)?,
            Command::MembersFiltered => members_filtered(from)?,
            Command::Tags => change_tags(from)?,
            Command::Query => Self::Query(query(from)?),
            Command::Respond => respond(from)?,
        })
    }
}

fn one<'a, 'b>(out: &'a mut Encoder<'b>, key: &str) -> &'a mut Encoder<'b> {
    out.map(1);
    out.key(key)
}

/// A structure with one field; without it, its zero.
fn only<'a, T: Default>(
    from: &mut Decoder<'a>,
    message: &'static str,
    field: &'static str,
    mut read: impl FnMut(&mut Decoder<'a>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut value = T::default();
    from.fields(message, &[field], |from, _| {
        value = read(from)?;
        Ok(())
    })?;
    Ok(value)
}

fn event(from: &mut Decoder<'_>) -> Result<Request, Error> {
    let (mut named, mut payload, mut coalesce) = (Name::default(), Bytes::new(), false);
    from.fields("event", &["Name", "Payload", "Coalesce"], |from, field| {
        match field {
            "Name" => named = name(from)?,
            "Payload" => payload = bytes(from)?,
            _ => coalesce = from.bool()?,
        }
        Ok(())
    })?;
    Ok(Request::Event {
        name: named,
        payload,
        coalesce,
    })
}

fn force_leave(from: &mut Decoder<'_>) -> Result<Request, Error> {
    let (mut node, mut prune) = (Name::default(), false);
    from.fields("force-leave", &["Node", "Prune"], |from, field| {
        match field {
            "Node" => node = name(from)?,
            _ => prune = from.bool()?,
        }
        Ok(())
    })?;
    Ok(Request::ForceLeave { node, prune })
}

fn join(from: &mut Decoder<'_>) -> Result<Request, Error> {
    let (mut addresses, mut replay) = (Vec::new(), false);
    from.fields("join", &["Existing", "Replay"], |from, field| {
        match field {
            "Existing" => addresses = list(from, text)?,
            _ => replay = from.bool()?,
        }
        Ok(())
    })?;
    Ok(Request::Join { addresses, replay })
}

fn members_filtered(from: &mut Decoder<'_>) -> Result<Request, Error> {
    let (mut wanted, mut status, mut named) = (Tags::new(), String::new(), String::new());
    from.fields(
        "members-filtered",
        &["Tags", "Status", "Name"],
        |from, field| {
            match field {
                "Tags" => wanted = tags(from)?,
                "Status" => status = text(from)?,
                _ => named = text(from)?,
            }
            Ok(())
        },
    )?;
    Ok(Request::MembersFiltered {
        tags: wanted,
        status,
        name: named,
    })
}

fn change_tags(from: &mut Decoder<'_>) -> Result<Request, Error> {
    let (mut set, mut delete) = (Tags::new(), Vec::new());
    from.fields("tags", &["Tags", "DeleteTags"], |from, field| {
        match field {
            "Tags" => set = tags(from)?,
            _ => delete = list(from, text)?,
        }
        Ok(())
    })?;
    Ok(Request::Tags { set, delete })
}

fn respond(from: &mut Decoder<'_>) -> Result<Request, Error> {
    let (mut id, mut payload) = (0, Bytes::new());
    from.fields("respond", &["ID", "Payload"], |from, field| {
        match field {
            "ID" => id = from.uint()?,
            _ => payload = bytes(from)?,
        }
        Ok(())
    })?;
    Ok(Request::Respond { id, payload })
}

const QUERY: [&str; 8] = [
    "FilterNodes",
    "FilterTags",
    "RequestAck",
    "RelayFactor",
    "Timeout",
    "Name",
    "Payload",
    // Ours; Serf passes it over.
    "Wait",
];

fn put_query(out: &mut Encoder<'_>, query: &QueryRequest) {
    // As Serf's own clients write it, unless there is something to say that they cannot.
    out.map(QUERY.len() - usize::from(!query.waits));
    put_list(
        out.key("FilterNodes"),
        query.nodes.iter().map(Name::as_bytes),
    );
    put_tags(out.key("FilterTags"), &query.tags);
    out.key("Name").text(query.name.as_bytes());
    match &query.payload {
        Some(payload) => out.key("Payload").bytes(payload),
        None => out.key("Payload").nil(),
    }
    out.key("RelayFactor").uint(query.relay_factor);
    out.key("RequestAck").bool(query.wants_ack);
    let nanos = u64::try_from(query.timeout.as_nanos()).unwrap_or(i64::MAX.unsigned_abs());
    out.key("Timeout").uint(nanos.min(i64::MAX.unsigned_abs()));
    if query.waits {
        out.key("Wait").bool(true);
    }
}

fn query(from: &mut Decoder<'_>) -> Result<QueryRequest, Error> {
    let mut query = QueryRequest::default();
    from.fields("query", &QUERY, |from, field| {
        match field {
            "FilterNodes" => query.nodes = list(from, name)?,
            "FilterTags" => query.tags = tags(from)?,
            "RequestAck" => query.wants_ack = from.bool()?,
            "RelayFactor" => query.relay_factor = from.uint()?,
            // Less than nothing is as much as nothing: the agent's own timeout.
            "Timeout" => query.timeout = Duration::from_nanos(from.int()?.try_into().unwrap_or(0)),
            "Name" => query.name = name(from)?,
            "Wait" => query.waits = from.bool()?,
            _ => query.payload = if from.nil() { None } else { Some(bytes(from)?) },
        }
        Ok(())
    })?;
    Ok(query)
}
