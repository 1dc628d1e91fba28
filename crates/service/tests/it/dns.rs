//! Names asked for by the resolvers' own tools, and published to a real BIND.

mod asking;
mod bind;
mod publishing;

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use taraf_service::ServiceName;
use taraf_service::dns::{Instance, Names, Node, Tags};
use tokio::process::Command;

/// What tests wait for at most.
const LIMIT: Duration = Duration::from_secs(20);

/// A tool that is asked and ends.
async fn tool(program: &str, arguments: &[&str]) -> Output {
    let running = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, running).await;
    output
        .unwrap_or_else(|_| panic!("{program} {arguments:?} does not end"))
        .unwrap_or_else(|error| panic!("{program} (see `cargo xtask setup`): {error}"))
}

/// What `dig` says when it asks a server, with these words.
async fn dig(server: SocketAddr, words: &[&str]) -> String {
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    let arguments = [&[at.as_str(), "-p", &port, "+time=5", "+tries=1"], words].concat();
    let output = tool("dig", &arguments).await;
    String::from_utf8(output.stdout).unwrap()
}

/// The answers alone, sorted.
async fn short(server: SocketAddr, words: &[&str]) -> Vec<String> {
    let text = dig(server, &[&["+short"], words].concat()).await;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A name that nobody else asks for.
fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Arc::new(pairs.iter().map(own).collect())
}

/// Nodes with a web server each: name, address, port, weight, whether it is alive.
fn names(nodes: &[(&str, &str, u16, u32, bool)]) -> Arc<Names> {
    let mut names = Names::new(7);
    for &(name, address, port, weight, is_alive) in nodes {
        let address = address.parse().unwrap();
        let tags = tags(&[("service", "web"), ("version", "2")]);
        names.add_node(Node {
            name: name.to_owned(),
            addresses: vec![address],
            tags: Tags::clone(&tags),
            is_alive,
        });
        let instance = Instance {
            node: Some(name.to_owned()),
            address,
            port,
            weight,
            tags,
            is_alive,
        };
        names.add_instance(service("web"), instance);
    }
    Arc::new(names)
}
