//! Nodes, services and Serf's own agents find one another: tags become endpoints, and what goes is called no more.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Answer, call, try_call};
use super::program::{Program, Site, dead_address, eventually, run, run_in};
use super::upstream::Upstream;

const FREE_PORTS: &str = "gossip.bind = \"127.0.0.1:0\"\ngossip.rpc.listen = \"127.0.0.1:0\"\n";

/// Serf's own agent.
struct Serf {
    child: Child,
}

impl Serf {
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new("serf")
            .arg("agent")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self {
            child: child.expect("Debian's package `serf` is installed"),
        }
    }

    /// As a power failure would.
    fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serf {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server whose one route leads to a service that nobody is configured for.
struct Node {
    site: Site,
    program: Program,
    key: String,
}

impl Node {
    fn start(more: &str, manifest: &str) -> Self {
        let site = Site::with_routes(&format!("{FREE_PORTS}{more}"), manifest);
        let program = site.serve();
        let key = site.key(&program);
        Self { site, program, key }
    }

    fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.program
            .operate(&self.site.token(), method, path, body.as_bytes())
    }

    fn get(&self, path: &str) -> Value {
        self.operate("GET", path, &Value::Null).expect(200).json()
    }

    fn call(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let url = format!("{}{path}", self.program.text("gateway"));
        call(method, &url, &[("x-api-key", &self.key)], body)
    }

    /// The endpoints of a service.
    fn endpoints(&self, service: &str) -> Vec<Value> {
        let services = self.get("/v1/services");
        let items = services["items"].as_array().unwrap();
        let found = items.iter().find(|item| item["name"] == service);
        found.map_or_else(Vec::new, |item| {
            item["endpoints"].as_array().unwrap().clone()
        })
    }

    fn member(&self, name: &str) -> Option<Value> {
        let answer = self.operate("GET", &format!("/v1/members/{name}"), &Value::Null);
        (answer.status == 200).then(|| answer.json())
    }

    /// The program's command line, asking this node.
    fn taraf(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_taraf"))
            .args(arguments)
            .env_clear()
            .env("TARAF_OPERATOR", self.program.text("operator"))
            .env("TARAF_OPERATOR_TOKEN", self.site.token())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text)
    }
}

const HELLO: &str = "services: [{ name: hello }]\nroutes:\n  \
    - { method: GET, path: /hello, service: hello, to: /hello }\n";

#[test]
fn a_tagged_agent_of_serf_is_reached_and_vanishes_when_it_is_killed() {
    let node = Node::start("", HELLO);
    let upstream = Upstream::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
    });
    node.call("GET", "/hello", b"").expect(503);
    let (bind, rpc) = (dead_address().to_string(), dead_address().to_string());
    let port = format!("port={}", upstream.address.port());
    let arguments = [
        ["-node", "foreign"],
        ["-bind", &bind],
        ["-rpc-addr", &rpc],
        ["-tag", "service=hello"],
        ["-tag", &port],
        ["-tag", "zone=cluj"],
        ["-join", node.program.text("gossip")],
    ];
    let arguments = arguments.concat();
    let serf = Serf::start(&arguments);
    let status = |wanted: &str| {
        let member = node.member("foreign")?;
        (member["status"] == wanted).then_some(member)
    };
    let member = eventually("it is a member", || status("alive"));
    let seen = Instant::now();
    assert_eq!(member["services"][0]["name"], "hello");
    let reached = || node.call("GET", "/hello", b"").status == 200;
    eventually("it is called", || reached().then_some(()));
    let late = seen.elapsed();
    assert!(late < Duration::from_secs(1), "called only after {late:?}");
    let endpoint = node.endpoints("hello").remove(0);
    assert_eq!(
        (&endpoint["zone"], &endpoint["member"]),
        (&json!("cluj"), &json!("foreign"))
    );

    serf.kill_9();
    // The plain server still answers: it is the silence of its member that counts.
    eventually("nobody is called any more", || {
        (node.call("GET", "/hello", b"").status == 503).then_some(())
    });
    let member = eventually("it has failed", || status("failed"));
    let history = member["history"].as_array().unwrap();
    let verdicts = history
        .iter()
        .map(|entry| entry["verdict"].as_str().unwrap());
    let verdicts: Vec<&str> = verdicts.collect();
    assert_eq!(verdicts, ["joined", "suspected", "failed"]);
    assert_eq!(history[1]["by"], node.get("/v1/status")["gossip"]["name"]);

    let _back = Serf::start(&arguments);
    eventually("it is back by itself", || reached().then_some(()));
    let removed = node.operate("DELETE", "/v1/members/foreign", &Value::Null);
    removed.expect(409);
}

