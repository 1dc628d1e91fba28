//! [pure] What we made at a name, written down beside it, so that nothing else is ever removed.
//!
//! Beside each name `N` stands `_taraf.N TXT "taraf" "owner=OWNER" "ttl=10" "A 10.0.0.1" …`, and at
//! `OWNER._taraf.ZONE` a `PTR` to each such name. Every update of a name asks that its mark be what we believe it to
//! be: whoever comes second, or believes something old, changes nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, SRV, TXT};
use hickory_proto::rr::{Name, RData, RecordType};

/// The label of marks.
const LABEL: &str = "_taraf";
/// The first words of a mark; the one before the owner's name.
const SIGN: &str = "taraf";
const OWNER: &str = "owner=";
const TTL: &str = "ttl=";
/// Longest piece of a TXT record.
const TEXT_BYTES_MAX: usize = 255;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Datum {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: Name,
    },
}

impl From<IpAddr> for Datum {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "A {address}"),
            Self::Aaaa(address) => write!(f, "AAAA {address}"),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "SRV {priority} {weight} {port} {}", target.to_ascii()),
        }
    }
}

impl Datum {
    /// The record's data.
    pub(super) fn data(&self) -> RData {
        match self {
            Self::A(address) => RData::A(A(*address)),
            Self::Aaaa(address) => RData::AAAA(AAAA(*address)),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => RData::SRV(SRV::new(*priority, *weight, *port, target.clone())),
        }
    }

    /// What a record's data say; none for kinds that are not ours.
    pub(super) fn of(data: &RData) -> Option<Self> {
        match data {
            RData::A(address) => Some(Self::A(address.0)),
            RData::AAAA(address) => Some(Self::Aaaa(address.0)),
            RData::SRV(srv) => Some(Self::Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.clone(),
            }),
            _ => None,
        }
    }

    /// The kind of its record.
    pub(super) const fn kind(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::AAAA,
            Self::Srv { .. } => RecordType::SRV,
        }
    }

    /// Whether it can be written down.
    pub(super) fn fits(&self) -> bool {
        self.to_string().len() <= TEXT_BYTES_MAX
    }

    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        match &words[..] {
            ["A", address] => address.parse().ok().map(Self::A),
            ["AAAA", address] => address.parse().ok().map(Self::Aaaa),
            ["SRV", priority, weight, port, target] => Some(Self::Srv {
                priority: priority.parse().ok()?,
                weight: weight.parse().ok()?,
                port: port.parse().ok()?,
                target: Name::from_ascii(target).ok()?,
            }),
            _ => None,
        }
    }
}

/// What somebody made at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) owner: String,
    pub(super) ttl: u32,
    pub(super) data: BTreeSet<Datum>,
}

impl Mark {
    /// As it stands in the zone.
    pub(super) fn text(&self) -> TXT {
        let head = [
            SIGN.to_owned(),
            format!("{OWNER}{}", self.owner),
            format!("{TTL}{}", self.ttl),
        ];
        let data = self.data.iter().map(ToString::to_string);
        TXT::new(head.into_iter().chain(data).collect())
    }

    /// Reads a mark; none when the text is none of ours.
    pub(super) fn read(text: &TXT) -> Option<Self> {
        let pieces = text.txt_data.iter();
        let pieces: Option<Vec<&str>> = pieces
            .map(|piece| std::str::from_utf8(piece).ok())
            .collect();
        let pieces = pieces?;
        let [SIGN, owner, ttl, data @ ..] = &pieces[..] else {
            return None;
        };
        Some(Self {
            owner: owner.strip_prefix(OWNER)?.to_owned(),
            ttl: ttl.strip_prefix(TTL)?.parse().ok()?,
            data: data
                .iter()
                .map(|text| Datum::read(text))
                .collect::<Option<_>>()?,
        })
    }
}

/// Where the mark of a name stands; none when that would be too long.
pub(super) fn place(name: &Name) -> Option<Name> {
    name.prepend_label(LABEL).ok()
}

/// Where an owner's names are listed; none when that would be too long.
pub(super) fn index(zone: &Name, owner: &str) -> Option<Name> {
    let label = owner.to_ascii_lowercase();
    zone.prepend_label(LABEL).ok()?.prepend_label(&*label).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let srv = Datum::Srv {
            priority: 1,
            weight: 2,
            port: 80,
            target: Name::from_ascii("a.example.").unwrap(),
        };
        let data = [
            Datum::A("10.0.0.1".parse().unwrap()),
            Datum::Aaaa("::1".parse().unwrap()),
            srv,
        ];
        let mark = Mark {
            owner: "here".to_owned(),
            ttl: 10,
            data: data.into(),
        };
        let text = mark.text();
        let expected = "taraf owner=here ttl=10 A 10.0.0.1 AAAA ::1 SRV 1 2 80 a.example.";
        let pieces: Vec<_> = text
            .txt_data
            .iter()
            .map(|piece| String::from_utf8_lossy(piece))
            .collect();
        assert_eq!(pieces.join(" "), expected);
        assert_eq!(Mark::read(&text), Some(mark));
    }

    #[test]
    fn texts_of_others_are_no_marks() {
        for text in [
            "",
            "v=spf1|-all",
            "taraf",
            "taraf|owner=a|ttl=x",
            "taraf|owner=a|ttl=1|MX 1 a.",
            "taraf|owner=a|ttl=1|SRV 1 1 99999 a.",
        ] {
            let text = TXT::new(text.split('|').map(str::to_owned).collect());
            assert_eq!(Mark::read(&text), None);
        }
    }

    #[test]
    fn marks_stand_beside_their_names() {
        let zone = Name::from_ascii("example.").unwrap();
        let name = Name::from_ascii("web.example.").unwrap();
        assert_eq!(place(&name).unwrap().to_ascii(), "_taraf.web.example.");
        assert_eq!(index(&zone, "A1").unwrap().to_ascii(), "a1._taraf.example.");
    }
}
