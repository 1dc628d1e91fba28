//! To an agent's door, with errors in the words that Serf's users know from Go.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take to be made (Serf's client).
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// An address or a connection was not to be had; the text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DialError(pub String);

/// The host and port of `HOST:PORT` or `[HOST]:PORT`.
///
/// # Errors
/// When there is no port, or too much of anything, with Go's words: `address X: missing port in address`.
pub fn split_host_port(address: &str) -> Result<(&str, &str), DialError> {
    let wrong = |why: &str| Err(DialError(format!("address {address}: {why}")));
    let Some(colon) = address.rfind(':') else {
        return wrong("missing port in address");
    };
    let (host, port) = (&address[..colon], &address[colon + 1..]);
    if let Some(rest) = address.strip_prefix('[') {
        let Some(end) = rest.find(']') else {
            return wrong("missing ']' in address");
        };
        let (host, behind) = (&rest[..end], &rest[end + 1..]);
        return match behind.strip_prefix(':') {
            Some(port) if !port.contains(':') => Ok((host, port)),
            Some(_) => wrong("too many colons in address"),
            None => wrong("missing port in address"),
        };
    }
    if host.contains(':') {
        return wrong("too many colons in address");
    }
    if host.contains(['[', ']']) {
        return wrong("unexpected '[' in address");
    }
    Ok((host, port))
}

/// A port as a number.
///
/// # Errors
/// When it is none, with Go's words.
pub fn port(text: &str) -> Result<u16, DialError> {
    // Go takes no port for port 0.
    if text.is_empty() {
        return Ok(0);
    }
    match text.parse::<i64>() {
        Ok(number) => u16::try_from(number)
            .map_err(|_range| DialError(format!("address {text}: invalid port"))),
        Err(_none) => Err(DialError(format!("address tcp/{text}: unknown port"))),
    }
}

/// Every address that `HOST:PORT` stands for.
///
/// # Errors
/// When it stands for none, with Go's words.
pub async fn resolve(address: &str) -> Result<Vec<SocketAddr>, DialError> {
    let (host, port_text) = split_host_port(address)?;
    let port = port(port_text)?;
    // An address without a host is this machine's, as for Go.
    let host = if host.is_empty() { "localhost" } else { host };
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let unknown = || DialError(format!("lookup {host}: no such host"));
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<_> = found.map_err(|_unknown| unknown())?.collect();
    if found.is_empty() {
        Err(unknown())
    } else {
        Ok(found)
    }
}

/// Connects to `HOST:PORT`.
///
/// # Errors
/// When that fails, as `dial tcp 127.0.0.1:7373: connect: connection refused`.
pub async fn connect(address: &str) -> Result<TcpStream, DialError> {
    if address.is_empty() {
        return Err(DialError("dial tcp: missing address".to_owned()));
    }
    let addresses = resolve(address).await;
    let addresses = addresses.map_err(|error| DialError(format!("dial tcp: {error}")))?;
    let mut last = DialError("dial tcp: missing address".to_owned());
    for address in addresses {
        let failed = match timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => format!("connect: {}", text_of(&error)),
            Err(_elapsed) => "i/o timeout".to_owned(),
        };
        last = DialError(format!("dial tcp {address}: {failed}"));
    }
    Err(last)
}

/// What the operating system says, in the words of Go: those of the C library in lower case, without a number.
#[must_use]
pub fn text_of(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match text.find(" (os error ") {
        Some(end) => &text[..end],
        None => text.as_str(),
    };
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_told_apart_as_go_does() {
        let check = |address, expected: Result<(&str, &str), &str>| {
            let split = split_host_port(address).map_err(|error| error.to_string());
            assert_eq!(split, expected.map_err(str::to_owned), "{address}");
        };
        check("127.0.0.1:7373", Ok(("127.0.0.1", "7373")));
        check("[::1]:7373", Ok(("::1", "7373")));
        check(":7373", Ok(("", "7373")));
        check("host:", Ok(("host", "")));
        check(
            "127.0.0.2",
            Err("address 127.0.0.2: missing port in address"),
        );
        check("[::1]", Err("address [::1]: missing port in address"));
        check("::1", Err("address ::1: too many colons in address"));
        check("[::1", Err("address [::1: missing ']' in address"));
        check(
            "[::1]:1:2",
            Err("address [::1]:1:2: too many colons in address"),
        );
    }

    #[tokio::test]
    async fn errors_are_those_of_go() {
        let check = async |address: &str, expected: &str| {
            let error = connect(address).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("", "dial tcp: missing address").await;
        check(
            "127.0.0.2",
            "dial tcp: address 127.0.0.2: missing port in address",
        )
        .await;
        check("127.0.0.2:99999", "dial tcp: address 99999: invalid port").await;
        check("127.0.0.2:abc", "dial tcp: address tcp/abc: unknown port").await;
        // A port that was just given back answers nobody.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        check(
            &address,
            &format!("dial tcp {address}: connect: connection refused"),
        )
        .await;
    }
}
