//! What the flows call: a service that answers at once, the same for every server under test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What its answer holds.
pub(crate) const PROOF: &str = "\"denumire\":\"Exemplu SRL\"";
const BODY: &str = r#"{"cif":"13548146","denumire":"Exemplu SRL","judet":"Sibiu"}"#;

pub(crate) struct Upstream {
    address: SocketAddr,
    calls: Arc<AtomicU64>,
}

impl Upstream {
    /// On a thread of its own until the bench ends.
    pub(crate) fn start() -> Self {
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    connections.spawn(serve(stream, Arc::clone(&counted)));
                }
            });
        });
        let address = told.recv().unwrap();
        Self { address, calls }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls answered so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Requests without a body, one after the other.
async fn serve(mut stream: TcpStream, calls: Arc<AtomicU64>) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.set_nodelay(true).unwrap();
    let mut request = Vec::with_capacity(4_096);
    // A server that stops closes its connections.
    while stream
        .read_buf(&mut request)
        .await
        .is_ok_and(|read| read > 0)
    {
        if request.ends_with(b"\r\n\r\n") {
            calls.fetch_add(1, Ordering::Relaxed);
            request.clear();
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
