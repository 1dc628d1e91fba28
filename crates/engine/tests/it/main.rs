//! The engine from outside: the conformance kit, crashes, control, and what is promised of a run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as expected"
)]

mod archive;
mod bench;
mod control;
mod crash;
mod durable;
mod golden;
mod identity;
mod inventory;
mod kit;
mod language;
mod payloads;
mod resources;
mod retries;
mod takeover;
mod tokens;
mod wire;
