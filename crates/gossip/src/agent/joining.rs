//! Joining by addresses as people write them, with errors in Serf's words.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::Handle;
use super::shared::Ended;
use crate::net::resolve;
use crate::rpc::{Joined, Refused};

/// The text when the agent ends before the join does.
const STOPPED: &str = "Serf can't Join after Leave or Shutdown";

impl Handle {
    /// Makes this agent part of the cluster of those at `written`; with `replay`, old user events are told too.
    pub(super) async fn join_written(&self, written: Vec<String>, replay: bool) -> Joined {
        let mut parts = Vec::with_capacity(written.len());
        for written in &written {
            let resolved = resolve(written, self.shared.port).await;
            parts.push(resolved.map(|resolved| resolved.addresses));
        }
        let addresses: Vec<SocketAddr> = parts.iter().flatten().flatten().copied().collect();
        let ended = self
            .shared
            .command(|cluster, now, token| cluster.join(now, token, addresses, replay))
            .await;
        let joined = match ended {
            Some(Ended::Joined(Ok(joined))) => joined,
            Some(Ended::Joined(Err(error))) => return refused(error.to_string()),
            Some(Ended::Done(_) | Ended::Keys(_)) | None => return refused(STOPPED.to_owned()),
        };
        let error = match joined.contacted {
            0 => Some(Refused(all_errors(parts, joined.failed))),
            // As Serf, which says nothing of the others then.
            _ => None,
        };
        let count = u32::try_from(joined.contacted).unwrap_or(u32::MAX);
        Joined { count, error }
    }
}

fn refused(why: String) -> Joined {
    Joined {
        count: 0,
        error: Some(Refused(why)),
    }
}

/// All that went wrong, in the order in which the addresses were written.
fn all_errors(
    parts: Vec<Result<Vec<SocketAddr>, String>>,
    failed: Vec<(SocketAddr, String)>,
) -> String {
    let failed: HashMap<SocketAddr, String> = failed.into_iter().collect();
    let mut errors = Vec::new();
    for part in parts {
        match part {
            Err(why) => errors.push(why),
            Ok(addresses) => errors.extend(addresses.iter().filter_map(|address| {
                let why = failed.get(address)?;
                Some(format!("Failed to join {}: {why}", address.ip()))
            })),
        }
    }
    multi_error(&errors)
}

/// Several errors as the library of Serf's authors prints them.
fn multi_error(errors: &[String]) -> String {
    let mut text = match errors.len() {
        1 => "1 error occurred:".to_owned(),
        count => format!("{count} errors occurred:"),
    };
    for error in errors {
        // Writing to a string cannot fail.
        let _written = write!(text, "\n\t* {error}");
    }
    text.push_str("\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_listed_as_serf_does() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let refused = "dial tcp 127.0.0.200:7946: connect: connection refused";
        let failed = vec![(at("127.0.0.200:7946"), refused.to_owned())];
        assert_eq!(
            all_errors(vec![Ok(vec![at("127.0.0.200:7946")])], failed.clone()),
            format!("1 error occurred:\n\t* Failed to join 127.0.0.200: {refused}\n\n")
        );
        let parts = vec![
            Err("Failed to resolve x: lookup x: no such host".to_owned()),
            Ok(vec![at("127.0.0.200:7946")]),
        ];
        assert_eq!(
            all_errors(parts, failed),
            format!(
                "2 errors occurred:\n\t* Failed to resolve x: lookup x: no such host\n\t* Failed to join 127.0.0.200: {refused}\n\n"
            )
        );
    }
}
