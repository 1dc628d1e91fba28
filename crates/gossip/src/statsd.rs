//! What an agent counts, told to a statsd server by UDP under the names that Serf's telemetry has.

mod figures;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::figures::Figures;
use crate::agent::Handle;
use crate::rpc::Agent as _;

/// Between two tellings. Counts are summed up until then, which to the server is the same.
const EVERY: Duration = Duration::from_secs(1);
/// How long the search for the server may take.
const LOOKUP_MAX: Duration = Duration::from_secs(5);

/// Tells the server at `to`, `HOST:PORT`, until the tasks are stopped. `host` is part of the names of gauges.
pub fn start(handle: Handle, to: String, host: String, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn("statsd", async move {
        token.run_until_cancelled(tell(handle, &to, &host)).await;
    });
}

async fn tell(handle: Handle, to: &str, host: &str) {
    let mut figures = Figures::new(host);
    let mut events = handle.subscribe();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut server = None;
    let mut trouble = Trouble::default();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => figures.event(&event),
                // What was missed is not counted by its name.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => {
                let stats = handle.stats();
                let packets =
                    figures.packets(&handle.counters(), &handle.serf_counters(), |name| {
                        stats.get("serf")?.get(name)?.parse().ok()
                    });
                if server.is_none() {
                    server = trouble.of(to, connect(to).await);
                }
                let Some(socket) = &server else { continue };
                for packet in &packets {
                    // A server that is not there now may be there later, and elsewhere.
                    if let Err(error) = socket.send(packet).await {
                        server = trouble.of(to, Err(error));
                        break;
                    }
                }
            }
        }
    }
}

async fn connect(to: &str) -> io::Result<Arc<UdpSocket>> {
    let found = timeout(LOOKUP_MAX, lookup_host(to)).await??.next();
    let found = found.ok_or(io::ErrorKind::NotFound)?;
    let ours: SocketAddr = if found.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(ours).await?;
    socket.connect(found).await?;
    Ok(Arc::new(socket))
}

/// Says once that the server cannot be told, until it can.
#[derive(Default)]
struct Trouble {
    is_told: bool,
}

impl Trouble {
    fn of<T>(&mut self, to: &str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if !std::mem::replace(&mut self.is_told, true) {
                    tracing::warn!("no figures reach the statsd server {to}: {error}");
                }
                None
            }
        }
    }
}
