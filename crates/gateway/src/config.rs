//! Settings of the listener and the limits of every call.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Settings of the front door.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens: `127.0.0.1:7400`.
    pub listen: SocketAddr,
    /// Threads that each accept and serve connections of their own: one for each core.
    pub cores: Option<NonZero<usize>>,
    /// Whether `x-forwarded-*` of the caller are believed and continued, as behind a balancer of
    /// one's own: false.
    pub trust_forwarded: bool,
    /// TLS on the listener; without it the listener speaks without.
    pub tls: Option<Tls>,
    /// HTTP/2 on the listener.
    pub http2: Http2,
    /// What is refused, closed or given up.
    pub limits: Limits,
    /// Who else may call than those with an API key.
    pub auth: crate::auth::Config,
    /// What is kept of the answers of routes that say so.
    pub cache: crate::cache::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            cores: None,
            trust_forwarded: false,
            tls: None,
            http2: Http2::default(),
            limits: Limits::default(),
            auth: crate::auth::Config::default(),
            cache: crate::cache::Config::default(),
        }
    }
}

/// TLS of the listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates by the names in them. A caller that asks for no known name gets the first.
    pub certificates: Vec<Certificate>,
    /// The oldest version that is spoken: `"1.2"`.
    #[serde(default)]
    pub minimum: TlsVersion,
    /// A PEM file of authorities; callers are then asked for a certificate of one of them.
    pub client_ca: Option<PathBuf>,
    /// Whether a caller without a certificate is let in: `required`.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
    /// How often the files are looked at, so that new ones are taken over: 10 s. SIGHUP looks at once.
    #[serde(default = "reload_default", with = "taraf_base::duration::serde")]
    pub reload: Duration,
}

const fn reload_default() -> Duration {
    Duration::from_secs(10)
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// A PEM file: the certificate, then those that it was signed with.
    pub certificate: PathBuf,
    /// A PEM file: the private key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Whether a caller must show a certificate when callers are asked for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// A caller without one is refused before its first request.
    #[default]
    Required,
    /// A caller without one is let in; one with a certificate that cannot be verified is not.
    Optional,
}

/// HTTP/2 on the listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http2 {
    /// Whether it is offered to callers that come by TLS: true.
    pub tls: bool,
    /// Whether a caller without TLS may begin with it, knowing that it is spoken here (h2c): false.
    pub plain: bool,
    /// Calls at once on one connection: 100.
    pub streams: u32,
    /// How many more calls a connection may reset than it lets end: 50. The connection is closed.
    pub resets: u32,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            tls: true,
            plain: false,
            streams: 100,
            resets: 50,
        }
    }
}

/// What is refused, closed or given up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections; further ones wait to be accepted: 10,000.
    pub connections: usize,
    /// Headers of a request: 100. Answered 431.
    pub headers: usize,
    /// Bytes of a request's first line and headers: 64 KiB. Answered 431.
    pub header_bytes: usize,
    /// Bytes of path and query: 8 KiB. Answered 414.
    pub uri_bytes: usize,
    /// Bytes of a request's body, unless its route says otherwise: 10 MiB. Answered 413.
    pub body_bytes: u64,
    /// The time for a whole head to arrive, and for which a connection may be idle: 15 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub header_read: Duration,
    /// The longest pause within a request's body: 30 s. Answered 408.
    #[serde(with = "taraf_base::duration::serde")]
    pub body_pause: Duration,
    /// The longest pause within an answer while the caller does not read: 30 s. The connection is
    /// closed.
    #[serde(with = "taraf_base::duration::serde")]
    pub write_pause: Duration,
    /// The time to an answer's head, unless the route says otherwise: 30 s. Answered 504.
    #[serde(with = "taraf_base::duration::serde")]
    pub deadline: Duration,
    /// The time to an answer's last byte: 10 min. The connection is closed.
    #[serde(with = "taraf_base::duration::serde")]
    pub total: Duration,
    /// The longest silence of what has no end: a tunnel, an event stream, a stream of gRPC: 10 min.
    #[serde(with = "taraf_base::duration::serde")]
    pub stream_idle: Duration,
    /// How long a stop waits for calls in flight: 30 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            headers: 100,
            header_bytes: 64 << 10,
            uri_bytes: 8 << 10,
            body_bytes: 10 << 20,
            header_read: Duration::from_secs(15),
            body_pause: Duration::from_secs(30),
            write_pause: Duration::from_secs(30),
            deadline: Duration::from_secs(30),
            total: Duration::from_secs(600),
            stream_idle: Duration::from_secs(600),
            drain: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused() {
        let read = |json: &str| serde_json::from_str::<Config>(json);
        assert_eq!(read("{}").unwrap(), Config::default());
        let limits = read(r#"{"limits": {"deadline": "5s"}}"#).unwrap().limits;
        assert_eq!(limits.deadline, Duration::from_secs(5));
        assert!(read(r#"{"lisen": "127.0.0.1:1"}"#).is_err());
    }
}
