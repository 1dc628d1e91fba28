//! Fixings on disk, a file for each year, so that a restart forgets none.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;

use super::archive::{FIRST_DAY, Fixing};
use super::feed::{Cube, Currency};
use crate::durable;
use crate::source::Provenance;

const FORMAT: u32 = 1;
const FOLDER: &str = "rates";
/// A year has some 250 fixings of 40 currencies: about 300 KB.
const MAX_BYTES: u64 = 4 << 20;

/// The fixings of a year, as they were read from one source.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Year {
    format: u32,
    /// Address of the source. What another one said is not taken for its word.
    source: String,
    /// When the whole year was read, if it was.
    pub(super) read_at_millis: Option<i64>,
    fixings: Vec<Kept>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// ISO.
    date: String,
    rates: Vec<(String, Decimal)>,
    #[serde(default)]
    recorded: bool,
    /// Currencies whose rates are made up.
    #[serde(default)]
    samples: Vec<String>,
}

impl Year {
    pub(super) fn new<'a>(
        source: &str,
        read_at: Option<Timestamp>,
        fixings: impl Iterator<Item = &'a Fixing>,
    ) -> Self {
        Self {
            format: FORMAT,
            source: source.to_owned(),
            read_at_millis: read_at.map(Timestamp::as_millis),
            fixings: fixings.map(Kept::of).collect(),
        }
    }

    /// The fixings, each with where it comes from; nothing when one makes no sense.
    pub(super) fn fixings(self) -> Option<Vec<(Cube, Provenance)>> {
        self.fixings.into_iter().map(Kept::fixing).collect()
    }
}

impl Kept {
    fn of(fixing: &Fixing) -> Self {
        let rates = &fixing.cube.rates;
        let samples = rates
            .iter()
            .filter(|(currency, _)| fixing.is_sample(*currency));
        Self {
            date: fixing.cube.date.to_string(),
            recorded: fixing.provenance.is_recorded,
            samples: samples.map(|(currency, _)| currency.to_string()).collect(),
            rates: rates
                .iter()
                .map(|(currency, rate)| (currency.to_string(), *rate))
                .collect(),
        }
    }

    fn fixing(self) -> Option<(Cube, Provenance)> {
        let rate = |(currency, rate): (String, Decimal)| Some((Currency::parse(&currency)?, rate));
        let samples = self
            .samples
            .iter()
            .map(|currency| format!("{}/{currency}", self.date));
        let provenance = Provenance::new(self.recorded, samples.collect());
        let cube = Cube {
            date: self.date.parse().ok()?,
            rates: self.rates.into_iter().map(rate).collect::<Option<_>>()?,
        };
        Some((cube, provenance))
    }
}

/// Keeps a year.
pub(super) fn write(folder: &Path, number: i16, year: &Year) -> io::Result<()> {
    let folder = folder.join(FOLDER);
    durable::folder(&folder)?;
    let bytes = serde_json::to_vec(year).map_err(io::Error::other)?;
    durable::replace(&path(&folder, number), &bytes)
}

/// The years that are kept from this source. A file that makes no sense is told and left out: it is
/// fetched again.
pub(super) fn read(folder: &Path, source: &str, today: Date) -> Vec<(i16, Year)> {
    let folder = folder.join(FOLDER);
    let mut years = Vec::new();
    for number in FIRST_DAY.year()..=today.year() {
        match read_year(&path(&folder, number)) {
            Ok(Some(year)) if year.source == source => years.push((number, year)),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(year = number, %error, "failed to read kept fixings; they are fetched again");
            }
        }
    }
    years
}

fn read_year(path: &Path) -> io::Result<Option<Year>> {
    match fs::metadata(path) {
        Ok(about) if about.len() > MAX_BYTES => return Err(io::Error::other("too long")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let year: Year = serde_json::from_slice(&fs::read(path)?)?;
    if year.format > FORMAT {
        return Err(io::Error::other("written by a newer program"));
    }
    Ok(Some(year))
}

/// Any bytes are an error or a year.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok(year) = serde_json::from_slice::<Year>(bytes) {
        drop(year.fixings());
    }
}

fn path(folder: &Path, number: i16) -> PathBuf {
    folder.join(format!("{number}.json"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::civil::date;

    use super::*;

    const BANK: &str = "https://curs.bnr.ro";

    fn fixing() -> Fixing {
        let currency = |text| Currency::parse(text).unwrap();
        Fixing {
            cube: Arc::new(Cube {
                date: date(2023, 11, 17),
                rates: vec![
                    (currency("EUR"), "4.9711".parse().unwrap()),
                    (currency("HUF"), "0.013142".parse().unwrap()),
                ],
            }),
            provenance: Provenance::new(true, ["2023-11-17/HUF".to_owned()].into()),
        }
    }

    fn years(folder: &Path, source: &str) -> Vec<(i16, Year)> {
        read(folder, source, date(2026, 11, 22))
    }

    #[test]
    fn a_year_is_the_same_after_its_file_and_belongs_to_its_source() {
        let folder = tempfile::tempdir().unwrap();
        assert!(years(folder.path(), BANK).is_empty());
        let year = || {
            Year::new(
                BANK,
                Some(Timestamp::from_millis(5)),
                [&fixing()].into_iter(),
            )
        };
        write(folder.path(), 2023, &year()).unwrap();
        write(folder.path(), 2023, &year()).unwrap();
        assert!(years(folder.path(), "http://127.0.0.1:1").is_empty());
        let (number, kept) = years(folder.path(), BANK).pop().unwrap();
        assert_eq!((number, &kept), (2023, &year()));
        let (cube, provenance) = kept.fixings().unwrap().pop().unwrap();
        assert_eq!(cube, *fixing().cube);
        let read = Fixing {
            cube: Arc::new(cube),
            provenance,
        };
        for currency in ["EUR", "HUF"] {
            let currency = Currency::parse(currency).unwrap();
            assert_eq!(read.is_sample(currency), fixing().is_sample(currency));
        }
    }

    #[test]
    fn a_damaged_or_newer_file_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let year = Year::new(BANK, None, [&fixing()].into_iter());
        write(folder.path(), 2022, &year).unwrap();
        let file = |year: i16| path(&folder.path().join(FOLDER), year);
        fs::write(file(2023), "{").unwrap();
        let newer = Year { format: 2, ..year };
        fs::write(file(2024), serde_json::to_vec(&newer).unwrap()).unwrap();
        fs::write(file(2025), vec![b' '; 5 << 20]).unwrap();
        let numbers: Vec<_> = years(folder.path(), BANK)
            .into_iter()
            .map(|(year, _)| year)
            .collect();
        assert_eq!(numbers, [2022]);
    }
}
