//! How commands answer: data on stdout in the asked form, talk on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde_json::Value;

use super::failure::Failure;
use super::table::{self, Column, Style};
use super::yaml;

/// Columns of a terminal that does not tell its width.
const DEFAULT_WIDTH: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; tab-separated off a terminal.
    Table,
    /// One JSON document.
    Json,
    /// One JSON value a line.
    Ndjson,
    Yaml,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// The options that every command has.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Form of the answer.
    #[arg(
        short = 'o',
        long,
        global = true,
        value_enum,
        default_value = "table",
        hide_possible_values = true,
        value_name = "table|json|ndjson|yaml|csv",
        help_heading = "Output"
    )]
    format: Format,
    /// Data only: no hints, no progress.
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
    /// Colours.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        hide_possible_values = true,
        value_name = "auto|always|never",
        help_heading = "Output"
    )]
    color: Color,
}

/// Where a command writes, and how.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) style: Style,
    is_quiet: bool,
}

impl Output {
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = is_terminal.then(|| {
            terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| width.0.into())
        });
        let style = Style {
            width,
            is_colored: match args.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => is_terminal && !no_color,
            },
            has_marks: is_terminal && is_utf8_locale(),
        };
        Self {
            format: args.format,
            style,
            is_quiet: args.quiet,
        }
    }

    /// Whether a person is there to be asked.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether only data are wanted.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Whether a machine reads the answer.
    pub(crate) fn is_structured(&self) -> bool {
        self.format != Format::Table
    }

    /// One line of data.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Data that brings its own line ends.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Whether hints and progress are wanted.
    pub(crate) const fn talks(&self) -> bool {
        !self.is_quiet
    }

    /// Talk: hints, progress.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_quiet {
            complain(text);
        }
    }

    /// A JSON value that is data by itself (the output of a run): laid out for people on a
    /// terminal, one line elsewhere.
    pub(crate) fn document(&self, value: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Yaml => self.text(&yaml::write(value)),
            Format::Table | Format::Json if self.style.width.is_some() => self.line(&pretty(value)),
            Format::Table | Format::Json | Format::Ndjson | Format::Csv => {
                self.line(&value.to_string())
            }
        }
    }

    /// A list of objects.
    pub(crate) fn list(&self, items: &[Value], columns: &[Column]) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&table::rows(items, columns, &self.style)),
            Format::Json => self.line(&pretty(&Value::Array(items.to_vec()))),
            Format::Ndjson => {
                for item in items {
                    self.line(&item.to_string())?;
                }
                Ok(())
            }
            Format::Yaml => self.text(&yaml::write(&Value::Array(items.to_vec()))),
            Format::Csv => self.text(&table::csv(items, columns)),
        }
    }

    /// One object, a member a line.
    pub(crate) fn one(&self, item: &Value, columns: &[Column]) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&table::fields(item, columns, &self.style)),
            Format::Json => self.line(&pretty(item)),
            Format::Ndjson => self.line(&item.to_string()),
            Format::Yaml => self.text(&yaml::write(item)),
            Format::Csv => self.text(&table::csv(std::slice::from_ref(item), columns)),
        }
    }

    /// Tells a failure: words, or the problem document when a machine reads.
    pub(crate) fn fail(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if matches!(self.format, Format::Json | Format::Ndjson) {
            complain(&failure.to_json().to_string());
        } else {
            complain(&failure.to_string());
        }
    }

    /// Asks before something is destroyed. Without a person to ask, `--yes` must say so.
    pub(crate) fn confirm(&self, is_sure: bool, question: &str) -> Result<(), Failure> {
        if is_sure {
            return Ok(());
        }
        if !self.can_ask() {
            return Err(
                Failure::usage(format!("not done without asking: {question}"))
                    .with_help("pass --yes where nobody can be asked"),
            );
        }
        let mut err = io::stderr().lock();
        write!(err, "{question} [y/N] ")?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(Failure::new(
                super::failure::Exit::Failed,
                "not confirmed, nothing was done",
            ))
        }
    }
}

/// One line on stderr. When stderr itself is gone there is nobody left to tell.
pub(crate) fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

pub(crate) fn pretty(value: &Value) -> String {
    // Writing a JSON value into a string fails only for keys that are not strings.
    serde_json::to_string_pretty(value).unwrap_or_else(|_impossible| value.to_string())
}

fn is_utf8_locale() -> bool {
    let value = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    value.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}
