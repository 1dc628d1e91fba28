//! The log of an agent to the log of its system, as Serf writes it there: without time and level, which syslog has.

use std::path::Path;

use taraf_gossip::rpc::Level;

use super::platform::LogSocket;

/// Where the system listens, the first that is there.
const PATHS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// By their numbers, as in RFC 3164; the names are Serf's.
const FACILITIES: [&str; 24] = [
    "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV",
    "FTP", "", "", "", "", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6",
    "LOCAL7",
];

/// The system's log.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: LogSocket,
    facility: usize,
}

impl Syslog {
    /// # Errors
    /// When there is no such facility, or the system listens nowhere; the words are Serf's.
    pub(super) fn open(facility: &str) -> Result<Self, String> {
        Self::open_at(&PATHS.map(Path::new), facility)
    }

    fn open_at(paths: &[&Path], facility: &str) -> Result<Self, String> {
        let failed = |why: &str| format!("Syslog setup failed: {why}");
        let known = FACILITIES
            .iter()
            .position(|name| *name == facility && !name.is_empty());
        let number =
            known.ok_or_else(|| failed(&format!("invalid syslog facility: {facility}")))?;
        let socket = paths.iter().find_map(|path| LogSocket::connect(path).ok());
        let socket = socket.ok_or_else(|| failed("Unix syslog delivery error"))?;
        Ok(Self {
            socket,
            facility: number,
        })
    }

    /// Writes a line, which is lost when the system does not take it at once.
    pub(super) fn write(&self, level: Level, text: &str) {
        let priority = self.facility * 8 + severity(level);
        let time = jiff::Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        let line = format!("<{priority}>{time} serf[{}]: {text}\n", std::process::id());
        self.socket.send(line.as_bytes());
    }
}

/// One less than their names say, as in Serf.
const fn severity(level: Level) -> usize {
    match level {
        Level::Trace => 7,
        Level::Debug => 6,
        Level::Info => 5,
        Level::Warn => 4,
        Level::Err => 3,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_line_has_its_priority_and_nothing_that_syslog_has_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let system = UnixDatagram::bind(&path).unwrap();
        let missing = folder.path().join("missing");
        let syslog = Syslog::open_at(&[&missing, &path], "LOCAL0").unwrap();
        syslog.write(Level::Warn, "agent: careful");
        let mut buffer = [0; 200];
        let count = system.recv(&mut buffer).unwrap();
        let line = std::str::from_utf8(&buffer[..count]).unwrap();
        // LOCAL0 is 16, a warning 4.
        assert!(line.starts_with("<132>"), "{line}");
        let end = format!(" serf[{}]: agent: careful\n", std::process::id());
        assert!(line.ends_with(&end), "{line}");
        drop(system);
        // Nobody listens any more: nothing happens.
        syslog.write(Level::Err, "agent: lost");
        let error = Syslog::open_at(&[&missing], "LOCAL0").unwrap_err();
        assert_eq!(error, "Syslog setup failed: Unix syslog delivery error");
        let error = Syslog::open_at(&[&path], "LOCAL9").unwrap_err();
        assert_eq!(
            error,
            "Syslog setup failed: invalid syslog facility: LOCAL9"
        );
    }
}
