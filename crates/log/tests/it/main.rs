//! The log and its replicas through their public faces.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod backends;
mod crash;
mod files;
mod golden;
mod ledger;
mod model;
mod process;
mod replica;
