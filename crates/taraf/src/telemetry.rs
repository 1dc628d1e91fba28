//! Where log lines go: text on a terminal, JSON otherwise, always to standard error.

mod terminal;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Format, Telemetry};

/// What is logged when nobody says otherwise. The access log has the target `access`.
const DEFAULT_FILTER: &str = "info";

/// Starts logging. `RUST_LOG` goes before the configured level; a filter that cannot be read is an
/// error rather than silence. A second call changes nothing.
pub(crate) fn init(config: &Telemetry) -> anyhow::Result<()> {
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
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        Format::Text => subscriber.with_ansi(ansi).try_init(),
        Format::Auto if terminal => {
            let subscriber = subscriber.with_ansi(ansi);
            subscriber.event_format(terminal::Terse).try_init()
        }
        Format::Auto | Format::Json => subscriber.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
    Ok(())
}
