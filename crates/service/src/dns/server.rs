//! The name server on its sockets: packets over UDP, connections over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use taraf_base::{Rng, Tasks, random_u64};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::config::{Config, LISTEN};
use super::error::Error;
use super::limit::{Limit, Verdict};
use super::names::Names;
use super::packet::{QUESTION_BYTES_MAX, Responder, Transport};
use super::zone::Zone;
use crate::listen::{self, Places};

/// How long a connection may be silent, or take to send a question, or to take its answer (RFC 7766 §6.2.3).
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(10);
/// After so many questions a connection ends, so that places go round.
const QUESTIONS_PER_CONNECTION: usize = 1_000;
/// How often two sockets are tried for when any port will do: one that is free for UDP may be taken for TCP.
const PORT_TRIES: usize = 16;
/// The pause after a failure to receive, most often for want of memory.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// What the server has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Answers over UDP.
    pub udp: AtomicU64,
    /// Answers over TCP.
    pub tcp: AtomicU64,
    /// Questions over UDP beyond the client's rate.
    pub limited: AtomicU64,
    /// Packets that were no questions.
    pub ignored: AtomicU64,
}

impl Counters {
    /// All counts by their names.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, u64); 4] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("udp", read(&self.udp)),
            ("tcp", read(&self.tcp)),
            ("limited", read(&self.limited)),
            ("ignored", read(&self.ignored)),
        ]
    }
}

/// A running name server.
#[derive(Clone, Debug)]
pub struct Server {
    addresses: Arc<[SocketAddr]>,
    counters: Arc<Counters>,
}

impl Server {
    /// Where it listens, over UDP and TCP.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Starts to answer for the names, until the tasks stop.
    ///
    /// # Errors
    /// When a setting is out of bounds or an address cannot be listened at.
    pub async fn start(
        config: &Config,
        names: watch::Receiver<Arc<Names>>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        config.check()?;
        // All sockets first: whoever fails on the second address has not begun on the first.
        let sockets = bind_all(&config.listen).await?;
        let addresses: Vec<SocketAddr> = sockets
            .iter()
            .filter_map(|(udp, _)| udp.local_addr().ok())
            .collect();
        let reached = addresses.iter().map(SocketAddr::ip);
        let zone = Zone::new(
            &config.domain,
            config.ttl_seconds(),
            config.answers_max,
            reached
                .filter(|address| !address.is_unspecified())
                .collect(),
        )?;
        let shared = Arc::new(Shared {
            responder: Responder::new(zone, config.udp_bytes_max),
            names,
            counters: Arc::default(),
        });
        let places = Places::new(config.connections_max);
        for (udp, tcp) in sockets {
            let limit = Limit::new(config.answers_per_second, random_u64());
            let answering = packets(udp, Arc::clone(&shared), limit, tasks.token());
            tasks.spawn("dns packets", answering);
            let admitting = accept(tcp, places.clone(), Arc::clone(&shared), tasks.child());
            tasks.spawn("dns connections", admitting);
        }
        Ok(Self {
            addresses: addresses.into(),
            counters: Arc::clone(&shared.counters),
        })
    }
}

struct Shared {
    responder: Responder,
    names: watch::Receiver<Arc<Names>>,
    counters: Arc<Counters>,
}

