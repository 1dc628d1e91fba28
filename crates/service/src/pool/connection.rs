//! One connection: made, asked, kept. It is driven by whoever uses it, without a task of its own.
//!
//! A call polls the connection itself, and so does the body of its answer: no second task has to be
//! woken, and giving up a call closes the connection at once. A kept connection is polled when it is
//! taken out, which shows whether the other side has closed it meanwhile.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Place;
use crate::client::Config;
use crate::{Body, CallError};

/// A connection that calls go through, one after another.
pub(crate) struct Connection {
    sender: http1::SendRequest<Body>,
    driver: http1::Connection<TokioIo<Stream>, Body>,
    /// The driver must not be polled after its end.
    has_ended: bool,
    /// Where it is kept: with the thread that made it, whose poller watches it.
    pub(super) shard: usize,
    /// Since when it waits for a call, as the time since the client began.
    pub(super) idle_since: Duration,
}

/// Why a connection gave no answer.
pub(crate) struct Broken {
    pub(crate) error: hyper::Error,
    /// The request, when nothing of it was sent.
    pub(crate) unsent: Option<Request<Body>>,
}

impl Connection {
    /// Connects and is ready for the first request.
    pub(super) async fn open(
        place: &Place,
        config: &Config,
        tls: impl FnOnce() -> Arc<rustls::ClientConfig>,
        shard: usize,
    ) -> Result<Self, CallError> {
        let stream = match tokio::time::timeout(config.connect_timeout, connect(place, tls)).await {
            Ok(connected) => connected?,
            Err(_elapsed) => {
                return Err(CallError::Timeout {
                    what: "connection",
                    limit: config.connect_timeout,
                });
            }
        };
        let handshake = http1::Builder::new()
            .max_headers(config.headers_max)
            .max_buf_size(config.head_bytes_max)
            .handshake(TokioIo::new(stream));
        let (sender, driver) = handshake
            .await
            .map_err(|error| CallError::Closed(error.into()))?;
        Ok(Self {
            sender,
            driver,
            has_ended: false,
            shard,
            idle_since: Duration::ZERO,
        })
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn ask(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Broken> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, has_ended) = (&mut self.driver, &mut self.has_ended);
        let result = poll_fn(|cx| {
            if !*has_ended && Pin::new(&mut *driver).poll(cx).is_ready() {
                // The driver has told the answer's future why before it ended.
                *has_ended = true;
            }
            answer.as_mut().poll(cx)
        });
        result.await.map_err(|mut error| Broken {
            unsent: error.take_message(),
            error: error.into_error(),
        })
    }

    /// Does what can be done now without waiting.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.has_ended {
            self.has_ended = Pin::new(&mut self.driver).poll(cx).is_ready();
        }
    }

    /// Whether nothing will come any more.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the next request can be sent: the last answer was read to its end, and the other
    /// side still listens as far as can be known.
    pub(super) fn is_ready(&self) -> bool {
        !self.has_ended && self.sender.is_ready()
    }

    /// Whether a kept connection can be used, after looking at what the other side did meanwhile.
    pub(super) fn is_alive(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_ready()
    }
}

async fn connect(
    place: &Place,
    tls: impl FnOnce() -> Arc<rustls::ClientConfig>,
) -> Result<Stream, CallError> {
    let failed = |source| CallError::Connect {
        to: place.to_string(),
        source,
    };
    let (host, port, is_tls) = match place {
        Place::Address(address) => {
            let stream = TcpStream::connect(address).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            return Ok(Stream::Plain(stream));
        }
        Place::Origin { host, port, tls } => (host, *port, *tls),
    };
    let stream = connect_by_name(host, port).await?;
    stream.set_nodelay(true).map_err(failed)?;
    if !is_tls {
        return Ok(Stream::Plain(stream));
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let stream = TlsConnector::from(tls()).connect(name, stream).await;
    Ok(Stream::Tls(Box::new(stream.map_err(failed)?)))
}

/// Tries the addresses of a name in the resolver's order.
async fn connect_by_name(host: &str, port: u16) -> Result<TcpStream, CallError> {
    let resolve = |source| CallError::Resolve {
        host: host.to_owned(),
        source,
    };
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(resolve)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(CallError::Connect {
        to: format!("{host}:{port}"),
        source: last,
    })
}

/// TLS as the web does it: the roots that browsers trust, HTTP/1.1 only.
pub(crate) fn web_tls() -> Arc<rustls::ClientConfig> {
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Bytes to and from the other side.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
