//! What can be said of the name server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use taraf_base::duration;

use super::error::Error;
use super::update;

/// Where names are asked for unless the configuration says otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8600);

/// Most addresses that one server listens at.
const LISTENERS_MAX: usize = 16;
/// Longest that an answer may be kept: a day, in seconds.
const TTL_SECONDS_MAX: u64 = 86_400;

/// `[dns]`: names of nodes and services, answered here and published elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether names are answered here.
    pub enabled: bool,
    /// Where, over UDP and TCP: an address or a list of addresses. Where none is given, `127.0.0.1:8600`, or any free
    /// port of it when another program has that one.
    #[serde(deserialize_with = "one_or_more")]
    pub listen: Vec<SocketAddr>,
    /// The domain under which the names stand.
    pub domain: String,
    /// How long an answer may be kept, in whole seconds.
    #[serde(with = "duration::serde")]
    pub ttl: Duration,
    /// Most records of an answer; which ones, chance decides, the heavier the likelier.
    pub answers_max: usize,
    /// Most bytes of an answer over UDP.
    pub udp_bytes_max: u16,
    /// Connections over TCP at a time.
    pub connections_max: usize,
    /// Answers a second over UDP to one client (an IPv4 address, an IPv6 network of 56 bits); 0 is no limit.
    pub answers_per_second: u32,
    /// Authoritative servers elsewhere to which names are published, each under a name of its own.
    pub update: BTreeMap<String, update::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: Vec::new(),
            domain: "taraf".to_owned(),
            ttl: Duration::from_secs(1),
            answers_max: 64,
            udp_bytes_max: 1_232,
            connections_max: 128,
            answers_per_second: 1_000,
            update: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Names the setting that is out of bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |setting: &str, why: String| {
            Err(Error::Setting {
                setting: setting.to_owned(),
                why,
            })
        };
        let listeners = self.listen.len();
        if listeners > LISTENERS_MAX {
            let why = format!("{listeners} addresses; there may be {LISTENERS_MAX}");
            return refuse("listen", why);
        }
        if self.answers_max == 0 {
            return refuse(
                "answers_max",
                "0; an answer holds at least 1 record".to_owned(),
            );
        }
        if !(512..=4096).contains(&self.udp_bytes_max) {
            let why = format!("{} bytes; it may be 512 to 4096", self.udp_bytes_max);
            return refuse("udp_bytes_max", why);
        }
        seconds(self.ttl).map_or_else(|why| refuse("ttl", why), |_| Ok(()))
    }

    /// How long an answer may be kept, in seconds.
    pub(super) fn ttl_seconds(&self) -> u32 {
        seconds(self.ttl).unwrap_or_default()
    }
}

/// A time for which something may be kept, as records hold it.
pub(super) fn seconds(time: Duration) -> Result<u32, String> {
    let is_whole = time.subsec_nanos() == 0 && time.as_secs() <= TTL_SECONDS_MAX;
    u32::try_from(time.as_secs())
        .ok()
        .filter(|_| is_whole)
        .ok_or_else(|| {
            let time = duration::format(time);
            format!("{time}; it is a number of whole seconds, at most a day")
        })
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "an address such as \"127.0.0.1:8600\", or a list of them"
    )]
    enum Listen {
        One(SocketAddr),
        More(Vec<SocketAddr>),
    }
    Ok(match Listen::deserialize(from)? {
        Listen::One(address) => vec![address],
        Listen::More(addresses) => addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn one_address_or_several() {
        let one = read(r#"{"listen": "127.0.0.1:53"}"#).unwrap();
        assert_eq!(one.listen.len(), 1);
        let two = read(r#"{"listen": ["0.0.0.0:53", "[::1]:53"]}"#).unwrap();
        assert_eq!(two.listen.len(), 2);
        let error = read(r#"{"listen": "here"}"#).unwrap_err();
        assert!(error.contains("an address such as"), "{error}");
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        for (json, setting) in [
            (r#"{"answers_max": 0}"#, "dns.answers_max: 0"),
            (r#"{"udp_bytes_max": 100}"#, "dns.udp_bytes_max: 100 bytes"),
            (r#"{"ttl": "1500ms"}"#, "dns.ttl: "),
            (r#"{"ttl": "2d"}"#, "dns.ttl: "),
        ] {
            let error = read(json).unwrap().check().unwrap_err().to_string();
            assert!(error.starts_with(setting), "{error}");
        }
        Config::default().check().unwrap();
    }
}
