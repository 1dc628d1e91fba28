//! [pure] Streams: exchanges of state and TCP pings, opened by us or by others, one request each.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;

use super::machine::Turn;
use super::timers::Timer;
use super::watch::LIFE_MULT;
use super::{Delegate, Member, Name, Output, StreamId, Swim, Token};
use crate::moment::Moment;
use crate::wire::Error;
use crate::wire::memberlist::{Ack, Ping};
use crate::wire::stream::{self, Frame, Reader, Side};

/// All streams that are open.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<StreamId, Stream>,
    last: u64,
    /// How many of them others opened.
    accepted: usize,
    /// How many bytes have come on all of them.
    buffered: usize,
}

#[derive(Debug)]
struct Stream {
    peer: SocketAddr,
    role: Role,
    reader: Reader,
    buffered: usize,
    /// It has had its time once already.
    is_prolonged: bool,
    /// Whom a connection of ours is about, if the role does not say.
    about: Option<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Another opened it, and will say what for.
    Accepted,
    /// Ours: an exchange of state, perhaps part of a join.
    PushPull(Option<Token>),
    /// Ours: a ping for the probe of this number.
    Ping(u32),
    /// Ours: nothing is said, so that its end tells of the other's.
    Watch,
    /// Ours: a ping, to see whether the port takes connections.
    Look,
    /// Ours: a ping, to see whether the member answers.
    Listen(u32),
}

impl Streams {
    fn add(&mut self, peer: SocketAddr, role: Role) -> StreamId {
        self.last += 1;
        let id = StreamId(self.last);
        let stream = Stream {
            peer,
            role,
            reader: Reader::new(match role {
                Role::Accepted => Side::Request,
                Role::PushPull(_) | Role::Ping(_) | Role::Watch | Role::Look | Role::Listen(_) => {
                    Side::Answer
                }
            }),
            buffered: 0,
            is_prolonged: false,
            about: None,
        };
        self.accepted += usize::from(role == Role::Accepted);
        self.open.insert(id, stream);
        id
    }

    fn remove(&mut self, id: StreamId) -> Option<Stream> {
        let stream = self.open.remove(&id)?;
        self.accepted -= usize::from(stream.role == Role::Accepted);
        self.buffered -= stream.buffered;
        Some(stream)
    }
}

impl Swim {
    /// Whether another may open a stream with us; until then the driver lets it wait.
    #[must_use]
    pub fn accepts_streams(&self) -> bool {
        self.streams.accepted < self.config.streams_max
    }

    /// Another has opened a stream with us. None if it must be closed at once, since there are too many.
    pub fn stream_accepted(&mut self, now: Moment, from: SocketAddr) -> Option<StreamId> {
        if !self.accepts_streams() {
            self.counters.streams_refused += 1;
            tracing::error!(
                "refusing a stream from {from}: {} are open",
                self.streams.accepted
            );
            return None;
        }
        self.counters.streams_in += 1;
        let id = self.streams.add(from, Role::Accepted);
        self.timers
            .set(now + self.config.stream_timeout, Timer::Stream(id));
        Some(id)
    }

    /// Bytes have come on a stream.
    pub fn stream_bytes(
        &mut self,
        now: Moment,
        id: StreamId,
        bytes: &[u8],
        delegate: &mut dyn Delegate,
    ) {
        let turn = &mut Turn { now, delegate };
        let Some(stream) = self.streams.open.get_mut(&id) else {
            return;
        };
        stream.buffered += bytes.len();
        self.streams.buffered += bytes.len();
        if self.streams.buffered > self.config.stream_bytes_max {
            let why = format!(
                "more than {} bytes on all streams",
                self.config.stream_bytes_max
            );
            self.stream_failed(turn, id, &why);
            return;
        }
        stream.reader.buffer().extend_from_slice(bytes);
        match stream.reader.next(&self.envelope) {
            Ok(None) => {}
            Ok(Some(frame)) => self.stream_frame(turn, id, frame),
            Err(error) => self.stream_unreadable(turn, id, &error),
        }
    }

