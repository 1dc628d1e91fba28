//! User events to all members and queries that they answer; what the cluster tells, as events for readers.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use taraf_base::Timestamp;
use taraf_gossip::rpc::event::{Event, Tags};
use taraf_gossip::rpc::{Agent as _, Answered, QueryRequest, Refused, Reply};
use taraf_gossip::wire::Name;
use taraf_service::{Problem, problem};
use tokio::sync::mpsc;

use super::Shared;
use super::events::{self, frame};
use super::members::membership;
use super::request::{self, Body};

/// Frames that wait for a reader of a query's answers.
const WAITING_MAX: usize = 64;

/// Answers that one JSON document holds; more members are asked by a stream.
const ANSWERS_MAX: usize = 10_000;

/// The media type by which a caller asks to be told of answers as they come.
const EVENT_STREAM: &str = "text/event-stream";

/// What comes with an event or a query: a text, or bytes in base64.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    payload: Option<String>,
    payload_base64: Option<String>,
}

impl Payload {
    fn bytes(&self) -> Result<Bytes, Problem> {
        match (&self.payload, &self.payload_base64) {
            (Some(_), Some(_)) => Err(problem::BAD_REQUEST
                .with_detail("`payload` and `payload_base64`: only one of them can hold")),
            (Some(text), None) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(text)) => STANDARD.decode(text).map(Bytes::from).map_err(|error| {
                problem::BAD_REQUEST.with_detail(format!("`payload_base64`: {error}"))
            }),
            (None, None) => Ok(Bytes::new()),
        }
    }
}

/// What a member said, as a text where it is one.
fn put_payload(into: &mut Value, payload: &[u8]) {
    match std::str::from_utf8(payload) {
        Ok(text) => into["payload"] = text.into(),
        Err(_bytes) => into["payload_base64"] = STANDARD.encode(payload).into(),
    }
}

/// What the agent refuses to say is mostly too long.
fn refused(why: Refused) -> Problem {
    problem::VALIDATION_FAILED.with_detail(why.0)
}

fn named(name: &str) -> Result<Name, Problem> {
    if name.is_empty() {
        return Err(problem::BAD_REQUEST.with_detail("`name` is empty"));
    }
    Ok(Name::from(name))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    name: String,
    payload: Option<String>,
    payload_base64: Option<String>,
    /// Whether of several of this name in a short time the last may be told alone.
    #[serde(default)]
    coalesce: bool,
}

