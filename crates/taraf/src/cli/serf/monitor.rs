//! `monitor`: an agent's log and its events as they come.

use taraf_gossip::rpc::codec::EventRecord;
use taraf_gossip::rpc::event::{Event, Member};
use taraf_gossip::rpc::{Client, Incoming};

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::quote;

pub(super) const SPEC: Spec = Spec {
    name: "monitor",
    synopsis: "Show the log and the events of an agent as they come",
    usage: "[options]",
    about: "
Shows the last lines of a running agent's log and then each new one, also those of
levels that the agent itself does not show, and the events that it tells.",
    flags: &[
        &[Flag {
            name: "log-level",
            kind: Kind::Text,
            value: "=info",
            help: "From this level on: trace, debug, info, warn or err.",
        }],
        connect::FLAGS,
    ],
};

pub(super) async fn run(call: &Call) -> Done {
    let mut client = connect(call).await?;
    let level = call.flags.text("log-level").unwrap_or("INFO");
    let events = client.stream("*").await;
    events.map_err(|error| Failed::new(format!("Error starting stream: {error}")))?;
    let lines = client.monitor(level).await;
    lines.map_err(|error| Failed::new(format!("Error starting monitor: {error}")))?;
    tokio::select! {
        told = follow(&mut client) => told,
        // Whether it can be heard or not: there is nothing else to do.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(client: &mut Client) -> Done {
    while let Ok((_, incoming)) = client.next().await {
        match incoming {
            Incoming::Line(line) => say(&line)?,
            Incoming::Event(record) => {
                say("Event Info:")?;
                for (name, value) in fields(&record) {
                    say(&format!("\t{name}: {value}"))?;
                }
            }
            Incoming::Query(_) => {}
        }
    }
    Err(Failed::new(
        "\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed.",
    ))
}

/// The fields of an event, each as Go shows it.
fn fields(record: &EventRecord) -> Vec<(&'static str, String)> {
    match record {
        EventRecord::Event(event) => match &**event {
            Event::Members(change, members) => vec![
                ("Event", quote::text(change.event())),
                ("Members", shown(members)),
            ],
            Event::User(event) => vec![
                ("Coalesce", event.coalesce.to_string()),
                ("Event", quote::text("user")),
                ("LTime", quote::number(event.ltime)),
                ("Name", quote::text(&event.name.text())),
                ("Payload", payload(&event.payload)),
            ],
            // Told as the record of its own.
            Event::Query(_) => Vec::new(),
        },
        EventRecord::Query {
            id,
            ltime,
            name,
            payload: sent,
        } => vec![
            ("Event", quote::text("query")),
            ("ID", quote::number(*id)),
            ("LTime", quote::number(*ltime)),
            ("Name", quote::text(&name.text())),
            ("Payload", payload(sent)),
        ],
        EventRecord::Unknown(kind) => vec![("Event", quote::text(kind))],
    }
}

fn payload(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "interface {}(nil)".to_owned()
    } else {
        quote::bytes_alone(bytes)
    }
}

fn shown(members: &[Member]) -> String {
    let member = |member: &Member| {
        let text = |text: &str| quote::text(text);
        let pairs = member.tags.iter();
        let tags: Vec<_> = pairs
            .map(|(key, value)| format!("{}:{}", text(key), text(value)))
            .collect();
        let address = member
            .address
            .map_or_else(|| payload(&[]), |address| quote::bytes(address.as_bytes()));
        let (protocol, delegate) = (member.protocol, member.delegate);
        let fields = [
            ("Addr", address),
            ("DelegateCur", quote::number(delegate.current)),
            ("DelegateMax", quote::number(delegate.max)),
            ("DelegateMin", quote::number(delegate.min)),
            ("Name", text(&member.name.text())),
            ("Port", quote::number(member.port)),
            ("ProtocolCur", quote::number(protocol.current)),
            ("ProtocolMax", quote::number(protocol.max)),
            ("ProtocolMin", quote::number(protocol.min)),
            ("Status", text(member.status.word())),
            (
                "Tags",
                format!("map[interface {{}}]interface {{}}{{{}}}", tags.join(", ")),
            ),
        ];
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("map[interface {{}}]interface {{}}{{{}}}", fields.join(", "))
    };
    let members: Vec<String> = members.iter().map(member).collect();
    format!("[]interface {{}}{{{}}}", members.join(", "))
}

#[cfg(test)]
mod tests {
    use taraf_gossip::rpc::event::{Status, Versions};
    use taraf_gossip::wire::Address;

    use super::*;

    /// As Serf printed it.
    #[test]
    fn a_member_is_shown_as_go_shows_it() {
        let member = Member {
            name: "a1".into(),
            address: Some(Address::Four([127, 0, 0, 2])),
            port: 7946,
            tags: [("role".to_owned(), "web".to_owned())].into(),
            status: Status::Alive,
            protocol: Versions {
                min: 1,
                max: 5,
                current: 2,
            },
            delegate: Versions {
                min: 2,
                max: 5,
                current: 5,
            },
        };
        let expected = "[]interface {}{map[interface {}]interface {}{\"Addr\":[]uint8{0x7f, 0x0, 0x0, 0x2}, \
                        \"DelegateCur\":5, \"DelegateMax\":5, \"DelegateMin\":2, \"Name\":\"a1\", \"Port\":0x1f0a, \
                        \"ProtocolCur\":2, \"ProtocolMax\":5, \"ProtocolMin\":1, \"Status\":\"alive\", \
                        \"Tags\":map[interface {}]interface {}{\"role\":\"web\"}}}";
        assert_eq!(shown(&[member]), expected);
    }
}
