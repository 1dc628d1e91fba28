//! `force-leave`: makes a failed member one that left.

use super::command::{Call, Done, Failed, Spec};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};

pub(super) const SPEC: Spec = Spec {
    name: "force-leave",
    synopsis: "Make a failed member one that left",
    usage: "[options] name",
    about: "
Makes a member that failed and will not return one that left, so that nobody tries
to reach it any more. A member that is alive after all comes back by itself.",
    flags: &[
        connect::FLAGS,
        &[Flag {
            name: "prune",
            kind: Kind::Switch,
            value: "",
            help: "Forget the member altogether.",
        }],
    ],
};

pub(super) async fn run(call: &Call) -> Done {
    let [node] = call.flags.rest() else {
        return Err(call.misused("A node name must be specified to force leave."));
    };
    let prune = call.flags.switch("prune", false);
    let mut client = connect(call).await?;
    let left = client.force_leave(node.as_str().into(), prune).await;
    left.map_err(|error| Failed::new(format!("Error force leaving: {error}")))
}
