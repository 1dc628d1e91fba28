//! The conformance kit: every valid document is read and survives writing, every invalid one is refused.
#![expect(
    clippy::unwrap_used,
    reason = "clippy spares only the test functions themselves"
)]

mod kit;
mod oracle;
