//! Why the gateway could not start.

use std::net::SocketAddr;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The listener's certificates cannot be used.
    #[error("the certificates of the gateway cannot be used")]
    Tls(#[from] crate::tls::Error),
}