    /// The other side has closed a stream, or it broke: `why` is none for a close in good order.
    pub fn stream_ended(
        &mut self,
        now: Moment,
        id: StreamId,
        why: Option<&str>,
        delegate: &mut dyn Delegate,
    ) {
        // An answer that is still missing will not come.
        self.stream_failed(&mut Turn { now, delegate }, id, why.unwrap_or("EOF"));
    }

    /// A stream of ours was not taken: the machine is there, and nothing listens at the port.
    pub fn stream_refused(
        &mut self,
        now: Moment,
        id: StreamId,
        why: &str,
        delegate: &mut dyn Delegate,
    ) {
        let turn = &mut Turn { now, delegate };
        let stream = self.streams.open.get(&id);
        let about = stream.and_then(|stream| match stream.role {
            Role::Ping(sequence) => self.probed(sequence),
            Role::Watch | Role::Look | Role::Listen(_) => stream.about.clone(),
            Role::Accepted | Role::PushPull(_) => None,
        });
        if let Some(about) = about {
            self.refused_by(turn, &about);
        }
        self.stream_failed(turn, id, why);
    }

    /// Opens an exchange of state, perhaps for a join.
    pub(super) fn open_push_pull(
        &mut self,
        turn: &mut Turn<'_>,
        to: SocketAddr,
        join: Option<Token>,
    ) {
        let state = Frame::PushPull(self.own_state(turn, join.is_some()));
        let deadline = turn.now + self.config.stream_timeout;
        self.open_stream(to, Role::PushPull(join), &state, deadline);
    }

    /// Opens a stream with nothing but a ping, for a probe that ends at `deadline`.
    pub(super) fn open_ping(&mut self, to: SocketAddr, ping: Ping, deadline: Moment) -> StreamId {
        let role = Role::Ping(ping.seq);
        self.open_stream(to, role, &Frame::Ping(ping), deadline)
    }

    /// Opens a stream on which nothing is said, to a member that is watched.
    pub(super) fn open_silent(&mut self, to: SocketAddr, about: Name, until: Moment) -> StreamId {
        self.counters.streams_out += 1;
        let id = self.add_about(to, Role::Watch, about, until);
        let request = Bytes::new();
        self.outputs
            .push_back(Output::OpenStream { id, to, request });
        id
    }

    /// Opens a stream with a ping, to see whether the port of a member takes it.
    pub(super) fn open_look(&mut self, to: SocketAddr, about: Name, ping: Ping, until: Moment) {
        self.counters.streams_out += 1;
        let id = self.add_about(to, Role::Look, about, until);
        if let Some(request) = self.seal_stream(to, Side::Request, &Frame::Ping(ping)) {
            self.outputs
                .push_back(Output::OpenStream { id, to, request });
        }
    }

    /// Opens a stream with a ping, to see whether a member answers until a moment.
    pub(super) fn open_look_at(
        &mut self,
        to: SocketAddr,
        about: Name,
        ping: Ping,
        until: Moment,
    ) -> StreamId {
        let role = Role::Listen(ping.seq);
        let id = self.open_stream(to, role, &Frame::Ping(ping), until);
        if let Some(stream) = self.streams.open.get_mut(&id) {
            stream.about = Some(about);
        }
        id
    }

    fn add_about(&mut self, to: SocketAddr, role: Role, about: Name, until: Moment) -> StreamId {
        let id = self.streams.add(to, role);
        if let Some(stream) = self.streams.open.get_mut(&id) {
            stream.about = Some(about);
        }
        self.timers.set(until, Timer::Stream(id));
        id
    }

    fn open_stream(
        &mut self,
        to: SocketAddr,
        role: Role,
        request: &Frame,
        deadline: Moment,
    ) -> StreamId {
        self.counters.streams_out += 1;
        let id = self.streams.add(to, role);
        self.timers.set(deadline, Timer::Stream(id));
        // Without a request the stream stays here alone until its time is over.
        if let Some(request) = self.seal_stream(to, Side::Request, request) {
            self.outputs
                .push_back(Output::OpenStream { id, to, request });
        }
        id
    }

