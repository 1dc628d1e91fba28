//! What a member logs, as Serf's agent writes it, for whoever monitors it over RPC.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use taraf_gossip::rpc::{Level, Lines};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

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

/// What an event says, with its component in front; none for what is nothing to Serf's users.
pub(crate) fn said(event: &Event<'_>) -> Option<(Level, String)> {
    let metadata = event.metadata();
    let level = level_of(*metadata.level());
    let target = metadata.target();
    // Libraries tell much.
    if !target.starts_with("taraf") && level < Level::Warn {
        return None;
    }
    let mut text = Text::default();
    event.record(&mut text);
    let component = component_of(target);
    Some((
        level,
        format!("{component}: {}{}", text.message, text.fields),
    ))
}

/// A line of the log: `2026/11/23 11:36:30 [INFO] agent: Serf agent starting`.
pub(crate) fn line(level: Level, text: &str) -> String {
    format!("{} [{level}] {text}", now())
}

/// Keeps what membership says of itself among everything else that a node logs, from every level on.
pub(crate) fn keep<S>(lines: Lines) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let own = ["taraf_gossip", "taraf::membership"];
    let own = own.map(|target| (target, LevelFilter::DEBUG));
    Kept(lines).with_filter(Targets::new().with_targets(own))
}

struct Kept(Lines);

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if let Some((level, text)) = said(event) {
            self.0.add(level, &line(level, &text));
        }
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
    let now = Timestamp::now().to_zoned(place());
    now.strftime("%Y/%m/%d %H:%M:%S").to_string()
}

/// The time zone of this place. Its file is read as it is: to look for its name is a walk through all zones of the world, at
/// each start.
fn place() -> TimeZone {
    static PLACE: LazyLock<TimeZone> = LazyLock::new(|| {
        let is_named = std::env::var_os("TZ").is_some();
        let file = (!is_named).then(|| std::fs::read("/etc/localtime").ok());
        let zone = file.flatten().map(|file| TimeZone::tzif("local", &file));
        zone.and_then(Result::ok).unwrap_or_else(TimeZone::system)
    });
    PLACE.clone()
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
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn modules_are_components_of_serf() {
        assert_eq!(component_of("taraf_gossip::swim::probe"), "memberlist");
        assert_eq!(component_of("taraf_gossip::rpc::server"), "agent.ipc");
        assert_eq!(component_of("taraf_gossip::handlers::run"), "agent");
        assert_eq!(component_of("taraf::cli::serf::agent::served"), "agent");
    }

    #[test]
    fn the_zone_of_the_file_is_that_of_its_name() {
        let now = Timestamp::now();
        let known = TimeZone::system().to_datetime(now);
        assert_eq!(place().to_datetime(now), known);
    }

    #[test]
    fn of_all_that_a_node_logs_only_membership_is_kept() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(keep(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "taraf_gossip::serf", "joined");
            tracing::info!(target: "taraf_gateway::pipeline", "a call");
        });
        let (kept, _) = lines.follow();
        let texts: Vec<&str> = kept.iter().map(|line| &line.text[20..]).collect();
        assert_eq!(texts, ["[DEBUG] serf: joined"]);
    }
}
