//! The proxies under measure, each doing the same work: a key among many, a limiter, a pass on to one
//! service over connections that stay.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Process;

pub(crate) const KEYS: usize = 10_000;
const KEYS_PER_ACCOUNT: usize = 100;
/// The rate that no caller of the bench reaches: what is measured is the checking.
const RATE: u32 = 1_000_000;
const START: Duration = Duration::from_secs(30);
const TOKEN: &str = "bench-operator-token-0123456789abcdef";
/// Keys are made by so many callers at once, so that they share syncs of the disk.
const MAKERS: usize = 64;

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// Our own program with the gateway alone in it; also the keys that it made.
pub(crate) fn taraf(folder: &Path, service: SocketAddr) -> (Proxy, Vec<String>) {
    fs::write(folder.join("token"), TOKEN).expect("the folder is ours");
    let configuration = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n\
         [operator]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"\n\
         [data]\ndir = \"data\"\n\
         [telemetry]\nlevel = \"info,access=off\"\n\
         [services]\n\
         companies = {{ endpoints = [\"{service}\"] }}\n\
         rates = {{ endpoints = [\"{service}\"] }}\n\
         validate = {{ endpoints = [\"{service}\"] }}\n\
         [accounts]\ndefault_plan = \"bench\"\n\
         [accounts.plans.bench]\nrate_per_second = {RATE}\nburst = {RATE}\n\
         quota_per_month = 1000000000\n"
    );
    let file = folder.join("taraf.toml");
    fs::write(&file, configuration).expect("the folder is ours");
    let log = fs::File::create(folder.join("taraf.log")).expect("the folder is ours");
    let mut command = Command::new(program());
    command.args(["serve", "--config"]).arg(&file);
    command.stdout(Stdio::piped()).stderr(log);
    let mut process = Process::start(&mut command, "nothing: it is built here");
    let output = process.0.stdout.take().expect("it is piped");
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .expect("it says when it is ready");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON");
    let address = |member: &str| {
        let url = ready[member].as_str().unwrap_or_default();
        let address = url.strip_prefix("http://").unwrap_or_default();
        address.parse().expect("the ready line has addresses")
    };
    let keys = keys(address("operator"));
    let proxy = Proxy {
        name: "taraf",
        address: address("gateway"),
        process,
    };
    (proxy, keys)
}

/// The program, built by the profile of this bench, beside which it lies.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("TARAF_BENCH_PROGRAM") {
        return program.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--profile", "dist", "--bin", "taraf"])
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "failed to build taraf"
    );
    let own = std::env::current_exe().expect("a program has a path");
    let folder = own.ancestors().nth(2);
    folder.expect("cargo puts a bench into deps/").join("taraf")
}

/// Makes the keys through the operator API.
fn keys(operator: SocketAddr) -> Vec<String> {
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(KEYS)));
    thread::scope(|scope| {
        for _ in 0..MAKERS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(operator).expect("the operator API listens");
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= KEYS {
                        return;
                    }
                    let key = key(&mut stream, number / KEYS_PER_ACCOUNT);
                    made.lock().unwrap().push(key);
                }
            });
        }
    });
    made.into_inner().unwrap()
}

fn key(stream: &mut TcpStream, account: usize) -> String {
    let body = format!("{{\"account\":\"bench-{account}\"}}");
    let request = format!(
        "POST /v1/keys HTTP/1.1\r\nhost: operator\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).unwrap();
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "the operator API closed the connection");
            continue;
        };
        assert!(head.starts_with("HTTP/1.1 201"), "no key was made: {text}");
        if let Ok(made) = serde_json::from_str::<serde_json::Value>(body) {
            return made["key"].as_str().expect("the answer has it").to_owned();
        }
    }
}

pub(crate) fn nginx(folder: &Path, service: SocketAddr, keys: &[String]) -> Proxy {
    let address = free();
    let map: String = keys
        .iter()
        .enumerate()
        .map(|(number, key)| format!("\"{key}\" account-{number};\n"))
        .collect();
    fs::write(folder.join("nginx.map"), map).expect("the folder is ours");
    let at = folder.display();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let configuration = format!(
        "user root;\nworker_processes {cores};\ndaemon off;\npid {at}/nginx.pid;\n\
         error_log {at}/nginx.log crit;\nevents {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {at}/body;\n\
         proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n\
         uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n\
         map_hash_max_size 65536;\n  map_hash_bucket_size 128;\n\
         map $http_x_api_key $account {{ default \"\"; include {at}/nginx.map; }}\n\
         limit_req_zone $http_x_api_key zone=keys:32m rate={RATE}r/s;\n\
         keepalive_requests 1000000000;\n\
         upstream service {{ server {service}; keepalive 128; keepalive_requests 1000000000; }}\n\
         server {{\n    listen {address} reuseport;\n    location / {{\n\
         if ($account = \"\") {{ return 403; }}\n\
         limit_req zone=keys burst=10000 nodelay;\n\
         proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n\
         proxy_set_header X-Account $account;\n      proxy_pass http://service;\n\
         }}\n  }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).expect("the folder is ours");
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(&file).arg("-p").arg(folder);
    command.stderr(Stdio::null());
    let process = Process::start(&mut command, "nginx-light");
    listening("nginx", process, address)
}

pub(crate) fn haproxy(folder: &Path, service: SocketAddr, keys: &[String]) -> Proxy {
    let address = free();
    let map: String = keys
        .iter()
        .enumerate()
        .map(|(number, key)| format!("{key} account-{number}\n"))
        .collect();
    let at = folder.display();
    fs::write(folder.join("haproxy.map"), map).expect("the folder is ours");
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let configuration = format!(
        "global\n  nbthread {cores}\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         option http-keep-alive\n  http-reuse always\n\
         frontend front\n  bind {address}\n\
         http-request set-var(txn.account) req.hdr(x-api-key),map({at}/haproxy.map)\n\
         http-request deny deny_status 403 unless {{ var(txn.account) -m found }}\n\
         stick-table type string len 64 size 100k expire 60s store http_req_rate(1s)\n\
         http-request track-sc0 req.hdr(x-api-key)\n\
         http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {RATE} }}\n\
         http-request set-header x-account %[var(txn.account)]\n\
         default_backend back\n\
         backend back\n  server service {service}\n"
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration).expect("the folder is ours");
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-f"]).arg(&file);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process::start(&mut command, "haproxy");
    listening("haproxy", process, address)
}

fn listening(name: &'static str, process: Process, address: SocketAddr) -> Proxy {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < START, "{name} does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    Proxy {
        name,
        process,
        address,
    }
}

/// A port that nobody uses now; those who cannot choose one themselves are told it.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    listener.local_addr().expect("it is bound")
}
