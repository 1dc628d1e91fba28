//! Each error and warning with its place; hints; what the engine cannot run.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const HEAD: &str = "document: {dsl: '1.0.3', namespace: n, name: f, version: 1.0.0}\n";

/// A definition whose tasks are the given text; its first line is the third of the document.
fn tasks(text: &str) -> String {
    format!("{HEAD}do:\n{text}")
}

fn find(source: &str, code: &str) -> Option<(u32, u32)> {
    let report = check(source);
    let found = report.findings.iter().find(|finding| finding.code == code);
    found.map(|finding| (finding.line, finding.column))
}

/// The finding of that code stands at that line and column.
fn found(source: &str, code: &str, line: u32, column: u32) {
    let all = check(source).findings;
    assert_eq!(
        find(source, code),
        Some((line, column)),
        "{source}\n{all:#?}"
    );
    assert!(CODES.iter().any(|(known, ..)| *known == code), "{code}");
}

fn in_tasks(text: &str, code: &str, line: u32, column: u32) {
    found(&tasks(text), code, line, column);
}

#[test]
fn the_frame_of_a_definition_is_checked() {
    found("specVersion: '0.8'\nstates: []", "T0100", 1, 1);
    found(&format!("{HEAD}do: []\ntask: 1"), "T0101", 3, 1);
    found(HEAD, "T0102", 1, 1);
    found(&HEAD.replace("1.0.3", "2.0.0"), "T0110", 1, 17);
    found(
        &HEAD.replace("version: 1.0.0", "version: '1.0'"),
        "T0104",
        1,
        58,
    );
    found(&HEAD.replace("name: f", "name: a_b"), "T0104", 1, 46);
    found(
        &format!("{HEAD}do: []\nevaluate: {{language: cel}}"),
        "T0422",
        3,
        22,
    );
    found(&format!("{HEAD}do: []\ntimeout: never"), "T0301", 3, 10);
    found(
        &format!("{HEAD}do: []\nschedule: {{every: PT1H, cron: '@daily'}}"),
        "T0420",
        3,
        25,
    );
    found(
        &format!("{HEAD}do: []\nschedule: {{cron: '* * *'}}"),
        "T0412",
        3,
        18,
    );
    assert!(
        check(&format!("{HEAD}x-mine: 1\ndo: []"))
            .definition
            .is_some()
    );
}

#[test]
fn tasks_and_lists_are_checked() {
    in_tasks("- a: {sett: {x: 1}}", "T0201", 3, 6);
    in_tasks("- a: {set: {x: 1}, wait: PT1S}", "T0202", 3, 20);
    in_tasks("- a: {set: {x: 1}}\n- a: {set: {x: 1}}", "T0203", 4, 3);
    for name in ["continue", "exit", "end"] {
        in_tasks(&format!("- {name}: {{set: {{x: 1}}}}"), "T0204", 3, 3);
    }
    in_tasks("- a: {set: {x: 1}}\n  b: {set: {x: 1}}", "T0205", 4, 3);
    in_tasks("- a: {set: {}}", "T0105", 3, 12);
    in_tasks("- a: {set: {x: 1}, iff: 'true'}", "T0101", 3, 20);
    in_tasks("- a: {set: {x: 1}, if: 1}", "T0103", 3, 24);
    in_tasks("- a: {set: {x: 1}, then: b}", "T0312", 3, 26);
    in_tasks(
        "- a: {switch: [{x: {then: end}}, {y: {then: end}}]}",
        "T0313",
        3,
        35,
    );
    in_tasks("- a: {fork: {}}", "T0102", 3, 13);
    in_tasks("- a: {raise: {error: none}}", "T0301", 3, 22);
    in_tasks("- a: {try: [], catch: {retry: none}}", "T0301", 3, 31);
    in_tasks("- a: {wait: 5s}", "T0410", 3, 13);
    in_tasks("- a: {wait: {seconds: -1}}", "T0411", 3, 13);
    in_tasks(
        "- a: {try: [], catch: {retry: {delay: PT1S, jitter: {from: PT2S, to: PT1S}}}}",
        "T0416",
        3,
        53,
    );
}

