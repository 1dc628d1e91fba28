//! A crash between any two groups of records: the run goes on as if nothing had happened.

use std::collections::BTreeSet;

use serde_json::json;
use taraf_engine::partition::{Call, CallClass, Input, Outcome, Partition, Reply, What};
use taraf_flow::{Data, FlowError};
use taraf_log::machine::Machine as _;

use crate::bench::{Answers, Bench, echo, flow};

const EVERYTHING: &str = r"
- first: {call: http, with: {method: post, endpoint: 'http://a.service/first', body: {n: 1}}, export: {as: '{first: .n}'}}
- pause: {wait: PT10S}
- both:
    fork:
      branches:
        - left: {call: http, with: {method: post, endpoint: 'http://a.service/left', body: [1]}}
        - right: {do: [{w: {wait: PT5S}}, {c: {call: http, with: {method: post, endpoint: 'http://a.service/right', body: [2]}}}]}
- each:
    for: {each: n, in: '.[][]'}
    do:
      - one: {call: http, with: {method: post, endpoint: 'http://a.service/one', body: '${ {sum: ((.sum? // 0) + $n)} }'}}
- shaky:
    try:
      - maybe: {call: http, with: {method: post, endpoint: 'http://a.service/maybe', body: '${ . }'}}
    catch: {retry: {delay: PT3S, limit: {attempt: {count: 3}}}}
- last: {set: {sum: '${ .sum }', first: '${ $context.first }'}}";

/// The shaky service fails twice.
fn answers(call: &Call) -> Outcome {
    let is_shaky = call.task.name.as_ref() == "maybe" && call.attempt < 3;
    if is_shaky {
        Outcome::Err(FlowError::communication("down").with_status(503))
    } else {
        echo(call)
    }
}

#[test]
fn a_run_cut_at_every_group_ends_as_an_undisturbed_one() {
    let mut whole = Bench::new();
    let id = whole.begin(&flow(EVERYTHING), json!({}));
    whole.finish(answers);
    let expected = json!({"sum": 3, "first": 1});
    assert_eq!(whole.run(id).output.unwrap().to_json(), expected);
    let keys = whole.recorded_keys(id);
    // The shaky call keeps its key in all three attempts; every other key is recorded once.
    assert_eq!(keys.len(), 8);
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 6);
    assert!(whole.groups.len() > 10);
    for cut in 1..=whole.groups.len() {
        let mut again = whole.recovered(cut);
        again.finish(answers);
        assert_eq!(
            again.run(id).output.unwrap().to_json(),
            expected,
            "cut after group {cut}"
        );
        let mut found = again.recorded_keys(id);
        let mut wanted = keys.clone();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "cut after group {cut}");
    }
}

