//! [pure] CNP: the personal number of a natural person. Personal data: it never prints itself.

use std::fmt;

use jiff::civil::Date;
use serde::Serialize;

use crate::county;
use crate::reason::Reason;

const KEY: [u8; 12] = [2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9];
const DIGITS: usize = 13;

/// A personal number that could have been issued.
///
/// Invariant: thirteen digits with an existing, past date of birth, a county that is issued and
/// the right control digit; [`Cnp::parse`] is the only way to make one. `Debug` hides all of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cnp {
    digits: [u8; DIGITS],
    birth: Date,
}

/// What a personal number says about its holder.
#[derive(Clone, Serialize)]
pub struct Details {
    /// Not encoded for citizens of other countries (first digit 9).
    pub sex: Option<Sex>,
    /// ISO date. For residents from abroad the century is not encoded: the first that fits.
    pub date_of_birth: String,
    /// Name of the place, where the number names one.
    pub county_of_birth: Option<&'static str>,
    /// Its two digits.
    pub county_of_birth_code: String,
    /// Running number within day and county.
    pub county_index: String,
    /// The control digit.
    pub control: String,
    /// Issued to a resident from abroad.
    pub foreign_resident: bool,
}

/// Sex as encoded in the first digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sex {
    /// Male.
    #[serde(rename = "m")]
    Male,
    /// Female.
    #[serde(rename = "f")]
    Female,
}

/// Why a text is no personal number. Carries nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCnp {
    /// Something other than a digit.
    #[error("a personal number has only digits")]
    Characters,
    /// Not thirteen digits.
    #[error("a personal number has 13 digits")]
    Length,
    /// The first digit is 0.
    #[error("the first digit of a personal number is never 0")]
    FirstDigit,
    /// No such day in that century.
    #[error("the date of birth does not exist")]
    BirthDate,
    /// Born after today.
    #[error("the date of birth lies in the future")]
    BornInFuture,
    /// A number of county that is not issued.
    #[error("there is no county with this number")]
    County,
    /// 000.
    #[error("the running number 000 is never issued")]
    Serial,
    /// The control digit does not follow from the others.
    #[error("the control digit of the personal number is wrong")]
    Control,
}

impl Reason for InvalidCnp {
    fn code(&self) -> &'static str {
        match self {
            Self::Characters => "bad_character",
            Self::Length => "bad_length",
            Self::FirstDigit => "bad_first_digit",
            Self::BirthDate => "bad_birth_date",
            Self::BornInFuture => "born_in_future",
            Self::County => "bad_county",
            Self::Serial => "bad_serial",
            Self::Control => "bad_check_digit",
        }
    }
}

impl Cnp {
    /// Reads a personal number as of `today`; blanks around it are accepted.
    pub fn parse(text: &str, today: Date) -> Result<Self, InvalidCnp> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidCnp::Characters);
        }
        let mut digits: [u8; DIGITS] = text
            .as_bytes()
            .try_into()
            .map_err(|_other_length| InvalidCnp::Length)?;
        for digit in &mut digits {
            *digit -= b'0';
        }
        if digits[0] == 0 {
            return Err(InvalidCnp::FirstDigit);
        }
        let birth = birth_date(&digits, today)?;
        county::of_cnp(two(&digits, 7)).ok_or(InvalidCnp::County)?;
        if digits[9..12] == [0, 0, 0] {
            return Err(InvalidCnp::Serial);
        }
        if control(&digits) != digits[12] {
            return Err(InvalidCnp::Control);
        }
        Ok(Self { digits, birth })
    }

    /// What the number says.
    #[must_use]
    pub fn details(&self) -> Details {
        let first = self.digits[0];
        Details {
            sex: match first {
                9 => None,
                odd if odd % 2 == 1 => Some(Sex::Male),
                _ => Some(Sex::Female),
            },
            date_of_birth: self.birth.to_string(),
            county_of_birth: county::of_cnp(two(&self.digits, 7)).flatten(),
            county_of_birth_code: self.text(7, 9),
            county_index: self.text(9, 12),
            control: self.text(12, 13),
            foreign_resident: matches!(first, 7 | 8),
        }
    }

    /// The digits themselves: only for the answer to whoever sent them.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.text(0, DIGITS)
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.digits[from..to]
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect()
    }
}

impl fmt::Debug for Cnp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cnp(***)")
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Details(***)")
    }
}

fn two(digits: &[u8; DIGITS], at: usize) -> u8 {
    digits[at] * 10 + digits[at + 1]
}

