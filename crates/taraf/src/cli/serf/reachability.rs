//! `reachability`: whether every live member hears this one, and is heard.

use std::collections::BTreeSet;
use std::time::Instant;

use taraf_gossip::rpc::event::{Member, Status};
use taraf_gossip::rpc::{Client, QueryRequest, Reply};

use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::query::{ask, reply};

pub(super) const SPEC: Spec = Spec {
    name: "reachability",
    synopsis: "Test whether every live member is reached",
    usage: "[options]",
    about: "\nAsks all members for a sign of life, and tells which are alive and give none.",
    flags: &[
        connect::FLAGS,
        &[Flag {
            name: "verbose",
            kind: Kind::Switch,
            value: "",
            help: "Show each member that answers, and how long it took.",
        }],
    ],
};

const TOO_MANY: &str = "Members answer that were thought to be gone: their packets are lost, or they are not allowed through.";
const TOO_FEW: &str =
    "Members are alive and do not answer: packets of gossip are lost, or are not allowed through.";
const TWICE: &str = "Members answered twice: look whether two of them have the same name.";
const ADVICE: &str = "
What to look at:
* whether all other members can reach the address and port that each is bound to
* where an address is advertised, whether it leads to the one that is bound
* whether members are behind an address translation
* whether firewalls let gossip pass, over UDP and over TCP
* whether the network itself works";

pub(super) async fn run(call: &Call) -> Done {
    let is_verbose = call.flags.switch("verbose", false);
    let mut client = connect(call).await?;
    let members = client.members().await;
    let members =
        members.map_err(|error| Failed::new(format!("Error getting members: {error}")))?;
    let is_live = |member: &&Member| member.status == Status::Alive;
    let live: BTreeSet<String> = members
        .iter()
        .filter(is_live)
        .map(|member| member.name.to_string())
        .collect();
    say(&format!(
        "Total members: {}, live members: {}",
        members.len(),
        live.len()
    ))?;
    let request = QueryRequest {
        name: "_serf_ping".into(),
        wants_ack: true,
        ..QueryRequest::default()
    };
    ask(&mut client, request).await?;
    say("Starting reachability test...")?;
    let heard = listen(&mut client, is_verbose).await?;
    judge(&live, &heard)
}

/// Who answered.
struct Heard {
    count: usize,
    from: BTreeSet<String>,
}

async fn listen(client: &mut Client, is_verbose: bool) -> Result<Heard, Failed> {
    let started = Instant::now();
    let mut last = started;
    let mut heard = Heard {
        count: 0,
        from: BTreeSet::new(),
    };
    let mut twice = false;
    while let Some(reply) = reply(client)
        .await
        .map_err(|_tired| Failed::new("Test interrupted"))?
    {
        let Reply::Ack(from) = reply else { continue };
        let from = from.to_string();
        if is_verbose {
            say(&format!("\tAck from '{from}'"))?;
        }
        heard.count += 1;
        if !heard.from.insert(from.clone()) {
            twice = true;
            say(&format!("Duplicate response from '{from}'"))?;
        }
        last = Instant::now();
    }
    if is_verbose {
        let total = started.elapsed().as_secs_f64();
        let to_last = (last - started).as_secs_f64();
        say(&format!(
            "Query time: {total:.2} sec, time to last response: {to_last:.2} sec"
        ))?;
    }
    if twice {
        say(TWICE)?;
    }
    Ok(heard)
}

fn judge(live: &BTreeSet<String>, heard: &Heard) -> Done {
    let is_twice = heard.from.len() < heard.count;
    if heard.count == live.len() {
        say("Successfully contacted all live nodes")?;
        return if is_twice {
            Err(Failed::silent())
        } else {
            Ok(())
        };
    }
    let (headline, nodes, why) = if heard.count > live.len() {
        let headline = "Received more acks than live nodes! Acks from non-live nodes:";
        (headline, heard.from.difference(live), TOO_MANY)
    } else {
        let headline = "Received less acks than live nodes! Missing acks from:";
        (headline, live.difference(&heard.from), TOO_FEW)
    };
    say(headline)?;
    for node in nodes {
        say(&format!("\t{node}"))?;
    }
    say(why)?;
    say(ADVICE)?;
    Err(Failed::silent())
}
