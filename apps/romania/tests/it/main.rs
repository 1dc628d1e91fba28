//! The Romanian services as their callers see them, over the recorded source.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod bench;
mod companies;
mod faults;
mod privacy;
mod rates;
mod stdnum;
mod validate;
