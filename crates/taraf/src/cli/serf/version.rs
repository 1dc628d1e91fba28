//! `version`: which Serf this stands for.

use super::command::{Done, Spec, say};
use crate::cli::version::VERSION;

/// Whose commands and protocols these are.
const SERF: &str = "0.9.4";

pub(super) const SPEC: Spec = Spec {
    name: "version",
    synopsis: "Print the version",
    usage: "",
    about: "",
    flags: &[],
};

pub(super) fn run() -> Done {
    say(&format!(
        "{SERF}+taraf.{VERSION}\nAgent Protocol: 5 (Understands back to: 2)"
    ))
}
