//! Commands that talk to a server: what they ask, what they print, what they end with.

use serde_json::{Value, json};

use crate::check::with_schema;
use crate::program::Place;
use crate::stub::{Reply, Stub};

fn at(stub: &Stub) -> Place {
    Place::new().with_variable("TARAF_OPERATOR", &stub.url)
}

fn run(status: &str) -> Value {
    json!({
        "id": "run_1", "status": status, "why": "because",
        "flow": {"namespace": "shop", "name": "order", "version": "1.0.0"},
        "input": {}, "created": "2026-01-02T03:04:05.678Z", "updated": "2026-01-02T03:04:06.000Z",
    })
}

fn ended_run(status: &str, member: &str, value: &Value) -> Value {
    let mut run = run(status);
    run[member] = value.clone();
    run
}

#[test]
fn a_new_key_is_alone_on_stdout() {
    let stub = Stub::always(
        201,
        json!({"id": "key_1", "key": "tk_secret", "account": "acme"}),
    );
    let made = at(&stub)
        .run(&["key", "create", "--account", "acme", "--plan", "pro"])
        .expect(0);
    assert_eq!(made.out, "tk_secret\n");
    assert!(!made.err.is_empty());
    let request = stub.next();
    assert_eq!(request.line(), "POST /v1/keys");
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body, json!({"account": "acme", "plan": "pro"}));
    let quiet = at(&stub)
        .run(&["key", "create", "--account", "acme", "-q"])
        .expect(0);
    assert_eq!(
        (quiet.out.as_str(), quiet.err.as_str()),
        ("tk_secret\n", "")
    );
}

#[test]
fn the_token_comes_from_the_environment_a_file_or_the_project() {
    let stub = Stub::always(200, json!({"items": []}));
    let token_of_next = |place: &Place, arguments: &[&str]| {
        place.run(arguments).expect(0);
        stub.next().header("authorization").map(str::to_owned)
    };
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let list = ["key", "list"];
    assert_eq!(token_of_next(&at(&stub), &list), None);
    let place = at(&stub).with_variable("TARAF_OPERATOR_TOKEN", "op_env");
    assert_eq!(token_of_next(&place, &list), bearer("op_env"));
    place.write("token", "op_file\n");
    let with_file = ["key", "list", "--token-file", "token"];
    assert_eq!(token_of_next(&place, &with_file), bearer("op_file"));
    let place = Place::new();
    let ready = json!({"operator": stub.url, "operator_token": "op_ready"});
    place.write(".taraf/ready.json", &ready.to_string());
    assert_eq!(token_of_next(&place, &list), bearer("op_ready"));
    let place = at(&stub);
    place.write(".taraf/operator.token", "op_dev\n");
    assert_eq!(token_of_next(&place, &list), bearer("op_dev"));
}

#[test]
fn destroying_needs_yes_where_nobody_can_be_asked() {
    let stub = Stub::always(204, Value::Null);
    let place = at(&stub);
    let refused = place.run(&["key", "revoke", "key_1"]).expect(2);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    place
        .run(&["key", "revoke", "key_1", "--dry-run"])
        .expect(0);
    assert!(stub.all().is_empty());
    place.run(&["key", "revoke", "key_1", "--yes"]).expect(0);
    assert_eq!(stub.next().line(), "DELETE /v1/keys/key_1");
}

