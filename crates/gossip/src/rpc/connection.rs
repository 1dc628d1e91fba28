//! One client: its requests, one after another, and its streams beside them.
//!
//! The order of checks and the texts of refusals are Serf's (0.9.4): handshake, then key, then command. What
//! is Serf's by accident is not: a body that comes before the key is passed over instead of being taken for
//! a request.

mod commands;
mod streams;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use taraf_base::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::agent::Agent;
use super::codec::{
    AnswerHeader, Command, Encodes, REQUEST_BYTES_MAX, Reader, Request, RequestHeader, encode,
    errors,
};
use super::listener::{Peer, Stream};
use super::server::Shared;
use crate::wire;
use streams::Pending;

/// How many answers and records may wait to be written. Whoever adds more waits, and streams then lose events.
const FRAMES_MAX: usize = 16;

/// How long a client has to take what is left when it is closed.
const FAREWELL: Duration = Duration::from_secs(5);

/// A client.
pub(super) struct Connection<A> {
    shared: Arc<Shared<A>>,
    peer: Peer,
    tasks: Tasks,
    has_shaken_hands: bool,
    is_known: bool,
    streams: BTreeMap<u64, CancellationToken>,
    monitor: Option<(u64, CancellationToken)>,
    queries: Arc<Semaphore>,
    pending: Arc<Pending>,
}

/// What follows a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
    /// The agent ends too.
    Shutdown,
}

