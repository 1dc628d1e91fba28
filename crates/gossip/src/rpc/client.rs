//! Asks an agent over RPC: ours or Serf's.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::agent::{Coordinate, Joined, KeyCommand, KeysAnswer, QueryRequest, Refused, Stats};
use super::codec::{
    ANSWER_BYTES_MAX, AnswerHeader, Body, CoordinateAnswer, Encodes as _, EventRecord,
    MembersAnswer, QueryRecord, Reader, Request, RequestHeader, VERSION, errors,
};
use super::dial::{self, DIAL_TIMEOUT, DialError};
use super::event::{Member, Tags};
use super::listener::Stream;
use crate::platform::LocalStream;
use crate::wire::msgpack::Encoder;
use crate::wire::{self, Name};

/// How many records are kept while an answer is awaited; then the oldest goes (Serf's client has as many).
const RECORDS_MAX: usize = 1024;

/// What went wrong with an agent; the texts are those of Serf's client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There was no connection to be had.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The agent closed the connection.
    #[error("client closed")]
    Closed,
    /// The agent did not do it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The agent said what cannot be understood.
    #[error("msgpack decode error: {0}")]
    Wire(#[from] wire::Error),
}

/// What a stream told.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// An event, of a stream.
    Event(EventRecord),
    /// A log line, of a monitor.
    Line(Arc<str>),
    /// What comes back of a query, or its end.
    Query(QueryRecord),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Events,
    Lines,
    Query,
}

/// A connection to an agent, hands shaken.
///
/// Calls are made one after another; what streams tell meanwhile is kept for [`Client::next`].
pub struct Client {
    stream: Box<dyn Stream>,
    reader: Reader,
    seq: u64,
    streams: BTreeMap<u64, Kind>,
    kept: VecDeque<(u64, Incoming)>,
}

impl Client {
    /// Connects to `HOST:PORT`, and proves itself with the key unless that is empty.
    ///
    /// # Errors
    /// When there is no connection to be had, or the agent will not have us.
    pub async fn connect(address: &str, key: &str) -> Result<Self, Error> {
        let stream = dial::connect(address).await?;
        Self::begin(Box::new(stream), key).await
    }

