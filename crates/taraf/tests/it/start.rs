//! Starting: the ready line, keys that last, ports that are taken.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::http::call;
use super::program::{Program, free_ports, run};

#[test]
fn dev_says_where_it_answers_and_with_which_key() {
    let dir = TempDir::new().unwrap();
    let first = free_ports();
    let text = first.to_string();
    let program = Program::start(
        &["dev", dir.path().to_str().unwrap(), "--ports", &text],
        &[],
    );
    assert_eq!(program.ready["ready"], true);
    assert_eq!(program.text("gateway"), format!("http://127.0.0.1:{first}"));
    assert_eq!(
        program.text("operator"),
        format!("http://127.0.0.1:{}", first + 1)
    );
    for (member, place) in [("gossip", 2), ("rpc", 3), ("dns", 4)] {
        let expected = format!("127.0.0.1:{}", first + place);
        assert_eq!(program.text(member), expected);
    }
    assert!(program.ready.get("smtp").is_none());
    program.get("/api/validate/cif/13548146").expect(200);
    let token = program.text("operator_token").to_owned();
    let status = program
        .operate(&token, "GET", "/v1/status", b"")
        .expect(200);
    assert_eq!(status.json()["pid"], program.ready["pid"]);
    program.stop();
}

#[test]
fn the_key_of_dev_survives_kill_9_and_its_files_are_private() {
    let dir = TempDir::new().unwrap();
    let program = Program::dev(dir.path());
    let (key, token) = (
        program.ready["api_key"].clone(),
        program.ready["operator_token"].clone(),
    );
    program.kill_9();
    let program = Program::dev(dir.path());
    assert_eq!(program.ready["api_key"], key);
    assert_eq!(program.ready["operator_token"], token);
    program.get("/api/validate/cif/13548146").expect(200);
    let mode = |path: &str| {
        let path = dir.path().join(".taraf").join(path);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for file in ["api.key", "operator.token", "ready.json"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    program.stop();
    assert!(!dir.path().join(".taraf/ready.json").exists());
}

#[test]
fn memory_keeps_nothing() {
    let dir = TempDir::new().unwrap();
    let first = free_ports().to_string();
    let path = dir.path().to_str().unwrap();
    let program = Program::start(&["dev", path, "--data", ":memory:", "--ports", &first], &[]);
    program.get("/api/validate/cif/13548146").expect(200);
    program.stop();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_port_that_is_taken_is_named_and_no_other_is_used() {
    let dir = TempDir::new().unwrap();
    for taken in 0..2 {
        let first = free_ports();
        let _holder = TcpListener::bind(("127.0.0.1", first + taken)).unwrap();
        let port = first.to_string();
        let (code, said) = run(&["dev", dir.path().to_str().unwrap(), "--ports", &port]);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains(&format!("127.0.0.1:{}", first + taken)),
            "{said}"
        );
    }
}

#[test]
fn serve_needs_a_place_for_its_data() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("taraf.toml");
    std::fs::write(&file, "").unwrap();
    let (code, said) = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("[data] dir"), "{said}");
}

#[test]
fn a_misspelt_setting_is_named_with_its_line() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("taraf.toml");
    std::fs::write(&file, "[gateway]\nlistn = \"127.0.0.1:0\"\n").unwrap();
    let (code, said) = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("taraf.toml:2:1: unknown field `listn`"),
        "{said}"
    );
    assert!(said.contains("did you mean `listen`?"), "{said}");
}

#[test]
fn one_service_runs_alone() {
    let program = Program::start(&["service", "validate"], &[]);
    let url = format!("http://{}", program.text("address"));
    let answer = call("GET", &format!("{url}/validate/cif/13548146"), &[], b"");
    assert_eq!(answer.expect(200).json()["valid"], true);
    call("GET", &format!("{url}/openapi.json"), &[], b"").expect(200);
    program.stop();
    let (code, said) = run(&["service", "postage"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("companies, rates, validate"), "{said}");
}
