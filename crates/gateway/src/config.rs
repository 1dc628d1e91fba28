//! Settings of the listener and the limits of every call.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
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
    /// What is refused, closed or given up.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            cores: None,
            trust_forwarded: false,
            limits: Limits::default(),
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
