//! How far something long is, on a terminal; elsewhere nothing.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::output::Output;

/// A line that is written over often enough to be seen to move.
const EVERY: Duration = Duration::from_millis(200);
const MEBIBYTE: u64 = 1 << 20;

/// A line on stderr that says how many bytes are done.
pub(crate) struct Progress {
    what: &'static str,
    total: Option<u64>,
    done: u64,
    is_shown: bool,
    shown: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: Option<u64>, output: &Output) -> Self {
        Self {
            what,
            total: total.filter(|total| *total > 0),
            done: 0,
            is_shown: io::stderr().is_terminal() && output.talks(),
            shown: None,
        }
    }

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= EVERY);
        if self.is_shown && is_due {
            self.shown = Some(Instant::now());
            let line = line(self.what, self.done, self.total);
            // When stderr is gone there is nobody left to tell.
            drop(write!(io::stderr().lock(), "\r{line}\u{1b}[K"));
        }
    }

    /// Leaves the line empty for what is said next.
    pub(crate) fn end(self) {
        if self.shown.is_some() {
            drop(write!(io::stderr().lock(), "\r\u{1b}[K"));
        }
    }
}

fn line(what: &str, done: u64, total: Option<u64>) -> String {
    let mebibytes = done / MEBIBYTE;
    match total {
        Some(total) => {
            let share = done
                .saturating_mul(100)
                .checked_div(total)
                .unwrap_or(0)
                .min(100);
            format!(
                "{what} {share:>3} %  {mebibytes} of {} MiB",
                total / MEBIBYTE
            )
        }
        None => format!("{what} {mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let ten = Some(10 * MEBIBYTE);
        assert_eq!(
            line("reading", 5 * MEBIBYTE, ten),
            "reading  50 %  5 of 10 MiB"
        );
        assert_eq!(
            line("reading", 12 * MEBIBYTE, ten),
            "reading 100 %  12 of 10 MiB"
        );
        assert_eq!(line("reading", 0, None), "reading 0 MiB");
    }
}