/// `POST /v1/gossip/events`: says something to all members.
pub(crate) async fn say(State(parts): State<Shared>, body: Body) -> Result<Response, Problem> {
    let said: Said = body.json()?;
    let name = named(&said.name)?;
    let payload = Payload {
        payload: said.payload,
        payload_base64: said.payload_base64,
    };
    let payload = payload.bytes()?;
    let served = membership(&parts)?.served();
    let told = served.user_event(name, payload, said.coalesce).await;
    told.map_err(refused)?;
    let answer = Json(json!({"name": said.name}));
    Ok((StatusCode::ACCEPTED, answer).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    payload: Option<String>,
    payload_base64: Option<String>,
    /// Only these members; all without any.
    #[serde(default)]
    nodes: Vec<String>,
    /// Only members whose tags match these expressions.
    #[serde(default)]
    tags: Tags,
    /// How long answers are awaited; the cluster's size decides without it.
    timeout: Option<String>,
    /// How many others carry each answer back as well.
    #[serde(default)]
    relay: u8,
    /// Whether members say at once that they heard.
    #[serde(default = "yes")]
    acks: bool,
    /// Whether it lasts its whole time, even when all have answered.
    #[serde(default)]
    wait: bool,
}

const fn yes() -> bool {
    true
}

/// `POST /v1/gossip/queries`: asks all members, or some. The answer comes when the query ends; to a caller that accepts an
/// event stream, as the members answer.
pub(crate) async fn ask(
    State(parts): State<Shared>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asked: Asked = body.json()?;
    let name = named(&asked.name)?;
    let payload = Payload {
        payload: asked.payload,
        payload_base64: asked.payload_base64,
    };
    let timeout = match &asked.timeout {
        Some(text) => request::duration("timeout", text)?.min(request::WAIT_MAX),
        None => Duration::ZERO,
    };
    let query = QueryRequest {
        nodes: asked
            .nodes
            .iter()
            .map(|node| Name::from(node.as_str()))
            .collect(),
        tags: asked.tags,
        wants_ack: asked.acks,
        relay_factor: asked.relay,
        timeout,
        waits: asked.wait,
        name,
        payload: Some(payload.bytes()?),
    };
    let served = membership(&parts)?.served();
    let answered = served.query(query).await.map_err(refused)?;
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepts.is_some_and(|accept| accept.contains(EVENT_STREAM)) {
        return Ok(stream(&parts, answered));
    }
    Ok(Json(collected(answered).await).into_response())
}

/// All replies until the query ends, as one document.
async fn collected(mut answered: Answered) -> Value {
    let (mut acks, mut responses) = (Vec::new(), Vec::new());
    while let Some(reply) = next(&mut answered).await {
        match reply {
            Reply::Ack(from) => acks.push(json!(from.to_string())),
            Reply::Response(from, payload) => responses.push(response(&from, &payload)),
        }
        if acks.len().max(responses.len()) >= ANSWERS_MAX {
            break;
        }
    }
    json!({"acks": acks, "responses": responses})
}

/// The next reply; none when the query has ended.
async fn next(answered: &mut Answered) -> Option<Reply> {
    let Answered { deadline, replies } = answered;
    let reply = tokio::time::timeout_at(*deadline, replies.recv()).await;
    reply.ok().flatten()
}

fn response(from: &Name, payload: &[u8]) -> Value {
    let mut response = json!({"from": from.to_string()});
    put_payload(&mut response, payload);
    response
}

/// The answers as they come: `ack`, `response`, and `done` at the end.
fn stream(parts: &Shared, answered: Answered) -> Response {
    let (to, receiver) = mpsc::channel(WAITING_MAX);
    let token = parts.tasks.token();
    parts.tasks.spawn("query stream", async move {
        token.run_until_cancelled(tell(answered, to)).await;
    });
    events::response(receiver)
}

async fn tell(mut answered: Answered, to: mpsc::Sender<Bytes>) {
    let (mut acks, mut responses) = (0_u64, 0_u64);
    while let Some(reply) = next(&mut answered).await {
        let text = match reply {
            Reply::Ack(from) => {
                acks += 1;
                frame(Some("ack"), &json!({"from": from.to_string()}))
            }
            Reply::Response(from, payload) => {
                responses += 1;
                frame(Some("response"), &response(&from, &payload))
            }
        };
        if to.send(text).await.is_err() {
            return;
        }
    }
    let end = json!({"acks": acks, "responses": responses});
    // Whoever asked may be gone.
    drop(to.send(frame(Some("done"), &end)).await);
}

/// What happens in the cluster as a CloudEvent: `io.taraf.member.join.v1`, `io.taraf.gossip.user.v1` and so on.
pub(super) fn cloud_event(source: &str, event: &Event) -> Value {
    let (type_, data) = match event {
        Event::Members(change, members) => {
            let members = members.iter().map(|member| {
                let at = member.address.map(|address| address.socket(member.port));
                json!({
                    "name": member.name.to_string(),
                    "address": at,
                    "status": member.status.word(),
                    "tags": member.tags,
                })
            });
            let word = change.event().trim_start_matches("member-");
            let data = json!({"members": members.collect::<Vec<_>>()});
            (format!("io.taraf.member.{word}.v1"), data)
        }
        Event::User(event) => {
            let mut data = json!({"name": event.name.to_string(), "ltime": event.ltime});
            put_payload(&mut data, &event.payload);
            ("io.taraf.gossip.event.v1".to_owned(), data)
        }
        Event::Query(query) => {
            let mut data = json!({"name": query.name.to_string(), "ltime": query.key.ltime});
            put_payload(&mut data, &query.payload);
            ("io.taraf.gossip.query.v1".to_owned(), data)
        }
    };
    json!({
        "specversion": "1.0",
        "id": taraf_base::random_u64().to_string(),
        "source": format!("taraf:/members/{source}"),
        "type": type_,
        "time": Timestamp::now(),
        "datacontenttype": "application/json",
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use taraf_gossip::rpc::event::{Member, MemberChange, UserEvent};

    use super::*;

    #[test]
    fn a_payload_is_a_text_or_bytes() {
        let bytes = |payload: Option<&str>, base64: Option<&str>| {
            let payload = Payload {
                payload: payload.map(str::to_owned),
                payload_base64: base64.map(str::to_owned),
            };
            payload.bytes().map_err(|problem| problem.status)
        };
        assert_eq!(bytes(None, None), Ok(Bytes::new()));
        assert_eq!(
            bytes(Some("ă"), None),
            Ok(Bytes::from_static("ă".as_bytes()))
        );
        assert_eq!(bytes(None, Some("/w==")), Ok(Bytes::from_static(b"\xff")));
        assert_eq!(bytes(None, Some("?")), Err(400));
        assert_eq!(bytes(Some("a"), Some("YQ==")), Err(400));
        let mut shown = json!({});
        put_payload(&mut shown, b"\xff");
        assert_eq!(shown, json!({"payload_base64": "/w=="}));
    }

    #[test]
    fn what_happens_in_a_cluster_is_a_cloud_event() {
        let member = Member {
            name: Name::from("a"),
            ..Member::default()
        };
        let event = Event::Members(MemberChange::Failed, vec![member]);
        let told = cloud_event("me", &event);
        assert_eq!(told["type"], "io.taraf.member.failed.v1");
        assert_eq!(told["source"], "taraf:/members/me");
        assert_eq!(told["data"]["members"][0]["name"], "a");
        let event = Event::User(UserEvent {
            ltime: 7,
            name: Name::from("deploy"),
            payload: Bytes::from_static(b"v2"),
            coalesce: false,
        });
        let told = cloud_event("me", &event);
        assert_eq!(told["type"], "io.taraf.gossip.event.v1");
        let expected = json!({"name": "deploy", "ltime": 7, "payload": "v2"});
        assert_eq!(told["data"], expected);
    }
}
