//! [pure] Settings of the cache: of the whole, and of a route.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

/// What the gateway keeps in all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most memory for answers, their heads and their keys: 64 MiB. What was not used for the
    /// longest time goes first.
    pub bytes: usize,
    /// The largest body that is kept: 1 MiB; at most a sixteenth of `bytes` is.
    pub entry_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            entry_bytes: 1 << 20,
        }
    }
}

/// What a route says of keeping its answers; `true` for the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// How long an answer is fresh that does not say so itself; without it such an answer is not
    /// kept.
    pub ttl: Option<Duration>,
    /// How long after that it may be answered while it is asked for anew, where it does not say so
    /// itself.
    pub stale_while_revalidate: Option<Duration>,
    /// How long after that it may be answered when the service fails, where it does not say so itself.
    pub stale_if_error: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(deserialize_with = "duration")]
    ttl: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    stale_while_revalidate: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    stale_if_error: Option<Duration>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let read = taraf_base::duration::parse(&text);
    read.map(Some).map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for Cache {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Self::default()),
            value @ Value::Object(_) => {
                let written = Written::deserialize(value).map_err(D::Error::custom)?;
                Ok(Self {
                    ttl: written.ttl,
                    stale_while_revalidate: written.stale_while_revalidate,
                    stale_if_error: written.stale_if_error,
                })
            }
            _other => Err(D::Error::custom("`true` or a mapping is expected")),
        }
    }
}

/// A route's settings with defaults in place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) ttl: Option<Duration>,
    pub(crate) while_revalidating: Duration,
    pub(crate) if_error: Duration,
}

impl Plan {
    pub(crate) fn build(settings: &Cache) -> Self {
        Self {
            ttl: settings.ttl,
            while_revalidating: settings.stale_while_revalidate.unwrap_or_default(),
            if_error: settings.stale_if_error.unwrap_or_default(),
        }
    }
}