#[test]
fn a_started_run_is_named_or_waited_for() {
    let output = json!({"total": "1.10"});
    let check = |answer: Value, arguments: &[&str], code: i32, out: &str| {
        let stub = Stub::always(200, answer);
        let all = [&["start", "shop/order@1.0.0"], arguments].concat();
        let ended = at(&stub).run(&all).expect(code);
        assert_eq!(ended.out, out, "{arguments:?}");
        (stub.next(), ended.err)
    };
    let (request, _) = check(run("pending"), &["--input", "{\"a\":1}"], 0, "run_1\n");
    assert_eq!(
        request.line(),
        "POST /v1/flows/shop/order/runs?wait=0s&version=1.0.0"
    );
    assert_eq!(request.body, "{\"a\":1}");
    let completed = ended_run("completed", "output", &output);
    let (request, _) = check(completed, &["--wait"], 0, "{\"total\":\"1.10\"}\n");
    assert!(request.target.contains("wait=20s"), "{}", request.target);
    let error = json!({"title": "Nope", "status": 400});
    let (_, said) = check(ended_run("faulted", "error", &error), &["--wait"], 1, "");
    assert!(
        said.starts_with("{\"title\":\"Nope\",\"status\":400}\n"),
        "{said}"
    );
    check(run("cancelled"), &["--wait"], 1, "");
    let (_, said) = check(run("waiting"), &["--wait=10ms"], 7, "");
    assert!(said.contains("taraf run watch run_1"), "{said}");
    let key = ["--idempotency-key", "order-17"];
    let (request, _) = check(run("pending"), &key, 0, "run_1\n");
    assert_eq!(request.header("idempotency-key"), Some("order-17"));
}

#[test]
fn a_flow_without_a_namespace_is_the_only_one_of_its_name() {
    let flows = json!({"items": [
        {"namespace": "shop", "name": "order", "version": "1.0.0"},
        {"namespace": "shop", "name": "order", "version": "1.1.0"},
        {"namespace": "shop", "name": "bill", "version": "1.0.0"},
        {"namespace": "other", "name": "bill", "version": "1.0.0"},
    ]});
    let stub = Stub::start(move |request| match request.method.as_str() {
        "GET" => Reply::Json(200, flows.clone()),
        _ => Reply::Json(202, run("pending")),
    });
    let place = at(&stub);
    place.run(&["start", "order"]).expect(0);
    assert!(
        stub.all()[1]
            .target
            .starts_with("/v1/flows/shop/order/runs")
    );
    let unclear = place.run(&["start", "bill"]).expect(5);
    assert!(unclear.err.contains("other, shop"), "{}", unclear.err);
    place.run(&["start", "nothing"]).expect(3);
}

