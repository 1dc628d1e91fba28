//! `[gossip]`: how this node is a member of a cluster, found by Serf's protocol.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use taraf_base::Secret;
use taraf_gossip::config::{DEFAULT_PORT, Timing};

use super::loopback;

/// Where Serf's RPC is asked for when nobody says otherwise.
pub(crate) const RPC_PORT: u16 = 7373;

/// The addresses taken when the configuration says none. Others on the same machine may have them.
pub(crate) const BIND: SocketAddr = loopback(DEFAULT_PORT);
pub(crate) const RPC_LISTEN: SocketAddr = loopback(RPC_PORT);

/// `[gossip]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting by its own name"
)]
pub(crate) struct Gossip {
    /// Whether the node is a member at all.
    pub(crate) enabled: bool,
    /// Where gossip is listened for, by UDP and TCP; `127.0.0.1:7946`, or any free port of it when another program has
    /// that one.
    pub(crate) bind: Option<SocketAddr>,
    /// What others are told instead. Port 0 stands for that of `bind`.
    pub(crate) advertise: Option<SocketAddr>,
    /// The name of the member, unique in its cluster; `taraf-HOST-PORT` where it is absent.
    pub(crate) name: Option<String>,
    /// Addresses of members to join at the start: one of them must answer.
    pub(crate) join: Vec<String>,
    /// The same, tried until one answers.
    pub(crate) retry_join: Vec<String>,
    #[serde(with = "taraf_base::duration::serde")]
    pub(crate) retry_interval: Duration,
    /// Whether packets are encrypted; on in `dev` and with a key, else off. The keys lie in the data directory, where one
    /// is made if there is none.
    pub(crate) encrypt: Option<bool>,
    /// The gossip key in base64 (`taraf keygen` prints one) that the keyring begins with, instead of one that is made.
    pub(crate) encrypt_key: Option<Secret>,
    /// The same, read from a file.
    pub(crate) encrypt_key_file: Option<PathBuf>,
    /// The name of the cluster; members that say another are not taken, those that say none are, as Serf's own agents.
    /// Empty for none.
    pub(crate) cluster: String,
    pub(crate) profile: Profile,
    /// Constants of the protocol that differ from those of the profile.
    pub(crate) timing: Timing,
    /// Whether packets are compressed.
    pub(crate) compress: bool,
    /// Whether a member that left in good order joins again at its next start those who were there.
    pub(crate) rejoin: bool,
    /// What the member says of itself beside its services.
    pub(crate) tags: BTreeMap<String, String>,
    /// Whether the services that run in this process are offered to the cluster.
    pub(crate) offer: bool,
    /// Scripts for events, in Serf's spelling: `member-join,user:deploy=./script.sh`.
    pub(crate) handlers: Vec<String>,
    /// How long a handler may run.
    #[serde(with = "taraf_base::duration::serde")]
    pub(crate) handler_timeout: Duration,
    pub(crate) rpc: Rpc,
}

/// How fast members notice one another, as Serf's profiles.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    #[default]
    Lan,
    Wan,
    Local,
}

/// `[gossip.rpc]`: Serf's RPC, for its command line and client libraries.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rpc {
    pub(crate) enabled: bool,
    /// `127.0.0.1:7373`, or any free port of it when another program has that one.
    pub(crate) listen: Option<SocketAddr>,
    /// What clients must know; a file with it, when there is something.
    pub(crate) auth_key_file: Option<PathBuf>,
    /// A socket in the file system beside it, whose own user needs no key.
    pub(crate) socket: Option<PathBuf>,
    /// Further users who need none there.
    pub(crate) socket_users: Vec<u32>,
}

impl Default for Gossip {
    fn default() -> Self {
        Self {
            enabled: true,
            bind: None,
            advertise: None,
            name: None,
            join: Vec::new(),
            retry_join: Vec::new(),
            retry_interval: Duration::from_secs(30),
            encrypt: None,
            encrypt_key: None,
            encrypt_key_file: None,
            cluster: String::new(),
            profile: Profile::default(),
            timing: Timing::default(),
            compress: true,
            rejoin: true,
            tags: BTreeMap::new(),
            offer: true,
            handlers: Vec::new(),
            handler_timeout: taraf_gossip::handlers::Settings::default().time_max,
            rpc: Rpc::default(),
        }
    }
}

impl Default for Rpc {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: None,
            auth_key_file: None,
            socket: None,
            socket_users: Vec::new(),
        }
    }
}

impl Gossip {
    /// Whether packets are to be encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        let has_key = self.encrypt_key.is_some() || self.encrypt_key_file.is_some();
        self.encrypt.unwrap_or(has_key)
    }

    /// The files that it names, whose relative paths start at the configuration.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let rpc = &mut self.rpc;
        let files = [
            &mut self.encrypt_key_file,
            &mut rpc.auth_key_file,
            &mut rpc.socket,
        ];
        files.into_iter().flatten()
    }
}
