//! What the fuzz targets do with published files and with register files.

use super::file::Register;
use super::lines::{Line, Lines, Place};
use super::rows::{CodeColumns, FirmColumns, Header, NameColumns, Row};
use super::search::Filter;
use crate::cui::Cui;
use crate::text::words;

/// Lines are whole and counted, rows are firms or not, and a firm survives its bytes.
pub(crate) fn rows(bytes: &[u8]) {
    let mut lines = Lines::new(bytes, Place::default());
    let header = match lines.next() {
        Ok(Some(Line::Text(line))) => Header::parse(line).ok(),
        _ => None,
    };
    let Some(header) = header else {
        return;
    };
    let firms = FirmColumns::find(header.clone());
    let states = CodeColumns::states(header.clone());
    let activities = CodeColumns::activities(header.clone());
    let names = [
        NameColumns::states(header.clone()),
        NameColumns::activities(header),
    ];
    while let Ok(Some(line)) = lines.next() {
        let Line::Text(line) = line else {
            continue;
        };
        if let Ok(Row::Firm(firm)) = firms.as_ref().map(|columns| columns.read(line)) {
            assert!(firm.cui().is_some() && !firm.name.is_empty() && firm.county <= 52);
            assert_eq!(super::Firm::from_bytes(&firm.to_bytes()), Some(*firm));
        }
        for codes in [&states, &activities].into_iter().flatten() {
            if let Some((number, ..)) = codes.read(line) {
                assert!(!number.is_empty());
            }
        }
        for names in names.iter().flatten() {
            drop(names.read(line));
        }
    }
    let length = u64::try_from(bytes.len()).expect("inputs are small");
    assert_eq!(lines.place().offset, length);
}

/// A register is refused, or every search ends and answers no more than it counts.
pub(crate) fn file(bytes: &[u8]) {
    let Ok(register) = Register::from_bytes(bytes.to_vec()) else {
        return;
    };
    for text in ["exemplu", "s", "alfa exemplu", "38744563", ""] {
        let filter = Filter {
            words: words(text),
            code: Cui::parse(text).ok(),
            county: None,
            include_struck_off: true,
        };
        let Ok(found) = register.search(&filter) else {
            continue;
        };
        for (rank, count) in found.counts().into_iter().enumerate() {
            if let Ok(firms) = found.firms(rank, 0, 5) {
                assert!(firms.len() <= count);
            }
        }
    }
}
