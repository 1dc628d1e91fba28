//! TLS of `taraf serve` on both sides: certificates by name, renewed while calls go on, callers known
//! by their own, and services of a private authority. Callers and services here are not ours.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::Value;

use super::authority::{Authority, Signed};
use super::curl::{self, Curled, curl};
use super::http::call;
use super::program::{Program, Site, eventually};
use super::upstream::Upstream;

/// curl's exit code when a certificate is not the one that it should be.
const UNTRUSTED: i32 = 60;

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn pair(signed: &Signed) -> String {
    let (certificate, key) = (shown(&signed.certificate), shown(&signed.key));
    format!("{{ certificate = \"{certificate}\", key = \"{key}\" }}")
}

/// A server that takes TLS; `more` goes on with the section, and the manifest is its routes.
fn site(certificates: &[&Signed], more: &str, manifest: &str) -> Site {
    let pairs: Vec<_> = certificates.iter().map(|signed| pair(signed)).collect();
    let pairs = pairs.join(", ");
    let tls = format!("[gateway.tls]\nreload = \"1h\"\ncertificates = [{pairs}]\n{more}");
    Site::with_routes(&tls, manifest)
}

/// A caller that trusts this authority alone, and finds every name at the gateway.
struct Caller<'a> {
    program: &'a Program,
    authority: &'a Authority,
}

impl Caller<'_> {
    fn arguments(&self, name: &str, path: &str, more: &[&str]) -> Vec<String> {
        let gateway = self.program.text("gateway");
        let port = gateway.strip_prefix("https://127.0.0.1:").unwrap();
        let ca = self.authority.path("ca.pem");
        let own = [
            "--cacert",
            shown(&ca),
            "--resolve",
            &format!("{name}:{port}:127.0.0.1"),
            &format!("https://{name}:{port}{path}"),
        ];
        own.iter()
            .chain(more)
            .map(|word| (*word).to_owned())
            .collect()
    }

    fn begin(&self, name: &str, path: &str, more: &[&str]) -> Child {
        let all = self.arguments(name, path, more);
        curl::begin(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn get(&self, name: &str, path: &str, more: &[&str]) -> Curled {
        curl::end(self.begin(name, path, more))
    }
}

#[test]
fn a_caller_is_shown_the_certificate_of_its_name_and_speaks_http2() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let first = authority.issue("first", "/CN=first", "DNS:first.test");
    let second = authority.issue("second", "/CN=second", "DNS:second.test");
    let program = site(&[&first, &second], "", "").serve();
    let caller = Caller {
        program: &program,
        authority: &authority,
    };
    // Each name is in one certificate only, and curl compares them.
    for name in ["first.test", "second.test"] {
        let told = ["--write-out", " %{http_version} %{ssl_verify_result}"];
        let live = caller.get(name, "/health/live", &told).answered();
        assert_eq!(live, "{\"status\":\"live\"} 2 0", "{name}");
    }
    let other = caller.get("third.test", "/health/live", &[]);
    assert_eq!(other.exit, UNTRUSTED, "{other:?}");
    let distrustful = Caller {
        program: &program,
        authority: &stranger,
    };
    let refused = distrustful.get("first.test", "/health/live", &[]);
    assert_eq!(refused.exit, UNTRUSTED, "{refused:?}");
    // What speaks no TLS is not answered as if it did.
    let plain = program.text("gateway").replace("https:", "http:");
    let plain = curl(&[&format!("{plain}/health/live")]);
    assert!(plain.exit != 0 && plain.out.is_empty(), "{plain:?}");
    program.stop();
}

#[test]
fn a_renewed_certificate_is_shown_after_sighup_and_a_call_under_way_goes_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let served = old.issue("a", "/CN=a", "DNS:a.test");
    let (go_on, held) = channel::<()>();
    let held = Mutex::new(held);
    let up = Upstream::start(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
        write!(stream, "{head}first")?;
        stream.flush()?;
        // Until the certificate is another.
        held.lock().unwrap().recv().unwrap();
        write!(stream, " last")
    });
    let more = format!("[services.up]\nendpoints = [\"{}\"]\n", up.address);
    let routes =
        "services: [up]\nroutes:\n- { method: GET, path: /long, service: up, auth: none }\n";
    let site = site(&[&served], &more, routes);
    let program = site.serve();
    let by = |authority| Caller {
        program: &program,
        authority,
    };
    let told = ["--no-buffer", "--write-out", "|%{num_connects}"];
    let mut long = by(&old).begin("a.test", "/long", &told);
    let mut out = BufReader::new(long.stdout.take().unwrap());
    let mut first = [0; 5];
    std::io::Read::read_exact(&mut out, &mut first).unwrap();
    assert_eq!(&first, b"first");

    let renewed = new.issue("a", "/CN=a", "DNS:a.test");
    assert_eq!(by(&new).get("a.test", "/health/live", &[]).exit, UNTRUSTED);
    std::fs::copy(renewed.certificate, &served.certificate).unwrap();
    std::fs::copy(renewed.key, &served.key).unwrap();
    program.signal("HUP");
    eventually("the renewed certificate is shown", || {
        (by(&new).get("a.test", "/health/live", &[]).exit == 0).then_some(())
    });
    assert_eq!(by(&old).get("a.test", "/health/live", &[]).exit, UNTRUSTED);

    go_on.send(()).unwrap();
    let mut rest = String::new();
    out.read_line(&mut rest).unwrap();
    assert_eq!(rest, " last|1");
    assert!(long.wait().unwrap().success());
    program.stop();
}

