//! [pure] The number of a firm in the trade register, in its old and its new form.

use std::fmt;

use jiff::civil::Date;

use crate::county;
use crate::reason::Reason;

const FIRST_YEAR: i16 = 1990;
/// The last year of the old form, and the first in which a number may leave the county out.
const YEAR_OF_CHANGE: i16 = 2024;
const NEW_LENGTH: usize = 14;
const MAX_OLD_SERIAL_DIGITS: usize = 5;

/// A number of the trade register.
///
/// Invariant: letter J, F or C, a year since 1990 that is not in the future, a county of the
/// register (or none, in numbers from 2024 on) and, in the new form, the right control digit;
/// [`RegisterNumber::parse`] is the only way to make one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegisterNumber {
    text: String,
    form: Form,
    kind: Kind,
    year: i16,
    county: Option<&'static str>,
}

/// Which of the two forms a number has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `J32/1/2010`, given until July 2024.
    Old,
    /// `J2012000750528`.
    New,
}

/// What the first letter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// J: a company.
    Company,
    /// F: a natural person in business.
    Person,
    /// C: a cooperative.
    Cooperative,
}

/// Why a text is no number of the trade register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRegisterNumber {
    /// Neither J, F nor C.
    #[error("the number begins with J, F or C")]
    Letter,
    /// Neither of the two forms.
    #[error("the number is neither like J32/1/2010 nor like J2012000750528")]
    Format,
    /// No county has this number.
    #[error("there is no county with this number")]
    County,
    /// Zero.
    #[error("the serial number is 1 or more")]
    Serial,
    /// Before 1990, in the future, or after the old form ended.
    #[error("no such number was given in this year")]
    Year,
    /// The last digit does not follow from the others.
    #[error("the control digit is wrong")]
    Control,
}

impl Reason for InvalidRegisterNumber {
    fn code(&self) -> &'static str {
        match self {
            Self::Letter => "bad_letter",
            Self::Format => "bad_format",
            Self::County => "bad_county",
            Self::Serial => "bad_serial",
            Self::Year => "bad_year",
            Self::Control => "bad_check_digit",
        }
    }
}

type Refused = InvalidRegisterNumber;

impl RegisterNumber {
    /// Reads a number in either form as of `today`; blanks and lower case are accepted.
    pub fn parse(text: &str, today: Date) -> Result<Self, Refused> {
        let text: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let kind = match text.as_bytes().first() {
            Some(b'J') => Kind::Company,
            Some(b'F') => Kind::Person,
            Some(b'C') => Kind::Cooperative,
            _ => return Err(Refused::Letter),
        };
        let rest = &text[1..];
        let (form, year, county) = if rest.contains('/') {
            let (year, county) = old(rest, today)?;
            (Form::Old, year, Some(county))
        } else {
            let (year, county) = new(&text, today)?;
            (Form::New, year, county)
        };
        Ok(Self {
            text,
            form,
            kind,
            year,
            county,
        })
    }

    /// Which form it has.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// What it registers.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Year of registration.
    #[must_use]
    pub const fn year(&self) -> i16 {
        self.year
    }

    /// County of registration, where the number says it.
    #[must_use]
    pub const fn county(&self) -> Option<&'static str> {
        self.county
    }

    /// Without blanks, in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RegisterNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `32/1/2010`
fn old(rest: &str, today: Date) -> Result<(i16, &'static str), Refused> {
    let parts: Vec<&str> = rest.split('/').collect();
    let [county, serial, year] = parts[..] else {
        return Err(Refused::Format);
    };
    let in_length = (1..=2).contains(&county.len())
        && (1..=MAX_OLD_SERIAL_DIGITS).contains(&serial.len())
        && year.len() == 4;
    if !in_length {
        return Err(Refused::Format);
    }
    let county: u8 = digits(county)?;
    let serial: u32 = digits(serial)?;
    let year: i16 = digits(year)?;
    let county = county::of_register(county).ok_or(Refused::County)?;
    if serial == 0 {
        return Err(Refused::Serial);
    }
    if !(FIRST_YEAR..=YEAR_OF_CHANGE.min(today.year())).contains(&year) {
        return Err(Refused::Year);
    }
    Ok((year, county))
}

