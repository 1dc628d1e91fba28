//! The real `serf` asks our server; what it prints was recorded when it asked its own agent in the same state.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{Served, within};

/// Runs `serf COMMAND… -rpc-addr=…`, and gives its exit code and what it printed.
async fn serf(served: &Served, arguments: &[&str]) -> (i32, String) {
    let (command, rest) = arguments.split_first().unwrap();
    let output = Command::new("serf")
        .arg(command)
        .arg(format!("-rpc-addr={}", served.address))
        .args(rest)
        .stdin(Stdio::null())
        .output();
    let output = within(output)
        .await
        .expect("`serf` of Debian's package serf");
    let stdout = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), stdout)
}

async fn check(served: &Served, arguments: &[&str], code: i32, printed: &str) {
    assert_eq!(
        serf(served, arguments).await,
        (code, printed.to_owned()),
        "serf {arguments:?}"
    );
}

/// What each call prints, one after the other.
const CALLS: [(&[&str], i32, &str); 12] = [
    (
        &["members", "-status=failed"],
        0,
        "a2  127.0.0.3:7946  failed\n",
    ),
    (
        &["members", "-name=["],
        1,
        "Error retrieving members: client closed\n",
    ),
    (
        &["event", "deploy", "v2"],
        0,
        "Event 'deploy' dispatched! Coalescing enabled: true\n",
    ),
    (
        &["join", "127.0.0.3"],
        0,
        "Successfully joined cluster by contacting 1 nodes.\n",
    ),
    (
        &["join", "127.0.0.200"],
        1,
        "Error joining the cluster: 1 error occurred:\n\t* Failed to join 127.0.0.200: dial tcp 127.0.0.200:7946: \
         connect: connection refused\n\n\n",
    ),
    (&["force-leave", "-prune", "a2"], 0, ""),
    (
        &["tags", "-set=v=1", "-delete=role"],
        0,
        "Successfully updated agent tags\n",
    ),
    (
        &["members", "-tag", "v=1"],
        0,
        "a1  127.0.0.2:7946  alive  v=1\n",
    ),
    (&["rtt", "a2"], 0, "Estimated a2 <-> a1 rtt: 0.700 ms\n"),
    (
        &["rtt", "zz"],
        1,
        "Could not find a coordinate for node \"zz\"\n",
    ),
    (
        &["info"],
        0,
        "agent:\n\tname = a1\nserf:\n\tfailed = 1\n\tmembers = 2\ntags:\n\tv = 1\n",
    ),
    (
        &["keys", "-install=good"],
        0,
        "==> Installing key on all members...\n==> Successfully installed key!\n",
    ),
];

#[tokio::test]
async fn serfs_commands_are_served() {
    let served = Served::start().await;
    let (code, members) = serf(&served, &["members", "-detailed"]).await;
    let mut members: Vec<&str> = members.lines().map(str::trim_end).collect();
    members.sort_unstable();
    let expected = [
        "a1  127.0.0.2:7946  alive   role=web  Protocol Version: 5  Available Protocol Range: [2, 5]",
        "a2  127.0.0.3:7946  failed            Protocol Version: 5  Available Protocol Range: [2, 5]",
    ];
    assert_eq!((code, &members[..]), (0, &expected[..]));
    for (arguments, code, printed) in CALLS {
        check(&served, arguments, code, printed).await;
    }
    let (code, printed) = serf(&served, &["keys", "-list"]).await;
    assert_eq!(code, 0);
    assert!(
        printed.contains("a2V5          [2/2]\n") || printed.contains("a2V5          [2/2]"),
        "{printed}"
    );
    let (code, printed) = serf(&served, &["keys", "-use=bad"]).await;
    assert_eq!(code, 1);
    assert!(
        printed.ends_with("\n\nError changing primary key: 2/2 nodes reported failure\n"),
        "{printed}"
    );
}

#[tokio::test]
async fn serfs_queries_are_served() {
    let served = Served::start().await;
    let (code, printed) = serf(&served, &["query", "-node=a2", "load"]).await;
    let expected = "Query 'load' dispatched\nAck from 'a2'\nResponse from 'a2': 0.5\nTotal Acks: 1\nTotal Responses: 1\n";
    // The order of ack and response is Go's choice.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!((code, sorted(&printed)), (0, sorted(expected)));
    check(
        &served,
        &["query", "_serf_x"],
        1,
        "Error sending query: Queries cannot contain the '_serf_' prefix\n",
    )
    .await;
    let (code, printed) = serf(&served, &["reachability"]).await;
    assert_eq!(code, 1);
    assert!(
        printed.starts_with(
            "Total members: 2, live members: 1\nStarting reachability test...\nReceived more acks"
        ),
        "{printed}"
    );
}

#[tokio::test]
async fn serfs_monitor_and_leave_are_served() {
    let served = Served::start().await;
    served.lines.add(
        taraf_gossip::rpc::Level::Info,
        "2026/11/23 11:37:11 [INFO] agent: kept",
    );
    let mut monitor = Command::new("serf")
        .arg("monitor")
        .arg(format!("-rpc-addr={}", served.address))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
    let first = within(lines.next_line()).await.unwrap();
    assert_eq!(
        first.as_deref(),
        Some("2026/11/23 11:37:11 [INFO] agent: kept")
    );
    check(
        &served,
        &["event", "-coalesce=false", "deploy"],
        0,
        "Event 'deploy' dispatched! Coalescing enabled: false\n",
    )
    .await;
    let mut told = Vec::new();
    while told.len() < 6 {
        told.push(within(lines.next_line()).await.unwrap().unwrap());
    }
    told.sort_unstable();
    let expected = [
        "\tCoalesce: false",
        "\tEvent: \"user\"",
        "\tLTime: 1",
        "\tName: \"deploy\"",
        "\tPayload: []uint8(nil)",
        "Event Info:",
    ];
    let payload = told
        .iter()
        .position(|line| line.starts_with("\tPayload: "))
        .unwrap();
    // Serf's own agent sends an empty payload as nil or as nothing, as it had it.
    told[payload] = expected[4].to_owned();
    assert_eq!(told, expected);
    check(&served, &["leave"], 0, "Graceful leave complete\n").await;
    assert_eq!(served.agent.did().last().unwrap(), "leave");
}
