//! What a configuration file may say, how two become one, and what is wrong with it.

use std::fs;

use super::*;

fn decoded(text: &str) -> Config {
    Config::decode(text.as_bytes()).unwrap()
}

fn refused(text: &str) -> String {
    Config::decode(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn every_key_of_serf_is_read() {
    let config = decoded(
        r#"{
            "node_name": "n", "role": "r", "disable_coordinates": true, "tags": {"a": "1"}, "tags_file": "t",
            "bind": "127.0.0.1", "advertise": "127.0.0.2:1", "encrypt_key": "k", "keyring_file": "kf",
            "log_level": "debug", "rpc_addr": "127.0.0.1:1", "rpc_auth": "s", "protocol": 4,
            "replay_on_join": true, "query_response_size_limit": 2048, "query_size_limit": 2049,
            "user_event_size_limit": 9216, "start_join": ["a"], "event_handlers": ["x=y"], "profile": "wan",
            "snapshot_path": "snap", "leave_on_terminate": true, "skip_leave_on_interrupt": true,
            "discover": "d", "interface": "eth0", "reconnect_interval": "1s", "reconnect_timeout": "2s",
            "tombstone_timeout": "3s", "disable_name_resolution": true, "enable_syslog": true,
            "syslog_facility": "LOCAL1", "retry_join": ["b"], "retry_max_attempts": 7, "retry_interval": "4s",
            "rejoin_after_leave": true, "enable_compression": true, "statsite_addr": "s1", "statsd_addr": "s2",
            "broadcast_timeout": "5m"
        }"#,
    );
    let unset = Config {
        disable_compression: false,
        rpc_socket: None,
        rpc_socket_users: Vec::new(),
        event_handlers_serial: false,
        event_handler_timeout: None,
        ..config.clone()
    };
    assert_eq!(config, unset);
    let text = |text: &str| Some(text.to_owned());
    let secs = |secs| Some(Duration::from_secs(secs));
    assert_eq!(
        (&config.node_name, &config.role, &config.bind),
        (&text("n"), &text("r"), &text("127.0.0.1"))
    );
    assert_eq!(
        (&config.advertise, &config.log_level),
        (&text("127.0.0.2:1"), &text("debug"))
    );
    assert_eq!(
        (&config.profile, &config.discover, &config.interface),
        (&text("wan"), &text("d"), &text("eth0"))
    );
    assert_eq!(
        (config.reconnect_interval, config.reconnect_timeout),
        (secs(1), secs(2))
    );
    assert_eq!(
        (config.tombstone_timeout, config.retry_interval()),
        (secs(3), Duration::from_secs(4))
    );
    assert_eq!(
        (config.broadcast_timeout(), config.retry_max_attempts),
        (Duration::from_secs(300), 7)
    );
    assert_eq!(
        (config.protocol(), config.user_event_size_limit),
        (4, Some(9216))
    );
    assert_eq!(
        (config.query_size_limit, config.query_response_size_limit),
        (Some(2049), Some(2048))
    );
    assert_eq!(
        (config.start_join, config.retry_join),
        (vec!["a".to_owned()], vec!["b".to_owned()])
    );
    assert_eq!(config.encrypt_key.unwrap().expose(), "k");
    assert_eq!(config.rpc_auth.unwrap().expose(), "s");
    assert!(config.disable_coordinates && config.replay_on_join && config.leave_on_terminate);
    assert!(
        config.skip_leave_on_interrupt && config.disable_name_resolution && config.enable_syslog
    );
    assert!(config.rejoin_after_leave && config.enable_compression);
}

#[test]
fn our_own_keys_are_read() {
    let config = decoded(
        r#"{"rpc_socket": "/run/x.sock", "rpc_socket_users": [7], "event_handlers_serial": true, "event_handler_timeout": "9s"}"#,
    );
    assert_eq!(config.rpc_socket, Some("/run/x.sock".into()));
    assert_eq!(config.rpc_socket_users, [7]);
    assert!(config.event_handlers_serial);
    assert_eq!(config.event_handler_timeout, Some(Duration::from_secs(9)));
}

#[test]
fn what_serf_forgives_is_forgiven() {
    assert_eq!(
        decoded(r#"{"Node_Name": "case"}"#).node_name.as_deref(),
        Some("case")
    );
    assert_eq!(decoded("{} trailing"), Config::default());
    assert_eq!(
        decoded(r#"{"tags": null, "node_name": null, "start_join": null}"#),
        Config::default()
    );
    assert_eq!(decoded(r#"{"protocol": 4.9}"#).protocol, Some(4));
    assert_eq!(
        decoded(r#"{"node_name": "", "retry_interval": "0s"}"#),
        Config::default()
    );
}

/// The texts are those that Serf printed, but for what is not JSON at all.
#[test]
fn what_is_wrong_is_told_in_serfs_words() {
    let wrong = |errors: &str| format!("1 error(s) decoding:\n\n* {errors}");
    let check = |text: &str, expected: &str| assert_eq!(refused(text), wrong(expected));
    check(
        r#"{"node_name":"f","zz":2,"bogus":1}"#,
        "'' has invalid keys: bogus, zz",
    );
    check(
        r#"{"node_name":1}"#,
        "'node_name' expected type 'string', got unconvertible type 'float64', value: '1'",
    );
    check(
        r#"{"retry_interval":5}"#,
        "'retry_interval' expected type 'string', got unconvertible type 'float64', value: '5'",
    );
    check(
        r#"{"tags":{"a":1}}"#,
        "'tags[a]' expected type 'string', got unconvertible type 'float64', value: '1'",
    );
    check(
        r#"{"start_join":"x"}"#,
        "'start_join': source data must be an array or slice, got string",
    );
    check(
        r#"{"protocol":"5"}"#,
        "'protocol' expected type 'int', got unconvertible type 'string', value: '5'",
    );
    check(
        r#"{"rejoin_after_leave":"true"}"#,
        "'rejoin_after_leave' expected type 'bool', got unconvertible type 'string', value: 'true'",
    );
    assert_eq!(refused("[]"), "'' expected a map, got 'slice'");
    assert_eq!(refused(" "), "EOF");
    assert_eq!(
        refused(r#"{"retry_interval":"5"}"#),
        "time: missing unit in duration \"5\""
    );
    assert!(
        refused(r#"{"node_name":"x",}"#).contains("line 1 column 18"),
        "{}",
        refused(r#"{"node_name":"x",}"#)
    );
    assert!(refused(r#"{"protocol":-1}"#).contains("out of range"));
    let two = refused(r#"{"node_name":1,"bogus":1}"#);
    assert!(
        two.starts_with("2 error(s) decoding:\n\n* 'node_name'"),
        "{two}"
    );
}

#[test]
fn files_and_directories_are_read_in_order_and_lists_get_longer() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let first = put(
        "first.json",
        r#"{"node_name":"a","start_join":["1"],"tags":{"a":"1","b":"1"},"leave_on_terminate":true}"#,
    );
    put("dir/20.json", r#"{"node_name":"later","start_join":["3"]}"#);
    put(
        "dir/10.json",
        r#"{"node_name":"earlier","start_join":["2"],"tags":{"b":"2"},"leave_on_terminate":false}"#,
    );
    put("dir/30.txt", "junk");
    put("dir/sub.json/40.json", "junk");
    let config = read_paths(&[first, folder.path().join("dir")]).unwrap();
    assert_eq!(config.node_name.as_deref(), Some("later"));
    assert_eq!(config.start_join, ["1", "2", "3"]);
    assert_eq!(
        config.tags,
        [
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "2".to_owned())
        ]
        .into()
    );
    assert!(config.leave_on_terminate, "a switch was switched off");
    let missing = folder.path().join("missing");
    let shown = missing.display().to_string();
    let error = read_paths(&[missing]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("Error reading '{shown}': open {shown}: no such file or directory")
    );
    let bad = put("bad.json", r#"{"bogus":1}"#);
    let error = read_paths(&[&bad]).unwrap_err().to_string();
    let expected = format!(
        "Error decoding '{}': 1 error(s) decoding:\n\n* '' has invalid keys: bogus",
        bad.display()
    );
    assert_eq!(error, expected);
}

#[test]
fn what_a_user_should_hear_about_is_put_right_and_said() {
    let mut config = decoded(
        r#"{"rejoin_after_leave":true,"role":"r","retry_interval":"10ms","broadcast_timeout":"10ms"}"#,
    );
    let said = config.adjust();
    let expected = [
        "Deprecation warning: 'Role' has been replaced with 'Tags'",
        "Warning: 'RetryInterval' is too low. Setting to 1s",
        "Warning: 'BroadcastTimeout' is too low. Setting to 1s",
        "Warning: 'RejoinAfterLeave' enabled without snapshot file",
    ];
    assert_eq!(said, expected);
    assert_eq!(config.tags["role"], "r");
    assert_eq!(config.retry_interval(), Duration::from_secs(1));
    assert!(
        config.adjust().len() == 1,
        "what was put right is said again"
    );
}
