//! Servers that the tests write themselves: each connection does what the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use taraf_base::Tasks;
use taraf_service::client::Config;
use taraf_service::{Body, CallError, CallPolicy, Client, Directory, Endpoint, ServiceName, body};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What tests wait for at most.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A loopback server that counts its connections and the heads it has read.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
}

/// One accepted connection.
pub(crate) struct Talk {
    pub(crate) stream: TcpStream,
    /// Counts from 0.
    pub(crate) number: usize,
    requests: Arc<AtomicUsize>,
    buffer: Vec<u8>,
}

impl Peer {
    /// Each connection is a task of its own.
    pub(crate) async fn start<F, R>(tasks: &Tasks, act: F) -> Self
    where
        F: Fn(Talk) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (peer.connections.clone(), peer.requests.clone());
        let inner = tasks.clone();
        tasks.spawn("peer", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let talk = Talk {
                    stream,
                    number: connections.fetch_add(1, Ordering::SeqCst),
                    requests: requests.clone(),
                    buffer: Vec::new(),
                };
                inner.spawn("talk", act(talk));
            }
        });
        peer
    }

    /// Answers every request with its request line and keeps connections.
    pub(crate) async fn echo(tasks: &Tasks) -> Self {
        Self::start(tasks, |mut talk| async move {
            while let Some(head) = talk.head().await {
                let line = head.lines().next().unwrap().to_owned();
                talk.answer("200 OK", &line).await;
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Talk {
    /// The next request's head; `None` at the end of the connection. Bodies of known length are
    /// read and dropped.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                let head = String::from_utf8(head).unwrap();
                let length = head
                    .to_ascii_lowercase()
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                    .unwrap_or(0);
                while self.buffer.len() < length {
                    self.read().await?;
                }
                self.buffer.drain(..length);
                self.requests.fetch_add(1, Ordering::SeqCst);
                return Some(head);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (count > 0).then_some(())
    }

    pub(crate) async fn answer(&mut self, status: &str, body: &str) {
        let length = body.len();
        self.write(&format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    pub(crate) async fn write(&mut self, text: &str) {
        // The client may have gone.
        let _written = self.stream.write_all(text.as_bytes()).await;
    }
}

/// A client of one service called `peer`, and what publishes its directory.
pub(crate) struct Rig {
    pub(crate) client: Client,
    pub(crate) directory: watch::Sender<Arc<Directory>>,
}

impl Rig {
    pub(crate) fn new(addresses: &[SocketAddr], config: Config, tasks: &Tasks) -> Self {
        let directory = watch::Sender::new(Arc::new(directory(addresses)));
        let config = Config {
            seed: config.seed.or(Some(1)),
            ..config
        };
        Self {
            client: Client::new(directory.subscribe(), config, tasks),
            directory,
        }
    }

    pub(crate) fn publish(&self, addresses: &[SocketAddr]) {
        self.directory.send_replace(Arc::new(directory(addresses)));
    }

    /// The same addresses, of which these take no new calls.
    pub(crate) fn drain(&self, addresses: &[SocketAddr], drained: &[SocketAddr]) {
        let endpoint = |address: &SocketAddr| Endpoint {
            drained: drained.contains(address),
            ..Endpoint::new(*address)
        };
        let name = ServiceName::new("peer").unwrap();
        let endpoints = addresses.iter().map(endpoint).collect();
        let directory = Directory::new().with(name, endpoints);
        self.directory.send_replace(Arc::new(directory));
    }

    /// The status and the body of `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Bytes), CallError> {
        self.send(get(path), &CallPolicy::default()).await
    }

    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        policy: &CallPolicy,
    ) -> Result<(u16, Bytes), CallError> {
        whole(self.client.call(request, policy).await?).await
    }
}

pub(crate) async fn whole(response: Response<Body>) -> Result<(u16, Bytes), CallError> {
    let status = response.status().as_u16();
    let bytes = body::collect(response.into_body(), 1 << 24).await?;
    Ok((status, bytes))
}

pub(crate) fn directory(addresses: &[SocketAddr]) -> Directory {
    let endpoints = addresses.iter().map(|address| Endpoint::new(*address));
    Directory::new().with(ServiceName::new("peer").unwrap(), endpoints.collect())
}

pub(crate) fn get(path: &str) -> Request<Body> {
    let uri = format!("http://peer.service{path}");
    Request::get(uri).body(body::empty()).unwrap()
}

pub(crate) fn post(path: &str, text: &'static str) -> Request<Body> {
    let uri = format!("http://peer.service{path}");
    Request::post(uri).body(body::full(text)).unwrap()
}

/// Waits until a value is as it should be.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(LIMIT, wait).await.is_err() {
        panic!("never: {what}");
    }
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
