//! What stands before an agent's advertised address: passes packets and streams on, loses some, or all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use taraf_base::{Rng, Tasks};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{PORT, address};

/// Everything is lost.
const ALL: u32 = 100;

/// Passes on what comes to `advertised`. It ends with the test.
pub(super) struct Proxy {
    pub(super) advertised: SocketAddr,
    /// Where the agent listens.
    pub(super) bind: SocketAddr,
    shared: Arc<Shared>,
    tasks: Tasks,
}

#[derive(Default)]
struct Shared {
    /// How many of 100 packets are lost, from anybody.
    lost: AtomicU32,
    /// From these addresses nothing comes through; and no stream from anybody, since streams do not say from whom.
    cut: std::sync::Mutex<Vec<std::net::IpAddr>>,
    /// What came, to be sent again.
    kept: std::sync::Mutex<Vec<Vec<u8>>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Proxy {
    pub(super) async fn start(seed: u64) -> Self {
        let advertised = SocketAddr::new(address(), PORT);
        let bind = SocketAddr::new(address(), PORT);
        let (shared, tasks) = (Arc::new(Shared::default()), Tasks::new());
        let socket = UdpSocket::bind(advertised).await.unwrap();
        let listener = TcpListener::bind(advertised).await.unwrap();
        tasks.spawn("packets", packets(socket, bind, seed, Arc::clone(&shared)));
        tasks.spawn(
            "streams",
            streams(listener, bind, Arc::clone(&shared), tasks.child()),
        );
        Self {
            advertised,
            bind,
            shared,
            tasks,
        }
    }

    pub(super) fn lose(&self, percent: u32) {
        self.shared.lost.store(percent, Ordering::Relaxed);
    }

    /// Nothing comes through any more from these.
    pub(super) fn cut(&self, from: &[&Self]) {
        let from = from.iter().map(|other| other.bind.ip()).collect();
        *self.shared.cut.lock().unwrap() = from;
    }

    /// All packets that have come so far.
    pub(super) fn kept(&self) -> Vec<Vec<u8>> {
        self.shared.kept.lock().unwrap().clone()
    }
}

async fn packets(socket: UdpSocket, to: SocketAddr, seed: u64, shared: Arc<Shared>) {
    let (mut chance, mut buffer) = (Rng::new(seed), vec![0; 65_536]);
    loop {
        // An error is that of a packet sent before: nobody listens yet.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let packet = &buffer[..length];
        shared.kept.lock().unwrap().push(packet.to_vec());
        let is_cut = shared.cut.lock().unwrap().contains(&from.ip());
        let is_lost = chance.below(u64::from(ALL)) < u64::from(shared.lost.load(Ordering::Relaxed));
        if !is_cut && !is_lost {
            // Lost too when it does not go.
            drop(socket.send_to(packet, to).await);
        }
    }
}

async fn streams(listener: TcpListener, to: SocketAddr, shared: Arc<Shared>, tasks: Tasks) {
    loop {
        let (mut from, _) = listener.accept().await.unwrap();
        let is_cut = !shared.cut.lock().unwrap().is_empty();
        tasks.spawn("stream", async move {
            if is_cut {
                return;
            }
            if let Ok(mut to) = TcpStream::connect(to).await {
                // One side closes and the other follows.
                drop(tokio::io::copy_bidirectional(&mut from, &mut to).await);
            }
        });
    }
}
