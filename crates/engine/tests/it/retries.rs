//! When retries begin: back-off, limits and both durations, on simulated time.

use serde_json::json;
use taraf_engine::partition::What;

use crate::bench::{BEGINNING, Bench, echo, flow};

/// Milliseconds after the beginning at which each retry began, and whether the run faulted.
fn retries(policy: &str) -> (Vec<u128>, bool) {
    let tasks = format!(
        "- t: {{try: [{{r: {{raise: {{error: {{type: 'https://example.org/x', status: 503}}}}}}}}], catch: {{retry: {policy}}}}}"
    );
    let mut bench = Bench::new();
    let id = bench.begin(&flow(&tasks), json!({}));
    bench.finish(echo);
    let journal = bench.recorded(id);
    let began = journal
        .iter()
        .filter(|(_, what)| matches!(what, What::Retried { attempt, .. } if *attempt > 1));
    let times = began
        .map(|(at, _)| at.since(BEGINNING).as_millis())
        .collect();
    (times, bench.run(id).error.is_some())
}

#[track_caller]
fn check(policy: &str, expected: &[u128]) {
    let (times, faulted) = retries(policy);
    assert_eq!(times, expected, "{policy}");
    assert!(faulted, "an exhausted retry never passes silently");
}

#[test]
fn each_back_off_keeps_its_table() {
    check(
        "{delay: PT2S, limit: {attempt: {count: 3}}}",
        &[2_000, 4_000, 6_000],
    );
    check(
        "{delay: PT2S, backoff: {constant: {}}, limit: {attempt: {count: 2}}}",
        &[2_000, 4_000],
    );
    check(
        "{delay: PT2S, backoff: {linear: {}}, limit: {attempt: {count: 3}}}",
        &[2_000, 6_000, 12_000],
    );
    check(
        "{delay: PT2S, backoff: {exponential: {}}, limit: {attempt: {count: 3}}}",
        &[2_000, 6_000, 14_000],
    );
    check(
        "{backoff: {exponential: {}}, limit: {attempt: {count: 2}}}",
        &[1_000, 3_000],
    );
    check("{limit: {attempt: {count: 2}}}", &[10, 20]);
}

#[test]
fn no_retry_begins_after_the_duration() {
    check("{delay: PT2S, limit: {duration: PT5S}}", &[2_000, 4_000]);
}

#[test]
fn an_attempt_that_takes_too_long_is_a_timeout_and_is_tried_again() {
    let tasks = r"
- t:
    try: [{w: {wait: PT1H}}]
    catch:
      retry: {delay: PT1S, limit: {attempt: {count: 1, duration: PT3S}}}";
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), json!({}));
    bench.finish(echo);
    assert_eq!(bench.run(id).error.unwrap().status, 408);
    assert_eq!(
        bench.now.since(BEGINNING).as_millis(),
        3_000 + 1_000 + 3_000
    );
}

#[test]
fn the_handler_runs_when_retries_are_used_up_and_jitter_is_always_the_same() {
    let tasks = r"
- t:
    try: [{r: {raise: {error: {type: 'https://example.org/x', status: 503}}}}]
    catch:
      retry: {delay: PT1S, jitter: {from: PT0S, to: PT1S}, limit: {attempt: {count: 2}}}
      do: [{h: {set: {handled: '${ $error.status }'}}}]";
    let mut times = Vec::new();
    for _ in 0..2 {
        let mut bench = Bench::new();
        let id = bench.begin(&flow(tasks), json!({}));
        bench.finish(echo);
        assert_eq!(
            bench.run(id).output.unwrap().to_json(),
            json!({"handled": 503})
        );
        times.push(bench.now.since(BEGINNING).as_millis());
    }
    assert_eq!(times[0], times[1]);
    assert!((2_000..=4_000).contains(&times[0]));
}
