//! What the language promises of the tasks that are built, on simulated time.

use serde_json::{Value, json};

use crate::bench::{Bench, echo, fault, flow, output};

#[track_caller]
fn check(tasks: &str, input: Value, expected: impl Into<Value>) {
    assert_eq!(output(tasks, input), expected.into());
}

#[test]
fn a_fork_answers_an_array_in_declared_order() {
    let tasks = "- f: {fork: {branches: [{slow: {wait: PT1S, output: {as: '1'}}}, {quick: {set: {x: 2}}}]}}";
    check(tasks, json!({}), json!([1, {"x": 2}]));
}

#[test]
fn a_fault_is_no_win_and_the_first_to_end_wins() {
    let tasks = r"
- f:
    fork:
      compete: true
      branches:
        - bad: {raise: {error: {type: 'https://example.org/x', status: 400}}}
        - late: {wait: PT5S, output: {as: '5'}}
        - early: {wait: PT1S, output: {as: '1'}}";
    check(tasks, json!({}), json!(1));
    let all = "- f: {fork: {compete: true, branches: [{a: {raise: {error: {type: 'https://example.org/x', status: 400}}}}, {b: {raise: {error: {type: 'https://example.org/y', status: 401}}}}]}}";
    assert_eq!(fault(all, json!({}))["status"], 401);
}

#[test]
fn a_fault_of_a_branch_ends_the_others() {
    let tasks = "- f: {fork: {branches: [{w: {wait: PT1H}}, {bad: {raise: {error: {type: 'https://example.org/x', status: 418}}}}]}}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    assert!(
        bench.timers.is_empty(),
        "the timer of the other branch is cleared"
    );
    assert_eq!(bench.run(id).error.unwrap().status, 418);
}

#[test]
fn exports_of_branches_share_one_context() {
    let tasks = r"
- f:
    fork:
      branches:
        - a: {set: {a: 1}, export: {as: '${ $context + . }'}}
        - b: {set: {b: 2}, export: {as: '${ $context + . }'}}
- c: {set: '${ $context }'}";
    check(tasks, json!({}), json!({"a": 1, "b": 2}));
}

#[test]
fn while_is_tested_before_every_iteration_on_its_input() {
    let tasks = r"
- l:
    for: {each: n, in: '.items'}
    while: '.sum == null or .sum < 3'
    do:
      - add: {set: {sum: '${ (.sum // 0) + $n }'}}";
    check(tasks, json!({"items": [1, 2, 4, 8]}), json!({"sum": 3}));
    let never = "- l: {for: {each: n, in: '[1]'}, while: 'false', do: [{a: {set: {x: 1}}}]}";
    check(never, json!({"kept": true}), json!({"kept": true}));
}

#[test]
fn items_are_evaluated_once_and_the_index_is_seen() {
    let tasks = "- l: {for: {each: n, in: '.a[]', at: i}, do: [{s: {set: {a: [], seen: '${ (.seen // []) + [[$n, $i]] }'}}}]}";
    check(
        tasks,
        json!({"a": ["x", "y"]}),
        json!({"a": [], "seen": [["x", 0], ["y", 1]]}),
    );
}

#[test]
fn a_shadowed_item_is_the_inner_one_and_comes_back() {
    let tasks = r"
- outer:
    for: {in: '[[1, 2], [3]]'}
    do:
      - keep: {set: {log: '${ (.log // []) }'}}
      - inner:
          for: {in: '$item'}
          do:
            - note: {set: {log: '${ .log + [$item] }'}}
      - after: {set: {log: '${ .log + [$item | length] }'}}";
    check(tasks, json!({}), json!({"log": [1, 2, 2, 3, 1]}));
}

