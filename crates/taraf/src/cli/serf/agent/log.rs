//! The log of an agent in Serf's form: `2026/11/23 11:36:30 [INFO] agent: Serf agent starting`.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use taraf_gossip::rpc::{Level, Lines};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::output;
use super::syslog::Syslog;

/// How many lines wait until the start has succeeded.
const WAITING_MAX: usize = 1024;

/// From which module on a line is which component's; the first that fits counts.
const COMPONENTS: [(&str, &str); 7] = [
    ("taraf_gossip::swim", "memberlist"),
    ("taraf_gossip::net", "memberlist"),
    ("taraf_gossip::serf", "serf"),
    ("taraf_gossip::cluster", "serf"),
    ("taraf_gossip::snapshot", "serf"),
    ("taraf_gossip::rpc", "agent.ipc"),
    ("taraf_gossip::discovery", "agent.mdns"),
];

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
        let line = format!("{} [{level}] {text}", now());
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
        let metadata = event.metadata();
        let level = level_of(*metadata.level());
        let target = metadata.target();
        // Libraries tell much that is nothing to Serf's users.
        if !target.starts_with("taraf") && level < Level::Warn {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let component = component_of(target);
        self.add(
            level,
            &format!("{component}: {}{}", text.message, text.fields),
        );
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

fn component_of(target: &str) -> &'static str {
    let known = COMPONENTS
        .into_iter()
        .find(|(module, _)| target.starts_with(module));
    known.map_or("agent", |(_, component)| component)
}

const fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Err,
    }
}

/// The time of this place, as Go's log has it.
fn now() -> String {
    jiff::Zoned::now().strftime("%Y/%m/%d %H:%M:%S").to_string()
}

/// The message of an event, and its fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a string cannot fail.
        let _written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_components_of_serf() {
        assert_eq!(component_of("taraf_gossip::swim::probe"), "memberlist");
        assert_eq!(component_of("taraf_gossip::rpc::server"), "agent.ipc");
        assert_eq!(component_of("taraf_gossip::handlers::run"), "agent");
        assert_eq!(component_of("taraf::cli::serf::agent::served"), "agent");
    }

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
