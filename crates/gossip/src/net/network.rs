//! The shell around a machine of membership: what comes from the network in, what it asks for out.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use taraf_base::Tasks;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::sockets::canonical;
use super::stream::{self, Ends};
use super::{NetCounters, Sockets};
use crate::moment::Moment;
use crate::swim::{Output, StreamId};

/// The largest packet that can come.
const PACKET_BYTES_MAX: usize = 65_536;
/// How many events of streams wait for the machine before connections have to wait.
const STREAM_INPUTS_MAX: usize = 64;
/// How long no connection is accepted after one could not be: mostly too many files are open.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// What comes from the network.
#[derive(Debug)]
pub enum Input {
    /// A packet.
    Packet {
        /// Where it came from.
        from: SocketAddr,
        /// It.
        bytes: BytesMut,
    },
    /// Another has connected: to be admitted with [`Network::admit`], or dropped.
    Connected {
        /// Who.
        from: SocketAddr,
        /// The connection.
        connection: Connection,
    },
    /// Bytes have come on a stream.
    StreamBytes {
        /// Which.
        id: StreamId,
        /// What came.
        bytes: BytesMut,
    },
    /// The other side closed a stream, or it broke.
    StreamEnded {
        /// Which.
        id: StreamId,
        /// Why; none for a close in good order.
        why: Option<String>,
    },
    /// A connection of ours was refused: nothing listens there.
    StreamRefused {
        /// Which.
        id: StreamId,
        /// In Go's words.
        why: String,
    },
    /// The deadline has come.
    Deadline,
}

/// A connection that has not been admitted.
#[derive(Debug)]
pub struct Connection {
    stream: tokio::net::TcpStream,
    permit: tokio::sync::OwnedSemaphorePermit,
}

/// The network of one machine.
#[derive(Debug)]
pub struct Network {
    sockets: Sockets,
    tasks: TasksOf,
    begun: Instant,
    buffer: Box<[u8]>,
    /// Answers to open streams go in here; dropping one closes its stream.
    streams: HashMap<StreamId, oneshot::Sender<Bytes>>,
    inputs: mpsc::Receiver<Input>,
    inputs_from: mpsc::Sender<Input>,
    permits: Arc<Semaphore>,
    deadline: std::pin::Pin<Box<Sleep>>,
    accept_pause: Option<Instant>,
    counters: NetCounters,
}

/// `Tasks` has nothing to show.
struct TasksOf(Tasks);

impl std::fmt::Debug for TasksOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tasks", self.0.running())
    }
}

impl Network {
    /// A network over these sockets, in which others may open `streams_max` streams at a time. Time begins now.
    #[must_use]
    pub fn new(sockets: Sockets, streams_max: usize, tasks: Tasks) -> Self {
        let (inputs_from, inputs) = mpsc::channel(STREAM_INPUTS_MAX);
        let begun = Instant::now();
        Self {
            sockets,
            tasks: TasksOf(tasks),
            begun,
            buffer: vec![0; PACKET_BYTES_MAX].into_boxed_slice(),
            streams: HashMap::new(),
            inputs,
            inputs_from,
            permits: Arc::new(Semaphore::new(streams_max.min(Semaphore::MAX_PERMITS))),
            deadline: Box::pin(tokio::time::sleep_until(begun)),
            accept_pause: None,
            counters: NetCounters::default(),
        }
    }

