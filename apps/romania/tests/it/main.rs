//! The Romanian services as their callers see them, over the recorded source.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod bench;
mod companies;
mod faults;
mod open_data;
mod privacy;
mod rates;
mod register;
mod stdnum;
mod validate;
