//! The log and its replicas through their public faces.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise, and machines misbehave on purpose"
)]

mod backends;
mod backup;
mod beside;
mod blobs;
mod crash;
mod files;
mod golden;
mod ledger;
mod model;
mod process;
mod replica;
mod space;
