//! Where log lines go: text on a terminal, JSON otherwise, always to standard error; those of membership to whoever
//! monitors it, too.

mod terminal;

use std::io::IsTerminal;

use taraf_gossip::rpc::Lines;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Format, Telemetry};
use crate::membership::lines;

/// What is logged when nobody says otherwise. The access log has the target `access`.
const DEFAULT_FILTER: &str = "info";

/// Starts logging. `RUST_LOG` goes before the configured level; a filter that cannot be read is an
/// error rather than silence. A second call changes nothing. Answers where the lines of membership are kept.
pub(crate) fn init(config: &Telemetry) -> anyhow::Result<Lines> {
    let written = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = written
        .as_deref()
        .or(config.level.as_deref())
        .unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| anyhow::anyhow!("log filter `{filter}`: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    // https://no-color.org: set and not empty.
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = terminal && !is_plain;
    let kept = Lines::default();
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match config.format {
        Format::Text => layer.with_ansi(ansi).boxed(),
        Format::Auto if terminal => layer.with_ansi(ansi).event_format(terminal::Terse).boxed(),
        Format::Auto | Format::Json => layer.json().flatten_event(true).boxed(),
    };
    let registry = tracing_subscriber::registry()
        .with(lines::keep(kept.clone()))
        .with(layer.with_filter(filter));
    if registry.try_init().is_err() {
        tracing::debug!("logging had been started before");
    }
    Ok(kept)
}