/// Why a client is closed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("failed to decode request header: {0}")]
    Header(wire::Error),
    #[error("Failed to evaluate request: decode failed: {0}")]
    Body(wire::Error),
    #[error("Failed to evaluate request: {0}")]
    Refused(String),
    #[error("Failed to evaluate request: Failed to compile regex: {0}")]
    Expression(#[from] regex::Error),
    #[error("the client was silent for too long")]
    Silent,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

/// Where answers and records go.
#[derive(Clone, Debug)]
struct Out(mpsc::Sender<Bytes>);

impl Out {
    /// Adds an answer or a record. False when there is nobody to take it any more.
    async fn send(&self, seq: u64, error: &str, body: Option<&dyn Encodes>) -> bool {
        let header = AnswerHeader {
            seq,
            error: error.to_owned(),
        };
        let frame = match body {
            Some(body) => encode(&[&header, body]),
            None => encode(&[&header]),
        };
        self.0.send(frame).await.is_ok()
    }

    async fn record(&self, seq: u64, record: &dyn Encodes) -> bool {
        self.send(seq, "", Some(record)).await
    }
}

impl<A: Agent> Connection<A> {
    pub(super) fn new(shared: Arc<Shared<A>>, peer: Peer, tasks: Tasks) -> Self {
        let queries_max = shared.settings.limits.queries_max;
        Self {
            // Who came in by the file system is known by the operating system.
            is_known: shared.settings.key.expose().is_empty() || matches!(peer, Peer::Local(_)),
            shared,
            peer,
            tasks,
            has_shaken_hands: false,
            streams: BTreeMap::new(),
            monitor: None,
            queries: Arc::new(Semaphore::new(queries_max)),
            pending: Arc::default(),
        }
    }

    /// Serves the client until it goes, does something wrong, or the server stops.
    pub(super) async fn run(mut self, stream: Box<dyn Stream>) {
        let (from, to) = tokio::io::split(stream);
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let (writing, token) = (Tasks::new(), self.tasks.token());
        let deafness = self.shared.settings.limits.deafness;
        let broken = CancellationToken::new();
        let has_broken = broken.clone();
        writing.spawn("rpc writer", async move {
            if let Err(error) = write_all(to, frames, deafness).await {
                tracing::debug!("a client could not be written to: {error}");
            }
            has_broken.cancel();
        });
        let out = Out(sender);
        let ended = tokio::select! {
            ended = self.serve(from, &out) => ended,
            () = token.cancelled() => Ok(Next::Close),
            () = broken.cancelled() => Ok(Next::Close),
        };
        if let Err(fault) = &ended {
            tracing::error!("{fault}");
        }
        self.tasks.drain(Duration::ZERO).await;
        // The writer ends when nobody can give it anything any more.
        drop(out);
        let agent_ends = matches!(ended, Ok(Next::Shutdown));
        drop(timeout(FAREWELL, broken.cancelled()).await);
        writing.drain(Duration::ZERO).await;
        if agent_ends {
            self.shared.agent.shutdown();
        }
    }

    async fn serve(&mut self, from: ReadHalf<Box<dyn Stream>>, out: &Out) -> Result<Next, Fault> {
        let mut requests = Requests {
            from,
            reader: Reader::new(REQUEST_BYTES_MAX),
            patience: self.shared.settings.limits.patience,
        };
        loop {
            let is_hurried = !self.has_shaken_hands || !self.is_known;
            let Some(header) = requests.header(is_hurried).await? else {
                return Ok(Next::Close);
            };
            let next = self.request(&header, &mut requests, out).await?;
            if next != Next::Request {
                return Ok(next);
            }
        }
    }

    async fn request(
        &mut self,
        header: &RequestHeader,
        requests: &mut Requests,
        out: &Out,
    ) -> Result<Next, Fault> {
        let (seq, command) = (header.seq, Command::of_word(&header.command));
        if !self.has_shaken_hands && command != Some(Command::Handshake) {
            out.send(seq, errors::HANDSHAKE_REQUIRED, None).await;
            return Err(Fault::Refused(errors::HANDSHAKE_REQUIRED.to_owned()));
        }
        let needs_no_key = matches!(command, Some(Command::Handshake | Command::Auth));
        if !self.is_known && !needs_no_key {
            tracing::warn!("Client sending commands before auth");
            out.send(seq, errors::AUTH_REQUIRED, None).await;
            if command.is_some_and(Command::has_body) {
                requests.skip_body().await?;
            }
            return Ok(Next::Request);
        }
        let Some(command) = command else {
            out.send(seq, errors::COMMAND, None).await;
            let why = format!("command '{}' not recognized", header.command);
            return Err(Fault::Refused(why));
        };
        let request = requests.body(command).await?;
        self.perform(seq, request, out).await
    }
}

/// The requests of a client as they arrive.
struct Requests {
    from: ReadHalf<Box<dyn Stream>>,
    reader: Reader,
    patience: Duration,
}

impl Requests {
    /// The next header; none when the client went. Between requests a client may be silent as long as it likes,
    /// unless it is hurried.
    async fn header(&mut self, is_hurried: bool) -> Result<Option<RequestHeader>, Fault> {
        loop {
            if let Some(header) = self.reader.read().map_err(Fault::Header)? {
                return Ok(Some(header));
            }
            let is_within = !self.reader.is_empty();
            if !self.more(is_hurried || is_within).await? {
                return Ok(None);
            }
        }
    }

    async fn body(&mut self, command: Command) -> Result<Request, Fault> {
        if !command.has_body() {
            let nothing = Bytes::new();
            let mut decoder = wire::msgpack::Decoder::new(&nothing);
            return Request::decode_body(command, &mut decoder).map_err(Fault::Body);
        }
        loop {
            let body = self
                .reader
                .read_with(|from| Request::decode_body(command, from));
            if let Some(request) = body.map_err(Fault::Body)? {
                return Ok(request);
            }
            self.more_of_body().await?;
        }
    }

    async fn skip_body(&mut self) -> Result<(), Fault> {
        while self.reader.whole().map_err(Fault::Body)?.is_none() {
            self.more_of_body().await?;
        }
        Ok(())
    }

    async fn more_of_body(&mut self) -> Result<(), Fault> {
        if self.more(true).await? {
            return Ok(());
        }
        Err(Fault::Broken(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Waits for bytes; false when no more come.
    async fn more(&mut self, is_hurried: bool) -> Result<bool, Fault> {
        let buffer: &mut BytesMut = self.reader.buffer();
        let read = self.from.read_buf(buffer);
        let read = if is_hurried {
            timeout(self.patience, read)
                .await
                .map_err(|_elapsed| Fault::Silent)?
        } else {
            read.await
        };
        match read {
            Ok(count) => Ok(count > 0),
            // As good as gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

async fn write_all(
    mut to: WriteHalf<Box<dyn Stream>>,
    mut frames: mpsc::Receiver<Bytes>,
    deafness: Duration,
) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        timeout(deafness, to.write_all(&frame)).await??;
    }
    timeout(deafness, to.shutdown()).await?
}