#[test]
fn exit_ends_the_innermost_list_and_end_the_run() {
    let exit = r"
- a:
    do:
      - b:
          do:
            - c: {set: {x: c}, then: exit}
            - never: {set: {x: never}}
      - d: {set: {x: '${ .x + `d` }'}}"
        .replace('`', "\"");
    check(&exit, json!({}), json!({"x": "cd"}));
    let end = r"
- a:
    output: {as: '{wrapped: .}'}
    do:
      - b:
          do:
            - c: {set: {x: c}, then: end}
            - never: {set: {x: never}}
- never: {set: {x: never}}";
    check(end, json!({}), json!({"x": "c"}));
    let iteration = "- l: {for: {in: '[1,2,3]'}, do: [{s: {switch: [{two: {when: '$item == 2', then: exit}}]}}, {a: {set: {n: '${ (.n // 0) + $item }'}}}]}";
    check(iteration, json!({}), json!({"n": 4}));
}

#[test]
fn a_jump_backwards_makes_a_loop_with_a_limit() {
    let tasks = r"
- count: {set: {n: '${ (.n // 0) + 1 }'}}
- again: {switch: [{more: {when: '.n < 5000', then: count}}]}";
    check(tasks, json!({}), json!({"n": 5000}));
    let endless = "- a: {set: {n: 1}, then: a}";
    let mut settings = crate::bench::settings();
    settings.limits.task_starts = 1_000;
    let mut bench = Bench::with(settings);
    let id = bench.begin(&flow(endless), json!({}));
    bench.finish(echo);
    let detail = bench.run(id).error.unwrap().detail.unwrap();
    assert!(detail.contains("1000 tasks"), "{detail}");
}

#[test]
fn a_skipped_task_passes_its_input_and_nothing_of_it_applies() {
    let tasks = r"
- skipped: {if: 'false', set: {x: 1}, output: {as: '2'}, export: {as: '3'}, then: end}
- next: {set: {kept: '${ .kept }', context: '${ $context }'}}";
    check(tasks, json!({"kept": 7}), json!({"kept": 7, "context": {}}));
}

#[test]
fn text_without_the_mark_is_text() {
    check("- s: {set: '.x'}", json!({"x": 1}), json!(".x"));
    check(
        "- s: {set: {t: 'a ${ .x } b'}}",
        json!({"x": 1}),
        json!({"t": "a ${ .x } b"}),
    );
}

#[test]
fn a_swallowed_error_leaves_the_input_of_the_try() {
    let tasks = "- t: {try: [{s: {set: {x: 1}}}, {r: {raise: {error: {type: 'https://example.org/x', status: 400}}}}], catch: {}}";
    check(tasks, json!({"in": 1}), json!({"in": 1}));
}

#[test]
fn all_six_transformations_and_schemas_apply_in_their_order() {
    let tasks = r"
- t:
    if: '.raw == 1'
    input: {schema: {document: {required: [raw]}}, from: '{shaped: .raw}'}
    set: {out: '${ .shaped + $input.shaped }'}
    output: {as: '{final: .out}', schema: {document: {required: [final]}}}
    export: {as: '{exported: .final, also: $output.final}', schema: {document: {required: [exported]}}}
- c: {set: {context: '${ $context }', last: '${ .final }'}}";
    let expected = json!({"context": {"exported": 2, "also": 2}, "last": 2});
    check(tasks, json!({"raw": 1}), expected);
    let wrong = "- t: {input: {schema: {document: {required: [no]}}}, set: {x: 1}}";
    let error = fault(wrong, json!({}));
    assert_eq!(error["status"], 400);
    assert!(error["type"].as_str().unwrap().ends_with("/validation"));
    assert_eq!(error["instance"], "/do/0/t");
}

#[test]
fn error_types_of_all_families_are_the_same() {
    for family in [
        "https://serverlessworkflow.io/spec/1.0.0/errors/",
        "https://open-workflow-specification.org/spec/1.0.0/errors/",
        "https://serverlessworkflow.io/dsl/errors/types/",
        "https://open-workflow-specification.org/dsl/errors/types/",
        "https://serverlessworkflow.io.io/dsl/errors/types/",
        "",
    ] {
        let tasks = format!(
            "- t: {{try: [{{r: {{set: {{x: '${{ error }}'}}}}}}], catch: {{errors: {{with: {{type: '{family}expression'}}}}, do: [{{h: {{set: {{caught: true}}}}}}]}}}}"
        );
        check(&tasks, json!({}), json!({"caught": true}));
    }
}

