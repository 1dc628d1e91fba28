//! Where clients come in: a TCP address, or a socket in the file system that knows who they are.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::dial::{DialError, resolve, text_of};
use crate::platform::Caller;
use crate::platform::LocalListener;

/// Both ways to a client.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Who came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Local(Caller),
}

/// As in Serf's log.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Local(caller) => {
                write!(f, "user {}", caller.user)?;
                match caller.process {
                    Some(process) => write!(f, " (process {process})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// At an address.
    Tcp(SocketAddr),
    /// At a path.
    Local(PathBuf),
}

/// A door for clients.
#[derive(Debug)]
pub struct Listener(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener, SocketAddr),
    Local(LocalListener),
}

impl Listener {
    /// Listens at `HOST:PORT`.
    ///
    /// # Errors
    /// When that fails, as `listen tcp 127.0.0.1:7373: bind: address already in use`.
    pub async fn tcp(address: &str) -> Result<Self, DialError> {
        let addresses = resolve(address).await;
        let addresses = addresses.map_err(|error| DialError(format!("listen tcp: {error}")))?;
        let mut last = DialError("listen tcp: missing address".to_owned());
        for address in addresses {
            let bound = TcpListener::bind(address).await;
            match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
                Ok((local, listener)) => return Ok(Self(Inner::Tcp(listener, local))),
                Err(error) => {
                    let why = text_of(&error);
                    last = DialError(format!("listen tcp {address}: bind: {why}"));
                }
            }
        }
        Err(last)
    }

    /// Listens at a path in the file system. A socket left behind by an agent that is gone makes place.
    ///
    /// # Errors
    /// When that fails, as `listen unix /run/serf.sock: bind: permission denied`.
    pub fn local(path: &Path) -> Result<Self, DialError> {
        let listener = LocalListener::bind(path).map_err(|error| {
            let (path, why) = (path.display(), text_of(&error));
            DialError(format!("listen unix {path}: bind: {why}"))
        })?;
        Ok(Self(Inner::Local(listener)))
    }

    /// Where.
    #[must_use]
    pub fn bound(&self) -> Bound {
        match &self.0 {
            Inner::Tcp(_, address) => Bound::Tcp(*address),
            Inner::Local(listener) => Bound::Local(listener.path().to_owned()),
        }
    }

    /// The user whose own clients need no key, at a socket in the file system.
    pub(super) fn owner(&self) -> Option<u32> {
        match &self.0 {
            Inner::Tcp(..) => None,
            Inner::Local(listener) => Some(listener.owner()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match &self.0 {
            Inner::Tcp(listener, _) => {
                let (stream, address) = listener.accept().await?;
                // Records are small and awaited.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer::Tcp(address)))
            }
            Inner::Local(listener) => {
                let (stream, caller) = listener.accept().await?;
                Ok((Box::new(stream), Peer::Local(caller)))
            }
        }
    }
}