    /// A stream has had its time, unless it ended before.
    pub(super) fn stream_expired(&mut self, turn: &mut Turn<'_>, id: StreamId) {
        let Some(stream) = self.streams.open.get_mut(&id) else {
            return;
        };
        let is_silent = stream.role == Role::Accepted && stream.buffered == 0;
        if is_silent && !std::mem::replace(&mut stream.is_prolonged, true) {
            let (peer, limit) = (stream.peer.ip(), self.config.stream_timeout);
            let is_from = |member: &Member| member.is_our_kind() && member.socket().ip() == peer;
            if self.config.extends && self.members().any(is_from) {
                // Held by one that watches us, who will let it go.
                let more = limit.saturating_mul(LIFE_MULT);
                return self.timers.set(turn.now + more, Timer::Stream(id));
            }
        }
        self.stream_failed(turn, id, "i/o timeout");
    }

    /// Whether a stream is open.
    pub(super) fn is_open(&self, id: StreamId) -> bool {
        self.streams.open.contains_key(&id)
    }

    /// Closes a stream of ours that nobody waits for any more.
    pub(super) fn close_stream(&mut self, id: StreamId) {
        if self.streams.remove(id).is_some() {
            self.outputs.push_back(Output::StreamClose { id });
        }
    }

    /// One whole message has come on a stream.
    fn stream_frame(&mut self, turn: &mut Turn<'_>, id: StreamId, frame: Frame) {
        let Some(stream) = self.streams.remove(id) else {
            return;
        };
        let Stream { peer, role, .. } = stream;
        match (role, frame) {
            (Role::Accepted, Frame::PushPull(theirs)) => {
                let state = Frame::PushPull(self.own_state(turn, theirs.is_join));
                self.reply(id, peer, &state);
                if let Err(why) = self.merge(turn, theirs) {
                    self.counters.streams_failed += 1;
                    tracing::error!("failed push/pull merge: {why} from={peer}");
                }
            }
            (Role::Accepted, Frame::Ping(ping)) => self.stream_pinged(id, peer, &ping),
            (Role::Accepted, Frame::User(body)) => {
                self.outputs.push_back(Output::StreamClose { id });
                turn.delegate.message(turn.now, &body, peer);
            }
            (Role::PushPull(join), Frame::PushPull(theirs)) => {
                self.outputs.push_back(Output::StreamClose { id });
                if join.is_some() && self.config.extends {
                    self.joined_through = Some(peer);
                }
                let result = self.merge(turn, theirs);
                self.push_pull_went(turn, peer, join, result);
            }
            (Role::Ping(sequence), Frame::Ack(ack)) => {
                self.outputs.push_back(Output::StreamClose { id });
                if ack.seq == sequence {
                    self.probe_reached_over_tcp(sequence);
                }
            }
            (Role::Listen(sequence), Frame::Ack(ack)) => {
                self.outputs.push_back(Output::StreamClose { id });
                if ack.seq == sequence {
                    self.silence_broken(sequence);
                }
            }
            (role @ (Role::Watch | Role::Look), _) => {
                self.outputs.push_back(Output::StreamClose { id });
                self.about_ended(turn, id, role, stream.about.as_ref());
            }
            (role, frame) => {
                self.outputs.push_back(Output::StreamClose { id });
                let why = match frame {
                    Frame::Error(text) => format!("remote error: {text}"),
                    Frame::Ping(_) | Frame::Ack(_) | Frame::PushPull(_) | Frame::User(_) => {
                        "an answer to something else".to_owned()
                    }
                };
                self.stream_went_wrong(turn, peer, role, &why);
            }
        }
    }