#[test]
fn an_error_in_the_handler_leaves_the_task_and_catch_then_is_followed() {
    let again = "- t: {try: [{r: {raise: {error: {type: 'https://example.org/x', status: 400}}}}], catch: {do: [{h: {raise: {error: {type: 'https://example.org/y', status: 401}}}}]}}";
    let error = fault(again, json!({}));
    assert_eq!(
        (&error["status"], &error["instance"]),
        (&json!(401), &json!("/do/0/t/catch/do/0/h"))
    );
    let then = r"
- t:
    try: [{r: {raise: {error: {type: 'https://example.org/x', status: 400}}}}]
    catch: {as: e, do: [{h: {set: {status: '${ $e.status }'}}}], then: end}
- never: {set: {x: 1}}";
    check(then, json!({}), json!({"status": 400}));
}

#[test]
fn a_timeout_of_a_task_can_be_caught_and_that_of_the_run_cannot() {
    let task = "- t: {try: [{w: {wait: PT1H, timeout: {after: PT1S}}}], catch: {errors: {with: {type: timeout}}, do: [{h: {set: {late: true}}}]}}";
    check(task, json!({}), json!({"late": true}));
    let source = flow("- t: {try: [{w: {wait: PT1H}}], catch: {do: [{h: {set: {x: 1}}}]}}")
        + "timeout: {after: PT1S}\n";
    let mut bench = Bench::new();
    let id = bench.begin(&source, json!({}));
    bench.finish(echo);
    assert_eq!(bench.run(id).error.unwrap().status, 408);
}

#[test]
fn hostile_expressions_fault_their_run_while_others_go_on() {
    let mut bench = Bench::new();
    let other = bench.begin(&flow("- w: {wait: PT1S}"), json!({}));
    for hostile in [
        "[range(1000000000)]",
        "[limit(1000000000; repeat(1))]",
        "\"x\" * 1000000000",
        "reduce range(1000000) as $i (null; [.])",
    ] {
        let tasks = format!("- s: {{set: {{x: '${{ {hostile} }}'}}}}");
        let id = bench.begin(&flow(&tasks), json!({}));
        let error = bench.run(id).error.unwrap_or_else(|| panic!("{hostile}"));
        assert!(error.type_.ends_with("/expression"), "{hostile}: {error}");
    }
    bench.finish(echo);
    assert_eq!(bench.run(other).status, taraf_engine::Status::Completed);
}

#[test]
fn a_run_finishes_on_the_version_with_which_it_began() {
    let mut bench = Bench::new();
    let old = bench.begin(
        &flow("- w: {wait: PT1S}\n- s: {set: {version: old}}"),
        json!({}),
    );
    let newer = flow("- s: {set: {version: new}}").replace("1.0.0}", "1.1.0}");
    let new = bench.begin(&newer, json!({}));
    bench.finish(echo);
    assert_eq!(
        bench.run(old).output.unwrap().to_json(),
        json!({"version": "old"})
    );
    assert_eq!(
        bench.run(new).output.unwrap().to_json(),
        json!({"version": "new"})
    );
}

#[test]
fn data_over_the_limit_are_an_error_that_says_so() {
    let mut settings = crate::bench::settings();
    settings.limits.data_bytes = 1_000;
    let mut bench = Bench::with(settings);
    let id = bench.begin(&flow("- s: {set: {x: '${ [range(1000)] }'}}"), json!({}));
    let error = bench.run(id).error.unwrap();
    assert!(error.detail.unwrap().contains("1000 that are allowed"));
}

