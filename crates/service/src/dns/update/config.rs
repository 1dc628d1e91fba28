//! What can be said of a server to which names are published.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use taraf_base::{Secret, duration};

use super::super::config::seconds;
use super::error::Error;
use super::key::{self, Key};

/// `[dns.update.NAME]`: a zone of an authoritative server, and what is published in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server that takes updates of the zone: `HOST:PORT`.
    pub server: String,
    /// The zone that is changed there.
    pub zone: String,
    /// The file with the key, as `tsig-keygen` writes it, or the secret alone in base64.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The secret of the key in base64, in place of a file; best by `TARAF_DNS__UPDATE__NAME__SECRET`.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The name of the key; needed where the file does not say it.
    #[serde(default)]
    pub key_name: Option<String>,
    /// Whose records these are: clusters that publish into one zone need a name each, of letters, digits and hyphens.
    #[serde(default = "owner")]
    pub owner: String,
    /// The name of a node below the zone, with `{node}` for its own; empty to publish none.
    #[serde(default = "node")]
    pub node: String,
    /// The name that has the addresses of a service, with `{service}` for its own; empty to publish none.
    #[serde(default = "service")]
    pub service: String,
    /// The name that has the ports of a service, with `{service}` for its own; empty to publish none.
    #[serde(default = "places")]
    pub srv: String,
    /// The services that are published; all where the list is empty.
    #[serde(default)]
    pub services: Vec<String>,
    /// Tags that must be carried for nodes and instances to be published.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// How long the records may be kept by resolvers, in whole seconds.
    #[serde(default = "ttl", with = "duration::serde")]
    pub ttl: Duration,
    /// How often the zone is compared anew, though nothing changed.
    #[serde(default = "resync", with = "duration::serde")]
    pub resync: Duration,
    /// How long after the start nothing is removed: a cluster that is not known yet is not gone.
    #[serde(default = "removals_after", with = "duration::serde")]
    pub removals_after: Duration,
    /// How much later than the one before it each further node acts, in the order of their names.
    #[serde(default = "stagger", with = "duration::serde")]
    pub stagger: Duration,
}

fn owner() -> String {
    "taraf".to_owned()
}

fn node() -> String {
    "{node}.node".to_owned()
}

fn service() -> String {
    "{service}.service".to_owned()
}

fn places() -> String {
    "_{service}._tcp".to_owned()
}

const fn ttl() -> Duration {
    Duration::from_secs(10)
}

const fn resync() -> Duration {
    Duration::from_secs(300)
}

const fn removals_after() -> Duration {
    Duration::from_secs(30)
}

const fn stagger() -> Duration {
    Duration::from_secs(3)
}

impl Config {
    /// Checks what the types do not, and reads the key.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub(super) fn key(&self) -> Result<Key, Error> {
        let wrong = |setting: &'static str, why: String| Error::Setting { setting, why };
        seconds(self.ttl).map_err(|why| wrong("ttl", why))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.owner.is_empty() || self.owner.len() > 63 || !self.owner.chars().all(is_plain) {
            let why = format!(
                "`{}` has other than 1 to 63 letters, digits and hyphens",
                self.owner
            );
            return Err(wrong("owner", why));
        }
        for (setting, template, place) in [
            ("node", &self.node, "{node}"),
            ("service", &self.service, "{service}"),
            ("srv", &self.srv, "{service}"),
        ] {
            if !template.is_empty() && !template.contains(place) {
                let why = format!("`{template}` has no {place}: all would have one name");
                return Err(wrong(setting, why));
            }
        }
        match (&self.key_file, &self.secret) {
            (Some(_), Some(_)) => {
                let why = "both a key_file and a secret; give one of them".to_owned();
                Err(wrong("secret", why))
            }
            (None, None) => {
                let why = "neither a key_file nor a secret: without a key nobody takes updates"
                    .to_owned();
                Err(wrong("key_file", why))
            }
            (None, Some(secret)) => key::parse(secret.expose(), self.key_name.as_deref())
                .map_err(|why| wrong("secret", why)),
            (Some(file), None) => {
                let named = |why: String| wrong("key_file", format!("{}: {why}", file.display()));
                let text = key::read(file).map_err(named)?;
                key::parse(text.expose(), self.key_name.as_deref()).map_err(named)
            }
        }
    }
}
