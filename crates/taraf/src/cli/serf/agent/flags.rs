//! The flags of `agent`.

use crate::cli::serf::command::Spec;
use crate::cli::serf::flags::{Flag, Kind};

const fn text(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind: Kind::Text,
        value,
        help,
    }
}

const fn texts(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind: Kind::Texts,
        value,
        help,
    }
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind: Kind::Switch,
        value: "",
        help,
    }
}

const fn number(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind: Kind::Number,
        value,
        help,
    }
}

pub(in crate::cli::serf) const SPEC: Spec = Spec {
    name: "agent",
    synopsis: "Run an agent",
    usage: "[options]",
    about: "
Runs an agent, which is one member of a cluster, until it is interrupted.

An event handler is a script that the shell runs. `SCRIPT` is run for every event,
`TYPE=SCRIPT` for events of one kind (member-join, member-leave, member-failed,
member-update, member-reap, user, query), `user:NAME=SCRIPT` and `query:NAME=SCRIPT` for
those of one name; several kinds are separated by commas.",
    flags: &[&[
        text(
            "bind",
            "=0.0.0.0:7946",
            "Where gossip is listened for; IPv6 as [::1] or [::1]:7946.",
        ),
        text(
            "iface",
            "",
            "Bind an address of this network interface, or make sure that -bind is one.",
        ),
        text("advertise", "=0.0.0.0", "The address that others are told."),
        texts(
            "config-file",
            "=foo",
            "Read this JSON file. May be given several times.",
        ),
        texts(
            "config-dir",
            "=foo",
            "Read all files of this directory that end in .json, in the order of their names.",
        ),
        text(
            "discover",
            "=cluster",
            "Find members of this name by multicast.",
        ),
        text(
            "encrypt",
            "=foo",
            "Encrypt gossip with this key, in base64; `keygen` makes one.",
        ),
        text(
            "keyring-file",
            "",
            "Keep the keys in this file, also those that come while the agent runs.",
        ),
        texts(
            "event-handler",
            "=foo",
            "Run this script for events; see above. May be given several times.",
        ),
        texts(
            "join",
            "=addr",
            "Join the cluster of this member, or end. May be given several times.",
        ),
        switch("replay", "Tell user events from before the join too."),
        text(
            "log-level",
            "=info",
            "Show the log from this level on: trace, debug, info, warn or err.",
        ),
        text(
            "node",
            "=hostname",
            "The name of this member, which no other has.",
        ),
        text(
            "cluster-name",
            "=name",
            "Take no members that say they belong to another cluster.",
        ),
        text("profile", "=[lan|wan|local]", "The timing. Default is lan."),
        number(
            "protocol",
            "=n",
            "Speak this version of Serf's protocol, for the time of an upgrade.",
        ),
        switch(
            "rejoin",
            "Rejoin after a leave too, by the file of -snapshot.",
        ),
        texts(
            "retry-join",
            "=addr",
            "Try to join the cluster of this member until it works. May be given several times.",
        ),
        text(
            "retry-interval",
            "=30s",
            "How long to wait between two tries.",
        ),
        number("retry-max", "=0", "End after so many tries; 0 never."),
        switch("disable-compression", "Do not compress what is gossiped."),
        text("role", "=foo", "Deprecated: use '-tag role=foo'."),
        text("rpc-addr", "=127.0.0.1:7373", "Where RPC is served."),
        text(
            "rpc-socket",
            "=/path",
            "Serve RPC to this user at this path too, without a key.",
        ),
        text(
            "snapshot",
            "=path/to/file",
            "Remember members and events in this file, to rejoin after a restart.",
        ),
        texts(
            "tag",
            " key=value",
            "Carry this tag. May be given several times.",
        ),
        text(
            "tags-file",
            "=/path/to/file",
            "Keep the tags in this file, also those that change while the agent runs. Not with -tag.",
        ),
        switch("syslog", "Write the log to syslog too."),
        text(
            "broadcast-timeout",
            "=5s",
            "How long a leave is broadcast at most.",
        ),
    ]],
};
