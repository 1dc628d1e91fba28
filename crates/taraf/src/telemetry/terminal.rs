//! One short line for each event, for a person who watches: when, what, and the rest behind it.

use std::fmt::{self, Write as _};

use taraf_base::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// `00:42:29Z GET /api/exchange/EUR 200 7 ms` for a request, `00:42:29Z info  published flow=…` for
/// the rest.
pub(super) struct Terse;

impl<S, N> FormatEvent<S, N> for Terse
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        let (level, colour) = match *meta.level() {
            Level::ERROR => ("error", RED),
            Level::WARN => ("warn ", YELLOW),
            Level::INFO => ("info ", ""),
            Level::DEBUG => ("debug", DIM),
            Level::TRACE => ("trace", DIM),
        };
        let line = if meta.target() == "access" {
            fields.request()
        } else {
            None
        };
        let line = line.unwrap_or_else(|| format!("{level} {}", fields.all()));
        let instant = Timestamp::now().to_string();
        let clock = instant.get(11..19).unwrap_or(&instant);
        if writer.has_ansi_escapes() {
            writeln!(writer, "{DIM}{clock}Z{PLAIN} {colour}{line}{PLAIN}")
        } else {
            writeln!(writer, "{clock}Z {line}")
        }
    }
}

/// What an event carries, in its order.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Fields {
    /// Method, path, status and duration, when the event has them.
    fn request(&self) -> Option<String> {
        let [method, path, status, ms] = ["method", "path", "status", "ms"].map(|name| {
            let found = self.rest.iter().find(|(field, _)| *field == name);
            found.map(|(_, value)| value.as_str())
        });
        let mut line = format!("{:<6} {} {}", method?, path?, status?);
        if let Some(ms) = ms {
            write!(line, " {ms} ms").ok()?;
        }
        Some(line)
    }

    fn all(&self) -> String {
        let rest = self
            .rest
            .iter()
            .map(|(name, value)| format!(" {name}={value}"));
        std::iter::once(self.message.clone()).chain(rest).collect()
    }

    fn keep(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.rest.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &str, rest: &[(&'static str, &str)]) -> Fields {
        let rest = rest
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        Fields {
            message: message.to_owned(),
            rest,
        }
    }

    #[test]
    fn a_request_is_one_short_line() {
        let call = [
            ("method", "GET"),
            ("path", "/a"),
            ("key", "key_1"),
            ("status", "200"),
            ("ms", "7"),
        ];
        assert_eq!(
            fields("call", &call).request().unwrap(),
            "GET    /a 200 7 ms"
        );
        assert_eq!(fields("call", &call[..2]).request(), None);
    }

    #[test]
    fn anything_else_shows_all_that_it_carries() {
        assert_eq!(
            fields("published", &[("flow", "a/b/1.0.0")]).all(),
            "published flow=a/b/1.0.0"
        );
    }
}