#[test]
fn what_is_outstanding_after_replay_is_what_was_asked_for() {
    let mut bench = Bench::new();
    bench.begin(&flow(EVERYTHING), json!({}));
    loop {
        let mut other = bench.recovered(bench.groups.len());
        let calls = |bench: &Bench| {
            bench
                .calls
                .iter()
                .map(|call| (call.step, call.key.clone()))
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(calls(&bench), calls(&other));
        assert_eq!(bench.timers, other.timers);
        assert_eq!(bench.machine.state_hash(), other.machine.state_hash());
        if !bench.step(answers) {
            break;
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_log_byte_for_byte() {
    let record = || {
        let mut bench = Bench::new();
        bench.begin(&flow(EVERYTHING), json!({}));
        bench.finish(answers);
        bench.groups
    };
    assert_eq!(record(), record());
}

#[test]
fn a_snapshot_is_the_state() {
    let mut bench = Bench::new();
    bench.begin(&flow(EVERYTHING), json!({}));
    loop {
        let mut other = Bench::new();
        other.machine.restore(&bench.machine.snapshot()).unwrap();
        assert_eq!(other.machine.state(), bench.machine.state());
        if !bench.step(answers) {
            break;
        }
    }
}

#[test]
fn an_at_most_once_call_is_not_made_again_but_uncertain() {
    let tasks = r"
- t:
    try:
      - pay: {call: http, with: {method: post, endpoint: 'http://a.service/pay'}, metadata: {taraf: {atMostOnce: true}}}
    catch: {do: [{ask: {set: {ask: a person}}}]}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    assert_eq!(bench.calls[0].class, CallClass::AtMostOnce);
    let mut again = bench.recovered(bench.groups.len());
    assert!(again.calls.is_empty());
    assert_eq!(again.uncertain.len(), 1);
    again.finish(echo);
    assert_eq!(
        again.run(id).output.unwrap().to_json(),
        json!({"ask": "a person"})
    );
}

/// Pays at most once, with a retry of the author's around it and a fallible step behind it.
const PAID: &str = r"
- t:
    try:
      - pay: {call: http, with: {method: post, endpoint: 'http://a.service/pay', body: 1}, metadata: {taraf: {atMostOnce: true}}}
      - book: {call: http, with: {method: get, endpoint: 'http://a.service/book'}}
    catch: {retry: {delay: PT1S, limit: {attempt: {count: 3}}}, as: e, do: [{ask: {set: '${ $e }'}}]}";

/// How often it was paid, and what was asked in the end.
fn paid(answers: Answers) -> (usize, String) {
    let mut bench = Bench::new();
    let id = bench.begin(&flow(PAID), json!({}));
    bench.finish(answers);
    let made = bench.events(id).into_iter().filter(|what| {
        matches!(
            what,
            What::Scheduled {
                class: CallClass::AtMostOnce,
                ..
            }
        )
    });
    let asked = bench.run(id).output.unwrap().to_json();
    (
        made.count(),
        asked["type"].as_str().unwrap_or("").to_owned(),
    )
}

fn down() -> FlowError {
    FlowError::communication("down").with_status(503)
}

#[test]
fn a_retry_of_the_authors_never_repeats_an_at_most_once_call() {
    let (made, asked) = paid(|_| Outcome::Err(down()));
    assert_eq!(made, 1, "an error may hide that it was made");
    assert!(asked.ends_with("/communication"), "{asked}");
    let (made, asked) = paid(|call| match &*call.task.name {
        "pay" => Outcome::Ok(Data::null()),
        _ => Outcome::Err(down()),
    });
    assert_eq!(made, 1, "what follows it failed and is tried again");
    assert!(asked.ends_with("/uncertain"), "{asked}");
}

#[test]
fn an_at_most_once_call_that_was_not_sent_may_be_tried_again() {
    let (made, asked) = paid(|call| match (&*call.task.name, call.attempt) {
        ("pay", 1) => Outcome::Unsent(down()),
        _ => Outcome::Ok(Data::null()),
    });
    assert_eq!((made, asked.as_str()), (2, ""));
}

#[test]
fn late_result_of_an_old_attempt_is_refused() {
    let mut bench = Bench::new();
    let tasks = "- t: {try: [{c: {call: http, with: {method: get, endpoint: 'http://a.service/'}}}], catch: {retry: {delay: PT1S, limit: {attempt: {duration: PT1S}}}}}";
    let id = bench.begin(&flow(tasks), json!({}));
    let old = bench.calls[0].step;
    bench.step(answers); // answered: completes
    assert_eq!(bench.run(id).status, taraf_engine::Status::Completed);
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    bench.calls.clear(); // the first attempt hangs
    bench.step(echo); // its timeout
    bench.step(echo); // the retry begins
    let new = bench.calls[0].step;
    assert_ne!(old, new);
    let outcome = Outcome::Ok(Data::string("late"));
    let (began, groups) = (bench.now, bench.groups.len());
    let late = Input::Outcome {
        run: id,
        step: old,
        outcome,
        began,
        ended: began,
    };
    assert_eq!(bench.propose(late), Reply::Late);
    assert_eq!(bench.groups.len(), groups, "nothing is recorded of it");
    let call = bench.calls.remove(0);
    assert_eq!(call.attempt, 2);
    assert_eq!(
        bench.answer(&call, Outcome::Ok(Data::string("new"))),
        Reply::Done
    );
    assert_eq!(
        bench.answer(&call, Outcome::Ok(Data::string("twice"))),
        Reply::Late
    );
    assert_eq!(bench.run(id).output.unwrap().to_json(), json!("new"));
}

#[test]
fn a_run_that_computes_long_lets_others_have_their_turn() {
    let tasks = "- l: {for: {in: '[range(2000)]'}, do: [{s: {set: {n: '${ $index }'}}}]}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    let paused = |bench: &Bench| {
        bench
            .events(id)
            .iter()
            .filter(|what| matches!(what, What::Paused { .. }))
            .count()
    };
    assert_eq!((paused(&bench), bench.turns.len()), (1, 1));
    let mut again = bench.recovered(bench.groups.len());
    again.finish(echo);
    assert!(paused(&again) > 5);
    assert_eq!(again.run(id).output.unwrap().to_json(), json!({"n": 1_999}));
}

#[test]
fn an_unknown_kind_or_version_is_not_skipped() {
    let mut header = Partition::encode(
        &taraf_engine::partition::Event {
            run: crate::bench::run_id(1),
            what: What::Suspended,
        },
        &mut Vec::new(),
    );
    header.version = 99;
    assert!(Partition::decode(&header, &[]).is_err());
    header.kind = 200;
    assert!(Partition::decode(&header, &[]).is_err());
}
