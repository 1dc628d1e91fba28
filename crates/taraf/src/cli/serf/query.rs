//! `query`: asks members and shows what comes back.

use std::collections::BTreeMap;

use serde_json::json;
use taraf_gossip::config::parse_tags;
use taraf_gossip::rpc::codec::QueryRecord;
use taraf_gossip::rpc::{Client, Incoming, QueryRequest, Reply};

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::info::FORMAT;
use super::json::pretty;

pub(super) const SPEC: Spec = Spec {
    name: "query",
    synopsis: "Ask the members of the cluster",
    usage: "[options] name payload",
    about: "\nAsks all members, or some, and shows what they answer.",
    flags: &[
        &[
            FORMAT,
            Flag {
                name: "node",
                kind: Kind::Texts,
                value: "=NAME",
                help: "Ask this member only. May be given several times.",
            },
            Flag {
                name: "tag",
                kind: Kind::Texts,
                value: " key=regexp",
                help: "Ask only members whose tag of this key matches. May be given several times.",
            },
            Flag {
                name: "timeout",
                kind: Kind::Time,
                value: "=\"15s\"",
                help: "How long answers are awaited. The default grows with the cluster.",
            },
            Flag {
                name: "no-ack",
                kind: Kind::Switch,
                value: "",
                help: "Members do not say that they heard the query.",
            },
            Flag {
                name: "wait",
                kind: Kind::Switch,
                value: "",
                help: "Wait the whole time, even when all have answered.",
            },
            Flag {
                name: "relay-factor",
                kind: Kind::Number,
                value: "",
                help: "How many other members carry each answer back as well.",
            },
        ],
        connect::FLAGS,
    ],
};

/// How what comes back is shown.
enum Shown {
    Text {
        acks: u32,
        responses: u32,
    },
    Json {
        acks: Vec<String>,
        responses: BTreeMap<String, String>,
    },
}

pub(super) async fn run(call: &Call) -> Done {
    let request = request(call)?;
    let mut client = connect(call).await?;
    let mut shown = match call.flags.text("format").unwrap_or("text") {
        "text" => Shown::Text {
            acks: 0,
            responses: 0,
        },
        "json" => Shown::Json {
            acks: Vec::new(),
            responses: BTreeMap::new(),
        },
        other => return Err(Failed::new(format!("Invalid format: {other}"))),
    };
    let (name, wants_ack) = (request.name.clone(), request.wants_ack);
    ask(&mut client, request).await?;
    if let Shown::Text { .. } = shown {
        say(&format!("Query '{name}' dispatched"))?;
    }
    while let Some(reply) = reply(&mut client).await? {
        shown.take(reply)?;
    }
    shown.finish(wants_ack)
}

fn request(call: &Call) -> Result<QueryRequest, Failed> {
    let flags = &call.flags;
    let tags = parse_tags(flags.texts("tag"));
    let tags = tags.map_err(|error| Failed::new(format!("Error: {error}")))?;
    let (name, payload) = call.name_and_payload("A query")?;
    let factor = flags.number("relay-factor").unwrap_or(0);
    let relay_factor = u8::try_from(factor)
        .map_err(|_range| Failed::new("Relay factor must be between 0 and 255"))?;
    Ok(QueryRequest {
        nodes: flags
            .texts("node")
            .iter()
            .map(|node| node.as_str().into())
            .collect(),
        tags,
        wants_ack: !flags.switch("no-ack", false),
        relay_factor,
        waits: flags.switch("wait", false),
        timeout: flags.time("timeout").unwrap_or_default(),
        name: name.into(),
        payload: payload.map(|payload| payload.to_owned().into()),
    })
}

/// Asks; what comes back is had by [`reply`].
pub(super) async fn ask(client: &mut Client, request: QueryRequest) -> Done {
    let asked = client.query(request).await;
    asked
        .map(drop)
        .map_err(|error| Failed::new(format!("Error sending query: {error}")))
}

/// What comes back next of the one query that was asked; none at its end, or when the agent ends. A query
/// whose user is tired of it has failed, without a word.
pub(super) async fn reply(client: &mut Client) -> Result<Option<Reply>, Failed> {
    let next = tokio::select! {
        next = client.next() => next,
        _ = tokio::signal::ctrl_c() => return Err(Failed::silent()),
    };
    Ok(match next {
        Ok((_, Incoming::Query(QueryRecord::Reply(reply)))) => Some(reply),
        Ok(_) | Err(_) => None,
    })
}

impl Shown {
    fn take(&mut self, reply: Reply) -> Done {
        match (self, reply) {
            (Self::Text { acks, .. }, Reply::Ack(from)) => {
                *acks += 1;
                say(&format!("Ack from '{from}'"))
            }
            (Self::Text { responses, .. }, Reply::Response(from, payload)) => {
                *responses += 1;
                let payload = payload.strip_suffix(b"\n").unwrap_or(&payload);
                say(&format!(
                    "Response from '{from}': {}",
                    String::from_utf8_lossy(payload)
                ))
            }
            (Self::Json { acks, .. }, Reply::Ack(from)) => {
                acks.push(from.to_string());
                Ok(())
            }
            (Self::Json { responses, .. }, Reply::Response(from, payload)) => {
                responses.insert(
                    from.to_string(),
                    String::from_utf8_lossy(&payload).into_owned(),
                );
                Ok(())
            }
        }
    }

    fn finish(self, wants_ack: bool) -> Done {
        match self {
            Self::Text { acks, responses } => {
                if wants_ack {
                    say(&format!("Total Acks: {acks}"))?;
                }
                say(&format!("Total Responses: {responses}"))
            }
            Self::Json { acks, responses } => {
                let acks = (!acks.is_empty()).then_some(acks);
                say(&pretty(&json!({ "Acks": acks, "Responses": responses })))
            }
        }
    }
}
