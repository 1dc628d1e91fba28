//! `flow test`: cases beside flows, their summary, and what a failure tells.

use std::path::Path;

use crate::golden;
use crate::program::Place;

const FLOW: &str = "\
document: { dsl: '1.0.3', namespace: test, name: price, version: '1.0.0' }
do:
  - rate:
      try:
        - ask:
            call: http
            with: { method: get, endpoint: 'http://rates.service/api/rates/{currency}' }
      catch:
        errors: { with: { status: 503 } }
        retry: { delay: { milliseconds: 10 }, limit: { attempt: { count: 2 } } }
  - shape: { set: { price: '${ .rate }' } }
";

const PASSES: &str = "\
name: the rate becomes the price
input: { currency: EUR }
mocks:
  - request: { uri: http://rates.service/api/rates/EUR }
    answer: { json: { rate: '4.97' } }
expect:
  output: { price: '4.97' }
  calls: 1
";

const RETRIES: &str = "\
name: a busy service is asked again
input: { currency: EUR }
mocks:
  - request: { uri: http://rates.service/api/rates/EUR }
    answer: { status: 503 }
    times: 1
  - request: { uri: http://rates.service/api/rates/EUR }
    answer: { json: { rate: 5 } }
expect:
  contains: { price: 5.0 }
  calls: { 'GET http://rates.service/api/rates/EUR': 2 }
";

const FAULTS: &str = "\
name: an unknown currency is the caller's fault
input: { currency: XXX }
mocks:
  - request: { uri: http://rates.service/api/rates/XXX }
    answer: { status: 404 }
expect:
  status: faulted
  error: { status: 404, instance: /do/0/rate/try/0/ask }
";

const FAILS: &str = "\
name: this expects too much
input: { currency: EUR }
mocks:
  - request: { uri: http://rates.service/api/rates/EUR }
    answer: { json: { rate: 1 } }
expect:
  output: { price: 2, more: true }
  calls: 2
";

const UNANSWERED: &str = "\
name: nobody answers
input: { currency: EUR }
mocks:
  - request: { uri: http://rates.service/other }
expect:
  status: faulted
";

#[test]
fn cases_that_pass_end_with_a_summary_and_0() {
    let place = Place::new();
    place.write("flows/price/flow.yaml", FLOW);
    place.write("flows/price/cases/1.yaml", PASSES);
    place.write("flows/price/cases/2.yaml", RETRIES);
    place.write("flows/price/cases/3.yaml", FAULTS);
    let ended = place.run(&["flow", "test", "flows"]).expect(0);
    assert_eq!(
        ended.out,
        "passed  price: the rate becomes the price\n\
         passed  price: a busy service is asked again\n\
         passed  price: an unknown currency is the caller's fault\n\
         3 passed, 0 failed\n"
    );
    let one = place
        .run(&["flow", "test", "flows", "--only", "busy"])
        .expect(0);
    assert!(one.out.ends_with("1 passed, 0 failed\n"), "{}", one.out);
}

#[test]
fn golden_failures_say_where_the_output_parts() {
    let place = Place::new();
    place.write("price/flow.yaml", FLOW);
    place.write("price/cases/fails.yaml", FAILS);
    place.write("price/cases/broken.yaml", "name: x\nexpects: {}\n");
    place.write("price/cases/unanswered.yaml", UNANSWERED);
    place.write("unsound/flow.yaml", "do: []\n");
    place.write("unsound/cases/any.yaml", "name: any\n");
    let ended = place.run(&["flow", "test", "."]).expect(1);
    golden::check("cases.txt", &ended.out);
    let json = place
        .run(&["flow", "test", ".", "-o", "json"])
        .expect(1)
        .json();
    assert_eq!(json[0]["result"], "failed");
}

#[test]
fn a_folder_without_cases_is_no_success() {
    let place = Place::new();
    place.write("flows/price/flow.yaml", FLOW);
    place.run(&["flow", "test", "flows"]).expect(1);
    place.run(&["flow", "test", "missing"]).expect(2);
}

#[test]
fn the_cases_of_the_shipped_flows_pass() {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps");
    Place::new()
        .run(&["flow", "test", apps.to_str().unwrap()])
        .expect(0);
}

#[test]
fn the_cases_of_the_examples_hold() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let arguments = ["flow", "test", examples.to_str().unwrap()];
    let ended = Place::new().run(&arguments).expect(0);
    let guide = std::fs::read_to_string(examples.join("../docs/guides/protected-services.md"));
    let guide = guide.unwrap();
    for line in ended.out.lines() {
        assert!(guide.contains(line), "the guide does not print: {line}");
    }
}
