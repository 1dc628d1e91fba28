//! What each command does; the answers are Serf's.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Connection, Fault, Next, Out, errors, streams};
use crate::rpc::agent::{Agent, QueryRequest, Refused};
use crate::rpc::codec::{CoordinateAnswer, Encodes, MembersAnswer, Request, VERSION};
use crate::rpc::filter::Filter;
use crate::rpc::lines::Level;
use crate::rpc::matching::Matcher;
use crate::wire::Name;

/// The beginning of the names of the queries that agents ask among themselves.
const INTERNAL_PREFIX: &[u8] = b"_serf_";

/// The one of them that anybody may ask.
const PING: &[u8] = b"_serf_ping";

impl<A: Agent> Connection<A> {
    pub(super) async fn perform(
        &mut self,
        seq: u64,
        request: Request,
        out: &Out,
    ) -> Result<Next, Fault> {
        let agent = &self.shared.agent;
        // Whether there is still somebody to answer is seen when the next request is read.
        let _heard = match request {
            Request::Handshake { version } => self.handshake(seq, version, out).await,
            Request::Auth { key } => self.auth(seq, key, out).await,
            Request::Event {
                name,
                payload,
                coalesce,
            } => done(seq, agent.user_event(name, payload, coalesce).await, out).await,
            Request::ForceLeave { node, prune } => {
                done(seq, agent.force_leave(node, prune).await, out).await
            }
            Request::Join { addresses, replay } => {
                let joined = agent.join(addresses, replay).await;
                let error = text_of(joined.error.as_ref());
                out.send(seq, error, Some(&joined)).await
            }
            Request::Members => {
                let members = MembersAnswer(agent.members());
                out.send(seq, "", Some(&members)).await
            }
            Request::MembersFiltered { tags, status, name } => {
                let matcher = Matcher::new(&tags, &status, &name)?;
                let mut members = agent.members();
                members.retain(|member| matcher.takes(member));
                out.send(seq, "", Some(&MembersAnswer(members))).await
            }
            Request::Tags { set, delete } => {
                done(seq, agent.change_tags(set, delete).await, out).await
            }
            Request::Stream { kinds } => self.stream(seq, &kinds, out).await,
            Request::Monitor { level } => self.monitor(seq, &level, out).await,
            Request::Stop { stream } => self.stop(seq, stream, out).await,
            Request::Leave => {
                tracing::info!("Graceful leave triggered");
                let left = agent.leave().await;
                if let Err(refused) = &left {
                    tracing::error!("leave failed: {refused}");
                }
                done(seq, left, out).await;
                return Ok(Next::Shutdown);
            }
            Request::Query(query) => self.query(seq, query, out).await,
            Request::Respond { id, payload } => match self.pending.key(id, Instant::now()) {
                Some(key) => done(seq, agent.respond(key, payload).await, out).await,
                None => out.send(seq, errors::QUERY_UNKNOWN, None).await,
            },
            Request::Keys(command) => {
                let answer = agent.keys(command).await;
                let error = text_of(answer.error.as_ref());
                out.send(seq, error, Some(&answer)).await
            }
            Request::Stats => {
                let stats = agent.stats();
                out.send(seq, "", Some(&stats as &dyn Encodes)).await
            }
            Request::GetCoordinate { node } => {
                let coordinate = CoordinateAnswer(agent.coordinate(&node));
                out.send(seq, "", Some(&coordinate)).await
            }
        };
        Ok(Next::Request)
    }

    async fn handshake(&mut self, seq: u64, version: i64, out: &Out) -> bool {
        let error = if version != VERSION {
            errors::VERSION
        } else if self.has_shaken_hands {
            errors::HANDSHAKE_TWICE
        } else {
            self.has_shaken_hands = true;
            ""
        };
        out.send(seq, error, None).await
    }