#[test]
fn expressions_are_checked_where_they_stand() {
    in_tasks("- a: {set: {x: '${ .a + }'}}", "T0401", 3, 25);
    in_tasks("- a: {set: {x: '${ $inpt.a }'}}", "T0402", 3, 20);
    in_tasks("- a: {set: {x: 1}, if: $input.x}", "T0402", 3, 24);
    in_tasks("- a: {set: {x: '${ nothing(1) }'}}", "T0403", 3, 20);
    in_tasks("- a:\n    set:\n      x: ${ env.PATH }", "T0403", 5, 13);
    in_tasks("- a: {set: {x: '${ def f: f; f }'}}", "T0404", 3, 27);
    in_tasks(
        "- a: {for: {each: p, in: .x}, do: [{b: {set: {x: '${ $item }'}}}]}",
        "T0402",
        3,
        54,
    );
    in_tasks("- a: {set: {x: '${ $secrets.k }'}}", "T0303", 3, 16);
    assert_eq!(
        find(&tasks("- a: {set: {x: 1}, export: {as: $output}}"), "T0402"),
        None
    );
    assert_eq!(
        find(
            &tasks("- a: {try: [], catch: {as: e, do: [{b: {set: {x: '${ $e }'}}}]}}"),
            "T0402"
        ),
        None
    );
}

#[test]
fn calls_and_the_rest_are_checked() {
    in_tasks("- a: {call: nothing}", "T0304", 3, 13);
    in_tasks("- a: {call: 'f:1.0.0@none'}", "T0301", 3, 13);
    in_tasks("- a: {call: http, with: {method: get}}", "T0102", 3, 25);
    in_tasks(
        "- a: {call: http, with: {method: get, endpoint: 'http://a/{'}}",
        "T0413",
        3,
        59,
    );
    in_tasks(
        "- a: {call: http, with: {method: get, endpoint: {uri: 'http://a', authentication: {use: x}}}}",
        "T0302",
        3,
        89,
    );
    in_tasks(
        "- a: {call: http, with: {method: get, endpoint: {uri: 'http://a', authentication: {basic: {use: x}}}}}",
        "T0303",
        3,
        97,
    );
    in_tasks(
        "- a: {listen: {to: {one: {with: {type: a}}, all: []}}}",
        "T0420",
        3,
        45,
    );
    in_tasks(
        "- a: {listen: {to: {one: {with: {type: '('}}}}}",
        "T0414",
        3,
        40,
    );
    in_tasks(
        "- a: {run: {script: {language: ruby, code: x}}}",
        "T0422",
        3,
        32,
    );
    in_tasks(
        "- a: {run: {shell: {command: x, arguments: {a: b}}}}",
        "T0424",
        3,
        44,
    );
    in_tasks(
        "- a: {run: {container: {image: i, lifetime: {cleanup: always, after: PT1S}}}}",
        "T0421",
        3,
        45,
    );
    in_tasks(
        "- a: {run: {workflow: {namespace: n, name: f, version: '1'}}}",
        "T0423",
        3,
        3,
    );
    in_tasks(
        "- a: {call: asyncapi, with: {document: {endpoint: 'http://a'}, channel: c, operation: o, message: {}}}",
        "T0420",
        3,
        76,
    );
    in_tasks(
        "- a: {set: {x: 1}, input: {schema: {document: {type: 7}}}}",
        "T0415",
        3,
        47,
    );
}

#[test]
fn warnings_do_not_keep_a_definition_from_running() {
    let warned = |text: &str, code: &str, line, column| {
        in_tasks(text, code, line, column);
        assert!(check(&tasks(text)).definition.is_some(), "{text}");
    };
    warned("- a: {set: {x: 'a ${ .b }'}}", "T0501", 3, 19);
    warned("- a: {set: {x: .customer}}", "T0502", 3, 16);
    warned(
        "- a: {set: {x: 1}, then: end}\n- b: {set: {x: 1}}",
        "T0503",
        4,
        3,
    );
    warned(
        "- a: {try: [], catch: {retry: {delay: PT1S}}}",
        "T0504",
        3,
        31,
    );
    warned(
        "- a: {set: {x: 1}}\n- b: {set: {x: 1}, then: a}",
        "T0506",
        4,
        3,
    );
    found(
        &format!("{HEAD}use: {{secrets: [k]}}\ndo:\n- a: {{set: {{x: '${{ $secrets.k }}'}}}}"),
        "T0505",
        4,
        16,
    );
}

