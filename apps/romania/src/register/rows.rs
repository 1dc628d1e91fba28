//! [pure] Rows of the published files: unquoted cells, told apart by the names of their columns.

use super::firm::Firm;
use crate::county;
use crate::cui::{Cui, InvalidCui};
use crate::onrc::RegisterNumber;
use crate::text::{present, words};

/// What separates cells; before 2016 it was the second.
const SEPARATORS: [char; 2] = ['^', '|'];
/// Published files have 20.
const MAX_COLUMNS: usize = 64;
/// Why a row has no code: it was published without.
pub(crate) const NO_CODE: &str = "no fiscal code";
/// Forms under which natural persons do business, folded: their rows are names of people.
const PERSONAL_FORMS: [&str; 6] = ["pf", "pfa", "pfi", "ii", "if", "af"];
/// The same forms in words, as their beginnings.
const PERSONAL_WORDS: [&[&str]; 4] = [
    &["persoana", "fizica"],
    &["intreprindere", "individuala"],
    &["intreprindere", "familiala"],
    &["asociatie", "familiala"],
];

/// Why a file is not the one that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It has no first line of text.
    #[error("it does not begin with a line of column names")]
    None,
    /// It is another file.
    #[error("there is no column `{0}`")]
    NoColumn(&'static str),
    /// It is something else altogether.
    #[error("it has more than {MAX_COLUMNS} columns")]
    TooMany,
}

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    separator: char,
    names: Vec<String>,
}

impl Header {
    pub(crate) fn parse(line: &str) -> Result<Self, HeaderError> {
        let separator = SEPARATORS.into_iter().find(|mark| line.contains(*mark));
        let separator = separator.ok_or(HeaderError::None)?;
        let names = line.split(separator).map(|name| name.trim().to_uppercase());
        let names: Vec<String> = names.take(MAX_COLUMNS + 1).collect();
        if names.len() > MAX_COLUMNS {
            return Err(HeaderError::TooMany);
        }
        Ok(Self { separator, names })
    }

    /// Where that column is.
    pub(crate) fn column(&self, wanted: &'static str) -> Result<usize, HeaderError> {
        let found = self.names.iter().position(|name| name == wanted);
        found.ok_or(HeaderError::NoColumn(wanted))
    }

    /// The cells of a row; nothing when there are too few or too many.
    pub(crate) fn cells<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let mut cells = Vec::with_capacity(self.names.len());
        cells.extend(line.split(self.separator).take(self.names.len() + 1));
        (cells.len() == self.names.len()).then_some(cells)
    }
}

/// Where the cells of a firm are.
#[derive(Clone, Debug)]
pub(crate) struct FirmColumns {
    header: Header,
    name: usize,
    code: usize,
    number: usize,
    date: usize,
    form: usize,
    county: usize,
    locality: usize,
    address: [usize; 7],
    postal: usize,
    web: usize,
    parent: usize,
}

