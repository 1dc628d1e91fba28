//! What an agent prints: its own words behind `==> `, details and the log behind four spaces.

use std::io::{self, Write as _};

/// Says something.
pub(super) fn say(text: &str) {
    print("==> ", text);
}

/// Adds a detail, or a line of the log.
pub(super) fn detail(text: &str) {
    print("    ", text);
}

/// Prefixes stand in front of the first line alone, and not in front of nothing, as in Serf. An agent goes on
/// when nobody reads it any more.
fn print(prefix: &str, text: &str) {
    let prefix = if text.is_empty() { "" } else { prefix };
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{prefix}{text}").and_then(|()| out.flush()));
}
