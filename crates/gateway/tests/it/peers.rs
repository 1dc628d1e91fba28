//! Callers that are not ours: curl, and Python's httpx, h2 and websockets.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use http::Method;
use taraf_base::Tasks;
use taraf_gateway::{Config, Http2, Route};

use crate::certificates::{Authority, tls};
use crate::stack::{NoFlows, Stack, directory, echo, route, upstream};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/interop/gateway.py"
);

fn plain() -> Config {
    Config {
        http2: Http2 {
            plain: true,
            ..Http2::default()
        },
        ..Config::default()
    }
}

async fn stack(config: Config, upstream: &[SocketAddr]) -> Stack {
    let both = Route {
        methods: vec![Method::GET, Method::POST],
        ..route(Method::GET, "/x")
    };
    Stack::with(config, Arc::new(NoFlows), vec![both], upstream).await
}

fn python(stack: &Stack, mode: &str, rest: &[&str]) -> Command {
    let mut command = Command::new("python3");
    let address = stack.handle.addr().to_string();
    command
        .args([SCRIPT, mode, &address, &stack.key])
        .args(rest);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command
}

/// Waits on a thread of its own: the test's own part of the stack must go on.
async fn output(mut command: Command) -> Output {
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await
        .unwrap()
        .expect("the program is installed: cargo xtask setup")
}

#[track_caller]
fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn httpx_makes_many_calls_on_one_connection() {
    let up = upstream(&Tasks::new(), echo).await;
    let authority = Authority::new();
    let config = Config {
        tls: Some(tls(vec![authority.sign("a", "/CN=a", "DNS:localhost")])),
        ..Config::default()
    };
    let stack = stack(config, &[up]).await;
    let ca = authority.path("ca.pem").display().to_string();
    succeeded(&output(python(&stack, "calls", &[&ca])).await);
}

#[tokio::test]
async fn calls_that_are_begun_only_to_be_reset_cost_their_caller_the_connection() {
    let up = upstream(&Tasks::new(), |_| Box::pin(std::future::pending())).await;
    let stack = stack(plain(), &[up]).await;
    let answering = upstream(&Tasks::new(), echo).await;
    let swap = stack.directory.clone();
    let script = output(python(&stack, "reset", &[]));
    // The service answers nothing until the flood is over.
    swap.send_replace(directory(&[answering]));
    succeeded(&script.await);
}

#[tokio::test]
async fn headers_without_an_end_are_cut_off() {
    let up = upstream(&Tasks::new(), echo).await;
    let stack = stack(plain(), &[up]).await;
    succeeded(&output(python(&stack, "continuation", &[])).await);
}

#[tokio::test]
async fn a_websocket_passes_by_upgrade_and_by_extended_connect() {
    let stack = stack(plain(), &[]).await;
    let mut script = python(&stack, "websocket", &[]).spawn().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap());
    let (line, script, port) = tokio::task::spawn_blocking(move || {
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        (lines, script, port)
    })
    .await
    .unwrap();
    let port: u16 = port.trim().parse().expect("the script says its port");
    stack
        .directory
        .send_replace(directory(&[SocketAddr::from(([127, 0, 0, 1], port))]));
    let output = tokio::task::spawn_blocking(move || {
        let mut script = script;
        script.stdin.take().unwrap().write_all(b"go\n").unwrap();
        drop(line);
        script.wait_with_output()
    });
    succeeded(&output.await.unwrap().unwrap());
}

#[tokio::test]
async fn curl_speaks_both_versions_with_and_without_tls() {
    let up = upstream(&Tasks::new(), echo).await;
    let authority = Authority::new();
    let secure = Config {
        tls: Some(tls(vec![authority.sign("a", "/CN=a", "DNS:localhost")])),
        ..plain()
    };
    let (secure, plain) = (stack(secure, &[up]).await, stack(plain(), &[up]).await);
    let ca = authority.path("ca.pem").display().to_string();
    for (stack, scheme, option, version) in [
        (&plain, "http", "--http1.1", "1.1"),
        (&plain, "http", "--http2-prior-knowledge", "2"),
        (&secure, "https", "--http1.1", "1.1"),
        (&secure, "https", "--http2", "2"),
    ] {
        let mut curl = Command::new("curl");
        let port = stack.handle.addr().port();
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--ipv4",
            option,
        ])
        .args(["--cacert", &ca, "--output", "/dev/null"])
        .args(["--header", &format!("x-api-key: {}", stack.key)])
        .args([
            "--data",
            "salut",
            "--write-out",
            "%{http_version} %{http_code}",
        ])
        .arg(format!("{scheme}://localhost:{port}/x"));
        let output = output(curl).await;
        succeeded(&output);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("{version} 200"), "{scheme} {option}");
    }
}
