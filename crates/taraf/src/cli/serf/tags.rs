//! `tags`: changes what an agent's member says about itself.

use taraf_gossip::config::parse_tags;

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::help;

pub(super) const SPEC: Spec = Spec {
    name: "tags",
    synopsis: "Change the tags of an agent",
    usage: "[options] ...",
    about: "\nChanges the tags of a running agent.",
    flags: &[
        connect::FLAGS,
        &[
            Flag {
                name: "set",
                kind: Kind::Texts,
                value: " key=value",
                help: "Set a tag. May be given several times.",
            },
            Flag {
                name: "delete",
                kind: Kind::Texts,
                value: " key",
                help: "Remove a tag. May be given several times.",
            },
        ],
    ],
};

pub(super) async fn run(call: &Call) -> Done {
    let (set, delete) = (call.flags.texts("set"), call.flags.texts("delete"));
    if set.is_empty() && delete.is_empty() {
        return Err(Failed::new(help::of(call.spec, call.program)));
    }
    let mut client = connect(call).await?;
    let set = parse_tags(set).map_err(|error| Failed::new(format!("Error: {error}")))?;
    let changed = client.change_tags(set, delete.to_vec()).await;
    changed.map_err(|error| Failed::new(format!("Error setting tags: {error}")))?;
    say("Successfully updated agent tags")
}
