//! What routes do beside passing calls on: the shipped example, tokens of a foreign library, and
//! settings that change while calls go on.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::http::{Answer, call};
use super::program::{Program, Site, eventually};

const IBAN: &str = "RO49AAAA1B31007593840000";

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

pub(crate) fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copied(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The lines of a head with this name.
fn header(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(':'));
    let named = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.trim().to_owned()).collect()
}

struct Example {
    program: Program,
    _dir: tempfile::TempDir,
}

impl Example {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copied(&folder("examples/gateway"), dir.path());
        Self {
            program: Program::dev(dir.path()),
            _dir: dir,
        }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let url = format!("{}{path}", self.program.text("gateway"));
        let mut all = vec![("x-api-key", self.program.text("api_key"))];
        all.extend_from_slice(headers);
        call(method, &url, &all, body)
    }
}

#[test]
fn the_example_does_what_the_guide_says() {
    let example = Example::start();
    let get = |path: &str| example.call("GET", path, &[], b"");
    let at = |route: &str| format!("/demo/{route}/{IBAN}");

    let question = [
        ("origin", "https://a.shop.example"),
        ("access-control-request-method", "GET"),
    ];
    let told = example
        .call("OPTIONS", &at("cors"), &question, b"")
        .expect(204);
    assert_eq!(
        header(&told, "access-control-allow-origin"),
        ["https://a.shop.example"]
    );
    assert_eq!(header(&told, "access-control-max-age"), ["3600"]);

    let short = get(&at("short")).expect(200);
    // The head of an answer is in small letters here.
    assert_eq!(header(&short, "x-checked"), [IBAN.to_ascii_lowercase()]);
    assert_eq!(short.json()["iban"], IBAN);
    assert!(short.json()["answer"].is_object());

    assert_eq!(header(&get(&at("kept")).expect(200), "x-cache"), ["miss"]);
    assert_eq!(header(&get(&at("kept")).expect(200), "x-cache"), ["hit"]);

    let canary = example
        .call("GET", "/demo/canary/13548146", &[("x-canary", "1")], b"")
        .expect(200);
    assert_eq!(canary.json()["cif"], "13548146");
    get(&at("mirror")).expect(200);
    get(&at("limited")).expect(200);
    get(&at("token")).expect(200);

    let json_type = ("content-type", "application/json");
    let put = |path: &str, prefer: &str, body: Value| {
        example.call(
            "PUT",
            path,
            &[json_type, ("prefer", prefer)],
            body.to_string().as_bytes(),
        )
    };
    let bolts = || json!({"name": "Bolts", "count": 3});
    assert_eq!(
        put("/demo/stock/9", "", bolts()).expect(200).json()["count"],
        3
    );
    assert_eq!(
        put("/demo/stock/9", "example=many", bolts())
            .expect(200)
            .json()["count"],
        3000
    );
    put("/demo/stock/9", "code=404", bolts()).expect(404);
    let problem = [json_type, ("accept", "application/problem+json")];
    let wrong = example
        .call("PUT", "/demo/stock/0", &problem, b"{\"count\": -1}")
        .expect(400)
        .json();
    let pointers: Vec<_> = wrong["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["pointer"])
        .collect();
    assert!(
        pointers.contains(&&json!("/id")) && pointers.contains(&&json!("/count")),
        "{wrong}"
    );
    let document = get("/openapi.json").expect(200).json();
    assert!(document["paths"]["/demo/stock/{id}"]["put"].is_object());
    assert!(document["components"]["securitySchemes"]["token_partner"].is_object());
    example.program.stop();
}

#[test]
fn tokens_of_a_foreign_library_are_judged_as_they_should_be() {
    let made = Command::new("python3")
        .arg(folder("tests/interop/tokens.py"))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let dir = tempfile::tempdir().unwrap();
    copied(&folder("examples/gateway"), dir.path());
    std::fs::write(dir.path().join("keys.json"), made["jwks"].to_string()).unwrap();
    let program = Program::dev(dir.path());
    let url = format!("{}/demo/token/{IBAN}", program.text("gateway"));
    for token in made["tokens"].as_array().unwrap() {
        let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
        let answer = call("GET", &url, &[("authorization", &bearer)], b"");
        assert_eq!(
            u64::from(answer.status),
            token["status"],
            "{}: {}",
            token["what"],
            answer.text()
        );
    }
    program.stop();
}

#[test]
fn settings_are_taken_over_whole_or_not_at_all() {
    let site = Site::new("apps.enabled = []\napps.folder = \"project\"\n");
    let services = site.dir.path().join("project/services");
    std::fs::create_dir_all(&services).unwrap();
    let file = services.join("a.yaml");
    let manifest = |path: &str| {
        format!(
            "app: a\nservices: [up]\nroutes:\n- {{ method: GET, path: {path}, service: up, auth: none }}\n"
        )
    };
    std::fs::write(&file, manifest("/one")).unwrap();
    let program = site.serve();
    let token = site.token();
    let paths = || -> Vec<String> {
        let routes = program
            .operate(&token, "GET", "/v1/routes", b"")
            .expect(200)
            .json();
        let routes = routes["items"].as_array().unwrap().clone();
        routes
            .iter()
            .map(|route| route["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let settings = || {
        program
            .operate(&token, "GET", "/v1/status", b"")
            .expect(200)
            .json()["settings"]
            .clone()
    };
    let has = |path: &str| paths().iter().any(|known| known == path);
    assert!(has("/one") && settings()["error"].is_null());

    std::fs::write(&file, manifest("/two")).unwrap();
    program.signal("HUP");
    eventually("the new route", || has("/two").then_some(()));
    assert!(!has("/one"));

    std::fs::write(&file, manifest("two")).unwrap();
    program.signal("HUP");
    let error = eventually("the refusal", || {
        settings()["error"].as_str().map(str::to_owned)
    });
    assert!(
        error.contains("`two` does not begin with a slash"),
        "{error}"
    );
    assert!(has("/two"));

    let config = std::fs::read_to_string(site.config()).unwrap();
    let plan = "[accounts.plans.tiny]\nrate_per_second = 1\nburst = 1\n";
    std::fs::write(&file, manifest("/three")).unwrap();
    std::fs::write(site.config(), format!("{config}\n{plan}")).unwrap();
    program.signal("HUP");
    eventually("the third route", || has("/three").then_some(()));
    assert!(settings()["error"].is_null());
    let made = program.operate(
        &token,
        "POST",
        "/v1/keys",
        br#"{"account": "x", "plan": "tiny"}"#,
    );
    made.expect(201);
    program.stop();
}
