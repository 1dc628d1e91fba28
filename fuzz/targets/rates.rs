//! The bank's files: fixings that make sense, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| taraf_romania::fuzzing::rates(bytes));
