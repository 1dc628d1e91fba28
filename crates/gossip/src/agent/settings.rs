//! What an agent is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::NoAddress;
use crate::net::BindError;
use crate::{cluster, serf, snapshot};

/// The settings of an agent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where gossip is listened for. Port 0 for any that is free.
    pub bind: SocketAddr,
    /// What others are told instead, if not that.
    pub advertise: Option<SocketAddr>,
    /// The member. Its address and port are filled in at the start, from those above.
    pub cluster: cluster::Config,
    /// The rejoin file, if there is one.
    pub snapshot: Option<PathBuf>,
    /// Whether the rejoin file is used after a leave too.
    pub rejoins_after_leave: bool,
    /// Where the gossip keys are kept, if they are.
    pub keyring: Option<PathBuf>,
}

/// An agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be had.
    #[error("Could not set up network transport: failed to obtain an address")]
    Bind(#[from] BindError),
    /// There is no address to tell the others.
    #[error("Failed to get final advertise address")]
    Address(#[from] NoAddress),
    /// The member cannot be: its tags do not fit, for one.
    #[error(transparent)]
    Member(#[from] serf::Error),
    /// The rejoin file or that of the gossip keys cannot be used.
    #[error(transparent)]
    File(#[from] snapshot::Error),
}
