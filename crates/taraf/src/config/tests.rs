//! What a configuration may say, and how it is refused.

use std::path::Path;
use std::time::Duration;

use taraf_gossip::wire::Address;
use taraf_gossip::{serf, swim};

use super::*;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taraf.toml");
    std::fs::write(&path, text).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(&path, variables).map_err(|error| {
        let folder = format!("{}/", folder.path().display());
        error.to_string().replace(&folder, "")
    })
}

fn check_refused(text: &str, variables: &[(&str, &str)], expected: &str) {
    let error = load(text, variables).unwrap_err();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:7400");
    assert_eq!(config.operator.listen.to_string(), "127.0.0.1:7401");
    assert!(config.data.dir.is_none());
    assert_eq!(config.apps.enabled, ["romania"]);
}

#[test]
fn sections_are_read() {
    let text = r#"
        [gateway]
        listen = "127.0.0.1:9000"
        [gateway.limits]
        deadline = "5s"
        [data]
        dir = "data"
        [services.rates]
        endpoints = ["127.0.0.1:1"]
        [engine.secrets]
        token = "hunter2"
        [accounts.plans.small]
        rate_per_second = 2
        burst = 4
        quota_per_month = 100
    "#;
    let config = load(text, &[]).unwrap();
    assert_eq!(config.gateway.limits.deadline, Duration::from_secs(5));
    assert_eq!(config.services["rates"].endpoints.len(), 1);
    assert_eq!(config.accounts.plans["small"].quota_per_month, Some(100));
    assert!(!format!("{config:?}").contains("hunter2"));
    let dir = config.data.dir.unwrap();
    assert!(dir.is_absolute() && dir.ends_with("data"), "{dir:?}");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_a_suggestion() {
    check_refused(
        "[gateway]\nlistn = \"127.0.0.1:1\"\n",
        &[],
        "taraf.toml:2:1: unknown field `listn`, expected one of `listen`",
    );
    let error = load("[gateway]\nlistn = \"127.0.0.1:1\"\n", &[]).unwrap_err();
    assert!(error.ends_with("did you mean `listen`?"), "{error}");
    check_refused("[gatway]\n", &[], "taraf.toml:1:2: unknown field `gatway`");
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    check_refused("\n[gateway]\nlisten = \"here\"\n", &[], "taraf.toml:3:10: ");
    check_refused("[gateway\n", &[], "taraf.toml:1:");
}

#[test]
fn a_variable_goes_before_the_file() {
    let text = "[gateway]\nlisten = \"127.0.0.1:9000\"\n";
    let variables = [
        ("TARAF_GATEWAY__LISTEN", "127.0.0.1:9100"),
        ("TARAF_ACCOUNTS__REGISTRATIONS_PER_HOUR", "7"),
        ("TARAF_ACCOUNTS__DEFAULT_PLAN", "7"),
        ("TARAF_APPS__ENABLED", "[]"),
        ("TARAF_CONTEXT", "ignored: names no section"),
        ("PATH", "/bin"),
    ];
    let config = load(text, &variables).unwrap();
    assert_eq!(config.gateway.listen.port(), 9100);
    assert_eq!(config.accounts.registrations_per_hour, 7);
    assert_eq!(config.accounts.default_plan, "7");
    assert!(config.apps.enabled.is_empty());
}

#[test]
fn a_wrong_variable_is_named() {
    check_refused(
        "",
        &[("TARAF_GATEWAY__LISTN", "x")],
        "environment variable TARAF_GATEWAY__LISTN: unknown field `listn`",
    );
    check_refused(
        "",
        &[("TARAF_ACCOUNTS__REGISTRATIONS_PER_HOUR", "often")],
        "environment variable TARAF_ACCOUNTS__REGISTRATIONS_PER_HOUR: invalid type",
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nonexistent/taraf.toml"), []).unwrap_err();
    assert_eq!(error.to_string(), "failed to read /nonexistent/taraf.toml");
}

#[test]
fn constants_of_gossip_are_settings() {
    let text = "[gossip.timing]\nprobe_interval = \"500ms\"\ngossip_nodes = 4\n";
    let address = Address::Four([127, 0, 0, 1]);
    let mut swim = swim::Config::lan("a".into(), address, 1);
    let mut serf = serf::Config::serf("a".into(), serf::Tags::default());
    let variables = [("TARAF_GOSSIP__TIMING__PROBE_TIMEOUT", "100ms")];
    let config = load(text, &variables).unwrap();
    config.gossip.timing.apply(&mut swim, &mut serf);
    let read = (swim.probe_interval, swim.probe_timeout, swim.gossip_nodes);
    let expected = (Duration::from_millis(500), Duration::from_millis(100), 4);
    assert_eq!(read, expected);
    for (text, why) in [
        ("probe = \"1s\"", "'timing' has no 'probe', but: "),
        (
            "gossip_nodes = 0",
            "'timing[gossip_nodes]' is 0, not a number from 1 on",
        ),
    ] {
        let error = load(&format!("[gossip.timing]\n{text}\n"), &[]).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