fn birth_date(digits: &[u8; DIGITS], today: Date) -> Result<Date, InvalidCnp> {
    let centuries: &[i16] = match digits[0] {
        1 | 2 => &[1900],
        3 | 4 => &[1800],
        5 | 6 => &[2000],
        // The century is not encoded: the first in which the day exists and is past.
        _ => &[1900, 2000],
    };
    let mut exists = false;
    for century in centuries {
        let (month, day) = (two(digits, 3).cast_signed(), two(digits, 5).cast_signed());
        let Ok(birth) = Date::new(century + i16::from(two(digits, 1)), month, day) else {
            continue;
        };
        if birth <= today {
            return Ok(birth);
        }
        exists = true;
    }
    Err(if exists {
        InvalidCnp::BornInFuture
    } else {
        InvalidCnp::BirthDate
    })
}

/// Remainders 1 and 10 both give 1.
fn control(digits: &[u8; DIGITS]) -> u8 {
    let sum: u32 = KEY
        .iter()
        .zip(digits)
        .map(|(weight, digit)| u32::from(weight * digit))
        .sum();
    match sum % 11 {
        10 => 1,
        rest => u8::try_from(rest).expect("a remainder of 11 fits a byte"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = date(2026, 11, 22);

    fn with_control(body: &str) -> String {
        let mut digits = [0; DIGITS];
        for (digit, byte) in digits.iter_mut().zip(body.bytes()) {
            *digit = byte - b'0';
        }
        format!("{body}{}", control(&digits))
    }

    fn check(body: &str, expected: Result<&str, InvalidCnp>) {
        let parsed = Cnp::parse(&with_control(body), TODAY);
        let birth = parsed.map(|cnp| cnp.details().date_of_birth);
        assert_eq!(birth, expected.map(str::to_owned), "{body}");
    }

    #[test]
    fn the_sample_vectors_agree() {
        let vectors = include_str!("../tests/fixtures/validate/cnp.csv");
        let mut reader = csv::Reader::from_reader(vectors.as_bytes());
        for row in reader.records() {
            let row = row.unwrap();
            let parsed = Cnp::parse(&row[0], TODAY);
            assert_eq!(parsed.is_ok(), &row[1] == "1", "{row:?}");
            let Ok(cnp) = parsed else { continue };
            let details = cnp.details();
            let sex = serde_json::to_value(details.sex).unwrap();
            assert_eq!(sex.as_str().unwrap_or_default(), &row[2]);
            if !row[3].is_empty() {
                assert_eq!(details.date_of_birth, &row[3]);
            }
            assert_eq!(details.county_of_birth_code, &row[4]);
            assert_eq!(details.foreign_resident, &row[5] == "true");
        }
    }

    #[test]
    fn the_century_follows_the_first_digit() {
        check("196022932001", Ok("1996-02-29"));
        check("388022932001", Ok("1888-02-29"));
        check("500022932001", Ok("2000-02-29"));
        check("100022932001", Err(InvalidCnp::BirthDate));
    }

    #[test]
    fn without_a_century_the_first_past_day_that_exists_counts() {
        check("790060332001", Ok("1990-06-03"));
        check("700022932001", Ok("2000-02-29"));
        check("930022932001", Err(InvalidCnp::BirthDate));
    }

    #[test]
    fn nobody_is_born_tomorrow() {
        check("526112232001", Ok("2026-11-22"));
        check("526112332001", Err(InvalidCnp::BornInFuture));
    }

    #[test]
    fn counties_and_running_numbers_must_be_issued() {
        check("196022970001", Ok("1996-02-29"));
        check("196022949001", Err(InvalidCnp::County));
        check("196022900001", Err(InvalidCnp::County));
        check("196022932000", Err(InvalidCnp::Serial));
        check("096022932001", Err(InvalidCnp::FirstDigit));
    }

    #[test]
    fn nothing_of_the_number_is_printed() {
        let cnp = Cnp::parse("5000229320019", TODAY).unwrap();
        let printed = format!("{cnp:?} {:?}", cnp.details());
        assert!(!printed.chars().any(|c| c.is_ascii_digit()), "{printed}");
    }

    proptest! {
        #[test]
        fn one_wrong_digit_is_caught_unless_both_remainders_fold_to_one(
            place in 0_usize..12, other in 1_u8..10,
        ) {
            let valid = "5000229320019";
            let mut changed = valid.as_bytes().to_vec();
            changed[place] = b'0' + (changed[place] - b'0' + other) % 10;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(Cnp::parse(&changed, TODAY).is_err());
        }

        #[test]
        fn any_text_is_answered(text in ".{0,20}") {
            prop_assert!(Cnp::parse(&text, TODAY).is_err() || text.trim().len() == DIGITS);
        }
    }
}
