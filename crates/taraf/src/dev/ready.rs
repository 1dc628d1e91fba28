//! What `dev` says when it is ready: a block for people, one JSON line for programs.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use taraf_base::Secret;

use crate::membership::Membership;
use crate::node::{DataPlace, Node, data};

/// The ready line in the data directory, by which the command line finds a running `dev`.
const READY: &str = "ready.json";

/// What is announced.
pub(crate) struct Ready {
    line: Value,
    place: String,
    file: Option<PathBuf>,
}

impl Ready {
    pub(crate) fn of(node: &Node, key: &Secret, place: &DataPlace, dir: &Path) -> Self {
        let mut line = json!({
            "ready": true,
            "gateway": node.gateway_url(),
            "operator": format!("http://{}", node.operator),
            "api_key": key.expose(),
            "operator_token": node.token.expose(),
            "pid": std::process::id(),
        });
        node.add_gossip(&mut line);
        let membership = node.membership.as_deref();
        if let Some(key) = membership.and_then(Membership::key) {
            line["gossip_key"] = key.expose().as_str().into();
        }
        let (shown, file) = match place {
            DataPlace::Memory => ("data in memory only".to_owned(), None),
            DataPlace::Folder(folder) => {
                let short = folder.strip_prefix(dir).unwrap_or(folder);
                (
                    format!("data in {}/", short.display()),
                    Some(folder.join(READY)),
                )
            }
        };
        Self {
            line,
            place: shown,
            file,
        }
    }

    /// Says it on standard output and keeps it in the data directory.
    pub(crate) fn announce(&self) -> anyhow::Result<()> {
        if let Some(file) = &self.file {
            data::write_private(file, self.line.to_string().as_bytes())?;
        }
        let mut out = std::io::stdout();
        let text = if out.is_terminal() {
            self.block()
        } else {
            format!("{}\n", self.line)
        };
        let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        said.context("failed to say that the node is ready")
    }

    /// The node is gone.
    pub(crate) fn withdraw(&self) {
        if let Some(file) = &self.file
            && let Err(error) = std::fs::remove_file(file)
        {
            tracing::debug!(%error, "the ready line was gone already");
        }
    }

    fn block(&self) -> String {
        let text = |member: &str| self.line[member].as_str().unwrap_or_default();
        let (gateway, key) = (text("gateway"), text("api_key"));
        let gossip = match (text("gossip"), text("gossip_key")) {
            ("", _) => "off".to_owned(),
            (address, "") => address.to_owned(),
            (address, key) => format!("{address} · encrypted with {key}"),
        };
        let mut block = format!(
            "\n  Taraf {} · dev · {}\n\n",
            env!("CARGO_PKG_VERSION"),
            self.place
        );
        let lines = [
            ("Gateway", gateway.to_owned()),
            ("Operator", format!("{}/v1/status", text("operator"))),
            ("Gossip", gossip),
            ("DNS", text("dns").to_owned()),
            ("Key", key.to_owned()),
            ("Token", text("operator_token").to_owned()),
            (
                "Try",
                format!("curl -H 'x-api-key: {key}' {gateway}/api/companies/13548146"),
            ),
            ("Watching", "flows/ services/ taraf.toml".to_owned()),
        ];
        for (name, value) in lines {
            writeln!(block, "  {name:<9} {value}").expect("a string takes all that is written");
        }
        block.push_str("\n  ready · Ctrl C stops · for development, not for production\n\n");
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(file: Option<PathBuf>) -> Ready {
        Ready {
            line: json!({"ready": true, "gateway": "http://127.0.0.1:1", "api_key": "KEY"}),
            place: "data in .taraf/".to_owned(),
            file,
        }
    }

    #[test]
    fn the_block_shows_a_call_that_can_be_copied() {
        let block = ready(None).block();
        let call = "curl -H 'x-api-key: KEY' http://127.0.0.1:1/api/companies/13548146\n";
        assert!(block.contains(call), "{block}");
        assert!(block.contains("dev · data in .taraf/"), "{block}");
    }

    #[test]
    fn the_line_is_kept_while_the_node_runs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(READY);
        let ready = ready(Some(file.clone()));
        ready.announce().unwrap();
        let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(kept, ready.line);
        ready.withdraw();
        assert!(!file.exists());
    }
}