#[test]
fn runs_are_listed_in_each_form() {
    let page = json!({"items": [run("completed"), run("faulted")], "next": null});
    let stub = Stub::always(200, page);
    let list = |format: &str| {
        let words = "status=faulted two owner=acme words";
        let arguments = ["run", "list", words, "-o", format];
        at(&stub).run(&arguments).expect(0).out
    };
    let row = "run_1\tcompleted\tshop/order@1.0.0\t2026-01-02T03:04:05.678Z\t\tbecause";
    assert_eq!(list("table").lines().nth(1), Some(row));
    assert_eq!(
        stub.next().target,
        "/v1/runs?limit=50&status=faulted&owner=acme&q=two%20words"
    );
    assert_eq!(list("ndjson").lines().count(), 2);
    let json: Value = serde_json::from_str(&list("json")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert!(list("csv").starts_with("id,status,flow,created,ended,why\r\nrun_1,completed,"));
    assert!(list("yaml").starts_with("- id: run_1\n  status: completed\n"));
}

#[test]
fn a_long_list_is_asked_for_page_by_page() {
    let stub = Stub::start(|request| {
        let is_second = request.target.contains("after=cursor%201");
        let next = if is_second {
            Value::Null
        } else {
            json!("cursor 1")
        };
        Reply::Json(200, json!({"items": [run("completed")], "next": next}))
    });
    let listed = at(&stub).run(&["run", "list", "-o", "ndjson"]).expect(0);
    assert_eq!(listed.out.lines().count(), 2);
    assert_eq!(stub.all().len(), 2);
}

#[test]
fn a_watched_run_tells_its_steps_and_ends_as_it_did() {
    let stub = Stub::start(|request| {
        let journal = json!({"items": [
            {"n": 1, "at": "T1", "event": "entered", "task": "/do/0/a"},
            {"n": 2, "at": "T2", "event": "completed", "task": "/do/0/a", "attempt": 2},
        ]});
        if request.target.contains("/journal") {
            Reply::Json(200, journal)
        } else {
            Reply::Json(200, ended_run("completed", "output", &json!([1])))
        }
    });
    let watched = at(&stub).run(&["run", "watch", "run_1"]).expect(0);
    assert_eq!(watched.out, "[1]\n");
    assert_eq!(
        watched.err,
        "T1  entered  /do/0/a\nT2  completed  /do/0/a  attempt 2\n"
    );
    let why = at(&stub).run(&["run", "why", "run_1"]).expect(0);
    assert_eq!(why.out, "because\n");
    let exported = at(&stub).run(&["run", "export", "run_1"]).expect(0).json();
    assert_eq!(exported["run"]["id"], "run_1");
    let show = at(&stub).run(&["run", "show", "run_1"]).expect(0);
    assert!(show.out.contains("status\tcompleted\n"), "{}", show.out);
}

#[test]
fn runs_are_steered() {
    for verb in ["suspend", "resume", "cancel"] {
        let stub = Stub::always(200, run("suspended"));
        let sure: &[&str] = if verb == "cancel" { &["--yes"] } else { &[] };
        let ended = at(&stub)
            .run(&[&["run", verb, "run_1"], sure].concat())
            .expect(0);
        assert_eq!(ended.out, "suspended\n");
        assert_eq!(stub.next().line(), format!("POST /v1/runs/run_1/{verb}"));
    }
}

#[test]
fn services_and_status_fit_a_screen() {
    let services = json!({"items": [{"name": "rates", "endpoints": [
        {"address": "127.0.0.1:9", "state": "closed", "calls": 4, "latency_us": 1_250, "member": "n1"},
    ]}]});
    let stub = Stub::always(200, services);
    let list = at(&stub).run(&["services", "list"]).expect(0);
    assert_eq!(list.out.lines().nth(1), Some("rates\t1\t127.0.0.1:9\tn1"));
    let show = at(&stub).run(&["services", "show", "rates"]).expect(0);
    assert!(
        show.out
            .contains("127.0.0.1:9\tclosed\t4\t\t\t1.250 ms\t\t\tn1"),
        "{}",
        show.out
    );
    let missing = at(&stub).run(&["services", "show", "rats"]).expect(3);
    assert!(missing.err.contains("there are rates"), "{}", missing.err);
    let stub = Stub::always(200, json!({"version": "0.1.0", "runs": {"running": 1}}));
    let status = at(&stub).run(&["status"]).expect(0);
    assert_eq!(status.out, "version\t0.1.0\nruns.running\t1\n");
}

#[test]
fn a_service_is_called_by_its_host() {
    let service = Stub::always(200, json!({"valid": true}));
    let address = service.url.trim_start_matches("http://").to_owned();
    let services = json!({"items": [{"name": "validate", "endpoints": [{"address": address}]}]});
    let operator = Stub::always(200, services);
    let called = at(&operator)
        .run(&["call", "validate/iban/RO49", "strict=yes"])
        .expect(0);
    assert_eq!(called.out, "{\"valid\":true}\n");
    let request = service.next();
    assert_eq!(request.line(), "GET /iban/RO49?strict=yes");
    assert_eq!(request.header("host"), Some("validate.service"));
    assert_eq!(request.header("authorization"), None);
}

#[test]
fn a_schema_beside_a_document_is_sent_along() {
    let published = json!({"created": true, "warnings": []});
    let stub = Stub::always(201, published);
    let place = at(&stub);
    let source = with_schema("schemas/order.json");
    place.write("flow.yaml", &source);
    place.write("schemas/order.json", "{\"required\": [\"id\"]}");
    let ended = place.run(&["flow", "publish", "flow.yaml"]).expect(0);
    assert_eq!(ended.out, "test/order@1.0.0\n");
    let request = stub.next();
    assert_eq!(request.line(), "PUT /v1/flows/test/order/1.0.0");
    let type_ = request.header("content-type");
    assert_eq!(type_, Some("application/vnd.taraf.publication+json"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let beside = json!({"schemas/order.json": "{\"required\": [\"id\"]}"});
    assert_eq!(body, json!({"source": source, "beside": beside}));
}
