//! Expressions: what they give, what they may not do, and that nothing hostile gets far.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use taraf_base::Timestamp;

use super::*;

fn eval(text: &str, input: Json) -> Result<Json, ExpressionError> {
    let scope = Scope {
        context: Some(json!({"c": 1}).into()),
        now: Timestamp::from_millis(1_700_000_000_500),
        ..Scope::default()
    };
    let expression = Expression::new(text, &["context", "input"])?;
    Ok(expression.eval(&input.into(), &scope)?.to_json())
}

fn check(text: &str, input: Json, expected: Json) {
    assert_eq!(eval(text, input), Ok(expected), "{text}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn jq_does_what_jq_does() {
    check(".a.b", json!({"a": {"b": 2}}), json!(2));
    check(".colors + [\"red\"]", json!(null), json!(["red"]));
    check(".a // 3", json!({}), json!(3));
    check("[.[] | select(. > 1)]", json!([1, 2, 3]), json!([2, 3]));
    check("\"x \\(.a)\"", json!({"a": [1]}), json!("x [1]"));
    check("$context.c + 1", json!(null), json!(2));
    check("$input", json!(1), json!(null));
    check("now", json!(null), json!(1_700_000_000.5));
    check(
        "now | floor | todate",
        json!(null),
        json!("2023-11-14T22:13:20Z"),
    );
    check("10 / 2", json!(null), json!(5));
    check(
        "{a, b: .c}",
        json!({"a": 1, "c": 2}),
        json!({"a": 1, "b": 2}),
    );
    check(
        "to_entries",
        json!({"a": 1}),
        json!([{"key": "a", "value": 1}]),
    );
    check(
        "with_entries(.value += 1)",
        json!({"a": 1}),
        json!({"a": 2}),
    );
    check(
        "group_by(.a) | map(length)",
        json!([{"a": 1}, {"a": 2}, {"a": 1}]),
        json!([2, 1]),
    );
    check("[limit(3; repeat(1))]", json!(null), json!([1, 1, 1]));
    check("[range(3)]", json!(null), json!([0, 1, 2]));
    check(
        "[recurse(if . < 3 then . + 1 else empty end)]",
        json!(0),
        json!([0, 1, 2, 3]),
    );
    check(
        "[.[] | until(. > 100; . * 2)]",
        json!([1, 3]),
        json!([128, 192]),
    );
    check("[while(. < 5; . + 2)]", json!(1), json!([1, 3]));
    check("reduce .[] as $x (0; . + $x)", json!([1, 2]), json!(3));
    check("[paths]", json!({"a": [1]}), json!([["a"], ["a", 0]]));
    check(
        "walk(if type == \"number\" then . + 1 else . end)",
        json!([1, [2]]),
        json!([2, [3]]),
    );
    check("del(.a)", json!({"a": 1, "b": 2}), json!({"b": 2}));
    check("test(\"^a+$\")", json!("aaa"), json!(true));
    check("[scan(\"[0-9]+\")]", json!("1 22"), json!(["1", "22"]));
    check("gsub(\"a\"; \"b\")", json!("banana"), json!("bbnbnb"));
    check("splits(\", \")", json!("a"), json!("a"));
    check(
        "tojson | fromjson",
        json!({"a": [1.5, null]}),
        json!({"a": [1.5, null]}),
    );
    check("@base64 | @base64d", json!("ăb"), json!("ăb"));
    check("@uri", json!("a b"), json!("a%20b"));
    check("@json", json!([1]), json!("[1]"));
    check(".[1:3]", json!([1, 2, 3, 4]), json!([2, 3]));
    check(".[-1:]", json!("ăbc"), json!("c"));
    check("[.[] as [$a, $b] | $a * $b]", json!([[2, 3]]), json!([6]));
    check(
        "ascii_downcase | ltrimstr(\"ab\") | length",
        json!("ABC"),
        json!(1),
    );
    check("min_by(.x).x, empty", json!([{"x": 2}, {"x": 1}]), json!(1));
    check("[.. | numbers]", json!([1, {"a": 2}]), json!([1, 2]));
    check(
        "transpose",
        json!([[1, 2], [3, 4]]),
        json!([[1, 3], [2, 4]]),
    );
    check("flatten", json!([1, [2, [3]]]), json!([1, 2, 3]));
    check("(.a, .b) |= 1", json!({}), json!({"a": 1, "b": 1}));
    check("try error(\"x\") catch .", json!(null), json!("x"));
    check("limit(1; .[])", json!([7, 8]), json!(7));
    check(
        "[combinations]",
        json!([[1, 2], [3]]),
        json!([[1, 3], [2, 3]]),
    );
    check("\"ab\" * 2", json!(null), json!("abab"));
    check(
        "{a: {b: 1}} * {a: {c: 2}}",
        json!(null),
        json!({"a": {"b": 1, "c": 2}}),
    );
    check("[any(. > 2), all(. > 0)]", json!([]), json!([false, true]));
}

#[test]
fn what_jaq_lacks_is_supplied() {
    check(".a.b = 1", json!(null), json!({"a": {"b": 1}}));
    check(".[2] = 1", json!(null), json!([null, null, 1]));
    check("setpath([\"a\", 0]; 1)", json!(null), json!({"a": [1]}));
    check(
        "@csv",
        json!(["a\"b", 1, null, true]),
        json!("\"a\"\"b\",1,,true"),
    );
    check("@tsv", json!(["a\tb", 1]), json!("a\\tb\t1"));
    check("INDEX(.id)", json!([{"id": 1}]), json!({"1": {"id": 1}}));
    check("IN(1, 2)", json!(2), json!(true));
    check("trimstr(\"x\")", json!("xax"), json!("a"));
    check(
        "[tostream]",
        json!({"a": [1]}),
        json!([[["a", 0], 1], [["a", 0]], [["a"]]]),
    );
    check(
        "fromstream(tostream)",
        json!({"a": [1, {"b": 2}]}),
        json!({"a": [1, {"b": 2}]}),
    );
    check("join(\",\")", json!(["a", null, 1]), json!("a,,1"));
    check("1.10 | tostring", json!(null), json!("1.10"));
}

#[test]
fn one_value_is_a_result_none_is_null_several_are_an_error() {
    check("empty", json!(1), json!(null));
    assert_eq!(eval(".[]", json!([1, 2])), Err(ExpressionError::Many(2)));
    let all = Expression::new(".[]", &[]).unwrap();
    let all = all.eval_all(&json!([1, 2]).into(), &Scope::default());
    assert_eq!(all.unwrap().len(), 2);
    let condition = |text: &str| {
        let condition = Expression::new(text, &[]).unwrap();
        condition.eval_condition(&json!({"z": 0}).into(), &Scope::default())
    };
    assert_eq!(condition(".z"), Ok(true));
    assert_eq!(condition("empty"), Ok(false));
    assert_eq!(condition(".none"), Ok(false));
    assert_eq!(condition("false"), Ok(false));
}

#[test]
fn what_reaches_outside_is_not_there() {
    for text in [
        "env",
        "$ENV",
        "env.PATH",
        "$__prog_args",
        "input",
        "inputs",
        "halt",
        "halt_error",
        "debug",
        "stderr",
        "localtime",
        "input_filename",
        "$__loc__",
        "get_search_list",
        "strflocaltime(\"%Y\")",
        "halt_error(1)",
        "debug(\"x\")",
        "import \"a\" as a; .",
        "include \"a\"; .",
        "jn(1; 2)",
    ] {
        assert!(
            matches!(eval(text, json!(null)), Err(ExpressionError::Compile(_))),
            "{text}"
        );
    }
}

#[test]
fn results_that_are_no_json_are_errors() {
    for text in [
        "1 / 0",
        "nan",
        "[infinite]",
        "{(1): 2}",
        "1e1000 | . * 10",
        "[[nan]]",
    ] {
        assert!(eval(text, json!(null)).is_err(), "{text}");
    }
    let deep = "reduce range(300) as $i (null; [.])";
    assert!(matches!(
        eval(deep, json!(null)),
        Err(ExpressionError::Result(_))
    ));
}

#[test]
fn a_definition_may_be_used_but_not_call_itself() {
    check("def f(x): x + 1; f(.)", json!(1), json!(2));
    check("def f: 1; def g: f + f; g", json!(1), json!(2));
    for text in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f(g): def h: f(g); h; f(1)",
        "def f: def g: f; g; f",
    ] {
        assert!(eval(text, json!(null)).is_err(), "{text}");
    }
}

