//! `keys`: changes or lists the gossip keys of all members.

use taraf_gossip::rpc::{KeyCommand, KeysAnswer};

use super::columns::columns;
use super::command::{Call, Done, Failed, Spec, say};
use super::connect::{self, connect};
use super::flags::{Flag, Kind};
use super::help;

const fn key(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind: Kind::Text,
        value: "=<key>",
        help,
    }
}

pub(super) const SPEC: Spec = Spec {
    name: "keys",
    synopsis: "Change or list the encryption keys of all members",
    usage: "[options]...",
    about: "
Changes or lists the keys with which members encrypt what they gossip. Every member
is told, and doing the same twice does no harm. Members encrypt with one key, the
primary one, and decrypt with any that they have: to change it, install the new key,
use it, and remove the old one.

The exit code is 0 when all members answered and none reports an error, else 1.",
    flags: &[
        &[
            key("install", "Add a key to those with which members decrypt."),
            key(
                "use",
                "Encrypt with this key, which all members must have already.",
            ),
            key(
                "remove",
                "Remove a key; not the one that members encrypt with.",
            ),
            Flag {
                name: "list",
                kind: Kind::Switch,
                value: "",
                help: "List all keys, each with the number of members that have it.",
            },
        ],
        connect::FLAGS,
    ],
};

/// What is said before, after, and when it went wrong.
struct Words {
    before: &'static str,
    after: &'static str,
    failed: &'static str,
}

const INSTALL: Words = Words {
    before: "Installing key on all members...",
    after: "Successfully installed key!",
    failed: "Error installing key",
};

const USE: Words = Words {
    before: "Changing primary key on all members...",
    after: "Successfully changed primary key!",
    failed: "Error changing primary key",
};

const REMOVE: Words = Words {
    before: "Removing key on all members...",
    after: "Successfully removed key!",
    failed: "Error removing key",
};

const LIST: Words = Words {
    before: "Asking all members for installed keys...",
    after: "Keys gathered, listing cluster keys...",
    failed: "Failed to gather member keys",
};

pub(super) async fn run(call: &Call) -> Done {
    let (command, words) = command_of(call)?;
    let mut client = connect(call).await?;
    say(&format!("==> {}", words.before))?;
    let answer = client.keys(command).await;
    let failed =
        |error: &dyn std::fmt::Display| Failed::new(format!("\n{}: {error}", words.failed));
    let answer = answer.map_err(|error| failed(&error))?;
    if let Some(error) = &answer.error {
        if !answer.messages.is_empty() {
            say(&failures(&answer))?;
        }
        return Err(failed(error));
    }
    say(&format!("==> {}", words.after))?;
    match &answer.keys {
        Some(_) => say(&format!("\n{}", listed(&answer))),
        None => Ok(()),
    }
}

fn command_of(call: &Call) -> Result<(KeyCommand, Words), Failed> {
    let flag = |name: &str| call.flags.filled(name).map(str::to_owned);
    let wanted = [
        flag("install").map(|key| (KeyCommand::Install(key), INSTALL)),
        flag("use").map(|key| (KeyCommand::Use(key), USE)),
        flag("remove").map(|key| (KeyCommand::Remove(key), REMOVE)),
        call.flags
            .switch("list", false)
            .then_some((KeyCommand::List, LIST)),
    ];
    let mut wanted = wanted.into_iter().flatten();
    match (wanted.next(), wanted.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failed::new(help::of(call.spec, call.program))),
        (Some(_), Some(_)) => Err(Failed::new(
            "Only one of -install, -use, -remove, or -list allowed",
        )),
    }
}

fn failures(answer: &KeysAnswer) -> String {
    let line = |(node, message): (&String, &String)| format!("failed: | {node} | {message}");
    columns(&answer.messages.iter().map(line).collect::<Vec<_>>())
}

fn listed(answer: &KeysAnswer) -> String {
    let keys = answer.keys.iter().flatten();
    let line = |(key, count): (&String, &u32)| format!("{key} | [{count}/{}]", answer.asked);
    columns(&keys.map(line).collect::<Vec<_>>())
}