    fn stream_pinged(&mut self, id: StreamId, peer: SocketAddr, ping: &Ping) {
        if !ping.node.is_empty() && ping.node != self.config.name {
            tracing::warn!("got a ping for {} from={peer}", ping.node);
            self.outputs.push_back(Output::StreamClose { id });
            return;
        }
        let ack = Ack {
            seq: ping.seq,
            payload: Bytes::new(),
        };
        self.reply(id, peer, &Frame::Ack(ack));
    }

    /// What came cannot be read: who sent it is told, if it is a request.
    fn stream_unreadable(&mut self, turn: &mut Turn<'_>, id: StreamId, error: &Error) {
        let Some(stream) = self.streams.remove(id) else {
            return;
        };
        let Stream { peer, role, .. } = stream;
        self.about_ended(turn, id, role, stream.about.as_ref());
        if role == Role::Accepted {
            self.reply(id, peer, &Frame::Error(error.answer()));
        } else {
            self.outputs.push_back(Output::StreamClose { id });
        }
        self.stream_went_wrong(turn, peer, role, &error.to_string());
    }

    /// Closes a stream that is still open, since it failed.
    fn stream_failed(&mut self, turn: &mut Turn<'_>, id: StreamId, why: &str) {
        let Some(stream) = self.streams.remove(id) else {
            return;
        };
        self.outputs.push_back(Output::StreamClose { id });
        if matches!(stream.role, Role::Watch | Role::Look) {
            return self.about_ended(turn, id, stream.role, stream.about.as_ref());
        }
        // Who connects and says nothing only wanted to know whether we are there.
        if stream.role != Role::Accepted || stream.buffered > 0 {
            self.stream_went_wrong(turn, stream.peer, stream.role, why);
        }
    }

    /// Tells whoever waits for a stream that it failed.
    fn stream_went_wrong(&mut self, turn: &mut Turn<'_>, peer: SocketAddr, role: Role, why: &str) {
        self.counters.streams_failed += 1;
        match role {
            Role::Accepted => tracing::error!("failed to receive: {why} from={peer}"),
            Role::Ping(_) | Role::Watch | Role::Look | Role::Listen(_) => {
                tracing::debug!("failed TCP fallback ping: {why} to={peer}");
            }
            Role::PushPull(join) => self.push_pull_went(turn, peer, join, Err(why.to_owned())),
        }
    }

    /// A connection that watched a member, or tried its port, has ended.
    fn about_ended(&mut self, turn: &Turn<'_>, id: StreamId, role: Role, about: Option<&Name>) {
        match (role, about) {
            (Role::Watch, Some(about)) => self.watch_ended(turn, id, about),
            (Role::Look, Some(about)) => self.look_ended(about),
            _ => {}
        }
    }

    fn push_pull_went(
        &mut self,
        turn: &mut Turn<'_>,
        peer: SocketAddr,
        join: Option<Token>,
        result: Result<(), String>,
    ) {
        if let Err(why) = &result {
            tracing::error!("push/pull with {peer} failed: {why}");
        }
        if let Some(join) = join {
            self.join_went(turn, join, peer, result);
        }
    }

    fn reply(&mut self, id: StreamId, peer: SocketAddr, frame: &Frame) {
        match self.seal_stream(peer, Side::Answer, frame) {
            Some(bytes) => self.outputs.push_back(Output::StreamReply { id, bytes }),
            None => self.outputs.push_back(Output::StreamClose { id }),
        }
    }

    fn seal_stream(&mut self, peer: SocketAddr, side: Side, frame: &Frame) -> Option<Bytes> {
        let compresses = self.config.compress;
        let bytes = stream::write(frame, side, compresses, &self.envelope, || {
            self.nonces.next()
        });
        match bytes {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::error!("failed to make a stream for {peer}: {error}");
                None
            }
        }
    }

    #[cfg(test)]
    pub(super) fn streams_are_none(&self) -> bool {
        self.streams.open.is_empty() && self.streams.accepted == 0 && self.streams.buffered == 0
    }
}