#[test]
fn all_errors_are_reported_in_order_with_the_nearest_name() {
    let source =
        tasks("- notify: {set: {x: 1}, then: exti}\n- b: {set: {x: 1}, iff: x}\n- c: {wait: x}");
    let report = check(&source);
    let codes: Vec<_> = report.errors().map(|finding| finding.code).collect();
    assert_eq!(codes, ["T0312", "T0101", "T0410"]);
    assert_eq!(
        report.findings[0].help.as_deref(),
        Some("did you mean `exit`?")
    );
    assert_eq!(
        report.findings[1].help.as_deref(),
        Some("did you mean `if`?")
    );
    assert_eq!(report.findings[0].pointer, "/do/0/notify/then");
    assert_eq!(
        report.findings[0].line("f.yaml"),
        "f.yaml:3:31: error[T0312]: task `exti` does not exist in this list"
    );
    assert_eq!(
        report.findings[0].long("f.yaml", &source),
        "error[T0312]: task `exti` does not exist in this list\n --> f.yaml:3:31\n  |\n\
         3 | - notify: {set: {x: 1}, then: exti}\n  |                               ^^^^\n  \
         help: did you mean `exit`?\n  more: taraf explain T0312"
    );
}

#[test]
fn what_the_engine_cannot_run_is_told() {
    let codes = |text: &str| {
        let definition = check(&tasks(text)).definition.unwrap();
        definition.unsupported().len()
    };
    assert_eq!(
        codes("- a: {wait: PT1S}\n- b: {call: http, with: {method: get, endpoint: 'http://a'}}"),
        0
    );
    assert_eq!(codes("- a: {listen: {to: {one: {with: {type: a}}}}}"), 1);
    assert_eq!(codes("- a: {emit: {event: {with: {type: a}}}}"), 1);
    assert_eq!(codes("- a: {run: {shell: {command: ls}}}"), 1);
}

#[test]
fn every_property_of_the_tasks_of_this_engine_can_be_run() {
    let source = format!(
        "{HEAD}
x-own: 1
evaluate: {{language: jq, mode: strict}}
timeout: limit
input: {{schema: {{format: json, resource: {{name: s, endpoint: {{uri: 'http://a/s', authentication: {{use: who}}}}}}}}, from: .}}
output: {{schema: {{document: {{type: object}}}}, as: .}}
use:
  secrets: [s]
  authentications: {{who: {{digest: {{use: s}}}}}}
  errors: {{bad: {{type: 'http://a/bad', status: 400, title: t, detail: d, instance: /x}}}}
  retries: {{r: {{delay: PT1S, backoff: {{exponential: {{}}}}, jitter: {{from: PT0S, to: PT1S}}, limit: {{attempt: {{count: 1, duration: PT1S}}, duration: PT9S}}, when: 'true', exceptWhen: 'false'}}}}
  timeouts: {{limit: {{after: PT1H}}}}
do:
- first: {{if: 'true', input: {{schema: {{resource: {{endpoint: s.json}}}}, from: .}}, set: {{x: 1}}, output: {{as: ., schema: {{document: true}}}}, export: {{as: ., schema: {{document: true}}}}, timeout: {{after: {{hours: 1}}}}, then: continue, metadata: {{a: 1}}}}
- inner: {{do: [{{w: {{wait: {{days: 1, hours: 1, minutes: 1, seconds: 1, milliseconds: 1}}}}}}]}}
- ask: {{call: http, with: {{method: post, endpoint: {{uri: 'http://{{a}}', authentication: {{oidc: {{use: s}}}}}}, headers: {{a: b}}, query: {{a: b}}, body: {{}}, output: response, redirect: true}}}}
- way: {{switch: [{{a: {{when: .x, then: turn}}}}, {{b: {{then: exit}}}}]}}
- turn: {{for: {{each: i, in: '[1]', at: n}}, while: 'true', do: [{{s: {{set: {{y: '${{ $i + $n }}'}}}}}}]}}
- both: {{fork: {{compete: true, branches: [{{a: {{set: {{x: 1}}}}}}, {{b: {{set: {{x: 2}}}}}}]}}}}
- safe: {{try: [{{r: {{raise: {{error: bad}}}}}}], catch: {{errors: {{with: {{type: a, status: 1, title: t, detail: d, instance: /i}}}}, as: e, when: 'true', exceptWhen: 'false', retry: r, do: [{{s: {{set: {{z: 1}}}}}}], then: end}}}}
"
    );
    let report = check(&source);
    let definition = report
        .definition
        .unwrap_or_else(|| panic!("{:#?}", report.findings));
    assert_eq!(definition.unsupported(), Vec::new());
}