impl Shared {
    fn respond(&self, packet: &[u8], transport: Transport, seed: u64) -> Option<Vec<u8>> {
        let names = Arc::clone(&self.names.borrow());
        let response = self.responder.respond(packet, transport, &names, seed);
        let counter = match (&response, transport) {
            (None, _) => &self.counters.ignored,
            (Some(_), Transport::Udp) => &self.counters.udp,
            (Some(_), Transport::Tcp) => &self.counters.tcp,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        response
    }
}

/// The sockets of all addresses; of the usual one where none is given, or of a port beside it.
async fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<(UdpSocket, TcpListener)>, Error> {
    let mut sockets = Vec::with_capacity(addresses.len().max(1));
    for &address in addresses {
        sockets.push(bind(address).await?);
    }
    if sockets.is_empty() {
        sockets.push(match bind(LISTEN).await {
            Err(error) if error.is_taken() => {
                tracing::warn!(address = %LISTEN, "another program answers names there; taking any free port");
                bind(SocketAddr::new(LISTEN.ip(), 0)).await?
            }
            bound => bound?,
        });
    }
    Ok(sockets)
}

/// Both sockets of an address, on one port.
async fn bind(address: SocketAddr) -> Result<(UdpSocket, TcpListener), Error> {
    let refused = |transport| {
        move |source: io::Error| Error::Listen {
            address,
            transport,
            source,
        }
    };
    let mut tries = 0;
    loop {
        let udp = UdpSocket::bind(address).await.map_err(refused("UDP"))?;
        let chosen = udp.local_addr().map_err(refused("UDP"))?;
        match TcpListener::bind(chosen).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if address.port() == 0 && tries < PORT_TRIES => {
                tracing::debug!(%error, %chosen, "a port is free for UDP alone");
                tries += 1;
            }
            Err(error) => return Err(refused("TCP")(error)),
        }
    }
}

async fn packets(
    socket: UdpSocket,
    shared: Arc<Shared>,
    mut limit: Limit,
    token: CancellationToken,
) {
    let begun = Instant::now();
    let mut rng = Rng::new(random_u64());
    // A byte more than is read, so that what is longer shows.
    let mut buffer = vec![0; QUESTION_BYTES_MAX + 1];
    loop {
        // Both branches may be dropped: a packet that was not received waits in the kernel.
        let received = tokio::select! {
            biased;
            () = token.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let (length, client) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "failed to receive a packet");
                tokio::time::sleep(RECEIVE_PAUSE).await;
                continue;
            }
        };
        let packet = buffer.get(..length).unwrap_or_default();
        let response = match limit.ask(client.ip(), begun.elapsed()) {
            Verdict::Answer => shared.respond(packet, Transport::Udp, rng.next_u64()),
            verdict => {
                shared.counters.limited.fetch_add(1, Ordering::Relaxed);
                match verdict {
                    Verdict::Silence => None,
                    Verdict::Answer | Verdict::ComeOverTcp => {
                        shared.responder.come_over_tcp(packet)
                    }
                }
            }
        };
        if let Some(response) = response
            && let Err(error) = socket.send_to(&response, client).await
        {
            tracing::debug!(%error, %client, "failed to send an answer");
        }
    }
}

async fn accept(listener: TcpListener, places: Places, shared: Arc<Shared>, tasks: Tasks) {
    let token = tasks.token();
    let serve = move |stream, peer| {
        let (shared, token) = (Arc::clone(&shared), token.clone());
        async move {
            tokio::select! {
                () = token.cancelled() => {}
                ended = questions(stream, &shared) => if let Err(error) = ended {
                    tracing::debug!(%error, %peer, "a connection for names ended");
                }
            }
        }
    };
    listen::admit(listener, places, "dns connection", &tasks, serve).await;
}

/// Answers the questions of a connection, one after another.
async fn questions(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut rng = Rng::new(random_u64());
    let mut packet = Vec::new();
    for _ in 0..QUESTIONS_PER_CONNECTION {
        let read = timeout(CONNECTION_IDLE_MAX, question(&mut stream, &mut packet)).await;
        if !read?? {
            return Ok(());
        }
        let Some(response) = shared.respond(&packet, Transport::Tcp, rng.next_u64()) else {
            return Ok(());
        };
        let Ok(length) = u16::try_from(response.len()) else {
            return Ok(());
        };
        // In one piece: some clients take the length and the message for two.
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(response);
        timeout(CONNECTION_IDLE_MAX, stream.write_all(&framed)).await??;
    }
    Ok(())
}

/// Reads one question, behind its length. False when there is none, or one that is too long to be one.
async fn question(stream: &mut TcpStream, packet: &mut Vec<u8>) -> io::Result<bool> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    if length > QUESTION_BYTES_MAX {
        return Ok(false);
    }
    packet.resize(length, 0);
    stream.read_exact(packet).await?;
    Ok(true)
}