#[test]
fn serfs_agents_are_members_of_a_cluster_with_a_name_and_others_are_not() {
    let node = Node::start("gossip.cluster = \"blue\"\n", HELLO);
    let agent = |name: &str, tags: &[&str]| {
        let (bind, rpc) = (dead_address().to_string(), dead_address().to_string());
        let mut arguments = vec!["-node", name, "-bind", &bind, "-rpc-addr", &rpc];
        arguments.extend(tags.iter().flat_map(|tag| ["-tag", tag]));
        arguments.extend(["-retry-join", node.program.text("gossip")]);
        arguments.extend(["-retry-interval", "1s"]);
        (Serf::start(&arguments), rpc)
    };
    let (_plain, plain_rpc) = agent("plain", &[]);
    let (_same, _) = agent("same", &["cluster=blue"]);
    let (_other, _) = agent("other", &["cluster=green"]);
    let is_alive = |name: &str| {
        node.member(name)
            .is_some_and(|one| one["status"] == "alive")
    };
    eventually("those of the cluster and those of none are members", || {
        (is_alive("plain") && is_alive("same")).then_some(())
    });
    // Serf has met the stranger, as it knows no clusters; we have heard of it and refused it.
    eventually("the other one was seen", || {
        let metrics = node.operate("GET", "/metrics", &Value::Null).text();
        let strangers = metrics.lines().find(|line| line.contains("\"stranger\""))?;
        (!strangers.ends_with(" 0")).then_some(())
    });
    assert_eq!(node.member("other"), None);
    let listed = Command::new("serf")
        .args(["members", "-format=json", &format!("-rpc-addr={plain_rpc}")])
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let name = &node.get("/v1/status")["gossip"]["name"];
    let members = listed["members"].as_array().unwrap();
    let ours = members
        .iter()
        .find(|member| member["name"] == *name)
        .unwrap();
    assert_eq!(ours["tags"]["cluster"], "blue");
}

/// One of several instances of a service, as an administrator runs it.
fn instance(node: &Node) -> Program {
    let keyring = node.site.dir.path().join("data/gossip.keyring");
    let keyring = keyring.to_str().unwrap();
    let gossip = node.program.text("gossip");
    Program::start(
        &[
            "service",
            "validate",
            "--join",
            gossip,
            "--key-file",
            keyring,
        ],
        &[],
    )
}

/// A route whose calls must not be sent twice.
const CHECK: &str = "services: [{ name: validate }]\nroutes:\n  \
    - { method: POST, path: /check, service: validate, to: /validate/cnp }\n";

