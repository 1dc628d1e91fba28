//! `info`: what an agent says of itself.

use std::collections::BTreeMap;

use serde_json::json;
use taraf_gossip::rpc::Stats;

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::json::pretty;

/// How `info`, `members` and `query` may answer.
pub(super) const FORMAT: Flag = Flag {
    name: "format",
    kind: Kind::Text,
    value: "",
    help: "The form of the answer: 'json' or 'text' (default).",
};

pub(super) const SPEC: Spec = Spec {
    name: "info",
    synopsis: "Show what an agent says of itself",
    usage: "[options]",
    about: "\nShows figures and settings of a running agent, for operators.",
    flags: &[&[FORMAT], connect::FLAGS],
};

pub(super) async fn run(call: &Call) -> Done {
    let mut client = connect(call).await?;
    let stats = client.stats().await;
    let stats = stats.map_err(|error| Failed::new(format!("Error querying agent: {error}")))?;
    let shown = formatted(call, || text_of(&stats), || pretty(&json!(stats)))?;
    say(&shown)
}

/// One of the two forms.
pub(super) fn formatted(
    call: &Call,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> String,
) -> Result<String, Failed> {
    match call.flags.text("format").unwrap_or("text") {
        "text" => Ok(text()),
        "json" => Ok(json()),
        other => Err(Failed::new(format!(
            "Encoding error: Invalid output format \"{other}\""
        ))),
    }
}

fn text_of(stats: &Stats) -> String {
    let section = |(section, values): (&String, &BTreeMap<String, String>)| {
        let pairs = values
            .iter()
            .map(|(name, value)| format!("\t{name} = {value}\n"));
        format!("{section}:\n{}", pairs.collect::<String>())
    };
    let text: String = stats.iter().map(section).collect();
    text.trim().to_owned()
}
