//! The tax office's answers: companies and balances, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| taraf_romania::fuzzing::companies(bytes));
