//! What every command of Serf has: a name, flags, help, and a way to say what it did.

use std::io::{self, Write as _};

use super::flags::{Flag, FlagError, Parsed};
use super::help;

/// A command.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// In the list of commands.
    pub(super) synopsis: &'static str,
    /// Behind the name: `[options] name payload`.
    pub(super) usage: &'static str,
    /// What it does, in lines of a terminal.
    pub(super) about: &'static str,
    pub(super) flags: &'static [&'static [Flag]],
}

/// A command as it was called.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) spec: &'static Spec,
    /// `serf`, or `taraf`.
    pub(super) program: &'static str,
    pub(super) flags: Parsed,
}

/// A command did not do what it was asked: what is printed, with exit code 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed(Option<String>);

pub(super) type Done = Result<(), Failed>;

impl Failed {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(Some(text.into()))
    }

    /// All was said.
    pub(super) const fn silent() -> Self {
        Self(None)
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Call {
    /// Reads the arguments behind the name of the command.
    pub(super) fn new(
        spec: &'static Spec,
        program: &'static str,
        arguments: &[String],
    ) -> Result<Self, FlagError> {
        Ok(Self {
            spec,
            program,
            flags: Parsed::new(spec.flags, arguments)?,
        })
    }

    /// The call makes no sense: says why, and shows the help.
    pub(super) fn misused(&self, why: &str) -> Failed {
        Failed::new(format!("{why}\n\n{}", help::of(self.spec, self.program)))
    }

    /// A name and perhaps a payload, as `event` and `query` take them.
    pub(super) fn name_and_payload(&self, what: &str) -> Result<(&str, Option<&str>), Failed> {
        match self.flags.rest() {
            [] => Err(self.misused(&format!("{what} name must be specified."))),
            [name] => Ok((name, None)),
            [name, payload] => Ok((name, Some(payload))),
            _ => Err(self.misused(
                "Too many command line arguments. Only a name and payload must be specified.",
            )),
        }
    }
}

/// Prints a line on standard output, where Serf prints errors too. When nobody reads it any more, the command
/// has nothing left to do.
pub(super) fn say(text: &str) -> Done {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|_nobody_reads| Failed::silent())
}