/// What is left of a row of the file of firms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Firm(Box<Firm>),
    /// A natural person.
    Person,
    /// Without a usable fiscal code.
    NoCode(&'static str),
    /// Not a row of this file.
    Broken(&'static str),
}

/// What stands before each part of an address.
const ADDRESS_WORDS: [&str; 7] = ["", "nr. ", "bl. ", "sc. ", "et. ", "ap. ", ""];

impl FirmColumns {
    pub(crate) fn find(header: Header) -> Result<Self, HeaderError> {
        let column = |name| header.column(name);
        Ok(Self {
            name: column("DENUMIRE")?,
            code: column("CUI")?,
            number: column("COD_INMATRICULARE")?,
            date: column("DATA_INMATRICULARE")?,
            form: column("FORMA_JURIDICA")?,
            county: column("ADR_JUDET")?,
            locality: column("ADR_LOCALITATE")?,
            address: [
                column("ADR_DEN_STRADA")?,
                column("ADR_NR_STRADA")?,
                column("ADR_BLOC")?,
                column("ADR_SCARA")?,
                column("ADR_ETAJ")?,
                column("ADR_APARTAMENT")?,
                column("ADR_COMPLETARE")?,
            ],
            postal: column("ADR_COD_POSTAL")?,
            web: column("WEB")?,
            parent: column("TARA_FIRMA_MAMA")?,
            header,
        })
    }

    /// Reads one row.
    pub(crate) fn read(&self, line: &str) -> Row {
        let Some(cells) = self.header.cells(line) else {
            return Row::Broken("another number of columns than the header");
        };
        let cell = |column: usize| cells.get(column).copied().unwrap_or_default().trim();
        let number = cell(self.number);
        if number.is_empty() {
            return Row::Broken("no registration number");
        }
        if is_person(cell(self.name), cell(self.form), number) {
            return Row::Person;
        }
        let cui = match Cui::parse(cell(self.code)) {
            Ok(cui) => cui,
            // Somebody's personal number in the place of a firm's code.
            Err(InvalidCui::LooksLikeCnp) => return Row::Person,
            Err(InvalidCui::Empty) => return Row::NoCode(NO_CODE),
            Err(_) if cell(self.code) == "0" => return Row::NoCode(NO_CODE),
            Err(_) => return Row::NoCode("the fiscal code is not valid"),
        };
        let Some(name) = present(cell(self.name)) else {
            return Row::Broken("no name");
        };
        let parts = self.address.iter().zip(ADDRESS_WORDS);
        let address: Vec<String> = parts
            .filter_map(|(column, word)| Some(format!("{word}{}", present(cell(*column))?)))
            .collect();
        Row::Firm(Box::new(Firm {
            cui: cui.number(),
            name,
            number: number.to_owned(),
            registered: iso_date(cell(self.date)),
            form: present(cell(self.form)),
            county: county::number(cell(self.county)).unwrap_or_else(|| county_of(number)),
            locality: present(cell(self.locality)),
            address: present(&address.join(", ")),
            postal: present(cell(self.postal)),
            web: present(cell(self.web)),
            parent_country: present(cell(self.parent)),
            states: Vec::new(),
            activities: Vec::new(),
        }))
    }
}

/// Where the two cells of a file of codes are.
#[derive(Clone, Debug)]
pub(crate) struct CodeColumns {
    header: Header,
    number: usize,
    code: usize,
    version: Option<usize>,
}

impl CodeColumns {
    /// The file of states.
    pub(crate) fn states(header: Header) -> Result<Self, HeaderError> {
        Ok(Self {
            number: header.column("COD_INMATRICULARE")?,
            code: header.column("COD")?,
            version: None,
            header,
        })
    }

    /// The file of authorised activities.
    pub(crate) fn activities(header: Header) -> Result<Self, HeaderError> {
        Ok(Self {
            number: header.column("COD_INMATRICULARE")?,
            code: header.column("COD_CAEN_AUTORIZAT")?,
            version: Some(header.column("VER_CAEN_AUTORIZAT")?),
            header,
        })
    }

    /// The firm's number, the code, and the version of the list of codes (0 without one).
    pub(crate) fn read<'a>(&self, line: &'a str) -> Option<(&'a str, u32, u8)> {
        let cells = self.header.cells(line)?;
        let cell = |column: usize| cells.get(column).map(|cell| cell.trim());
        let number = cell(self.number).filter(|number| !number.is_empty())?;
        let version = match self.version {
            Some(column) => cell(column)?.parse().ok()?,
            None => 0,
        };
        Some((number, cell(self.code)?.parse().ok()?, version))
    }
}

/// The meaning of codes: of states by `COD`, of activities by `CLASA` and `VERSIUNE_CAEN`.
#[derive(Clone, Debug)]
pub(crate) struct NameColumns {
    header: Header,
    code: usize,
    name: usize,
    version: Option<usize>,
}

impl NameColumns {
    pub(crate) fn states(header: Header) -> Result<Self, HeaderError> {
        Ok(Self {
            code: header.column("COD")?,
            name: header.column("DENUMIRE")?,
            version: None,
            header,
        })
    }

    pub(crate) fn activities(header: Header) -> Result<Self, HeaderError> {
        Ok(Self {
            code: header.column("CLASA")?,
            name: header.column("DENUMIRE")?,
            version: Some(header.column("VERSIUNE_CAEN")?),
            header,
        })
    }

