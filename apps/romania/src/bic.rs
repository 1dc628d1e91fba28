//! [pure] BIC (ISO 9362): the code of a bank or branch.

use std::fmt;

use crate::reason::Reason;

/// A bank's code in the right form. Whether the bank exists is not known here.
///
/// Invariant: four letters, two letters for the country, two letters or digits and perhaps three
/// more, all capitals; [`Bic::parse`] is the only way to make one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bic(String);

/// Why a text is no BIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBic {
    /// Not 8 or 11 characters.
    #[error("a BIC has 8 or 11 characters, not {0}")]
    Length(usize),
    /// The first four are not letters.
    #[error("a BIC begins with four letters for the bank")]
    Bank,
    /// The next two are not letters.
    #[error("characters 5 and 6 of a BIC are the letters of the country")]
    Country,
    /// The rest has something other than letters and digits.
    #[error("place and branch of a BIC have only letters and digits")]
    Branch,
}

impl Reason for InvalidBic {
    fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "bad_length",
            Self::Bank => "bad_bank",
            Self::Country => "bad_country",
            Self::Branch => "bad_branch",
        }
    }
}

impl Bic {
    /// Reads a BIC; blanks and lower case are accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidBic> {
        let compact: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let length = compact.chars().count();
        if !matches!(length, 8 | 11) {
            return Err(InvalidBic::Length(length));
        }
        for (place, letter) in compact.chars().enumerate() {
            match place {
                0..=3 if !letter.is_ascii_uppercase() => return Err(InvalidBic::Bank),
                4..=5 if !letter.is_ascii_uppercase() => return Err(InvalidBic::Country),
                _ if !letter.is_ascii_alphanumeric() => return Err(InvalidBic::Branch),
                _ => {}
            }
        }
        Ok(Self(compact))
    }

    /// Two letters, ISO 3166.
    #[must_use]
    pub fn country(&self) -> &str {
        &self.0[4..6]
    }

    /// Without blanks, in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &str, expected: Result<&str, InvalidBic>) {
        let parsed = Bic::parse(input);
        let text = parsed.as_ref().map(Bic::as_str).map_err(|why| *why);
        assert_eq!(text, expected, "{input}");
    }

    #[test]
    fn each_part_is_checked() {
        check("RNCBROBU", Ok("RNCBROBU"));
        check("rncb ro bu xxx", Ok("RNCBROBUXXX"));
        check("INGBROBUB1A", Ok("INGBROBUB1A"));
        check("RNCBROB", Err(InvalidBic::Length(7)));
        check("RNCBROBU1", Err(InvalidBic::Length(9)));
        check("RN1BROBU", Err(InvalidBic::Bank));
        check("RNCBR0BU", Err(InvalidBic::Country));
        check("RNCBROB-", Err(InvalidBic::Branch));
        check("RNCBROBȘ", Err(InvalidBic::Branch));
        assert_eq!(Bic::parse("RNCBROBU").unwrap().country(), "RO");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,14}") {
            if let Ok(bic) = Bic::parse(&text) {
                prop_assert_eq!(Bic::parse(bic.as_str()), Ok(bic));
            }
        }
    }
}
