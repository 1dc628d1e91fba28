//! The sockets of an agent: packets and streams on one port.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// How many connections the operating system keeps waiting for us: a mass join must not be turned away.
const BACKLOG: i32 = 1024;
/// How many bytes of packets the operating system keeps for us, if it lets us (as memberlist).
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;
/// How often a port is looked for that is free for packets and streams, when any will do.
const FREE_PORT_TRIES: usize = 10;

/// An address could not be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to start {what} listener on \"{ip}\" port {port}")]
pub struct BindError {
    /// `TCP` or `UDP`.
    pub what: &'static str,
    /// Where.
    pub ip: IpAddr,
    /// On which port.
    pub port: u16,
    /// Why not.
    pub source: io::Error,
}

/// The sockets, bound to one address and one port.
#[derive(Debug)]
pub struct Sockets {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
    local: SocketAddr,
}

impl Sockets {
    /// Binds both. With port 0 the operating system chooses one that is free for both. An address of `::` takes
    /// IPv4 too.
    ///
    /// # Errors
    /// When the address is not ours, or another has the port.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let mut tries = if address.port() == 0 {
            FREE_PORT_TRIES
        } else {
            1
        };
        loop {
            tries -= 1;
            match Self::bind_once(address) {
                Err(_taken) if tries > 0 => {}
                result => return result,
            }
        }
    }

    fn bind_once(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |what, at: SocketAddr| {
            move |source| BindError {
                what,
                ip: at.ip(),
                port: at.port(),
                source,
            }
        };
        let tcp = bind_tcp(address).map_err(failed("TCP", address))?;
        let local = tcp.local_addr().map_err(failed("TCP", address))?;
        let udp = bind_udp(local).map_err(failed("UDP", local))?;
        Ok(Self { udp, tcp, local })
    }

    /// What they are bound to, with the port that was chosen.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// `to` as these sockets can reach it: an IPv6 socket speaks to IPv4 by a longer name.
    pub(super) fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (self.local, to.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), to.port())
            }
            _ => to,
        }
    }
}

/// The address as everybody writes it: IPv4 by its short name.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for connections of the last life to time out; on Windows the option means another thing.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    accept_both(&socket, address)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    accept_both(&socket, address)?;
    socket.set_nonblocking(true)?;
    // Less is not fatal: the system has a limit of its own.
    let mut bytes = RECEIVE_BUFFER_BYTES;
    while socket.set_recv_buffer_size(bytes).is_err() && bytes > 1 << 16 {
        bytes /= 2;
    }
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// `::` takes IPv4 too, whatever the system's default; another IPv6 address is only itself.
fn accept_both(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V6(address) => socket.set_only_v6(!address.ip().is_unspecified()),
        SocketAddr::V4(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_sockets_have_one_port_and_a_second_agent_is_refused() {
        let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let local = sockets.local_address();
        assert_eq!(sockets.udp.local_addr().unwrap().port(), local.port());
        let error = Sockets::bind(local).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "failed to start TCP listener on \"127.0.0.1\" port {}",
                local.port()
            )
        );
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn an_ipv6_agent_speaks_to_ipv4_by_the_longer_name() {
        let sockets = Sockets::bind("[::1]:0".parse().unwrap()).unwrap();
        let to: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let reachable = sockets.reachable(to);
        assert_eq!(reachable.to_string(), "[::ffff:127.0.0.1]:5");
        assert_eq!(canonical(reachable), to);
        let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(sockets.reachable(to), to);
    }
}
