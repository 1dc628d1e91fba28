//! `join`: makes an agent part of a cluster.

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};

pub(super) const SPEC: Spec = Spec {
    name: "join",
    synopsis: "Make an agent part of a cluster",
    usage: "[options] address ...",
    about: "\nTells a running agent to join the cluster of the members at the addresses. One that\nanswers is enough.",
    flags: &[
        &[Flag {
            name: "replay",
            kind: Kind::Switch,
            value: "",
            help: "Tell user events from before the join too.",
        }],
        connect::FLAGS,
    ],
};

pub(super) async fn run(call: &Call) -> Done {
    let addresses = call.flags.rest();
    if addresses.is_empty() {
        return Err(call.misused("At least one address to join must be specified."));
    }
    let mut client = connect(call).await?;
    let replay = call.flags.switch("replay", false);
    let joined = client.join(addresses.to_vec(), replay).await;
    let failed =
        |error: &dyn std::fmt::Display| Failed::new(format!("Error joining the cluster: {error}"));
    let joined = joined.map_err(|error| failed(&error))?;
    if let Some(error) = joined.error {
        return Err(failed(&error));
    }
    say(&format!(
        "Successfully joined cluster by contacting {} nodes.",
        joined.count
    ))
}