    async fn auth(&mut self, seq: u64, key: String, out: &Out) -> bool {
        // Compared in a time that tells nothing about how much of it is right.
        let is_right = self.shared.settings.key == key.into();
        self.is_known |= is_right;
        let error = if is_right { "" } else { errors::AUTH_INVALID };
        out.send(seq, error, None).await
    }

    async fn stream(&mut self, seq: u64, kinds: &str, out: &Out) -> bool {
        let Ok(filters) = Filter::parse_list(kinds) else {
            return out.send(seq, errors::FILTER, None).await;
        };
        if self.streams.contains_key(&seq) {
            return out.send(seq, errors::STREAM_EXISTS, None).await;
        }
        let streams_max = self.shared.settings.limits.streams_max;
        if self.streams.len() >= streams_max {
            let error = format!("There are {streams_max} streams on this connection already");
            return out.send(seq, &error, None).await;
        }
        // Before the answer: whoever has it has every event from then on.
        let events = self.shared.agent.events();
        let heard = out.send(seq, "", None).await;
        let stop = CancellationToken::new();
        self.streams.insert(seq, stop.clone());
        let stream = streams::Events {
            seq,
            events,
            filters,
            peer: self.peer,
            pending: std::sync::Arc::clone(&self.pending),
            out: out.clone(),
        };
        self.tasks.spawn("rpc stream", async move {
            stop.run_until_cancelled(stream.run()).await;
        });
        heard
    }

    async fn monitor(&mut self, seq: u64, level: &str, out: &Out) -> bool {
        let level = match Level::parse(level) {
            Ok(level) => level,
            Err(unknown) => return out.send(seq, &unknown.to_string(), None).await,
        };
        if self.monitor.is_some() {
            return out.send(seq, errors::MONITOR_EXISTS, None).await;
        }
        let heard = out.send(seq, "", None).await;
        let stop = CancellationToken::new();
        self.monitor = Some((seq, stop.clone()));
        let stream = streams::Monitor {
            seq,
            level,
            lines: self.shared.lines.clone(),
            out: out.clone(),
        };
        self.tasks.spawn("rpc monitor", async move {
            stop.run_until_cancelled(stream.run()).await;
        });
        heard
    }

    /// Always succeeds.
    async fn stop(&mut self, seq: u64, stream: u64, out: &Out) -> bool {
        if let Some((_, monitor)) = self.monitor.take_if(|(monitor, _)| *monitor == stream) {
            monitor.cancel();
        }
        if let Some(stream) = self.streams.remove(&stream) {
            stream.cancel();
        }
        out.send(seq, "", None).await
    }

    async fn query(&self, seq: u64, request: QueryRequest, out: &Out) -> bool {
        if is_internal(&request.name) && !is_ping(&request) {
            return out.send(seq, errors::QUERY_PREFIX, None).await;
        }
        let Ok(place) = std::sync::Arc::clone(&self.queries).try_acquire_owned() else {
            let queries_max = self.shared.settings.limits.queries_max;
            let error = format!("There are {queries_max} queries under way on this connection");
            return out.send(seq, &error, None).await;
        };
        let answered = match self.shared.agent.query(request).await {
            Ok(answered) => answered,
            Err(refused) => return out.send(seq, &refused.to_string(), None).await,
        };
        let heard = out.send(seq, "", None).await;
        let out = out.clone();
        self.tasks.spawn("rpc query", async move {
            streams::replies(seq, answered, &out).await;
            drop(place);
        });
        heard
    }
}

async fn done(seq: u64, outcome: Result<(), Refused>, out: &Out) -> bool {
    out.send(seq, text_of(outcome.err().as_ref()), None).await
}

fn text_of(refused: Option<&Refused>) -> &str {
    refused.map_or("", |refused| &refused.0)
}

fn is_internal(name: &Name) -> bool {
    name.as_bytes().starts_with(INTERNAL_PREFIX)
}

fn is_ping(request: &QueryRequest) -> bool {
    request.name.as_bytes() == PING && request.payload.is_none()
}