    /// Where others reach us.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.sockets.local_address()
    }

    /// When time began for the machine.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The time, as the machine knows it.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::START + self.begun.elapsed()
    }

    /// A moment as Tokio knows it.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        self.begun + (moment - Moment::START)
    }

    /// What it could not do so far.
    #[must_use]
    pub fn counters(&self) -> NetCounters {
        self.counters
    }

    /// What comes next, from anywhere alike. Safe to cancel: what is not returned is not lost.
    pub async fn next(&mut self, deadline: Option<Moment>) -> Input {
        self.set_deadline(deadline);
        loop {
            let accepts = self
                .accept_pause
                .is_none_or(|until| until <= Instant::now());
            let paused = self
                .accept_pause
                .filter(|_| !accepts)
                .unwrap_or_else(Instant::now);
            tokio::select! {
                received = self.sockets.udp.recv_from(&mut self.buffer) => match received {
                    Ok((length, from)) => {
                        let bytes = BytesMut::from(&self.buffer[..length]);
                        return Input::Packet { from: canonical(from), bytes };
                    }
                    Err(error) => self.packet_failed(&error),
                },
                Some(input) = self.inputs.recv() => return input,
                accepted = accept(&self.sockets, &self.permits), if accepts => match accepted {
                    Ok((from, connection)) => {
                        return Input::Connected { from: canonical(from), connection };
                    }
                    Err(error) => self.accept_failed(&error),
                },
                () = tokio::time::sleep_until(paused), if !accepts => self.accept_pause = None,
                () = &mut self.deadline, if deadline.is_some() => return Input::Deadline,
            }
        }
    }

    /// A packet that waits already, if one does.
    pub fn next_packet(&mut self) -> Option<(SocketAddr, BytesMut)> {
        loop {
            match self.sockets.udp.try_recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    return Some((canonical(from), BytesMut::from(&self.buffer[..length])));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => self.packet_failed(&error),
            }
        }
    }

    /// The machine has given a connection its name.
    pub fn admit(&mut self, id: StreamId, connection: Connection) {
        let ends = self.ends(id);
        let Connection { stream, permit } = connection;
        self.tasks
            .0
            .spawn("gossip stream", stream::accepted(stream, ends, permit));
    }

    /// Does what the machine asks for; what is for others comes back.
    pub fn perform(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::Packet { to, bytes } => self.send(to, &bytes),
            Output::OpenStream { id, to, request } => {
                let ends = self.ends(id);
                let reachable = self.sockets.reachable(to);
                let task = stream::opened(reachable, to, request, ends);
                self.tasks.0.spawn("gossip stream", task);
            }
            Output::StreamReply { id, bytes } => {
                if let Some(answer) = self.streams.remove(&id) {
                    // A connection that has broken meanwhile needs no answer.
                    drop(answer.send(bytes));
                }
            }
            Output::StreamClose { id } => drop(self.streams.remove(&id)),
            other @ (Output::Joined(_) | Output::Finished(_)) => return Some(other),
        }
        None
    }

    fn ends(&mut self, id: StreamId) -> Ends {
        let (answer_in, answer) = oneshot::channel();
        self.streams.insert(id, answer_in);
        let inputs = self.inputs_from.clone();
        Ends { id, inputs, answer }
    }

    fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        let reachable = self.sockets.reachable(to);
        // A packet that cannot go now is a lost one: the protocol is made for that.
        if let Err(error) = self.sockets.udp.try_send_to(bytes, reachable) {
            self.counters.packets_unsent += 1;
            tracing::debug!("failed to send a packet to {to}: {error}");
        }
    }

    fn packet_failed(&mut self, error: &io::Error) {
        self.counters.packet_errors += 1;
        tracing::debug!("failed to receive a packet: {error}");
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.counters.accept_errors += 1;
        self.accept_pause = Some(Instant::now() + ACCEPT_PAUSE);
        tracing::error!("failed to accept a connection: {error}");
    }

    fn set_deadline(&mut self, deadline: Option<Moment>) {
        if let Some(deadline) = deadline {
            let instant = self.instant(deadline);
            if self.deadline.deadline() != instant || self.deadline.is_elapsed() {
                self.deadline.as_mut().reset(instant);
            }
        }
    }
}

/// Waits for a permit first: who is too many waits in the system's queue, and is not turned away.
async fn accept(
    sockets: &Sockets,
    permits: &Arc<Semaphore>,
) -> io::Result<(SocketAddr, Connection)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, from) = sockets.tcp.accept().await?;
    Ok((from, Connection { stream, permit }))
}
