//! [pure] What a client may do: limits, breakers, retries, and which hosts outside it may call.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{breaker, outlier, retry};

/// How a client behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For making a connection, TLS included. Default 2 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub connect_timeout: Duration,
    /// How long a connection is kept for the next call. Default 30 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub idle_timeout: Duration,
    /// Most connections kept for each endpoint. Default 256.
    pub idle_max: u32,
    /// Most calls under way to each endpoint. Default 1024.
    pub in_flight_max: u32,
    /// Most calls at once on one HTTP/2 connection. Default 100.
    pub streams_max: u32,
    /// Most headers of an answer. Default 100.
    pub headers_max: usize,
    /// Most bytes of an answer's head. Default 64 KiB.
    pub head_bytes_max: usize,
    /// Most hosts outside the directory that are remembered. Default 256.
    pub origins_max: usize,
    /// When endpoints are left alone.
    pub breaker: breaker::Config,
    /// When endpoints are ejected.
    pub outlier: outlier::Config,
    /// How many retries there may be.
    pub retry: retry::Config,
    /// Beginnings of URLs outside the directory that are replaced when connecting; the longest
    /// that fits counts.
    pub rewrites: Vec<Rewrite>,
    /// Which hosts outside the directory may be called. Default: any.
    pub egress: Egress,
    /// A PEM file with certificates of authorities that calls over TLS trust besides those that the
    /// web trusts.
    pub root_certificates: Option<PathBuf>,
    /// Fixes chance, for tests.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(30),
            idle_max: 256,
            in_flight_max: 1024,
            streams_max: 100,
            headers_max: 100,
            head_bytes_max: 64 * 1024,
            origins_max: 256,
            breaker: breaker::Config::default(),
            outlier: outlier::Config::default(),
            retry: retry::Config::default(),
            rewrites: Vec::new(),
            egress: Egress::Any,
            root_certificates: None,
            seed: None,
        }
    }
}

/// A beginning of URLs and what replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// The beginning, such as `https://webservicesp.anaf.ro`.
    pub from: String,
    /// What replaces it, such as `http://127.0.0.1:9000/anaf`.
    pub to: String,
}

/// Which hosts outside the directory may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// All.
    #[default]
    Any,
    /// None.
    None,
    /// These: `example.org` (that host), `.example.org` (its subdomains), each with an optional
    /// `:PORT`.
    Only(Vec<String>),
}
