//! The agent's log lines: the last ones kept, and every new one given to whoever monitors.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// How many lines are kept for whoever begins to monitor, and how far a monitor may be behind (Serf 0.9.4).
const LINES_MAX: usize = 512;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Each step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not happen and was coped with.
    Warn,
    /// What failed.
    Err,
}

/// A text names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unknown log level: {0}")]
pub struct UnknownLevel(pub String);

impl Level {
    /// All of them, the least important first.
    pub const ALL: [Self; 5] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Err];

    /// As it stands in a line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Err => "ERR",
        }
    }

    /// Reads a level in either case.
    ///
    /// # Errors
    /// When it is none; the error has it in capitals, as Serf shows it.
    pub fn parse(text: &str) -> Result<Self, UnknownLevel> {
        let word = text.to_uppercase();
        let known = Self::ALL.into_iter().find(|level| level.word() == word);
        known.ok_or(UnknownLevel(word))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A line, with its time and level in front and no end of line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The whole of it.
    pub text: Arc<str>,
}

/// The lines of an agent. Clones share them.
#[derive(Clone, Debug)]
pub struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<VecDeque<Line>>,
    follow: broadcast::Sender<Line>,
}

impl Default for Lines {
    fn default() -> Self {
        let shared = Shared {
            kept: Mutex::default(),
            follow: broadcast::Sender::new(LINES_MAX),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Lines {
    /// Adds one.
    pub fn add(&self, level: Level, text: &str) {
        let line = Line {
            level,
            text: text.into(),
        };
        let mut kept = self.kept();
        if kept.len() == LINES_MAX {
            kept.pop_front();
        }
        kept.push_back(line.clone());
        // Under the lock, so that nobody who begins to follow misses it or has it twice. Nobody may follow.
        drop(self.shared.follow.send(line));
    }

    /// The lines that are kept, and from then on each new one.
    #[must_use]
    pub fn follow(&self) -> (Vec<Line>, broadcast::Receiver<Line>) {
        let kept = self.kept();
        let follow = self.shared.follow.subscribe();
        (kept.iter().cloned().collect(), follow)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Line>> {
        self.shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_new_ones_followed_without_a_gap() {
        let lines = Lines::default();
        for number in 0..LINES_MAX + 3 {
            lines.add(Level::Info, &number.to_string());
        }
        let (kept, mut follow) = lines.follow();
        assert_eq!(kept.len(), LINES_MAX);
        assert_eq!(&*kept[0].text, "3");
        lines.add(Level::Err, "new");
        let line = follow.try_recv().unwrap();
        assert_eq!((line.level, &*line.text), (Level::Err, "new"));
        assert!(follow.try_recv().is_err());
    }

    #[test]
    fn levels_are_read_in_either_case_and_ordered() {
        assert_eq!(Level::parse("warn"), Ok(Level::Warn));
        assert_eq!(Level::parse("Err"), Ok(Level::Err));
        let unknown = Level::parse("bogus").unwrap_err();
        assert_eq!(unknown.to_string(), "Unknown log level: BOGUS");
        assert!(Level::Warn > Level::Info);
    }
}
