//! Addresses to bind and to advertise, with Serf's port where none is named.

use std::net::SocketAddr;

use super::DEFAULT_PORT;
use crate::rpc::dial::{DialError, resolve, split_host_port};

/// A text is no address; the words are Go's.
pub type AddressError = DialError;

/// Reads `HOST`, `HOST:PORT`, `[HOST]` or `[HOST]:PORT`; a host may be a name.
///
/// # Errors
/// When it is none of these, or the host has no address.
pub async fn listen_address(text: &str) -> Result<SocketAddr, AddressError> {
    let with_port = match split_host_port(text) {
        Err(error) if error.0.ends_with("missing port in address") => {
            format!("{text}:{DEFAULT_PORT}")
        }
        Ok(_) | Err(_) => text.to_owned(),
    };
    let found = resolve(&with_port).await?;
    // IPv4 first, as Go prefers it where both are there.
    let first = found
        .iter()
        .find(|address| address.is_ipv4())
        .or_else(|| found.first());
    first
        .copied()
        .ok_or_else(|| DialError(format!("lookup {text}: no such host")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_port_may_be_left_out() {
        let check = async |text: &str, expected: &str| {
            assert_eq!(listen_address(text).await.unwrap().to_string(), expected);
        };
        check("127.0.0.5", "127.0.0.5:7946").await;
        check("127.0.0.5:1", "127.0.0.5:1").await;
        check("[::1]", "[::1]:7946").await;
        check("[::1]:2", "[::1]:2").await;
        check("0.0.0.0", "0.0.0.0:7946").await;
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused_in_gos_words() {
        let check = async |text: &str, expected: &str| {
            assert_eq!(
                listen_address(text).await.unwrap_err().to_string(),
                expected
            );
        };
        check("127.0.0.5:99999", "address 99999: invalid port").await;
        check("::1", "address ::1: too many colons in address").await;
    }
}
