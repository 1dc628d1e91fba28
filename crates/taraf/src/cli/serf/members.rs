//! `members`: who is there.

use serde_json::{Value, json};
use taraf_gossip::config::parse_tags;
use taraf_gossip::rpc::event::{Member, Tags};
use taraf_gossip::rpc::{Client, Error};

use super::columns::columns;
use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::info::{FORMAT, formatted};
use super::json::pretty;

/// What changes the list.
const CHANGES: &str = "member-join,member-leave,member-failed,member-update,member-reap";

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
            Flag {
                name: "watch",
                kind: Kind::Switch,
                value: "",
                help: "Go on, and list the members again whenever something changes.",
            },
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
    let wanted = Wanted {
        tags,
        status: flag("status"),
        name: flag("name"),
    };
    let shown = list(call, &mut client, &wanted).await?;
    say(&shown)?;
    if !call.flags.switch("watch", false) {
        return Ok(());
    }
    tokio::select! {
        told = watch(call, &mut client, &wanted, shown) => told,
        // Whether it can be heard or not: there is nothing else to do.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Which members are shown.
struct Wanted {
    tags: Tags,
    status: String,
    name: String,
}

/// Shows the list again, with an empty line before it, whenever it is another.
async fn watch(call: &Call, client: &mut Client, wanted: &Wanted, mut shown: String) -> Done {
    let failed = |error: Error| Failed::new(format!("Error watching members: {error}"));
    client.stream(CHANGES).await.map_err(failed)?;
    loop {
        // What changed while the stream began is seen too.
        let now = list(call, client, wanted).await?;
        if now != shown {
            say(&format!("\n{now}"))?;
            shown = now;
        }
        client.next().await.map_err(failed)?;
    }
}

async fn list(call: &Call, client: &mut Client, wanted: &Wanted) -> Result<String, Failed> {
    let Wanted { tags, status, name } = wanted;
    let members = client
        .members_filtered(tags.clone(), status.clone(), name.clone())
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
    formatted(call, text, || pretty(&document(&members)))
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