/// The findings of a call with that policy.
fn of_policy(policy: &str) -> Vec<String> {
    let call = format!(
        "- c: {{call: http, with: {{method: get, endpoint: {{uri: 'http://a', authentication: {policy}}}}}}}"
    );
    let report = check(&(tasks(&call) + "\nuse: {secrets: [s]}\n"));
    let definition = report.definition;
    assert!(definition.is_none_or(|definition| definition.unsupported().is_empty()));
    let told = report.findings.iter();
    told.map(|finding| format!("{} {}", finding.code, finding.message))
        .collect()
}

#[test]
fn every_way_of_authentication_can_be_run() {
    let exchange = "'urn:ietf:params:oauth:grant-type:token-exchange'";
    for policy in [
        "{basic: {username: u, password: p}}",
        "{bearer: {use: s}}",
        "{digest: {username: u, password: p}}",
        "{digest: {use: s}}",
        "{oauth2: {authority: 'http://{a}', grant: client_credentials}}",
        "{oauth2: {use: s}}",
        "{oauth2: {authority: 'http://a', grant: password, username: u, password: '${ $secrets.s }', endpoints: {token: '/{b}'}}}",
        "{oidc: {authority: 'http://a', grant: refresh_token, subject: {token: t, type: x}}}",
        &format!(
            "{{oidc: {{authority: 'http://a', grant: {exchange}, subject: {{token: t, type: x}}}}}}"
        ),
        "{oidc: {use: s}}",
    ] {
        assert_eq!(of_policy(policy), Vec::<String>::new(), "{policy}");
    }
}

#[test]
fn what_a_grant_lacks_is_told() {
    for (policy, told) in [
        (
            "{oauth2: {authority: 'http://a', grant: password, username: u}}",
            "T0102 this grant needs the member `password`",
        ),
        (
            "{oauth2: {authority: 'http://a', grant: refresh_token}}",
            "T0102 this grant needs the member `subject`",
        ),
        (
            "{oauth2: {authority: 'http://a', grant: authorization_code}}",
            "T0508 a run has no browser: this grant faults it",
        ),
        (
            "{oauth2: {authority: '{', grant: client_credentials}}",
            "T0413 a brace of the URI template is not closed, or holds nothing",
        ),
        (
            "{oidc: {authority: 'http://a', grant: client_credentials, endpoints: {}}}",
            "T0101 oidc has no member `endpoints`",
        ),
    ] {
        assert_eq!(of_policy(policy), [told], "{policy}");
    }
}

