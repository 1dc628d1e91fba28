//! Why names cannot be answered for.

use std::io;
use std::net::SocketAddr;

/// Why the name server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The zone has no usable name.
    #[error("`{0}` is no domain that names can stand under, such as `taraf` or `cluster.example`")]
    Domain(String),
    /// The socket cannot be had.
    #[error("failed to listen on {address} for DNS over {transport}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A setting is out of its bounds.
    #[error("dns.{setting}: {why}")]
    Setting {
        /// The setting.
        setting: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl Error {
    /// Whether another program listens there.
    pub(super) fn is_taken(&self) -> bool {
        match self {
            Self::Listen { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            Self::Domain(_) | Self::Setting { .. } => false,
        }
    }
}