#[test]
fn no_call_is_lost_while_the_instances_of_a_service_are_restarted_one_by_one() {
    let node = Node::start("gossip.encrypt = true\n", CHECK);
    let mut instances: Vec<Program> = (0..3).map(|_| instance(&node)).collect();
    let takes = |count: usize| {
        let what = format!("{count} instances take calls");
        eventually(&what, || {
            (node.endpoints("validate").len() == count).then_some(())
        });
    };
    takes(3);
    let url = format!("{}/check", node.program.text("gateway"));
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (url, key) = (url.clone(), node.key.clone());
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let headers = [
                        ("x-api-key", key.as_str()),
                        ("content-type", "application/json"),
                    ];
                    match try_call("POST", &url, &headers, br#"{"cnp": "1"}"#) {
                        Ok(answer) if answer.status == 200 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => failed.push(format!("{} {}", answer.status, answer.text())),
                        Err(error) => failed.push(error.to_string()),
                    }
                }
                failed
            })
        })
        .collect();
    for _ in 0..instances.len() {
        instances.remove(0).stop();
        takes(2);
        instances.push(instance(&node));
        takes(3);
        let before = answered.load(Ordering::Relaxed);
        eventually("calls go on", || {
            (answered.load(Ordering::Relaxed) > before + 20).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    let failed: Vec<String> = callers
        .into_iter()
        .flat_map(|one| one.join().unwrap())
        .collect();
    assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
    assert!(answered.load(Ordering::Relaxed) > 60);
    // All that takes calls now was started during the load, and none is told to be in trouble.
    let endpoints = node.endpoints("validate");
    assert!(
        endpoints.iter().all(|one| one["failures"] == 0),
        "{endpoints:?}"
    );
}

#[test]
fn an_endpoint_is_drained_by_an_operators_word_and_taken_back() {
    let node = Node::start("gossip.encrypt = true\n", CHECK);
    let _instances: Vec<Program> = (0..2).map(|_| instance(&node)).collect();
    let endpoints = eventually("both take calls", || {
        let endpoints = node.endpoints("validate");
        (endpoints.len() == 2).then_some(endpoints)
    });
    let drained = endpoints[0]["address"].as_str().unwrap().to_owned();
    let (code, said) = node.taraf(&["services", "drain", "validate", &drained]);
    assert_eq!(code, 0, "{said}");
    for _ in 0..20 {
        node.call("POST", "/check", br#"{"cnp": "1"}"#).expect(200);
    }
    let state = |address: &str| {
        let endpoints = node.endpoints("validate");
        let own = endpoints.into_iter().find(|one| one["address"] == address);
        own.unwrap()
    };
    assert_eq!(
        (&state(&drained)["state"], &state(&drained)["calls"]),
        (&json!("drained"), &json!(0))
    );
    let (code, listed) = node.taraf(&["services", "show", "validate"]);
    assert_eq!(code, 0, "{listed}");
    assert!(
        listed.contains("drained") && listed.contains("validate-"),
        "{listed}"
    );
    let (code, said) = node.taraf(&["services", "drain", "validate", &drained, "--undo"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(state(&drained)["state"], "closed");
    let (code, said) = node.taraf(&["services", "drain", "validate", "127.0.0.1:1"]);
    assert_eq!(code, 3, "{said}");
}

#[test]
fn dev_is_a_member_of_its_own_cluster_with_a_key_that_it_made() {
    let dir = TempDir::new().unwrap();
    let program = Program::dev(dir.path());
    let port = |member: &str| -> u16 {
        let address = program.text(member).rsplit(':').next().unwrap();
        address.parse().unwrap()
    };
    assert_eq!(port("gossip"), port("gateway") + 2);
    assert_eq!(port("rpc"), port("gateway") + 3);
    let key = program.text("gossip_key").to_owned();
    assert_eq!(key.len(), 44);
    let kept = std::fs::read_to_string(dir.path().join(".taraf/gossip.keyring")).unwrap();
    assert!(kept.contains(&key), "{kept}");
    let token = program.text("operator_token").to_owned();
    let members = program
        .operate(&token, "GET", "/v1/members", b"")
        .expect(200)
        .json();
    let items = members["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(
        (&items[0]["self"], &items[0]["status"]),
        (&json!(true), &json!("alive"))
    );
    let offered = items[0]["tags"]["service"].as_str().unwrap();
    assert_eq!(offered, "companies,rates,validate");
    // Serf's own command line asks it.
    let rpc = format!("-rpc-addr={}", program.text("rpc"));
    let listed = Command::new("serf")
        .args(["members", &rpc])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("alive") && listed.contains("service=companies,rates,validate"));
    // The one who has no key is no member, and a member's services go beside those that are here.
    let elsewhere = TempDir::new().unwrap();
    let join = ["service", "rates", "--join", program.text("gossip")];
    let (code, said) = run_in(elsewhere.path(), &join);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("--key-file"), "{said}");
    let arguments = ["service", "rates", "--join", program.text("gossip")];
    // In the project's folder the key is found.
    let _service = Program::start_in(dir.path(), &arguments, &[]);
    eventually("both answer for rates", || {
        let services = program.operate(&token, "GET", "/v1/services", b"").json();
        let items = services["items"].as_array()?;
        let rates = items.iter().find(|item| item["name"] == "rates")?;
        (rates["endpoints"].as_array()?.len() == 2).then_some(())
    });
    program.stop();
}

/// Reads events of a stream until one is told that has the text.
fn told(reader: &mut impl std::io::BufRead, text: &str) -> Value {
    for line in reader.lines() {
        let line = line.unwrap();
        if line.starts_with("data: ") && line.contains(text) {
            return serde_json::from_str(&line["data: ".len()..]).unwrap();
        }
    }
    panic!("the stream ended without {text}");
}

/// Opens a stream of the operator API.
fn open(node: &Node, method: &str, path: &str, body: &str) -> BufReader<TcpStream> {
    let address = node
        .program
        .text("operator")
        .strip_prefix("http://")
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let token = node.site.token();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         accept: text/event-stream\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    assert!(status.contains("200"), "{status}");
    reader
}

#[test]
fn events_and_queries_go_over_http_and_handlers_answer() {
    let node = Node::start("gossip.handlers = [\"query:load=printf 7\"]\n", HELLO);
    let me = node.get("/v1/status")["gossip"]["name"].clone();
    let mut events = open(&node, "GET", "/v1/events/stream", "");
    let say = json!({"name": "deploy", "payload": "v2"});
    node.operate("POST", "/v1/gossip/events", &say).expect(202);
    let event = told(&mut events, "io.taraf.gossip.event.v1");
    assert_eq!(
        (&event["data"]["name"], &event["data"]["payload"]),
        (&json!("deploy"), &json!("v2"))
    );

    let ask = json!({"name": "load", "timeout": "5s"});
    let answer = node.operate(
        "POST",
        "/v1/gossip/queries",
        &json!({"name": "load", "timeout": "2s"}),
    );
    let answer = answer.expect(200).json();
    assert_eq!(answer["acks"], json!([me]));
    assert_eq!(answer["responses"], json!([{"from": me, "payload": "7"}]));
    let mut answers = open(&node, "POST", "/v1/gossip/queries", &ask.to_string());
    let response = told(&mut answers, "payload");
    assert_eq!(response, json!({"from": me, "payload": "7"}));

    let long = json!({"name": "deploy", "payload": "x".repeat(600)});
    let refused = node.operate("POST", "/v1/gossip/events", &long).expect(400);
    assert!(refused.text().contains("512"), "{}", refused.text());
    let nobody = json!({"addresses": [dead_address().to_string()]});
    let refused = node.operate("POST", "/v1/members", &nobody).expect(409);
    assert!(refused.text().contains("refused"), "{}", refused.text());
    node.operate("GET", "/v1/members/nobody", &Value::Null)
        .expect(404);
    let metrics = node.operate("GET", "/metrics", &Value::Null).text();
    assert!(
        metrics.contains("taraf_gossip_members{status=\"alive\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("taraf_gossip_serf_total{what=\"user_event\"} 1\n"),
        "{metrics}"
    );
}

#[test]
fn tags_that_do_not_fit_are_refused_at_the_start_and_at_a_reload() {
    let long = format!("gossip.tags.note = \"{}\"\n", "x".repeat(520));
    let site = Site::new(&format!("apps.enabled = []\n{FREE_PORTS}{long}"));
    let (code, said) = run(&["serve", "--config", site.config().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(said.contains("18 more than the 512"), "{said}");

    let short = "gossip.tags.note = \"kept\"\n";
    let node = Node::start(short, HELLO);
    let me = node.get("/v1/status")["gossip"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let note = || node.member(&me).unwrap()["tags"]["note"].clone();
    assert_eq!(note(), "kept");
    let file = node.site.config();
    let written = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, written.replace(short, &long)).unwrap();
    node.program.signal("HUP");
    let error = eventually("the reload is refused", || {
        let error = node.get("/v1/status")["settings"]["error"].clone();
        error.as_str().map(str::to_owned)
    });
    assert!(error.contains("18 more than the 512"), "{error}");
    assert_eq!(note(), "kept");
    std::fs::write(&file, written.replace("kept", "new")).unwrap();
    node.program.signal("HUP");
    eventually("the tag is new", || (note() == "new").then_some(()));
}

#[test]
fn a_node_that_nobody_may_join_or_that_reaches_nobody_says_so() {
    let off = Node::start("gossip.enabled = false\n", HELLO);
    assert!(off.program.ready.get("gossip").is_none());
    assert_eq!(off.get("/v1/members")["items"], json!([]));
    off.operate("POST", "/v1/gossip/events", &json!({"name": "a"}))
        .expect(409);

    let node = Node::start("", HELLO);
    let taken = node.program.text("gossip");
    let refused = |line: &str| {
        let site = Site::new(&format!("apps.enabled = []\n{line}"));
        let (code, said) = run(&["serve", "--config", site.config().to_str().unwrap()]);
        assert_eq!(code, 1, "{said}");
        said
    };
    let said = refused(&format!("gossip.bind = \"{taken}\"\n"));
    assert!(
        said.contains(&format!("failed to listen on {taken} for gossip")),
        "{said}"
    );
    let nobody = dead_address();
    let said = refused(&format!("{FREE_PORTS}gossip.join = [\"{nobody}\"]\n"));
    assert!(
        said.contains("gossip.join") && said.contains("connection refused"),
        "{said}"
    );
}
