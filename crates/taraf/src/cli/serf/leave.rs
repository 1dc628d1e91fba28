//! `leave`: makes an agent leave its cluster and end.

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};

pub(super) const SPEC: Spec = Spec {
    name: "leave",
    synopsis: "Make an agent leave its cluster and end",
    usage: "",
    about: "\nMakes a running agent tell the others that it leaves, and then end.",
    flags: &[connect::FLAGS],
};

pub(super) async fn run(call: &Call) -> Done {
    let mut client = connect(call).await?;
    let left = client.leave().await;
    left.map_err(|error| Failed::new(format!("Error leaving: {error}")))?;
    say("Graceful leave complete")
}
