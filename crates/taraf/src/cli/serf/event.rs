//! `event`: says something to everybody.

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};

pub(super) const SPEC: Spec = Spec {
    name: "event",
    synopsis: "Send a custom event through the cluster",
    usage: "[options] name payload",
    about: "\nSends a user event, with or without a payload, to all members.",
    flags: &[
        &[Flag {
            name: "coalesce",
            kind: Kind::Switch,
            value: "=true/false",
            help: "Whether members may take several events of this name within a short time for one, the last. \
                   Default is true.",
        }],
        connect::FLAGS,
    ],
};

pub(super) async fn run(call: &Call) -> Done {
    let coalesce = call.flags.switch("coalesce", true);
    let (name, payload) = call.name_and_payload("An event")?;
    let mut client = connect(call).await?;
    let payload = payload.unwrap_or_default().to_owned();
    let sent = client
        .user_event(name.into(), payload.into(), coalesce)
        .await;
    sent.map_err(|error| Failed::new(format!("Error sending event: {error}")))?;
    say(&format!(
        "Event '{name}' dispatched! Coalescing enabled: {coalesce}"
    ))
}