    /// The code, the version of its list (0 without one), and what it means. The list of
    /// activities has rows for groups of codes too, which have none of their own.
    pub(crate) fn read(&self, line: &str) -> Option<(u32, u8, String)> {
        let cells = self.header.cells(line)?;
        let cell = |column: usize| cells.get(column).map(|cell| cell.trim());
        let version = match self.version {
            Some(column) => cell(column)?.parse().ok()?,
            None => 0,
        };
        Some((
            cell(self.code)?.parse().ok()?,
            version,
            present(cell(self.name)?)?,
        ))
    }
}

/// Whether a row is about a person in business: by its form, by the letter of its number, or by
/// a name that says so where the form does not.
fn is_person(name: &str, form: &str, number: &str) -> bool {
    if number.starts_with(['F', 'f']) {
        return true;
    }
    let form = words(form);
    let says = |all: &[String]| {
        let begins = |words: &&[&str]| {
            let mut pairs = words.iter().zip(all);
            all.len() >= words.len() && pairs.all(|(wanted, word)| wanted == word)
        };
        PERSONAL_WORDS.iter().any(begins)
    };
    let is_short = |word: &String| PERSONAL_FORMS.contains(&word.as_str());
    if form.first().is_some_and(is_short) || says(&form) {
        return true;
    }
    let name = words(name);
    let ends = |length: usize| {
        name.len()
            .checked_sub(length)
            .is_some_and(|at| says(&name[at..]))
    };
    // A company may well be called `… II`; one without a form is not known to be one.
    let is_marked = name
        .last()
        .is_some_and(|word| word == "pfa" || (form.is_empty() && is_short(word)));
    is_marked || ends(2) || ends(3)
}

/// DD/MM/YYYY as ISO.
fn iso_date(text: &str) -> Option<String> {
    let mut parts = text.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let date = jiff::civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    Some(date.ok().filter(|_| parts.next().is_none())?.to_string())
}

