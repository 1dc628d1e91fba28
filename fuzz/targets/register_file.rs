//! A register file of arbitrary bytes: opened and searched, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| taraf_romania::fuzzing::register(bytes));