    /// Connects to a socket in the file system, where the agent knows who we are.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_local(path: &Path, key: &str) -> Result<Self, Error> {
        let failed = |why: &str| DialError(format!("dial unix {}: {why}", path.display()));
        let stream = match timeout(DIAL_TIMEOUT, local(path)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let why = format!("connect: {}", dial::text_of(&error));
                return Err(failed(&why).into());
            }
            Err(_elapsed) => return Err(failed("i/o timeout").into()),
        };
        Self::begin(Box::new(stream), key).await
    }

    async fn begin(stream: Box<dyn Stream>, key: &str) -> Result<Self, Error> {
        let mut client = Self {
            stream,
            reader: Reader::new(ANSWER_BYTES_MAX),
            seq: 0,
            streams: BTreeMap::new(),
            kept: VecDeque::new(),
        };
        let version = VERSION;
        client.tell(Request::Handshake { version }).await?;
        if !key.is_empty() {
            let key = key.to_owned();
            client.tell(Request::Auth { key }).await?;
        }
        Ok(client)
    }

    /// All members.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn members(&mut self) -> Result<Vec<Member>, Error> {
        let MembersAnswer(members) = self.ask(Request::Members).await?;
        Ok(members)
    }

    /// The members whose tags, status and name match the expressions.
    ///
    /// # Errors
    /// As [`Client::members`]; an agent closes the connection when one is no expression.
    pub async fn members_filtered(
        &mut self,
        tags: Tags,
        status: String,
        name: String,
    ) -> Result<Vec<Member>, Error> {
        let request = Request::MembersFiltered { tags, status, name };
        let MembersAnswer(members) = self.ask(request).await?;
        Ok(members)
    }

    /// Joins the cluster of those at the addresses. An error comes with the number all the same.
    ///
    /// # Errors
    /// When the agent says nothing.
    pub async fn join(&mut self, addresses: Vec<String>, replay: bool) -> Result<Joined, Error> {
        let (joined, error) = self.answer(Request::Join { addresses, replay }).await?;
        Ok(Joined { error, ..joined })
    }

    /// Leaves the cluster and ends the agent.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn leave(&mut self) -> Result<(), Error> {
        self.tell(Request::Leave).await
    }

    /// Makes a failed member one that left; with `prune`, one that is forgotten.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn force_leave(&mut self, node: Name, prune: bool) -> Result<(), Error> {
        self.tell(Request::ForceLeave { node, prune }).await
    }

    /// Says something to everybody.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn user_event(
        &mut self,
        name: Name,
        payload: bytes::Bytes,
        coalesce: bool,
    ) -> Result<(), Error> {
        let request = Request::Event {
            name,
            payload,
            coalesce,
        };
        self.tell(request).await
    }

    /// Changes the agent's tags.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn change_tags(&mut self, set: Tags, delete: Vec<String>) -> Result<(), Error> {
        self.tell(Request::Tags { set, delete }).await
    }

    /// Changes or lists the keys of all members. An error comes with what the members said.
    ///
    /// # Errors
    /// When the agent says nothing.
    pub async fn keys(&mut self, command: KeyCommand) -> Result<KeysAnswer, Error> {
        let (answer, error) = self.answer(Request::Keys(command)).await?;
        Ok(KeysAnswer { error, ..answer })
    }

    /// What the agent says of itself.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn stats(&mut self) -> Result<Stats, Error> {
        self.ask(Request::Stats).await
    }

    /// Where a member is, when that is known.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn coordinate(&mut self, node: Name) -> Result<Option<Coordinate>, Error> {
        let CoordinateAnswer(coordinate) = self.ask(Request::GetCoordinate { node }).await?;
        Ok(coordinate)
    }

    /// Answers a query that a stream told of, by its number there.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn respond(&mut self, id: u64, payload: bytes::Bytes) -> Result<(), Error> {
        self.tell(Request::Respond { id, payload }).await
    }

    /// Asks everybody, or some. What comes back is told under the number.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn query(&mut self, request: QueryRequest) -> Result<u64, Error> {
        self.begin_stream(Kind::Query, Request::Query(request))
            .await
    }

    /// Begins a stream of events of these kinds, told under the number.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn stream(&mut self, kinds: &str) -> Result<u64, Error> {
        let kinds = kinds.to_owned();
        self.begin_stream(Kind::Events, Request::Stream { kinds })
            .await
    }

    /// Begins to follow the agent's log from a level on, told under the number.
    ///
    /// # Errors
    /// When the agent says no, or nothing.
    pub async fn monitor(&mut self, level: &str) -> Result<u64, Error> {
        let level = level.to_owned();
        self.begin_stream(Kind::Lines, Request::Monitor { level })
            .await
    }

    /// Ends a stream.
    ///
    /// # Errors
    /// When the agent says nothing.
    pub async fn stop(&mut self, stream: u64) -> Result<(), Error> {
        self.tell(Request::Stop { stream }).await?;
        self.streams.remove(&stream);
        self.kept.retain(|(number, _)| *number != stream);
        Ok(())
    }

    /// What a stream tells next, with the number of the stream.
    ///
    /// It may be given up and called again: nothing is lost.
    ///
    /// # Errors
    /// When the agent closes the connection or cannot be understood.
    pub async fn next(&mut self) -> Result<(u64, Incoming), Error> {
        loop {
            if let Some(kept) = self.kept.pop_front() {
                return Ok(kept);
            }
            // Nothing is asked, so that no answer but a record can come.
            self.receive(None).await?;
        }
    }

    async fn begin_stream(&mut self, kind: Kind, request: Request) -> Result<u64, Error> {
        // Known from here on: the first record may come right behind the answer.
        let seq = self.seq + 1;
        self.streams.insert(seq, kind);
        let told = self.tell(request).await;
        if told.is_err() {
            self.streams.remove(&seq);
        }
        told.map(|()| seq)
    }

    /// Sends a request whose answer has no body.
    async fn tell(&mut self, request: Request) -> Result<(), Error> {
        self.send(&request).await?;
        let error = self.await_answer().await?;
        refusal(error).map_or(Ok(()), |refused| Err(refused.into()))
    }

    /// Sends a request whose answer has a body, which counts when there is no error.
    async fn ask<B: Body>(&mut self, request: Request) -> Result<B, Error> {
        match self.answer(request).await? {
            (body, None) => Ok(body),
            (_, Some(refused)) => Err(refused.into()),
        }
    }

    async fn answer<B: Body>(&mut self, request: Request) -> Result<(B, Option<Refused>), Error> {
        self.send(&request).await?;
        let error = self.await_answer().await?;
        // These come without a body; all others with one.
        let bare = [
            errors::AUTH_REQUIRED,
            errors::HANDSHAKE_REQUIRED,
            errors::COMMAND,
        ];
        if bare.contains(&error.as_str()) {
            return Err(Refused(error).into());
        }
        Ok((self.value().await?, refusal(error)))
    }

    async fn send(&mut self, request: &Request) -> Result<(), Error> {
        self.seq += 1;
        let header = RequestHeader {
            command: request.command().word().to_owned(),
            seq: self.seq,
        };
        let mut bytes = BytesMut::new();
        header.encode_into(&mut bytes);
        request.encode_body(&mut Encoder::rpc(&mut bytes));
        let written = self.stream.write_all(&bytes).await;
        written.map_err(|_broken| Error::Closed)
    }

    /// Waits for the answer to the last request, and gives its error. Its body is not read yet.
    async fn await_answer(&mut self) -> Result<String, Error> {
        loop {
            if let Some(error) = self.receive(Some(self.seq)).await? {
                return Ok(error);
            }
        }
    }

    /// Reads one header. It is the answer to the request `awaited`, or a record follows, which is kept.
    async fn receive(&mut self, awaited: Option<u64>) -> Result<Option<String>, Error> {
        let header = self.header().await?;
        if awaited == Some(header.seq) {
            return Ok(Some(header.error));
        }
        let record = match self.streams.get(&header.seq) {
            Some(Kind::Events) => Incoming::Event(self.value().await?),
            Some(Kind::Lines) => Incoming::Line(self.value().await?),
            Some(Kind::Query) => Incoming::Query(self.value().await?),
            // An answer twice, as Serf gives before the key is there. It has no body.
            None => return Ok(None),
        };
        if record == Incoming::Query(QueryRecord::Done) {
            self.streams.remove(&header.seq);
        }
        if self.kept.len() == RECORDS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((header.seq, record));
        Ok(None)
    }

    async fn header(&mut self) -> Result<AnswerHeader, Error> {
        self.value().await
    }

    /// The next value, whatever was asked.
    async fn value<B: Body>(&mut self) -> Result<B, Error> {
        loop {
            if let Some(value) = self.reader.read()? {
                return Ok(value);
            }
            let read = self.stream.read_buf(self.reader.buffer()).await;
            match read {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return Err(Error::Closed),
            }
        }
    }
}

fn refusal(error: String) -> Option<Refused> {
    (!error.is_empty()).then_some(Refused(error))
}

#[cfg(unix)]
async fn local(path: &Path) -> io::Result<LocalStream> {
    LocalStream::connect(path).await
}

#[cfg(not(unix))]
async fn local(_path: &Path) -> io::Result<LocalStream> {
    std::future::ready(Err(io::ErrorKind::Unsupported.into())).await
}
