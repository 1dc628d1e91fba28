//! The log of an agent in Serf's form: `2026/11/23 11:36:30 [INFO] agent: Serf agent starting`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use taraf_gossip::rpc::{Level, Lines};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::output;
use super::syslog::Syslog;
use crate::membership::lines;

/// How many lines wait until the start has succeeded.
const WAITING_MAX: usize = 1024;

/// The log: shown from a level on, and kept from every level for those who monitor.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) lines: Lines,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug)]
struct Shown {
    level: Level,
    /// None when lines are shown as they come.
    waiting: Option<VecDeque<String>>,
    /// Where the same is written too.
    syslog: Option<Syslog>,
}

impl Log {
    /// Begins to take what the parts of the agent log. Nothing is shown before [`Log::open`].
    pub(super) fn start(level: Level, syslog: Option<Syslog>) -> Self {
        let log = Self {
            lines: Lines::default(),
            shown: Arc::new(Mutex::new(Shown {
                level,
                waiting: Some(VecDeque::new()),
                syslog,
            })),
        };
        let registry = tracing_subscriber::registry().with(log.clone());
        if registry.try_init().is_err() {
            tracing::debug!("logging had been started before");
        }
        log
    }

    /// Shows what waits, and from then on every line as it comes.
    pub(super) fn open(&self) {
        let waiting = self.shown().waiting.take();
        for line in waiting.into_iter().flatten() {
            output::detail(&line);
        }
    }

    /// Shows lines from this level on.
    pub(super) fn set_level(&self, level: Level) {
        self.shown().level = level;
    }

    fn add(&self, level: Level, text: &str) {
        let line = lines::line(level, text);
        self.lines.add(level, &line);
        let mut shown = self.shown();
        if level < shown.level {
            return;
        }
        if let Some(syslog) = &shown.syslog {
            syslog.write(level, text);
        }
        match &mut shown.waiting {
            Some(waiting) => {
                if waiting.len() == WAITING_MAX {
                    waiting.pop_front();
                }
                waiting.push_back(line);
            }
            None => output::detail(&line),
        }
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if let Some((level, text)) = lines::said(event) {
            self.add(level, &text);
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_for_the_start_and_are_kept_from_every_level() {
        let log = Log {
            lines: Lines::default(),
            shown: Arc::new(Mutex::new(Shown {
                level: Level::Warn,
                waiting: Some(VecDeque::new()),
                syslog: None,
            })),
        };
        let subscriber = tracing_subscriber::registry().with(log.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "taraf_gossip::serf", "EventMemberJoin: {}", "a1");
            tracing::warn!(target: "taraf_gossip::swim", member = "a2", "no ack");
            tracing::info!(target: "hyper", "not this");
        });
        let (kept, _) = log.lines.follow();
        // Without the time in front.
        let texts: Vec<&str> = kept.iter().map(|line| &line.text[20..]).collect();
        assert_eq!(
            texts,
            [
                "[INFO] serf: EventMemberJoin: a1",
                "[WARN] memberlist: no ack member=\"a2\""
            ]
        );
        let waiting = log.shown().waiting.take().unwrap();
        assert_eq!(waiting.len(), 1);
        assert!(waiting[0].ends_with("[WARN] memberlist: no ack member=\"a2\""));
        let time = &kept[0].text[..19];
        assert!(
            jiff::civil::DateTime::strptime("%Y/%m/%d %H:%M:%S", time).is_ok(),
            "{time}"
        );
    }
}
