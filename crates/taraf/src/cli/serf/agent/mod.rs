//! `agent`: a member of a cluster, with Serf's flags, files, output and signals.

mod configure;
mod flags;
mod log;
mod output;
mod platform;
mod settings;
mod start;
mod syslog;
mod watch;

pub(super) use flags::SPEC;
pub(super) use start::run;