/// Made by repetition, so that the tests stay readable.
#[expect(clippy::too_many_lines, reason = "a table")]
fn hostile() -> Vec<String> {
    let doubled = "[.,.] | ".repeat(60);
    let mut texts: Vec<String> = [
        "[range(1e9)]",
        "range(1e18) | empty",
        "last(range(1e12))",
        "[range(0; 1; 0)]",
        "first(range(0; 1e12) | select(. < 0))",
        "repeat(empty)",
        "[repeat(1)]",
        "last(repeat(1))",
        "until(false; .)",
        "[while(true; .)]",
        "recurse(.)",
        "last(recurse(. + 1))",
        "[recurse([.])]",
        "\"x\" * 1e9",
        "1e9 * \"x\"",
        "\"x\" * 99999999999999999999",
        "[limit(1e12; repeat(1))]",
        "skip(1e12; repeat(1))",
        "nth(1e12; repeat(1))",
        "reduce range(1e6) as $i (null; [.])",
        "reduce range(1e6) as $i (null; {a: .})",
        "reduce range(1e6) as $i (.; .a = .)",
        "last(foreach range(1e9) as $i (0; . + $i))",
        "reduce range(1e9) as $i (\"\"; . + \"xxxxxxxxxxxxxxxx\")",
        "reduce range(100) as $i (\"x\"; . + .)",
        "reduce range(100) as $i ([1]; . + .)",
        "reduce range(1000) as $i (3; . * .)",
        ".[1e9] = 1",
        ".[1e15] = 1",
        "setpath([1e12]; 1)",
        ".[-1] = 1",
        "[range(1e5)] | combinations(9)",
        "[range(100)] | [combinations(99)]",
        "[[range(100)], [range(100)], [range(100)], [range(100)]] | [combinations]",
        "\"a\" | test(\"(((a{100}){100}){100}){100}\")",
        "[range(1e5) | tostring | test(\"[a-z]{1,50}\")]",
        "\"\\(\"a\" * 100000)\" | test(\"(a*)*b\")",
        "\"a\" * 1000000 | [splits(\"\")] | length",
        "\"a\" * 1000000 | gsub(\"\"; \"bbbbbbbbbbbbbbbbbbbb\")",
        "\"a\" * 1000000 | explode | implode | explode | map(. * 1e300) | implode",
        "[-9223372036854775808] | implode",
        "\"[\" * 1000000 | fromjson",
        "\"1\" * 1000000 | fromjson",
        "\"1\" * 1000000 | tonumber",
        "\"a\" * 16000000 | @html | @uri | @base64",
        "[.[]?, range(1e9)] | sort | unique | group_by(.) | flatten",
        "label $f | range(1e12) | if . < 0 then break $f else empty end",
        "try repeat(error) catch .",
        "range(1e12) | try error catch empty",
        "[.[]?] | until(length > 1e9; . + .)",
        "[1] | until(length > 1e9; . + .)",
        "{} | until(length > 1e9; . + {(length | tostring): 1})",
        "reduce range(1e6) as $i (.; .) |= 1",
        "(foreach range(1e6) as $i (.; .)) |= 1",
        "path(last(range(1e9) as $i | .))",
        "[paths(1, repeat(1))]",
        "getpath([range(1e9)])",
        "delpaths([range(1e9) | [.]])",
        "[1, 2] | INDEX(repeat(1); .)",
        "any(repeat(false); .)",
        "isempty(repeat(empty))",
        "def a: ., .; def b: a | a; def c: b | b; def d: c | c; def e: d | d; def g: e | e; \
         last(g | g)",
        "ltrimstr(repeat(1) | tojson)",
        "@sh \"\\(range(1e9))\"",
        "walk(repeat(1))",
        "..|=repeat(.)",
        "[range(200000)] | tojson | fromjson | tojson | fromjson | map(tojson) | add",
        "[range(3000)] | map([range(3000)])",
        "[range(20000)] | . - .",
        "[range(20000)] | indices([range(10000)])",
        "[range(2000) as $i | {a: $i}] | map([.]) | contains([[{a: -1}]])",
        "splits(\"a\"; repeat(\"g\"))",
        "input | halt",
        "tojson | ltrimstr(\"x\") | until(false; . + .)",
        "limit(1e9; range(1e9)) | empty",
        "[limit(1e9; range(1e9)) | [., [.]]]",
        "strftime(\"%9999999999d\")",
        "now | strftime(\"%1000000000Y\")",
        "[splits(repeat(\"a\"))]",
        "pow(1e308; 1e308)",
        "[range(1e9)] | min_by(.)",
        "fromstream(repeat([[0], 1]))",
        "first(range(1e10) | select(false))",
        "tostream | repeat(.)",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push(format!("[1] | {doubled} tojson"));
    texts.push(format!("[1] | {doubled} ."));
    texts.push(format!("[1] | {doubled} [..] | length"));
    texts.push(format!(
        "[1] | ({doubled} .) as $a | ({doubled} .) as $b | $a == $b"
    ));
    texts.push(format!(
        "[1] | ({doubled} .) as $a | ({doubled} .) as $b | $a < $b"
    ));
    texts.push(format!("[1] | {doubled} {{a: .}} + 1"));
    texts.push(format!("[1] | {doubled} error"));
    texts.push(format!("[1] | {doubled} try error catch tostring"));
    texts.push(format!("[1] | {doubled} . as $x | {{}} | .[$x]"));
    texts.push(format!("[1] | {doubled} flatten"));
    texts.push(format!("[1] | {doubled} implode"));
    texts.push(format!(
        "{{\"a\": 1}} | {} . * .",
        "{a: ., b: .} | ".repeat(60)
    ));
    texts.push("(".repeat(100_000) + "1" + &")".repeat(100_000));
    texts.push("[".repeat(10_000));
    texts.push("-".repeat(16_000) + "1");
    texts.push("1 | ".repeat(4_000) + "1");
    texts.push(". as $x | ".repeat(1_600) + "1");
    texts.push("if . then ".repeat(1_600));
    texts.push("try ".repeat(4_000) + "1");
    texts.push("def f: ".repeat(2_300));
    texts.push(".a".repeat(8_000));
    texts.push("1 + ".repeat(4_000) + "1");
    texts.push("1".repeat(16_000));
    texts.push("reduce . as $x (.; ".repeat(3_000));
    texts.push("\"\\(".repeat(20_000));
    texts.push("(., .) | ".repeat(64) + "empty");
    texts.push("[limit(1; ".repeat(150) + "repeat(1)" + &")]".repeat(150));
    texts
}

/// Evaluates the n-th quarter of the hostile expressions.
fn survive(quarter: usize) {
    // Unoptimised and beside other tests, a second of the product is several.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 8 } else { 1 });
    for text in hostile().into_iter().skip(quarter).step_by(4) {
        let start = Instant::now();
        let result = eval(&text, json!(null));
        let took = start.elapsed();
        let shown: String = text.chars().take(90).collect();
        assert!(took < limit, "{took:?} for {shown}: {:?}", result.is_ok());
    }
}

#[test]
fn nothing_hostile_takes_long_or_ends_the_process() {
    survive(0);
}

#[test]
fn nothing_hostile_of_the_second_quarter_survives() {
    survive(1);
}

#[test]
fn nothing_hostile_of_the_third_quarter_survives() {
    survive(2);
}

#[test]
fn nothing_hostile_of_the_last_quarter_survives() {
    survive(3);
}

#[test]
fn budget_is_not_caught_by_the_expression() {
    let result = eval("try last(range(1e12)) catch 7", json!(null));
    assert_eq!(result, Err(ExpressionError::Steps));
    let result = eval("(\"x\" * 1e9)? // 7", json!(null));
    assert_eq!(result, Err(ExpressionError::Size));
}

#[test]
fn work_over_much_data_is_given_more_steps() {
    let items: Vec<Json> = (0..10_000)
        .map(|i| json!({"id": i, "name": format!("name {i}"), "on": i % 2 == 0}))
        .collect();
    let result = eval("map(select(.on) | {id, name}) | length", Json::from(items));
    assert_eq!(result, Ok(json!(5_000)));
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in "[a-z.$ |(){}\\[\\],:;\"'0-9@?+*/=<>-]{0,40}") {
        let _either = Expression::new(&text, &["context"]);
    }

    #[test]
    fn no_program_makes_the_evaluation_panic(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                ".", ".a", ".[]", "..", "|", ",", "+", "-", "*", "/", "1", "\"x\"", "[", "]", "(",
                ")", "{a: 1}", "range(3)", "keys", "length", "sort", "tojson", "?", "//", "=",
                "|=", "null", "-1", "implode", "explode", "add", "map(.)", "first", "last", "not",
            ]),
            1..12,
        )
    ) {
        let _either = eval(&parts.join(" "), json!({"a": [1, "b", null], "b": {"c": 2.5}}));
    }
}
