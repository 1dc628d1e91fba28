//! Doors: accepted connections within a limit, on one listener or on one for each core.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use taraf_base::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The pause after a failed accept, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;

/// How many connections may be served at once, over all doors that share it.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

impl Places {
    /// That many places, at least one.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        let places = connections.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(places)))
    }
}

/// Accepts connections and serves each in a task of its own, until the tasks stop. Dropped then, so
/// that further attempts to connect are refused at once.
///
/// A connection beyond the places is accepted and waits, with whatever comes after it waiting in the
/// kernel: a door can hold no place while it waits, or one door would keep all others shut.
pub async fn admit<F, S>(
    listener: TcpListener,
    places: Places,
    name: &'static str,
    tasks: &Tasks,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let token = tasks.token();
    loop {
        // Both branches may be dropped: a connection that was not accepted waits in the kernel.
        let accepted = tokio::select! {
            biased;
            () = token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A caller that is gone already is no reason to pause accepting.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        let place = tokio::select! {
            biased;
            () = token.cancelled() => return,
            // The semaphore is never closed.
            place = Arc::clone(&places.0).acquire_owned() => place,
        };
        let serving = serve(stream, peer);
        tasks.spawn(name, async move {
            let _place = place;
            serving.await;
        });
    }
}

/// Listens on one address so many times over: the kernel spreads connections over the listeners.
///
/// # Errors
/// When the address is taken, by another process that shares its port in the same way too.
pub fn share(address: SocketAddr, listeners: usize) -> io::Result<Vec<StdListener>> {
    // A port that is shared would be shared with a second copy of the program as well, which would
    // then answer half of the calls. Only a socket that does not share can tell.
    let alone = listen(address, false)?;
    let address = alone.local_addr()?;
    if listeners <= 1 {
        return Ok(vec![alone]);
    }
    drop(alone);
    (0..listeners).map(|_| listen(address, true)).collect()
}

fn listen(address: SocketAddr, is_shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // As the standard library does: connections of a process that ended must not block the next.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_shared_is_not_shared_with_others() {
        let any = "127.0.0.1:0".parse().unwrap();
        let doors = share(any, 3).unwrap();
        let address = doors[0].local_addr().unwrap();
        assert!(
            doors
                .iter()
                .all(|door| door.local_addr().unwrap() == address)
        );
        let error = share(address, 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(doors);
        share(address, 1).unwrap();
    }
}