#[test]
fn a_schema_elsewhere_is_part_of_what_a_definition_is() {
    let source = format!(
        "{HEAD}input: {{schema: {{resource: {{endpoint: 'http://a/b.json'}}}}}}\ndo:\n- s: {{set: {{x: 1}}, output: {{schema: {{resource: {{name: n, endpoint: {{uri: s/out.yaml}}}}}}}}}}\n"
    );
    let bare = check(&source).definition.unwrap();
    let places: Vec<_> = bare
        .resources
        .iter()
        .map(|one| one.pointer.as_str())
        .collect();
    assert_eq!(
        places,
        ["/input/schema/resource", "/do/0/s/output/schema/resource"]
    );
    assert_eq!(bare.resources[0].local(), None);
    assert_eq!(bare.resources[1].local().as_deref(), Some("s/out.yaml"));
    assert!(bare.unsupported().is_empty());
    assert!(
        bare.input
            .schema
            .as_ref()
            .unwrap()
            .validate(&Data::object())
            .is_err()
    );

    let mut contents = Contents::new();
    contents.insert(places[0], "{\"type\": \"object\"}".to_owned());
    contents.insert(
        places[1],
        "# YAML\ntype: object\nrequired: [x]\n".to_owned(),
    );
    let whole = check_with(&source, &contents).definition.unwrap();
    assert!(
        whole
            .input
            .schema
            .as_ref()
            .unwrap()
            .validate(&Data::object())
            .is_ok()
    );
    assert_ne!(bare.hash, whole.hash);
    assert_eq!(
        check_with(&source, &contents).definition.unwrap().hash,
        whole.hash
    );
    contents.insert(places[0], "{\"type\":  \"object\"}".to_owned());
    assert_ne!(
        check_with(&source, &contents).definition.unwrap().hash,
        whole.hash
    );
    for (text, told) in [
        ("<html>", "not a JSON Schema"),
        ("{", "its line 1"),
        ("type: 7", "not a JSON Schema"),
        ("{\"$ref\": \"other.json\"}", "other.json"),
        ("{\"$ref\": \"https://b.example/c.json\"}", "lies elsewhere"),
        ("$ref: '#/$defs/none'", "not a JSON Schema"),
    ] {
        contents.insert(places[0], text.to_owned());
        let report = check_with(&source, &contents);
        let finding = report.errors().next().unwrap();
        assert_eq!((finding.code, finding.line), ("T0417", 2), "{text}");
        assert!(finding.message.contains(told), "{}", finding.message);
    }
    contents.insert(
        places[0],
        "$defs: {a: {type: object}}\n$ref: '#/$defs/a'".to_owned(),
    );
    assert!(check_with(&source, &contents).definition.is_some());
}

#[test]
fn the_address_of_a_schema_takes_no_input() {
    let source = |address: &str| {
        format!(
            "{HEAD}input: {{schema: {{resource: {{endpoint: {{uri: '{address}'}}}}}}}}\ndo: []\n"
        )
    };
    let codes = |address: &str| {
        let report = check(&source(address));
        report
            .errors()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes("http://a/{id}"), ["T0413"]);
    assert_eq!(
        codes("${ .id }"),
        Vec::<&str>::new(),
        "there is an input, and it is null"
    );
    assert_eq!(codes("${ $input.id }"), ["T0402"]);
}

#[test]
fn a_definition_says_whether_it_is_durable() {
    let durable = |head: &str| {
        check(&format!("{head}do: []"))
            .definition
            .unwrap()
            .is_durable()
    };
    assert!(durable(HEAD));
    let off = HEAD.replace('}', ", metadata: {taraf: {durable: false}}}");
    assert!(!durable(&off));
}

#[test]
fn a_definition_may_say_how_long_its_runs_are_kept() {
    let kept = |head: &str| check(&format!("{head}do: []"));
    let says = |text: &str| {
        let metadata = format!(", metadata: {{taraf: {{retention: {text}}}}}}}");
        HEAD.replace('}', &metadata)
    };
    assert_eq!(kept(HEAD).definition.unwrap().retention(), None);
    let month = Duration::from_secs(30 * 24 * 3_600);
    assert_eq!(
        kept(&says("30d")).definition.unwrap().retention(),
        Some(month)
    );
    for wrong in ["long", "7 parsecs"] {
        let report = kept(&says(wrong));
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(
            (report.definition.is_none(), codes.as_slice()),
            (true, &["T0410"][..]),
            "{wrong}"
        );
    }
}

#[test]
fn codes_are_unique_and_in_order() {
    assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

proptest! {
    #[test]
    fn no_tasks_make_the_checker_panic(
        lines in proptest::collection::vec(
            proptest::sample::select(vec![
                "- a:", "    set: {x: 1}", "    set: ${ .a }", "    do:", "    - b:", "        wait: PT1S",
                "    then: a", "    switch: [{x: {then: b}}]", "    try: []", "    catch: {}",
                "    for: {in: .x}", "    call: http", "    with: {}", "    if: 1 +", "    listen: {}",
                "    run: {shell: {}}", "    raise: {error: {}}", "    emit: []", "    timeout: x",
            ]),
            0..12,
        )
    ) {
        let _report = check(&tasks(&lines.join("\n")));
    }

    #[test]
    fn no_text_makes_the_checker_panic(text in "(document|do|use|[a-z:\\- \\n{}\\[\\],$.'\"]){0,60}") {
        let _report = check(&text);
    }
}
