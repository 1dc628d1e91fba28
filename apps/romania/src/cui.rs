//! [pure] CUI or CIF: the fiscal code of a company, with its check digit.

use std::fmt;

use crate::reason::Reason;

/// Weights of the nine digits before the check digit, for a number padded to the left.
const KEY: [u64; 9] = [7, 5, 3, 2, 1, 7, 5, 3, 2];
const MIN_DIGITS: usize = 2;
const MAX_DIGITS: usize = 10;
/// A personal number in the place of a fiscal code.
const CNP_DIGITS: usize = 13;

/// A fiscal code whose check digit is right.
///
/// Invariant: between 2 and 10 digits without a leading zero, the last one being the check digit;
/// [`Cui::parse`] and [`Cui::from_number`] are the only ways to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cui(u64);

/// Why a text is no fiscal code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCui {
    /// Nothing is left once blanks and the prefix are gone.
    #[error("a fiscal code is missing")]
    Empty,
    /// Something other than a digit.
    #[error("a fiscal code has only digits after an optional RO")]
    Characters,
    /// The first digit is zero.
    #[error("a fiscal code does not begin with 0")]
    LeadingZero,
    /// Thirteen digits: a natural person's number.
    #[error("13 digits are the personal number of a natural person, not a company's fiscal code")]
    LooksLikeCnp,
    /// Too short or too long.
    #[error("a fiscal code has 2 to 10 digits, not {0}")]
    Length(usize),
    /// The last digit does not follow from the others.
    #[error("the check digit of the fiscal code is wrong")]
    CheckDigit,
}

impl Reason for InvalidCui {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Characters => "bad_character",
            Self::LeadingZero => "leading_zero",
            Self::LooksLikeCnp => "looks_like_cnp",
            Self::Length(_) => "bad_length",
            Self::CheckDigit => "bad_check_digit",
        }
    }
}

impl Cui {
    /// Reads a fiscal code; a prefix `RO` in any case and blanks anywhere are accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidCui> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let digits = match compact.get(..2) {
            Some(prefix) if prefix.eq_ignore_ascii_case("RO") => &compact[2..],
            _ => compact.as_str(),
        };
        if digits.is_empty() {
            return Err(InvalidCui::Empty);
        }
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidCui::Characters);
        }
        if digits.len() == CNP_DIGITS {
            return Err(InvalidCui::LooksLikeCnp);
        }
        if digits.starts_with('0') {
            return Err(InvalidCui::LeadingZero);
        }
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) {
            return Err(InvalidCui::Length(digits.len()));
        }
        let number = digits
            .bytes()
            .fold(0, |number, byte| number * 10 + u64::from(byte - b'0'));
        if check_digit(number / 10) != number % 10 {
            return Err(InvalidCui::CheckDigit);
        }
        Ok(Self(number))
    }

    /// The fiscal code that is this number, as the tax office writes it.
    pub fn from_number(number: u64) -> Result<Self, InvalidCui> {
        Self::parse(&number.to_string())
    }

    /// The digits as a number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Cui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The check digit that belongs behind `body` (up to nine digits). Remainders 0 and 10 both give 0.
fn check_digit(body: u64) -> u64 {
    let mut rest = body;
    let mut sum = 0;
    for weight in KEY.iter().rev() {
        sum += weight * (rest % 10);
        rest /= 10;
    }
    sum * 10 % 11 % 10
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &str, expected: Result<u64, InvalidCui>) {
        assert_eq!(Cui::parse(input).map(Cui::number), expected, "{input}");
    }

    #[test]
    fn public_codes_are_valid() {
        for code in [
            13_548_146, 2_816_464, 1_860_712, 1_590_082, 38_744_563, 34_150_371, 14_399_840,
            18_547_290, 10_004, 10_012, 10_020, 10_039, 10_047, 10_055, 10_063, 10_071, 10_080,
            10_098,
        ] {
            check(&code.to_string(), Ok(code));
        }
    }

    #[test]
    fn a_prefix_and_blanks_are_accepted() {
        check("RO13548146", Ok(13_548_146));
        check(" ro 1354 8146\t", Ok(13_548_146));
    }

    #[test]
    fn each_refusal_says_why() {
        check("", Err(InvalidCui::Empty));
        check(" RO ", Err(InvalidCui::Empty));
        check("1", Err(InvalidCui::Length(1)));
        check("123456789012", Err(InvalidCui::Length(12)));
        check("0018547290", Err(InvalidCui::LeadingZero));
        check("18547291", Err(InvalidCui::CheckDigit));
        check("12345678", Err(InvalidCui::CheckDigit));
        check("147523051", Err(InvalidCui::CheckDigit));
        check("HU1234", Err(InvalidCui::Characters));
        check("-5", Err(InvalidCui::Characters));
        check("٣٤٥٦٧٨٩", Err(InvalidCui::Characters));
        check("5000229320019", Err(InvalidCui::LooksLikeCnp));
    }

    #[test]
    fn the_sample_vectors_agree() {
        let vectors = include_str!("../tests/fixtures/validate/cui.csv");
        let mut reader = csv::Reader::from_reader(vectors.as_bytes());
        for row in reader.records() {
            let row = row.unwrap();
            let parsed = Cui::parse(&row[0]);
            assert_eq!(parsed.is_ok(), &row[1] == "1", "{row:?}");
            if let Ok(cui) = parsed {
                assert_eq!(cui.to_string(), &row[2]);
            }
        }
    }

    proptest! {
        #[test]
        fn every_body_has_exactly_one_check_digit(body in 1_u64..1_000_000_000) {
            let valid = (0..10).filter(|digit| Cui::from_number(body * 10 + digit).is_ok()).count();
            prop_assert_eq!(valid, 1);
        }

        #[test]
        fn one_wrong_digit_is_caught_unless_both_remainders_fold_to_zero(
            body in 100_000_000_u64..1_000_000_000, place in 0_u32..9, other in 1_u64..10,
        ) {
            let power = 10_u64.pow(place);
            let digit = body / power % 10;
            let changed = body - digit * power + (digit + other) % 10 * power;
            prop_assume!(changed >= 100_000_000);
            let digit = check_digit(body);
            let slipped = Cui::from_number(changed * 10 + digit).is_ok();
            prop_assert!(!slipped || digit == 0);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            if let Ok(cui) = Cui::parse(&text) {
                prop_assert_eq!(Cui::parse(&cui.to_string()), Ok(cui));
            }
        }
    }
}
