//! Asks the local network for members and answers those who ask, and joins whom it finds.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use taraf_base::{Tasks, random_u64};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until};

use super::packet::{InvalidName, Service, members_in, question};
use crate::rpc::Agent;

/// The port of multicast DNS.
const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// Between two questions (Serf 0.9.4).
const POLL: Duration = Duration::from_secs(60);
/// Whom nobody follows for so long is joined, with those before (Serf 0.9.4).
const QUIET: Duration = Duration::from_millis(100);
/// The longest packet.
const PACKET_BYTES_MAX: usize = 9000;
/// How many members may wait to be looked at, and how many are remembered: each is tried once.
const FOUND_MAX: usize = 64;
const TRIED_MAX: usize = 4096;

/// What is discovered, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name that all members have in common.
    pub cluster: String,
    /// The name of this machine.
    pub host: String,
    /// Where others reach us.
    pub address: SocketAddr,
    /// Whether user events from before a join are told.
    pub replay: bool,
    /// The addresses of the one interface that is used; the system's choice when there are none.
    pub interface: Vec<IpAddr>,
}

/// Discovery is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A name does not fit.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Neither IPv4 nor IPv6 can be listened to; the words are Serf's.
    #[error("No multicast listeners could be started")]
    NoListener,
}

/// One version of IP: where we listen, from where we ask, and whom.
struct Way {
    listener: Arc<UdpSocket>,
    asker: Arc<UdpSocket>,
    group: SocketAddr,
}

/// Begins to answer and to ask, until the tasks are stopped.
///
/// # Errors
/// When there is nothing to listen to, or a name does not fit.
pub fn start<A: Agent>(agent: A, settings: Settings, tasks: &Tasks) -> Result<(), StartError> {
    let name = agent.name();
    let service = Service::new(&settings.cluster, &name, &settings.host, settings.address)?;
    let question = question(&settings.cluster, id())?;
    let ways: Vec<Way> = [way_v4(&settings.interface), way_v6(&settings.interface)]
        .into_iter()
        .filter_map(|way| {
            way.inspect_err(|error| tracing::debug!("no multicast: {error}"))
                .ok()
        })
        .collect();
    if ways.is_empty() {
        return Err(StartError::NoListener);
    }
    let (found, finds) = mpsc::channel(FOUND_MAX);
    for way in &ways {
        let heard = Heard {
            service: service.clone(),
            cluster: settings.cluster.clone(),
            found: found.clone(),
        };
        for socket in [&way.listener, &way.asker] {
            let (socket, heard, token) = (Arc::clone(socket), heard.clone(), tasks.token());
            tasks.spawn("discovery listener", async move {
                token.run_until_cancelled(heard.listen(&socket)).await;
            });
        }
    }
    let seeker = Seeker {
        agent,
        settings,
        question,
        ways,
    };
    let token = tasks.token();
    tasks.spawn("discovery", async move {
        token.run_until_cancelled(seeker.seek(finds)).await;
    });
    Ok(())
}

#[derive(Clone)]
struct Heard {
    service: Service,
    cluster: String,
    found: mpsc::Sender<SocketAddr>,
}

impl Heard {
    async fn listen(&self, socket: &UdpSocket) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            let Ok((count, from)) = socket.recv_from(&mut buffer).await else {
                // Said of a packet that was sent before; the next may come.
                tokio::time::sleep(QUIET).await;
                continue;
            };
            let packet = &buffer[..count];
            if let Some(answer) = self.service.answer(packet) {
                // To whoever asked, as Serf does; it asks again when it does not get there.
                drop(socket.send_to(&answer, from).await);
            }
            for member in members_in(packet, &self.cluster) {
                // A flood of answers finds nobody.
                let _ = self.found.try_send(member);
            }
        }
    }
}

struct Seeker<A> {
    agent: A,
    settings: Settings,
    question: Vec<u8>,
    ways: Vec<Way>,
}

impl<A: Agent> Seeker<A> {
    async fn seek(self, mut finds: mpsc::Receiver<SocketAddr>) {
        let mut polls = interval(POLL);
        // Ourselves we need not join.
        let mut tried = BTreeSet::from([self.settings.address]);
        let mut waiting: Vec<SocketAddr> = Vec::new();
        let mut quiet = Instant::now();
        loop {
            tokio::select! {
                _ = polls.tick() => self.ask().await,
                found = finds.recv() => {
                    let Some(member) = found else { return };
                    if tried.len() < TRIED_MAX && tried.insert(member) {
                        waiting.push(member);
                        quiet = Instant::now() + QUIET;
                    }
                }
                () = sleep_until(quiet), if !waiting.is_empty() => {
                    self.join(std::mem::take(&mut waiting)).await;
                }
            }
        }
    }

    async fn ask(&self) {
        for way in &self.ways {
            if let Err(error) = way.asker.send_to(&self.question, way.group).await {
                tracing::error!("Failed to poll for new hosts: {error}");
            }
        }
    }

    async fn join(&self, members: Vec<SocketAddr>) {
        let addresses = members.iter().map(ToString::to_string).collect();
        let joined = self.agent.join(addresses, self.settings.replay).await;
        if let Some(error) = &joined.error {
            tracing::error!("Failed to join: {error}");
        }
        if joined.count > 0 {
            tracing::info!("Joined {} hosts", joined.count);
        }
    }
}

fn way_v4(interface: &[IpAddr]) -> io::Result<Way> {
    let address = interface.iter().find_map(|ip| match ip {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    });
    let listener = socket(
        Domain::IPV4,
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
    )?;
    listener.join_multicast_v4(&GROUP_V4, &address.unwrap_or(Ipv4Addr::UNSPECIFIED))?;
    let asker = socket(Domain::IPV4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    if let Some(address) = address {
        asker.set_multicast_if_v4(&address)?;
    }
    way(listener, asker, (GROUP_V4, PORT).into())
}

/// On the interface that the system chooses: one is named by a number here, which is not known.
fn way_v6(interface: &[IpAddr]) -> io::Result<Way> {
    if !interface.is_empty() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let listener = socket(
        Domain::IPV6,
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)),
    )?;
    listener.join_multicast_v6(&GROUP_V6, 0)?;
    let asker = socket(Domain::IPV6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
    way(listener, asker, (GROUP_V6, PORT).into())
}

fn way(listener: Socket, asker: Socket, group: SocketAddr) -> io::Result<Way> {
    Ok(Way {
        listener: Arc::new(UdpSocket::from_std(listener.into())?),
        asker: Arc::new(UdpSocket::from_std(asker.into())?),
        group,
    })
}

/// Others of this machine listen at the same port.
fn socket(domain: Domain, address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A number for our question, which nobody looks at in multicast DNS.
fn id() -> u16 {
    let [one, other, ..] = random_u64().to_le_bytes();
    u16::from_le_bytes([one, other])
}
