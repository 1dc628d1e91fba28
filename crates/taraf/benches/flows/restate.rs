//! Restate from npm: its server, and its client library with our two flows as handlers.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::{self, Process, peers};
use crate::report::Contender;
use crate::syncs::Trace;
use crate::upstream::Upstream;
use crate::{Server, Work, load};

const PROGRAM: &str = "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server";
/// What `bench/` holds and the peers' folder gets.
const FILES: [&str; 3] = ["package.json", "package-lock.json", "restate.mjs"];

/// Installs what the lock file names, unless it is there.
pub(crate) fn install() {
    let peers = peers();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench");
    let mark = peers.join("installed.json");
    let wanted = fs::read(ours.join("package-lock.json")).unwrap();
    fs::create_dir_all(&peers).unwrap();
    for file in FILES {
        fs::copy(ours.join(file), peers.join(file)).unwrap();
    }
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return;
    }
    println!("installing Restate into {}", peers.display());
    let mut npm = Command::new("npm");
    // Its packages need no script of theirs to be run.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let done = npm
        .current_dir(&peers)
        .status()
        .expect("`npm` of Node 20 or newer is needed");
    assert!(done.success(), "npm ended with {done}");
    fs::write(mark, wanted).unwrap();
}

/// The server with as many partitions as it likes, or with so many.
pub(crate) async fn start(
    contender: Contender,
    partitions: Option<u32>,
    upstream: &Upstream,
    trace: Option<Trace>,
) -> Server {
    let data = process::folder();
    let path = std::env::var_os("PATH").unwrap();
    let mut node = Command::new("node");
    node.arg(peers().join("restate.mjs"))
        .env_clear()
        .env("PATH", &path)
        .env("UPSTREAM", upstream.url())
        .env("NODE_ENV", "production")
        // It says a line about each run otherwise.
        .env("RESTATE_LOGGING", "ERROR");
    let node = Process::start(node, data.path(), "node.out", None);
    let service = process::line(&data.path().join("node.out"), "the handlers", |line| {
        let ready: Value = serde_json::from_str(line).ok()?;
        ready["port"].as_u64()
    });
    let [ingress, admin, fabric] = free_addresses();
    let mut server = Command::new(peers().join(PROGRAM));
    server
        .args([
            "--no-logo",
            "--listen-mode",
            "tcp",
            "--bind-ip",
            "127.0.0.1",
        ])
        .args(["--bind-port", &fabric.port().to_string()])
        .arg("--base-dir")
        .arg(data.path().join("data"))
        .env_clear()
        .env("PATH", &path)
        .env("RESTATE_DISABLE_TELEMETRY", "true")
        .env("RESTATE_INGRESS__BIND_ADDRESS", ingress.to_string())
        .env("RESTATE_ADMIN__BIND_ADDRESS", admin.to_string());
    if let Some(partitions) = partitions {
        server.env("RESTATE_DEFAULT_NUM_PARTITIONS", partitions.to_string());
    }
    let traced = trace.as_ref().map(Trace::path);
    let server = Process::start(server, data.path(), "restate.out", traced);
    process::wait("Restate listens", || {
        std::net::TcpStream::connect(admin)
            .and_then(|_open| std::net::TcpStream::connect(ingress))
            .ok()
    });
    let registration = format!(r#"{{"uri":"http://127.0.0.1:{service}"}}"#);
    let deploy = post(admin, "/deployments", &registration);
    load::until_answered(admin, &deploy).await;
    let requests =
        Work::ALL.map(|work| post(ingress, &format!("/bench/{}", work.name()), r#"{"n":0}"#));
    for request in &requests {
        load::until_answered(ingress, request).await;
    }
    Server {
        contender,
        address: ingress,
        requests,
        processes: vec![server, node],
        trace,
        _data: data,
    }
}

fn post(to: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Addresses that nobody uses now.
fn free_addresses() -> [SocketAddr; 3] {
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}
