//! `rtt`: how long the way between two members is, by their coordinates.

use taraf_gossip::rpc::{Client, Coordinate};

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::quote;

pub(super) const SPEC: Spec = Spec {
    name: "rtt",
    synopsis: "Estimate the round trip time between two members",
    usage: "[options] node1 [node2]",
    about: "
Estimates the time of the round trip between two members, by the coordinates that
members learn from one another. The second is the agent's own member unless it is
named. Members are named as `members` shows them.",
    flags: &[connect::FLAGS],
};

pub(super) async fn run(call: &Call) -> Done {
    let mut client = connect(call).await?;
    let (one, other) = match call.flags.rest() {
        [one] => (one.clone(), own_name(&mut client).await?),
        [one, other] => (one.clone(), other.clone()),
        _ => return Err(call.misused("One or two node names must be specified")),
    };
    let here = coordinate(&mut client, &one).await?;
    let there = coordinate(&mut client, &other).await?;
    let millis = here.round_trip(&there).as_secs_f64() * 1000.0;
    say(&format!("Estimated {one} <-> {other} rtt: {millis:.3} ms"))
}

async fn own_name(client: &mut Client) -> Result<String, Failed> {
    let stats = client.stats().await;
    let stats = stats.map_err(|error| Failed::new(format!("Error querying agent: {error}")))?;
    let agent = stats.get("agent");
    Ok(agent
        .and_then(|agent| agent.get("name"))
        .cloned()
        .unwrap_or_default())
}

async fn coordinate(client: &mut Client, node: &str) -> Result<Coordinate, Failed> {
    let found = client.coordinate(node.into()).await;
    let found =
        found.map_err(|error| Failed::new(format!("Error getting coordinates: {error}")))?;
    found.ok_or_else(|| {
        let node = quote::text(node);
        Failed::new(format!("Could not find a coordinate for node {node}"))
    })
}
