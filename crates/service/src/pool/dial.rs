//! Which address of a name a connection is made to: a dead one does not hold up the others
//! (RFC 8305, "Happy Eyeballs").

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// How long an address is tried alone before the next is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried at most.
const ADDRESSES_MAX: usize = 16;

/// Connects to whichever address answers first. They begin in turn; the next begins at once when one
/// fails. Dropping it gives all of them up.
pub(super) async fn first<T, F>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = in_turn(addresses).into_iter().peekable();
    let mut tried: Vec<Pin<Box<F>>> = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => tried.push(Box::pin(connect(address))),
            None if tried.is_empty() => return Err(last),
            None => {}
        }
        tokio::select! {
            biased;
            (index, ended) = any(&mut tried) => match ended {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    drop(tried.swap_remove(index));
                    last = error;
                }
            },
            () = tokio::time::sleep(HEAD_START), if waiting.peek().is_some() => {}
        }
    }
}

/// The resolver's order, with the two families in turn (RFC 8305 §4).
fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<_> = addresses.into_iter().take(ADDRESSES_MAX).collect();
    let Some(first) = all.first().map(SocketAddr::is_ipv6) else {
        return all;
    };
    let (preferred, others): (Vec<_>, Vec<_>) = all
        .iter()
        .copied()
        .partition(|address| address.is_ipv6() == first);
    let longest = preferred.len().max(others.len());
    let pairs = (0..longest).map(|n| [preferred.get(n), others.get(n)]);
    pairs.flatten().flatten().copied().collect()
}

async fn any<F: Future>(tried: &mut [Pin<Box<F>>]) -> (usize, F::Output) {
    poll_fn(|cx| {
        for (index, one) in tried.iter_mut().enumerate() {
            if let Poll::Ready(ended) = one.as_mut().poll(cx) {
                return Poll::Ready((index, ended));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Port 1 never answers, port 2 refuses, any other answers after that many milliseconds.
    async fn attempt(address: SocketAddr) -> io::Result<u16> {
        match address.port() {
            1 => std::future::pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            millis => {
                sleep(Duration::from_millis(millis.into())).await;
                Ok(millis)
            }
        }
    }

    async fn check(ports: &[u16], expected: Result<u16, io::ErrorKind>, millis: u64) {
        let begun = Instant::now();
        let addresses = ports
            .iter()
            .map(|port| address(&format!("127.0.0.1:{port}")));
        let got = first(addresses, attempt)
            .await
            .map_err(|error| error.kind());
        assert_eq!(got, expected, "{ports:?}");
        assert_eq!(begun.elapsed(), Duration::from_millis(millis), "{ports:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_costs_a_head_start_and_a_refusing_one_nothing() {
        check(&[10], Ok(10), 10).await;
        check(&[1, 10], Ok(10), 260).await;
        check(&[2, 10], Ok(10), 10).await;
        check(&[1, 2, 10], Ok(10), 260).await;
        check(&[400, 10], Ok(10), 260).await;
        check(&[300, 100], Ok(300), 300).await;
        check(&[2, 2], Err(io::ErrorKind::ConnectionRefused), 0).await;
        check(&[], Err(io::ErrorKind::NotFound), 0).await;
    }

    #[test]
    fn families_take_turns() {
        let given = [
            "[::1]:1",
            "[::1]:2",
            "[::1]:3",
            "127.0.0.1:4",
            "127.0.0.1:5",
        ];
        let turned = in_turn(given.map(address));
        let ports: Vec<_> = turned.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [1, 4, 2, 5, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_address_is_tried_twice() {
        let seen = RefCell::new(Vec::new());
        let connect = |address: SocketAddr| {
            seen.borrow_mut().push(address.port());
            attempt(address)
        };
        let addresses = [1, 2, 1, 30].map(|port| address(&format!("127.0.0.1:{port}")));
        assert_eq!(first(addresses, connect).await.unwrap(), 30);
        assert_eq!(*seen.borrow(), [1, 2, 1, 30]);
    }
}
