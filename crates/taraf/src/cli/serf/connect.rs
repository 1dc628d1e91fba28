//! From the flags that every client command has to a connection.

use std::path::Path;

use taraf_gossip::rpc::Client;

use super::command::{Call, Failed};
use super::flags::{Flag, Kind};

const DEFAULT_ADDRESS: &str = "127.0.0.1:7373";

/// Where the agent is, and what it wants to hear.
pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "rpc-addr",
        kind: Kind::Text,
        value: "=127.0.0.1:7373",
        help: "Where the agent serves RPC, or unix:/PATH for its socket. SERF_RPC_ADDR sets another default.",
    },
    Flag {
        name: "rpc-auth",
        kind: Kind::Text,
        value: "=\"\"",
        help: "The agent's RPC key. SERF_RPC_AUTH sets another default.",
    },
];

/// Connects to the agent that the call names.
pub(super) async fn connect(call: &Call) -> Result<Client, Failed> {
    let flag = |name: &str, variable: &str| {
        let flag = call.flags.text(name).map(str::to_owned);
        flag.or_else(|| {
            std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())
        })
    };
    let address = flag("rpc-addr", "SERF_RPC_ADDR").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let key = flag("rpc-auth", "SERF_RPC_AUTH").unwrap_or_default();
    let connected = match address.strip_prefix("unix:") {
        Some(path) => Client::connect_local(Path::new(path), &key).await,
        None => Client::connect(&address, &key).await,
    };
    connected.map_err(|error| Failed::new(format!("Error connecting to Serf agent: {error}")))
}