/// The county that a registration number names, or 0.
fn county_of(number: &str) -> u8 {
    // Whether the year is past does not matter for the county.
    let parsed = RegisterNumber::parse(number, jiff::civil::Date::MAX).ok();
    let name = parsed.and_then(|number| number.county());
    name.and_then(county::number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = include_str!("../../tests/fixtures/onrc/od_firme.csv");

    fn columns() -> FirmColumns {
        let line = HEADER
            .lines()
            .next()
            .unwrap()
            .trim_start_matches('\u{feff}');
        FirmColumns::find(Header::parse(line).unwrap()).unwrap()
    }

    /// A row with these cells: name, code, number, date, form, county.
    fn row(cells: [&str; 6]) -> Row {
        let [name, code, number, date, form, county] = cells;
        columns().read(&format!(
            "{name}^{code}^{number}^{date}^EUID^{form}^România^{county}^Sat X^STR Y^5^^A^2^^1234^^bis^x.ro^"
        ))
    }

    fn firm(cells: [&str; 6]) -> Firm {
        match row(cells) {
            Row::Firm(firm) => *firm,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn cells_become_a_firm_and_quotes_are_data() {
        let one = firm([
            "\" CARDIOFORCE SRL",
            "22724420",
            "J40/21161/2007",
            "04/01/2010",
            "SRL",
            "Bucureşti",
        ]);
        assert_eq!(one.name, "\" CARDIOFORCE SRL");
        assert_eq!((one.cui, one.county), (22_724_420, 40));
        assert_eq!(one.registered.as_deref(), Some("2010-01-04"));
        assert_eq!(
            one.address.as_deref(),
            Some("STR Y, nr. 5, sc. A, et. 2, bis")
        );
        assert_eq!(one.web.as_deref(), Some("x.ro"));
        // The county of the number stands in for one that is not given.
        assert_eq!(
            firm(["A SRL", "RO22724420", "J32/1/2010", "32/01/2010", "SRL", ""]).county,
            32
        );
        assert_eq!(
            firm(["A SRL", "22724420", "J32/1/2010", "x", "SRL", ""]).registered,
            None
        );
        assert_eq!(
            firm([
                "A SRL",
                "22724420",
                "J2025048519000",
                "",
                "SRL",
                "Atlantida"
            ])
            .county,
            0
        );
    }

    #[test]
    fn people_are_left_out_however_they_are_marked() {
        for (name, number, form) in [
            ("POPESCU ION", "J32/1/2010", "PFA"),
            ("POPESCU ION", "J32/1/2010", "P.F.A."),
            ("POPESCU ION", "F32/1/2010", ""),
            ("POPESCU ION", "F2012000750525", "X"),
            ("POPESCU ION", "J32/1/2010", "Persoană fizică autorizată"),
            ("POPESCU ION", "J32/1/2010", "ÎNTREPRINDERE INDIVIDUALĂ"),
            ("POPESCU ION ÎNTREPRINDERE INDIVIDUALĂ", "J32/1/2010", ""),
            ("POPESCU ION PERSOANA FIZICA AUTORIZATA", "J32/1/2010", ""),
            ("POPESCU ION I.I.", "J32/1/2010", ""),
            ("POPESCU ION P.F.A.", "J32/1/2010", "SRL"),
        ] {
            assert_eq!(
                row([name, "22724420", number, "", form, ""]),
                Row::Person,
                "{name} {form}"
            );
        }
        assert_eq!(
            row(["X", "5000229320019", "J32/1/2010", "", "SRL", ""]),
            Row::Person
        );
        assert_eq!(
            firm(["ALFA II", "22724420", "J32/1/2010", "", "SRL", ""]).name,
            "ALFA II"
        );
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert_eq!(
            row(["A", "", "J32/1/2010", "", "SRL", ""]),
            Row::NoCode(NO_CODE)
        );
        assert_eq!(
            row(["A", "0", "J32/1/2010", "", "SRL", ""]),
            Row::NoCode(NO_CODE)
        );
        let wrong = Row::NoCode("the fiscal code is not valid");
        assert_eq!(row(["A", "12345678", "J32/1/2010", "", "SRL", ""]), wrong);
        assert_eq!(
            row(["A", "22724420", "", "", "SRL", ""]),
            Row::Broken("no registration number")
        );
        assert_eq!(
            row(["", "22724420", "J32/1/2010", "", "SRL", ""]),
            Row::Broken("no name")
        );
        let broken = Row::Broken("another number of columns than the header");
        assert_eq!(columns().read(""), broken);
        assert_eq!(columns().read(&"^".repeat(20)), broken);
    }

    #[test]
    fn another_file_is_refused() {
        let find = |line: &str| Header::parse(line).and_then(FirmColumns::find);
        assert_eq!(find("a^b").unwrap_err(), HeaderError::NoColumn("DENUMIRE"));
        assert_eq!(find("a;b").unwrap_err(), HeaderError::None);
        assert_eq!(find(&"a^".repeat(99)).unwrap_err(), HeaderError::TooMany);
        let old = "denumire|cod";
        assert_eq!(Header::parse(old).unwrap().column("COD"), Ok(1));
    }

    #[test]
    fn codes_and_their_meanings_are_read() {
        let header = |line| Header::parse(line).unwrap();
        let states = CodeColumns::states(header("COD_INMATRICULARE^COD")).unwrap();
        assert_eq!(states.read("J1/2/2000^1048"), Some(("J1/2/2000", 1048, 0)));
        assert_eq!(states.read("J1/2/2000^x"), None);
        assert_eq!(states.read("^1048"), None);
        let line = "COD_INMATRICULARE^COD_CAEN_AUTORIZAT^VER_CAEN_AUTORIZAT";
        let activities = CodeColumns::activities(header(line)).unwrap();
        assert_eq!(
            activities.read("J1/2/2000^0111^2"),
            Some(("J1/2/2000", 111, 2))
        );
        let line = "SECTIUNEA^SUBSECTIUNEA^DIVIZIUNEA^GRUPA^CLASA^DENUMIRE^VERSIUNE_CAEN";
        let names = NameColumns::activities(header(line)).unwrap();
        let row = "J^^62^620^6201^Activităţi de software^2";
        assert_eq!(
            names.read(row),
            Some((6201, 2, "Activități de software".to_owned()))
        );
        assert_eq!(names.read("J^^62^620^^Grup^2"), None);
    }
}
