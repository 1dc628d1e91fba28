//! Names of the real server: asked for with `dig`, and what the operator is told of those published elsewhere.

use std::net::SocketAddr;
use std::process::Command;

use super::program::{Program, Site, dead_address, eventually};

/// What `dig` finds, in short.
fn dig(server: &str, words: &[&str]) -> String {
    let server: SocketAddr = server.parse().unwrap();
    let output = Command::new("dig")
        .arg(format!("@{}", server.ip()))
        .args([
            "-p",
            &server.port().to_string(),
            "+short",
            "+time=5",
            "+tries=2",
        ])
        .args(words)
        .output();
    let output = output.expect("Debian's package `bind9-dnsutils` is installed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn dev_answers_for_its_services_and_for_itself_at_the_fifth_port() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::dev(dir.path());
    let dns = program.text("dns");
    let port = |url: &str| url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    assert_eq!(port(dns), port(program.text("gateway")) + 4);
    assert_eq!(dig(dns, &["rates.service.taraf"]), "127.0.0.1");
    let place = dig(dns, &["_rates._tcp.service.taraf", "SRV"]);
    let host = place.split(' ').next_back().unwrap();
    assert!(host.ends_with(".node.taraf."), "{place}");
    assert_eq!(dig(dns, &[host, "+tcp"]), "127.0.0.1");
    assert!(dig(dns, &[host, "TXT"]).contains("\"service="), "{host}");
    assert_eq!(dig(dns, &["nobody.service.taraf"]), "");
    program.stop();
}

#[test]
fn the_operator_is_told_why_names_are_not_published() {
    let (server, secret) = (dead_address(), "c2VjcmV0IHNlY3JldCBzZWNyZXQ=");
    let site = Site::new(&format!(
        "apps.enabled = []\ngossip.bind = \"127.0.0.1:0\"\ngossip.rpc.listen = \"127.0.0.1:0\"\ndns.listen = \"127.0.0.1:0\"\n\
         [dns.update.office]\nserver = \"{server}\"\nzone = \"cluster.example\"\nkey_name = \"taraf\"\n\
         secret = \"{secret}\"\n"
    ));
    let program = site.serve();
    let names = || {
        let status = program.operate(&site.token(), "GET", "/v1/status", b"");
        status.expect(200).json()["names"].clone()
    };
    assert_eq!(names()["listen"][0], program.text("dns"));
    let error = eventually("an error", || {
        let error = names()["updates"]["office"]["error"].clone();
        error.as_str().map(str::to_owned)
    });
    assert!(
        error.starts_with(&format!("failed to reach {server}")),
        "{error}"
    );
    assert!(!names().to_string().contains(secret));
    program.stop();
}

#[test]
fn settings_of_names_that_cannot_be_used_are_named() {
    let refused = |more: &str| {
        let site = Site::new(&format!("apps.enabled = []\n{more}"));
        let config = site.config();
        let (code, said) = super::program::run(&["serve", "--config", config.to_str().unwrap()]);
        assert_ne!(code, 0, "{said}");
        said
    };
    let said = refused("dns.domain = \"a..b\"\n");
    assert!(said.contains("`a..b` is no domain"), "{said}");
    let said = refused("dns.ttl = \"1500ms\"\n");
    assert!(said.contains("dns.ttl: "), "{said}");
    let office = "[dns.update.office]\nserver = \"127.0.0.1:53\"\nzone = \"x\"\n";
    let said = refused(&format!("gossip.bind = \"127.0.0.1:0\"\n{office}"));
    assert!(
        said.contains("dns.update.office") && said.contains("key_file"),
        "{said}"
    );
    let said = refused(&format!("gossip.enabled = false\n{office}"));
    assert!(said.contains("gossip.enabled is false"), "{said}");
}
