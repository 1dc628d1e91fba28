//! The real `taraf serve` with the two flows published.

use std::process::Command;

use serde_json::Value;

use crate::process::{self, Process};
use crate::report::Contender;
use crate::syncs::Trace;
use crate::upstream::Upstream;
use crate::{Server, Work, load};

const FIVE: &str = "document: {dsl: '1.0.3', namespace: bench, name: five, version: 1.0.0}
do:
  - a: {set: {n: '${ .n + 1 }'}}
  - b: {set: {n: '${ .n + 1 }'}}
  - c: {set: {n: '${ .n + 1 }'}}
  - d: {set: {n: '${ .n + 1 }'}}
  - e: {set: {n: '${ .n + 1 }'}}
";

/// Everything but the listeners and the place of the data is as it comes.
const CONFIG: &str =
    "gateway.listen = '127.0.0.1:0'\noperator.listen = '127.0.0.1:0'\ndata.dir = 'data'\n";

fn three(upstream: &str) -> String {
    let call = |name: &str| {
        format!(
            "  - {name}: {{call: http, with: {{method: get, endpoint: '{upstream}/{name}'}}}}\n"
        )
    };
    let steps: String = ["a", "b", "c"].map(call).concat();
    format!(
        "document: {{dsl: '1.0.3', namespace: bench, name: three, version: 1.0.0}}\ndo:\n{steps}"
    )
}

pub(crate) async fn start(upstream: &Upstream, trace: Option<Trace>) -> Server {
    let data = process::folder();
    let config = data.path().join("taraf.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_taraf"));
    command.args(["serve", "--config"]).arg(&config).env_clear();
    let traced = trace.as_ref().map(Trace::path);
    let process = Process::start(command, data.path(), "taraf.out", traced);
    let address = process::line(&data.path().join("taraf.out"), "taraf is ready", |line| {
        let ready: Value = serde_json::from_str(line).ok()?;
        ready["operator"]
            .as_str()?
            .strip_prefix("http://")?
            .parse()
            .ok()
    });
    let token = std::fs::read_to_string(data.path().join("data/operator.token")).unwrap();
    let request = |method: &str, path: &str, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: taraf\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            token.trim(),
            body.len()
        )
    };
    for (work, source) in [(Work::Five, FIVE), (Work::Three, &three(&upstream.url()))] {
        let path = format!("/v1/flows/bench/{}/1.0.0", work.name());
        let publish = request("PUT", &path, source);
        load::once(address, publish.as_bytes()).await;
    }
    let starts = Work::ALL.map(|work| {
        let path = format!("/v1/flows/bench/{}/runs?wait=30s", work.name());
        request("POST", &path, r#"{"n":0}"#).into_bytes()
    });
    Server {
        contender: Contender::Ours,
        address,
        requests: starts,
        processes: vec![process],
        trace,
        _data: data,
    }
}
