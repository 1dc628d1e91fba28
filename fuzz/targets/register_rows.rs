//! Published files of the trade register, row by row as an import reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| taraf_romania::fuzzing::rows(bytes));
