//! Authentication against servers that are not ours: Authlib's OAuth 2 and OpenID Connect provider,
//! Flask-HTTPAuth's digest, and RFC 7616's formula on Python's hashes (`tests/interop/identity.py`).

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use taraf_base::{Secret, Tasks};
use taraf_engine::{Config, Engine, Run, Status};
use taraf_flow::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bench::flow;
use crate::control::start;
use crate::wire::engine;

const LIMIT: Duration = Duration::from_secs(20);
const SHARED: &str = "a shared secret of at least thirty-two bytes";

/// The Python program. It ends when its standard input is closed.
struct Peers {
    child: Child,
    base: String,
}

impl Peers {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/identity.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the program says its port; are the packages of tests/interop/requirements.txt installed?");
        Self {
            child,
            base: format!("http://127.0.0.1:{port}"),
        }
    }

    async fn ask(&self, method: &str, path: &str) -> Value {
        let address = self.base.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.0\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_default()
    }

    async fn count(&self, what: &str) -> u64 {
        self.ask("GET", "/counts").await[what].as_u64().unwrap_or(0)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// An engine beside the peers.
struct World {
    peers: Peers,
    engine: Engine,
    tasks: Tasks,
    flows: AtomicU32,
}

impl World {
    async fn start(secrets: &[(&str, Value)]) -> Self {
        Self::of(Peers::start(), secrets).await
    }

    async fn of(peers: Peers, secrets: &[(&str, Value)]) -> Self {
        let tasks = Tasks::new();
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let secrets = secrets.iter();
        let config = Config {
            partitions: 1,
            secrets: secrets
                .map(|(name, value)| ((*name).to_owned(), Secret::new(text(value))))
                .collect(),
            ..Config::default()
        };
        let engine = engine(Arc::new(taraf_log::MemoryLog::new()), config, &tasks).await;
        Self {
            peers,
            engine,
            tasks,
            flows: AtomicU32::new(0),
        }
    }

    /// A run that calls `path` with that policy (JSON), once or more often.
    async fn call(&self, path: &str, policy: &Value, times: usize) -> Run {
        let name = format!("flow-{}", self.flows.fetch_add(1, Ordering::Relaxed));
        let call = json!({"input": {"from": "$workflow.input"}, "call": "http", "with": {
            "method": "post",
            "endpoint": {"uri": format!("{}{path}", self.peers.base), "authentication": policy},
            "body": {"kept": true},
        }});
        let tasks: Vec<String> = (0..times).map(|n| format!("- c{n}: {call}")).collect();
        let source = flow(&tasks.join("\n")).replace("name: flow", &format!("name: {name}"));
        let source = source + "use: {secrets: [whole, pem, login]}\n";
        self.engine.publish(&source).await.unwrap();
        let mut begin = start(json!({"realm": "oauth2"}));
        begin.flow.name = name;
        let id = self.engine.start_run(begin).await.unwrap().id;
        self.engine.wait(id, LIMIT).await.unwrap()
    }

    /// The output of a run that must complete.
    async fn output(&self, path: &str, policy: &Value, times: usize) -> Value {
        let run = self.call(path, policy, times).await;
        assert_eq!(run.status, Status::Completed, "{policy}: {:?}", run.error);
        let output = run.output.unwrap().to_json();
        assert_eq!(output["body"], "{\"kept\":true}", "{policy}");
        output
    }

    async fn stop(self) {
        assert!(self.tasks.drain(LIMIT).await.is_empty());
    }
}

fn oauth2(base: &str, client: &Value) -> Value {
    json!({"oauth2": {
        "authority": base, "grant": "client_credentials", "client": client, "scopes": ["read", "write"],
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_of_every_algorithm_and_quality_pass_servers_that_are_not_ours() {
    let login = json!({"username": "Mufasa", "password": "Circle of Life"});
    let world = World::start(&[("login", login.clone())]).await;
    for policy in [
        json!({"digest": login}),
        json!({"digest": {"use": "login"}}),
    ] {
        for path in ["/digest/library", "/digest/library-session?x=1&y=a%20b"] {
            assert_eq!(
                world.output(path, &policy, 3).await["user"],
                "Mufasa",
                "{path}"
            );
        }
    }
    let policy = json!({"digest": login});
    for algorithm in [
        "MD5",
        "MD5-sess",
        "SHA-256",
        "SHA-256-sess",
        "SHA-512-256",
        "SHA-512-256-sess",
    ] {
        for quality in ["none", "auth", "auth-int"] {
            let place = format!("{algorithm}/{quality}");
            // A nonce is good for two uses: five calls meet two that are stale.
            let path = format!("/digest/{place}?q=%22");
            assert_eq!(world.output(&path, &policy, 5).await["user"], "Mufasa");
            assert_eq!(
                world.peers.count(&format!("asked:{place}")).await,
                3,
                "{place}"
            );
            // The challenge that is kept at first is that of the place before.
            assert_eq!(
                world.peers.count(&format!("wrong:{place}")).await,
                1,
                "{place}"
            );
        }
    }
    let wrong = json!({"digest": {"username": "Mufasa", "password": "other"}});
    let error = world
        .call("/digest/SHA-256/auth", &wrong, 1)
        .await
        .error
        .unwrap();
    assert!(
        error.is(ErrorKind::Communication) && error.status == 401,
        "{error:?}"
    );
    assert_eq!(
        world.peers.count("wrong:SHA-256/auth").await,
        2,
        "it is tried once"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_authentication_is_accepted_by_a_provider_that_is_not_ours() {
    let peers = Peers::start();
    let base = peers.base.clone();
    let whole = oauth2(&base, &json!({"id": "post", "secret": SHARED}))["oauth2"].clone();
    let keys = peers.ask("GET", "/keys").await;
    let world = World::of(peers, &[("whole", whole), ("pem", keys["p256"].clone())]).await;
    let dashed = SHARED.replace(' ', "-");
    let mut clients = vec![
        (
            "basic",
            json!({"id": "basic", "secret": dashed, "authentication": "client_secret_basic"}),
        ),
        ("post", json!({"id": "post", "secret": SHARED})),
        ("public", json!({"id": "public", "authentication": "none"})),
        (
            "shared-jwt",
            json!({"id": "shared-jwt", "secret": SHARED, "authentication": "client_secret_jwt"}),
        ),
        (
            "p256",
            json!({"id": "p256", "secret": "${ $secrets.pem }", "authentication": "private_key_jwt"}),
        ),
    ];
    for name in ["rsa", "p384", "ed25519"] {
        let client = json!({"id": name, "secret": keys[name], "authentication": "private_key_jwt"});
        clients.push((name, client));
    }
    for (name, client) in &clients {
        let seen = world.output("/api", &oauth2(&base, client), 2).await;
        assert_eq!(seen["client"], *name);
        assert_eq!(seen["scope"], "read write");
    }
    let from_secret = world
        .output("/api", &json!({"oauth2": {"use": "whole"}}), 1)
        .await;
    assert_eq!(from_secret["client"], "post");
    // One token for each policy, and the secret says the same as an inline policy.
    assert_eq!(world.peers.count("issued:client_credentials").await, 8);
    for (client, told) in [
        (json!({"id": "post", "secret": "other"}), "invalid_client"),
        (json!({"id": "nobody", "secret": "other"}), "invalid_client"),
        (
            json!({"id": "rsa", "secret": keys["p256"], "authentication": "private_key_jwt"}),
            "invalid_client",
        ),
    ] {
        let error = world
            .call("/api", &oauth2(&base, &client), 1)
            .await
            .error
            .unwrap();
        assert!(error.is(ErrorKind::Authentication), "{error:?}");
        assert_eq!(error.status, 401);
        assert!(error.detail.unwrap().contains(told));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grant_is_honoured_by_a_provider_that_is_not_ours() {
    let world = World::start(&[]).await;
    let base = world.peers.base.clone();
    let client = json!({"id": "post", "secret": SHARED});
    let password = json!({"oauth2": {
        "authority": base, "grant": "password", "client": client,
        "username": "ana", "password": "are mere", "scopes": ["read"],
    }});
    assert_eq!(world.output("/api", &password, 1).await["user"], "ana");
    let wrong = json!({"oauth2": {
        "authority": base, "grant": "password", "client": client, "username": "ana", "password": "x",
    }});
    let error = world.call("/api", &wrong, 1).await.error.unwrap();
    assert!(
        error.is(ErrorKind::Authentication) && error.status == 401,
        "{error:?}"
    );

    // A token that ends at once is renewed by its refresh token, not by the password.
    let mut short = password.clone();
    short["oauth2"]["authority"] = json!(format!("{base}/short"));
    world.output("/api", &short, 4).await;
    assert_eq!(world.peers.count("issued:password").await, 2);
    assert_eq!(world.peers.count("issued:refresh_token").await, 3);

    let granted = granted(
        &base,
        "grant_type=password&username=ana&password=are+mere&scope=read",
    )
    .await;
    let refresh = json!({"oauth2": {
        "authority": format!("{base}/short"), "grant": "refresh_token", "client": client,
        "subject": {"token": granted["refresh_token"], "type": "urn:ietf:params:oauth:token-type:refresh_token"},
    }});
    // The provider takes each refresh token once and gives the next.
    assert_eq!(world.output("/api", &refresh, 3).await["user"], "ana");
    assert_eq!(world.peers.count("issued:refresh_token").await, 6);

    let access = "urn:ietf:params:oauth:token-type:access_token";
    let exchange = json!({"oauth2": {
        "authority": base, "grant": "urn:ietf:params:oauth:grant-type:token-exchange", "client": client,
        "subject": {"token": granted["access_token"], "type": access},
        "actor": {"token": "the actor", "type": access},
        "audiences": ["https://one.example", "https://two.example"],
    }});
    assert_eq!(world.output("/api", &exchange, 1).await["user"], "ana");

    let browser =
        json!({"oauth2": {"authority": base, "grant": "authorization_code", "client": client}});
    let error = world.call("/api", &browser, 1).await.error.unwrap();
    assert!(error.is(ErrorKind::Configuration), "{error:?}");
    world.stop().await;
}

/// What the provider grants to a plain client.
async fn granted(base: &str, form: &str) -> Value {
    let secret = SHARED.replace(' ', "+");
    let form = format!("{form}&client_id=post&client_secret={secret}");
    let address = base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /oauth2/token HTTP/1.0\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_taken_back_is_dropped_revoked_and_had_once_again() {
    let world = World::start(&[]).await;
    let base = world.peers.base.clone();
    let mut policy = oauth2(&base, &json!({"id": "post", "secret": SHARED}));
    policy["oauth2"]["endpoints"] =
        json!({"revocation": "/{realm}/revoke", "token": "/{realm}/token"});
    world.output("/api", &policy, 2).await;
    world.peers.ask("POST", "/forget").await;
    world.output("/api", &policy, 2).await;
    assert_eq!(world.peers.count("issued:client_credentials").await, 2);
    assert_eq!(world.peers.count("refused").await, 1);
    let told = async {
        while world.peers.count("revoked").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, told).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_discovered_and_issuers_are_checked() {
    let world = World::start(&[]).await;
    let base = world.peers.base.clone();
    let client = json!({"id": "post", "secret": SHARED});
    let oidc = |authority: String, issuers: Value| {
        json!({"oidc": {
            "authority": authority, "grant": "client_credentials", "client": client, "issuers": issuers,
        }})
    };
    let named = json!([format!("{base}/tenant")]);
    for authority in [
        "/tenant",
        "/tenant/",
        "/tenant/.well-known/openid-configuration",
    ] {
        let policy = oidc(format!("{base}{authority}"), named.clone());
        assert_eq!(world.output("/api", &policy, 2).await["client"], "post");
    }
    for (policy, told) in [
        // The description is that of another.
        (oidc(format!("{base}/liar"), json!([])), "not of"),
        // The token's issuer is none of those named: by its claims, and by what is said of it.
        (
            oidc(format!("{base}/tenant"), json!(["https://other.example"])),
            "`issuers` does not name",
        ),
        (oidc(format!("{base}/nowhere"), json!([])), "404"),
    ] {
        let error = world.call("/api", &policy, 1).await.error.unwrap();
        assert!(error.is(ErrorKind::Authentication), "{error:?}");
        assert!(error.detail.as_ref().unwrap().contains(told), "{error:?}");
    }
    let mut opaque = oauth2(&base, &client);
    opaque["oauth2"]["issuers"] = json!(["https://issuer.example"]);
    world.output("/api", &opaque, 1).await;
    assert_eq!(world.peers.count("introspected").await, 1);
    opaque["oauth2"]["issuers"] = json!(["https://other.example"]);
    let error = world.call("/api", &opaque, 1).await.error.unwrap();
    assert!(error.is(ErrorKind::Authentication), "{error:?}");
    world.stop().await;
}