/// `J2012000750528`: letter, year, six digits, county, control.
fn new(text: &str, today: Date) -> Result<(i16, Option<&'static str>), Refused> {
    if text.len() != NEW_LENGTH || !text[1..].bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refused::Format);
    }
    let year: i16 = digits(&text[1..5])?;
    let serial: u32 = digits(&text[5..11])?;
    let county: u8 = digits(&text[11..13])?;
    if !(FIRST_YEAR..=today.year()).contains(&year) {
        return Err(Refused::Year);
    }
    if serial == 0 {
        return Err(Refused::Serial);
    }
    let county = match county {
        0 if year >= YEAR_OF_CHANGE => None,
        number => Some(county::of_register(number).ok_or(Refused::County)?),
    };
    // The letter counts as its ASCII code, of which only the last digit matters.
    let (body, control) = text.as_bytes().split_at(NEW_LENGTH - 1);
    let sum: u32 = body
        .iter()
        .map(|byte| match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            letter => u32::from(*letter),
        })
        .sum();
    if control != [b'0' + u8::try_from(sum % 10).expect("a digit fits a byte")] {
        return Err(Refused::Control);
    }
    Ok((year, county))
}

fn digits<T: std::str::FromStr>(text: &str) -> Result<T, Refused> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refused::Format);
    }
    text.parse().map_err(|_too_large| Refused::Format)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = date(2026, 11, 22);

    fn check(input: &str, expected: Result<(i16, Option<&str>), Refused>) {
        let parsed = RegisterNumber::parse(input, TODAY);
        let parsed = parsed.map(|number| (number.year(), number.county()));
        assert_eq!(parsed, expected, "{input}");
    }

    #[test]
    fn the_sample_vectors_agree() {
        let vectors = include_str!("../tests/fixtures/validate/onrc.csv");
        let mut reader = csv::Reader::from_reader(vectors.as_bytes());
        for row in reader.records() {
            let row = row.unwrap();
            let parsed = RegisterNumber::parse(&row[0], TODAY);
            assert_eq!(parsed.is_ok(), &row[1] == "1", "{row:?} {parsed:?}");
        }
    }

    #[test]
    fn both_forms_are_read_and_each_refusal_says_why() {
        check("j 32 / 1 / 2010", Ok((2010, Some("Sibiu"))));
        check("J2025048519000", Ok((2025, None)));
        check("J2012000750528", Ok((2012, Some("Giurgiu"))));
        check("", Err(Refused::Letter));
        check("X32/1/2010", Err(Refused::Letter));
        check("J32/1", Err(Refused::Format));
        check("J32/123456/2010", Err(Refused::Format));
        check("J32/+1/2010", Err(Refused::Format));
        check("J41/1/2010", Err(Refused::County));
        check("J32/0/2010", Err(Refused::Serial));
        check("J32/1/1989", Err(Refused::Year));
        check("J32/1/2025", Err(Refused::Year));
        check("J2027048519000", Err(Refused::Year));
        check("J2012000750008", Err(Refused::County));
        check("J2012000750529", Err(Refused::Control));
        check("J201200075052", Err(Refused::Format));
        check("Jé01200075052", Err(Refused::Format));
    }

    proptest! {
        #[test]
        fn one_wrong_digit_of_the_new_form_is_caught(place in 5_usize..13, other in 1_u8..10) {
            let mut bytes = b"J2012000750528".to_vec();
            bytes[place] = b'0' + (bytes[place] - b'0' + other) % 10;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(RegisterNumber::parse(&changed, TODAY).is_err());
        }

        #[test]
        fn any_text_is_answered(text in "[JFC]?.{0,16}") {
            if let Ok(number) = RegisterNumber::parse(&text, TODAY) {
                prop_assert_eq!(RegisterNumber::parse(number.as_str(), TODAY), Ok(number));
            }
        }
    }
}