#[test]
fn an_input_over_four_mebibytes_faults_its_run_and_says_so() {
    let mut bench = Bench::new();
    let tasks = flow("- s: {set: {length: '${ .x | length }'}}");
    let id = bench.begin(&tasks, json!({"x": "a".repeat(5 << 20)}));
    let detail = bench.run(id).error.unwrap().detail.unwrap();
    assert!(
        detail.contains("more than the 4194304 that are allowed"),
        "{detail}"
    );
    let id = bench.begin(&tasks, json!({"x": "a".repeat(3 << 20)}));
    let output = bench.run(id).output.unwrap().to_json();
    assert_eq!(output, json!({"length": 3 << 20}));
}

#[test]
fn a_fork_of_more_branches_than_allowed_is_refused() {
    let fork = |count: usize| {
        let branches: Vec<String> = (0..count)
            .map(|n| format!("{{b{n}: {{set: {{n: {n}}}}}}}"))
            .collect();
        flow(&format!(
            "- f: {{fork: {{branches: [{}]}}}}",
            branches.join(", ")
        ))
    };
    let report = taraf_flow::check(&fork(257));
    assert!(report.definition.is_none());
    assert!(
        report.findings[0].message.contains("256"),
        "{:?}",
        report.findings
    );
    let mut bench = Bench::new();
    let id = bench.begin(&fork(256), json!({}));
    bench.finish(echo);
    let output = bench.run(id).output.unwrap().to_json();
    assert_eq!(output.as_array().map(Vec::len), Some(256));
    let mut settings = crate::bench::settings();
    settings.limits.branches = 2;
    let mut bench = Bench::with(settings);
    let id = bench.begin(&fork(3), json!({}));
    let detail = bench.run(id).error.unwrap().detail.unwrap();
    assert!(detail.contains("3 branches, more than 2"), "{detail}");
}

#[test]
fn the_winner_of_a_competition_gives_up_the_calls_of_the_others() {
    let tasks = r"
- f:
    fork:
      compete: true
      branches:
        - slow: {call: http, with: {method: get, endpoint: 'http://a.service/slow'}}
        - quick: {wait: PT1S, output: {as: '1'}}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    let slow = bench.calls[0].step;
    let (due, run, step, purpose) = *bench.timers.first().unwrap();
    bench.now = due;
    let timer = taraf_engine::partition::Input::TimerDue {
        run,
        step,
        purpose,
        due,
    };
    bench.propose(timer);
    assert!(
        bench.calls.is_empty(),
        "the call of step {slow} is given up"
    );
    assert_eq!(bench.run(id).output.unwrap().to_json(), json!(1));
}

#[test]
fn end_within_a_branch_ends_the_run_and_the_other_branches() {
    let tasks = r"
- f:
    fork:
      branches:
        - long: {wait: PT1H}
        - last: {do: [{w: {wait: PT1S}}, {s: {set: {x: 1}, then: end}}]}
- never: {set: {x: never}}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    bench.step(echo);
    assert_eq!(bench.run(id).output.unwrap().to_json(), json!({"x": 1}));
    assert!(bench.timers.is_empty());
}

#[test]
fn a_call_is_described_and_its_secrets_are_not_written_down() {
    let tasks = r"
- c:
    call: http
    with:
      method: post
      endpoint: http://x.service/{id}
      headers: {authorization: '${ $secrets.token }', plain: yes}
      body: {n: '${ .id }'}";
    let source = flow(tasks) + "use: {secrets: [token]}\n";
    let mut bench = Bench::new();
    let id = bench.begin(&source, json!({"id": 7}));
    let request = bench.calls[0].request.to_json();
    assert_eq!(request["uri"], "http://x.service/7");
    assert_eq!(request["body"], json!({"n": 7}));
    assert!(request.get("headers").is_none(), "{request}");
    assert_eq!(&*bench.calls[0].key, format!("{id}/do/0/c"));
    assert!(bench.run(id).why.contains("POST http://x.service/7"));
    let outside = "- s: {set: {x: '${ $secrets.token }'}}";
    let id = bench.begin(&(flow(outside) + "use: {secrets: [token]}\n"), json!({}));
    assert!(bench.run(id).error.is_some_and(|error| error.status == 403));
}
