//! Addresses as people write them, `[NAME/]HOST[:PORT]`, as those that can be connected to.

use std::net::{IpAddr, SocketAddr};

/// What one written address stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The member that is expected there, when one was named.
    pub name: Option<String>,
    /// All addresses, each to be contacted.
    pub addresses: Vec<SocketAddr>,
}

/// Resolves `[NAME/]HOST[:PORT]`; without a port it is `port`.
///
/// # Errors
/// When it is not written so, or the host is unknown; in the words of Serf and Go.
pub async fn resolve(written: &str, port: u16) -> Result<Resolved, String> {
    let (name, place) = match written.split_once('/') {
        Some((name, place)) => (Some(name.to_owned()), place),
        None => (None, written),
    };
    if name.as_ref().is_some_and(String::is_empty) {
        return Err(format!(
            "Failed to resolve {written}: empty node name provided"
        ));
    }
    let failed = |why: String| format!("Failed to resolve {written}: {why}");
    let (host, port) = split(place, port).map_err(failed)?;
    let addresses = if let Ok(ip) = host.parse::<IpAddr>() {
        vec![SocketAddr::new(ip, port)]
    } else {
        let found = tokio::net::lookup_host((host, port)).await;
        let mut found: Vec<SocketAddr> = found
            .map_err(|_unknown| failed(format!("lookup {host}: no such host")))?
            .collect();
        found.dedup();
        found
    };
    if addresses.is_empty() {
        return Err(failed(format!("lookup {host}: no such host")));
    }
    Ok(Resolved { name, addresses })
}

/// Host and port; an IPv6 address without brackets has no port.
fn split(place: &str, port: u16) -> Result<(&str, u16), String> {
    let number = |text: &str| {
        text.parse::<u16>()
            .map_err(|_no_number| format!("address {place}: invalid port"))
    };
    if let Some(rest) = place.strip_prefix('[') {
        let (host, behind) = rest
            .split_once(']')
            .ok_or_else(|| format!("address {place}: missing ']' in address"))?;
        return match behind.strip_prefix(':') {
            Some(text) => Ok((host, number(text)?)),
            None if behind.is_empty() => Ok((host, port)),
            None => Err(format!("address {place}: missing port in address")),
        };
    }
    match place.split_once(':') {
        None => Ok((place, port)),
        Some(_) if place.parse::<IpAddr>().is_ok() => Ok((place, port)),
        Some((_, text)) if text.contains(':') => {
            Err(format!("address {place}: too many colons in address"))
        }
        Some((host, text)) => Ok((host, number(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_read_with_and_without_name_port_and_brackets() {
        for (written, name, address) in [
            ("127.0.0.2", None, "127.0.0.2:7946"),
            ("127.0.0.2:5", None, "127.0.0.2:5"),
            ("a1/127.0.0.2:5", Some("a1"), "127.0.0.2:5"),
            ("::1", None, "[::1]:7946"),
            ("[::1]", None, "[::1]:7946"),
            ("[::1]:5", None, "[::1]:5"),
        ] {
            let resolved = resolve(written, 7946).await.unwrap();
            assert_eq!(resolved.name.as_deref(), name, "{written}");
            assert_eq!(resolved.addresses, [address.parse().unwrap()], "{written}");
        }
    }

    #[tokio::test]
    async fn what_is_no_address_is_named_in_the_error() {
        for (written, why) in [
            ("/127.0.0.1", "empty node name provided"),
            ("127.0.0.1:99999", "address 127.0.0.1:99999: invalid port"),
            ("[::1", "address [::1: missing ']' in address"),
            ("[::1]x", "address [::1]x: missing port in address"),
            ("a:1:2", "address a:1:2: too many colons in address"),
        ] {
            let error = resolve(written, 7946).await.unwrap_err();
            assert_eq!(error, format!("Failed to resolve {written}: {why}"));
        }
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_no_host() {
        let error = resolve("no-such-host.invalid", 7946).await.unwrap_err();
        assert_eq!(
            error,
            "Failed to resolve no-such-host.invalid: lookup no-such-host.invalid: no such host"
        );
    }
}