#[test]
fn a_client_certificate_stands_for_an_account_instead_of_a_key() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let served = authority.issue("a", "/CN=a", "DNS:a.test");
    let shop = authority.issue("shop", "/CN=shop", "DNS:shop.internal");
    let other = authority.issue("other", "/CN=other", "DNS:other.internal");
    let foreign = stranger.issue("shop", "/CN=shop", "DNS:shop.internal");
    let ca = authority.path("ca.pem");
    let more = format!(
        "client_ca = \"{}\"\nclient_certificates = \"optional\"\n\
         [[gateway.auth.certificates]]\nname = \"dns:shop.internal\"\naccount = \"shop\"\nplan = \"standard\"\n",
        shown(&ca)
    );
    let routes =
        "routes:\n- { method: GET, path: /usage, account: usage, auth: [certificate, key] }\n";
    let site = site(&[&served], &more, routes);
    let program = site.serve();
    let caller = Caller {
        program: &program,
        authority: &authority,
    };
    let by = |own: &Signed, more: &[&str]| {
        let shown = ["--cert", shown(&own.certificate), "--key", shown(&own.key)];
        caller.get("a.test", "/usage", &[&shown, more].concat())
    };
    let first = by(&shop, &[]).json();
    let second = by(&shop, &[]).json();
    let plan = &first["keys"][0]["plan"];
    assert_eq!(
        (&first["account"], plan),
        (&"shop".into(), &"standard".into()),
        "{first}"
    );
    let used = |usage: &Value| usage["used"].as_u64().unwrap();
    assert_eq!(used(&second), used(&first) + 1, "{first} {second}");

    let status = ["--write-out", "%{stderr}%{http_code}"];
    let unknown = by(&other, &status);
    assert_eq!(unknown.err, "403", "{unknown:?}");
    assert_eq!(unknown.json()["code"], "forbidden");
    let nobody = caller.get("a.test", "/usage", &status);
    assert_eq!(nobody.err, "401", "{nobody:?}");
    // Of another authority: no request gets as far as an answer, though it names the same account.
    let refused = by(&foreign, &[]);
    assert!(refused.exit != 0 && refused.out.is_empty(), "{refused:?}");
    let key = site.key(&program);
    let header = format!("x-api-key: {key}");
    let keyed = caller
        .get("a.test", "/usage", &["--header", &header])
        .json();
    assert_eq!(keyed["account"], "test");
    program.stop();
}

/// A service by TLS in Python, which ends with this.
struct Foreign {
    child: Child,
    port: u16,
}

impl Foreign {
    fn start(own: &Signed, protocols: &[&str]) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/interop/upstream.py"
        );
        let mut child = Command::new("python3")
            .args([script, shown(&own.certificate), shown(&own.key)])
            .args(protocols)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut port).unwrap();
        Self {
            child,
            port: port.trim().parse().unwrap(),
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_service_of_a_private_authority_is_called_by_tls_when_it_is_the_right_one() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.issue("reports", "/CN=reports", "DNS:reports.example");
    let strange = stranger.issue("reports", "/CN=reports", "DNS:reports.example");
    let (both, old) = (
        Foreign::start(&own, &["h2", "http/1.1"]),
        Foreign::start(&own, &["http/1.1"]),
    );
    let unknown = Foreign::start(&strange, &["h2"]);
    let service = |name: &str, port: u16, asked: &str| {
        format!(
            "[services.{name}]\nendpoints = [\"127.0.0.1:{port}\"]\nprotocol = \"tls\"\nserver_name = \"{asked}\"\n"
        )
    };
    let sections = [
        service("both", both.port, "reports.example"),
        service("old", old.port, "reports.example"),
        service("unknown", unknown.port, "reports.example"),
        service("misnamed", both.port, "ledger.example"),
    ];
    let ca = authority.path("ca.pem");
    let names = ["both", "old", "unknown", "misnamed"];
    let route =
        |name: &&str| format!("- {{ method: GET, path: /{name}, service: {name}, auth: none }}\n");
    let routes: String = names.iter().map(route).collect();
    let trust = format!("client.root_certificates = \"{}\"\n", shown(&ca));
    let site = Site::with_routes(
        &format!("{trust}{}", sections.concat()),
        &format!("services: [{}]\nroutes:\n{routes}", names.join(", ")),
    );
    let program = site.serve();
    let get = |path: &str| {
        call(
            "GET",
            &format!("{}{path}", program.text("gateway")),
            &[],
            b"",
        )
    };
    for (path, protocol) in [("/both", "h2"), ("/old", "http/1.1")] {
        let seen = get(path).expect(200).json();
        assert_eq!(
            (&seen["protocol"], &seen["path"]),
            (&protocol.into(), &path.into())
        );
        assert_eq!(seen["name"], "reports.example", "{seen}");
    }
    for path in ["/unknown", "/misnamed"] {
        let refused = get(path).expect(502).json();
        assert_eq!(refused["code"], "upstream_unreachable", "{refused}");
    }
    program.stop();
}
