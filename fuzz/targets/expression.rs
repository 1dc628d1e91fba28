//! An expression over a value ends within its budget: of steps, of size, and of time.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::{Corpus, fuzz_target};
use taraf_flow::{Data, Expression, Scope};

/// What a full budget of steps takes here at most, checks and coverage counted in.
const TIME_MAX: Duration = Duration::from_secs(5);
/// A result is at most as large as the values that the guard lets through.
const BYTES_MAX: usize = 64 << 20;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    // The first line is the input, the rest the expression.
    let (input, text) = text.split_once('\n').unwrap_or(("null", text));
    let Ok(input) = serde_json::from_str::<serde_json::Value>(input) else {
        return Corpus::Reject;
    };
    let input = Data::from_json(&input);
    let Ok(expression) = Expression::new(text, &["context", "input", "item"]) else {
        return Corpus::Keep;
    };
    let scope = Scope {
        context: Some(input.clone()),
        ..Scope::default()
    };
    let began = Instant::now();
    let result = expression.eval_all(&input, &scope);
    assert!(began.elapsed() < TIME_MAX, "{:?}", began.elapsed());
    if let Ok(values) = result {
        let bytes: usize = values.iter().map(|value| value.as_bytes().len()).sum();
        assert!(bytes < BYTES_MAX, "{bytes} bytes");
    }
    Corpus::Keep
});
