//! The open data of the trade register: rows without quoting, as they are published, into an index.

use std::collections::HashSet;
use std::io::Read;

use csv::{ReaderBuilder, StringRecord};

use super::index::Index;
use crate::county;
use crate::cui::Cui;
use crate::onrc::RegisterNumber;
use crate::text::present;

/// File of firms.
pub(crate) const FIRMS_FILE: &str = "od_firme.csv";
/// File of their states.
pub(crate) const STATES_FILE: &str = "od_stare_firma.csv";
/// Code of the state "struck off".
const STRUCK_OFF: &str = "1084";
/// Forms under which natural persons do business: their rows are names of people.
const PERSONAL_FORMS: [&str; 4] = ["PF", "PFA", "II", "IF"];
const MARK: &str = "\u{feff}";

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// In the index now.
    pub(crate) kept: usize,
    /// Natural persons, left out.
    pub(crate) persons: usize,
    /// Without a usable fiscal code, left out.
    pub(crate) without_code: usize,
    /// With too few or too many columns, left out.
    pub(crate) broken: usize,
    /// A number of the register that was there before, left out.
    pub(crate) repeated: usize,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It cannot be opened.
    #[error("the file cannot be opened")]
    Open(#[from] std::io::Error),
    /// It cannot be read.
    #[error("the file cannot be read as rows")]
    Rows(#[from] csv::Error),
    /// It is another file.
    #[error("there is no column `{0}`")]
    NoColumn(&'static str),
}

/// The numbers of the firms that were struck off.
pub(crate) fn struck_off(file: impl Read) -> Result<HashSet<String>, RegisterError> {
    let mut reader = rows(file);
    let header = reader.headers()?.clone();
    let (number, code) = (
        column(&header, "COD_INMATRICULARE")?,
        column(&header, "COD")?,
    );
    let mut numbers = HashSet::new();
    for row in reader.records() {
        let row = row?;
        if row.get(code) == Some(STRUCK_OFF) {
            numbers.extend(row.get(number).map(str::to_owned));
        }
    }
    Ok(numbers)
}

/// Adds the firms to the index.
pub(crate) fn firms(
    file: impl Read,
    struck_off: &HashSet<String>,
    index: &mut Index,
) -> Result<Tally, RegisterError> {
    let mut reader = rows(file);
    let header = reader.headers()?.clone();
    let name = column(&header, "DENUMIRE")?;
    let code = column(&header, "CUI")?;
    let number = column(&header, "COD_INMATRICULARE")?;
    let form = column(&header, "FORMA_JURIDICA")?;
    let place = column(&header, "ADR_JUDET")?;
    let (mut tally, mut seen) = (Tally::default(), HashSet::new());
    for row in reader.records() {
        let row = row?;
        let cell = |column: usize| row.get(column).unwrap_or_default().trim();
        if row.len() != header.len() || cell(number).is_empty() {
            tally.broken += 1;
        } else if PERSONAL_FORMS.contains(&cell(form)) || cell(number).starts_with('F') {
            tally.persons += 1;
        } else if !seen.insert(cell(number).to_owned()) {
            tally.repeated += 1;
        } else if let (Ok(cui), Some(name)) = (Cui::parse(cell(code)), present(cell(name))) {
            let county = county::named(cell(place)).or_else(|| county_of(cell(number)));
            index.put(cui, &name, county, struck_off.contains(cell(number)));
            tally.kept += 1;
        } else {
            tally.without_code += 1;
        }
    }
    Ok(tally)
}

/// A quote is data here: about a thousand names begin with one.
fn rows<R: Read>(file: R) -> csv::Reader<R> {
    ReaderBuilder::new()
        .delimiter(b'^')
        .quoting(false)
        .flexible(true)
        .from_reader(file)
}

fn column(header: &StringRecord, wanted: &'static str) -> Result<usize, RegisterError> {
    header
        .iter()
        .position(|name| name.trim_start_matches(MARK) == wanted)
        .ok_or(RegisterError::NoColumn(wanted))
}

fn county_of(number: &str) -> Option<&'static str> {
    // Whether the year is past does not matter for the county.
    RegisterNumber::parse(number, jiff::civil::Date::MAX)
        .ok()?
        .county()
}

#[cfg(test)]
mod tests {
    use super::super::index::Query;
    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/fixtures/onrc/", $name)).as_slice()
        };
    }

    #[test]
    fn the_published_rows_are_read_with_their_quotes_and_without_people() {
        let gone = struck_off(fixture!("od_stare_firma.csv")).unwrap();
        assert_eq!(gone.len(), 2);
        let mut index = Index::default();
        let tally = firms(fixture!("od_firme.csv"), &gone, &mut index).unwrap();
        let expected = Tally {
            kept: 10,
            persons: 1,
            without_code: 1,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
        let find = |text: &str, include_struck_off| {
            let query = Query {
                text: text.to_owned(),
                include_struck_off,
                page: 1,
                ..Query::default()
            };
            index.search(&query).hits
        };
        assert_eq!(find("cardioforce", false)[0].denumire, "\" CARDIOFORCE SRL");
        assert_eq!(
            find("rompetrol", false)[0].judet.as_deref(),
            Some("Constanța")
        );
        assert_eq!(find("campingrod", false)[0].judet, None);
        assert!(find("lemnlind", false).is_empty());
        assert_eq!(find("lemnlind", true)[0].cif, "13735411");
        assert!(find("persoana", true).is_empty());
    }

    #[test]
    fn broken_and_repeated_rows_are_counted_and_left_out() {
        let mut index = Index::default();
        let tally = firms(
            fixture!("od_firme_bad_rows.csv"),
            &HashSet::new(),
            &mut index,
        )
        .unwrap();
        let expected = Tally {
            kept: 2,
            broken: 2,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn another_file_is_refused() {
        let error = firms(
            &b"a^b\r\n1^2\r\n"[..],
            &HashSet::new(),
            &mut Index::default(),
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "there is no column `DENUMIRE`"
        );
    }
}
