//! `members`: who is there.

use serde_json::{Value, json};
use taraf_gossip::config::parse_tags;
use taraf_gossip::rpc::event::Member;

use super::columns::columns;
use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::info::{FORMAT, formatted};
use super::json::pretty;

const fn expression(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind: Kind::Text,
        value: "=<regexp>",
        help,
    }
}

pub(super) const SPEC: Spec = Spec {
    name: "members",
    synopsis: "List the members of the cluster",
    usage: "[options]",
    about: "\nLists the members that a running agent knows.",
    flags: &[
        &[
            Flag {
                name: "detailed",
                kind: Kind::Switch,
                value: "",
                help: "Show protocol versions too, in text.",
            },
            FORMAT,
            expression("name", "Only members whose whole name matches."),
            expression(
                "role",
                "Only members whose whole role matches. Deprecated: use '-tag role=foo'.",
            ),
            expression(
                "status",
                "Only members whose status matches: alive, leaving, left, failed.",
            ),
            Flag {
                name: "tag",
                kind: Kind::Texts,
                value: " <key>=<regexp>",
                help: "Only members whose tag of this key matches as a whole. May be given several times.",
            },
        ],
        connect::FLAGS,
    ],
};

pub(super) async fn run(call: &Call) -> Done {
    let flag = |name: &str| call.flags.text(name).unwrap_or_default().to_owned();
    let mut wanted = call.flags.texts("tag").to_vec();
    if let Some(role) = call.flags.filled("role") {
        say("Deprecation warning: 'Role' has been replaced with 'Tags'")?;
        wanted.push(format!("role={role}"));
    }
    let tags = parse_tags(&wanted).map_err(|error| Failed::new(format!("Error: {error}")))?;
    let mut client = connect(call).await?;
    let members = client
        .members_filtered(tags, flag("status"), flag("name"))
        .await;
    let mut members =
        members.map_err(|error| Failed::new(format!("Error retrieving members: {error}")))?;
    // In Serf they come in no order, and nobody can rely on any.
    members.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let detailed = call.flags.switch("detailed", false);
    let text = || {
        columns(
            &members
                .iter()
                .map(|member| line(member, detailed))
                .collect::<Vec<_>>(),
        )
    };
    let shown = formatted(call, text, || pretty(&document(&members)))?;
    say(&shown)
}

/// `IP:PORT`, with brackets around an IPv6 address.
pub(super) fn address(member: &Member) -> String {
    match &member.address {
        Some(address) => address.socket(member.port).to_string(),
        None => format!(":{}", member.port),
    }
}

fn line(member: &Member, detailed: bool) -> String {
    let pairs = member
        .tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let tags = pairs.collect::<Vec<_>>().join(",");
    let (name, status) = (&member.name, member.status);
    let line = format!("{name}|{}|{status}|{tags}", address(member));
    if !detailed {
        return line;
    }
    let versions = member.delegate;
    let range = format!("[{}, {}]", versions.min, versions.max);
    format!(
        "{line}|Protocol Version: {}|Available Protocol Range: {range}",
        versions.current
    )
}

/// Without members there is no list, as in Serf.
fn document(members: &[Member]) -> Value {
    let member = |member: &Member| {
        json!({
            "name": member.name.text(),
            "addr": address(member),
            "port": member.port,
            "tags": member.tags,
            "status": member.status.word(),
            "protocol": {
                "max": member.delegate.max,
                "min": member.delegate.min,
                "version": member.delegate.current,
            },
        })
    };
    let list: Vec<Value> = members.iter().map(member).collect();
    json!({ "members": (!list.is_empty()).then_some(list) })
}
