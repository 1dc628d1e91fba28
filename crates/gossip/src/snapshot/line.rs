//! [pure] The lines of Serf's snapshot file.

use std::fmt;
use std::net::SocketAddr;

use crate::swim::Name;
use crate::wire::serf::LTime;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `alive: NAME IP:PORT`. The name may hold spaces.
    Alive(Name, SocketAddr),
    /// `not-alive: NAME`: it left or failed.
    NotAlive(Name),
    /// `clock: N`: the last time of the members' clock that was used.
    Clock(LTime),
    /// `event-clock: N`: the last user event.
    EventClock(LTime),
    /// `query-clock: N`: the last query.
    QueryClock(LTime),
    /// `leave`: we left on purpose.
    Leave,
    /// `coordinate: …` of an older Serf, and comments (`#…`).
    Ignored,
}

/// Why a line says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No space before the address, or no address.
    #[error("no address of the form IP:PORT at the end")]
    Address,
    /// A clock that is no number.
    #[error("the clock is no number of 64 bits")]
    Clock,
    /// No known beginning.
    #[error("unrecognized")]
    Unknown,
}

impl Line {
    /// Reads a line, given without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        let clock = |digits: &[u8]| {
            let text = std::str::from_utf8(digits)
                .ok()
                .filter(|text| !text.starts_with('+'));
            text.and_then(|text| text.parse().ok())
                .map(LTime)
                .ok_or(Error::Clock)
        };
        if line == b"leave" {
            return Ok(Self::Leave);
        }
        if line.starts_with(b"#") {
            return Ok(Self::Ignored);
        }
        let after = |start: &str| line.strip_prefix(start.as_bytes());
        if let Some(rest) = after("alive: ") {
            return alive(rest).ok_or(Error::Address);
        }
        if let Some(name) = after("not-alive: ") {
            return Ok(Self::NotAlive(Name::new(name)));
        }
        if let Some(digits) = after("clock: ") {
            return clock(digits).map(Self::Clock);
        }
        if let Some(digits) = after("event-clock: ") {
            return clock(digits).map(Self::EventClock);
        }
        if let Some(digits) = after("query-clock: ") {
            return clock(digits).map(Self::QueryClock);
        }
        after("coordinate: ")
            .map(|_| Self::Ignored)
            .ok_or(Error::Unknown)
    }

    /// Whether the line can be written: a name with a newline in it would be read as two lines.
    #[must_use]
    pub fn is_one_line(&self) -> bool {
        match self {
            Self::Alive(name, _) | Self::NotAlive(name) => !name.as_bytes().contains(&b'\n'),
            Self::Clock(_) | Self::EventClock(_) | Self::QueryClock(_) => true,
            Self::Leave | Self::Ignored => true,
        }
    }

    /// Appends the line and its newline.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut text = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| out.extend_from_slice(part));
            out.push(b'\n');
        };
        let number = |clock: &dyn fmt::Display| clock.to_string();
        match self {
            Self::Alive(name, address) => {
                text(&[
                    b"alive: ",
                    name.as_bytes(),
                    b" ",
                    number(address).as_bytes(),
                ]);
            }
            Self::NotAlive(name) => text(&[b"not-alive: ", name.as_bytes()]),
            Self::Clock(time) => text(&[b"clock: ", number(time).as_bytes()]),
            Self::EventClock(time) => text(&[b"event-clock: ", number(time).as_bytes()]),
            Self::QueryClock(time) => text(&[b"query-clock: ", number(time).as_bytes()]),
            Self::Leave => text(&[b"leave"]),
            Self::Ignored => text(&[b"#"]),
        }
    }
}

fn alive(rest: &[u8]) -> Option<Line> {
    let space = rest.iter().rposition(|&byte| byte == b' ')?;
    let (name, address) = rest.split_at_checked(space)?;
    let address = std::str::from_utf8(address.get(1..)?).ok()?.parse().ok()?;
    Some(Line::Alive(Name::new(name), address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<Line, Error>) {
        assert_eq!(Line::parse(text.as_bytes()), expected, "{text}");
        let Ok(line) = expected else { return };
        if line != Line::Ignored {
            let mut out = Vec::new();
            line.write(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("{text}\n"));
        }
    }

    #[test]
    fn every_kind_of_line_is_read_and_written() {
        let name = Name::from;
        check(
            "alive: a1 127.0.0.2:7946",
            Ok(Line::Alive(name("a1"), ([127, 0, 0, 2], 7946).into())),
        );
        check(
            "alive: b two 127.0.0.3:1",
            Ok(Line::Alive(name("b two"), ([127, 0, 0, 3], 1).into())),
        );
        check(
            "alive: six [fe80::1]:7946",
            Ok(Line::Alive(name("six"), "[fe80::1]:7946".parse().unwrap())),
        );
        check("not-alive: b two", Ok(Line::NotAlive(name("b two"))));
        check("clock: 12", Ok(Line::Clock(LTime(12))));
        check(
            "event-clock: 18446744073709551615",
            Ok(Line::EventClock(LTime(u64::MAX))),
        );
        check("query-clock: 0", Ok(Line::QueryClock(LTime(0))));
        check("leave", Ok(Line::Leave));
        check("# a comment", Ok(Line::Ignored));
        check("coordinate: {\"Vec\":[0]}", Ok(Line::Ignored));
    }

    #[test]
    fn a_broken_line_says_what_is_wrong() {
        check("alive: a1", Err(Error::Address));
        check("alive: a1 127.0.0.2", Err(Error::Address));
        check("alive: a1 host:7946", Err(Error::Address));
        check("clock: -1", Err(Error::Clock));
        check("clock: +1", Err(Error::Clock));
        check("event-clock: ", Err(Error::Clock));
        check("query-clock: 18446744073709551616", Err(Error::Clock));
        check("", Err(Error::Unknown));
        check("leave ", Err(Error::Unknown));
        check("Alive: a1 127.0.0.2:7946", Err(Error::Unknown));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in proptest::collection::vec(any::<u8>(), 1..40), port: u16) {
            let name = Name::new(&name);
            for line in [Line::Alive(name.clone(), ([10, 0, 0, 1], port).into()), Line::NotAlive(name)] {
                let mut out = Vec::new();
                line.write(&mut out);
                prop_assert_eq!(out.pop(), Some(b'\n'));
                prop_assert_eq!(line.is_one_line(), !out.contains(&b'\n'));
                prop_assert_eq!(Line::parse(&out), Ok(line));
            }
        }

        #[test]
        fn no_line_breaks_the_reader(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let read = Line::parse(&line);
            prop_assert!(read.is_err() || !line.is_empty());
        }
    }
}
