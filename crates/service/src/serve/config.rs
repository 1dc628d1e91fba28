//! [pure] The limits of a server.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Waits;

/// The limits of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most connections at once; further ones wait to be accepted. Default 10,000.
    pub connections_max: usize,
    /// Most headers of a request. Default 100.
    pub headers_max: usize,
    /// Most bytes of a request's head. Default 64 KiB.
    pub head_bytes_max: usize,
    /// From the first byte of a request's head to its last. Default 10 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub head_timeout: Duration,
    /// How long a connection may stay without a request. Default 75 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub idle_timeout: Duration,
    /// Most bytes of a request's body. Default 2 MiB.
    pub body_bytes_max: usize,
    /// The longest pause within a request's body. Default 20 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub body_idle_timeout: Duration,
    /// The longest pause within an answer, while the client does not read. Default 30 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub write_idle_timeout: Duration,
    /// From a request's head to the answer's. Default 60 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub answer_timeout: Duration,
}

impl Config {
    pub(super) const fn waits(&self) -> Waits {
        Waits {
            head: self.head_timeout,
            idle: self.idle_timeout,
            write: self.write_idle_timeout,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            headers_max: 100,
            head_bytes_max: 64 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_bytes_max: 2 * 1024 * 1024,
            body_idle_timeout: Duration::from_secs(20),
            write_idle_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(60),
        }
    }
}
