//! [pure] IBAN (ISO 13616) of every country in the registry, with the bank of Romanian ones.

use std::fmt;
use std::sync::OnceLock;

use crate::reason::Reason;

const TABLE: &str = include_str!("../data/iban.csv");
const BANKS: &str = include_str!("../data/banks.csv");
/// The longest in the registry is Russia's with 33.
const MAX_LENGTH: usize = 34;
const ROMANIA: &str = "RO";

/// An account number that is right in form, length and check digits.
///
/// Invariant: ASCII capitals and digits in the length and structure of a country of the registry,
/// check digits 02 to 98, remainder one modulo 97; [`Iban::parse`] is the only way to make one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Iban(String);

/// Why a text is no IBAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIban {
    /// Something other than letters and digits.
    #[error("an IBAN has only letters A to Z and digits")]
    Characters,
    /// It does not begin with two letters and two digits.
    #[error("an IBAN begins with two letters and two digits")]
    Beginning,
    /// A country without IBAN.
    #[error("the country has no IBAN in the registry")]
    Country,
    /// Too short or too long for its country.
    #[error("an IBAN of this country has {expected} characters, not {found}")]
    Length {
        /// What the registry says.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// A letter where the country has digits, or the reverse.
    #[error("character {0} is not of the kind that the country has in this place")]
    Structure(usize),
    /// 00, 01 or 99 are never computed.
    #[error("check digits are between 02 and 98")]
    CheckRange,
    /// The remainder is not one.
    #[error("the check digits of the IBAN are wrong")]
    CheckDigits,
}

impl Reason for InvalidIban {
    fn code(&self) -> &'static str {
        match self {
            Self::Characters => "bad_character",
            Self::Beginning => "bad_format",
            Self::Country => "unknown_country",
            Self::Length { .. } => "bad_length",
            Self::Structure(_) => "bad_structure",
            Self::CheckRange | Self::CheckDigits => "bad_check_digit",
        }
    }
}

/// What the registry says about one country.
struct Country {
    code: &'static str,
    length: usize,
    /// Runs of one kind of character behind the check digits.
    structure: Vec<(usize, Kind)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Digit,
    Letter,
    Either,
}

impl Kind {
    const fn accepts(self, byte: u8) -> bool {
        match self {
            Self::Digit => byte.is_ascii_digit(),
            Self::Letter => byte.is_ascii_uppercase(),
            Self::Either => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
        }
    }
}

impl Iban {
    /// Reads an IBAN; blanks and lower case are accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidIban> {
        let compact: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let bytes = compact.as_bytes();
        if !bytes.iter().all(|byte| Kind::Either.accepts(*byte)) {
            return Err(InvalidIban::Characters);
        }
        let [first, second, check @ ..] = bytes else {
            return Err(InvalidIban::Beginning);
        };
        let digits = check.get(..2).unwrap_or_default();
        if !Kind::Letter.accepts(*first)
            || !Kind::Letter.accepts(*second)
            || digits.len() != 2
            || !digits.iter().all(u8::is_ascii_digit)
        {
            return Err(InvalidIban::Beginning);
        }
        let country = country(&compact[..2]).ok_or(InvalidIban::Country)?;
        if bytes.len() != country.length {
            return Err(InvalidIban::Length {
                expected: country.length,
                found: bytes.len(),
            });
        }
        country.check_structure(bytes)?;
        if matches!(&compact[2..4], "00" | "01" | "99") {
            return Err(InvalidIban::CheckRange);
        }
        if remainder(bytes) != 1 {
            return Err(InvalidIban::CheckDigits);
        }
        Ok(Self(compact))
    }

    /// Two letters, ISO 3166.
    #[must_use]
    pub fn country(&self) -> &str {
        &self.0[..2]
    }

    /// The bank's four letters, for Romanian accounts.
    #[must_use]
    pub fn bank_code(&self) -> Option<&str> {
        (self.country() == ROMANIA).then(|| &self.0[4..8])
    }

    /// The bank's name, where it is known.
    #[must_use]
    pub fn bank_name(&self) -> Option<&'static str> {
        let code = self.bank_code()?;
        lines(BANKS)
            .filter_map(|line| line.split_once(','))
            .find_map(|(bank, name)| (bank == code).then_some(name))
    }

    /// Without blanks, in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Country {
    fn check_structure(&self, bytes: &[u8]) -> Result<(), InvalidIban> {
        let mut at = 4;
        for &(count, kind) in &self.structure {
            for place in at..at + count {
                if !bytes.get(place).is_some_and(|byte| kind.accepts(*byte)) {
                    return Err(InvalidIban::Structure(place + 1));
                }
            }
            at += count;
        }
        Ok(())
    }

    fn read(line: &'static str) -> Option<Self> {
        let mut columns = line.split(',');
        let (code, length, structure) = (columns.next()?, columns.next()?, columns.next()?);
        let mut runs = Vec::new();
        let mut rest = structure;
        while let Some((count, tail)) = rest.split_once('!') {
            let kind = match tail.as_bytes().first()? {
                b'n' => Kind::Digit,
                b'a' => Kind::Letter,
                b'c' => Kind::Either,
                _ => return None,
            };
            runs.push((count.parse().ok()?, kind));
            rest = &tail[1..];
        }
        Some(Self {
            code,
            length: length.parse().ok()?,
            structure: runs,
        })
    }
}

fn country(code: &str) -> Option<&'static Country> {
    static COUNTRIES: OnceLock<Vec<Country>> = OnceLock::new();
    let countries = COUNTRIES.get_or_init(|| lines(TABLE).filter_map(Country::read).collect());
    let at = countries
        .binary_search_by(|country| country.code.cmp(code))
        .ok()?;
    countries.get(at)
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// The number that the rearranged text spells (A is 10, Z is 35), modulo 97.
fn remainder(bytes: &[u8]) -> u32 {
    debug_assert!(bytes.len() <= MAX_LENGTH);
    let (head, tail) = bytes.split_at(4);
    tail.iter().chain(head).fold(0, |rest, byte| {
        let value = u32::from(*byte);
        if byte.is_ascii_digit() {
            (rest * 10 + value - u32::from(b'0')) % 97
        } else {
            (rest * 100 + value - u32::from(b'A') + 10) % 97
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An account of that country made from an endless supply of chance.
    fn any_of(country: &Country, seed: u64) -> String {
        let mut chance = taraf_base::Rng::new(seed);
        let mut body = String::new();
        for &(count, kind) in &country.structure {
            for _ in 0..count {
                let alphabet: &[u8] = match kind {
                    Kind::Digit => b"0123456789",
                    Kind::Letter => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                    Kind::Either => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                };
                let at = chance.below(alphabet.len().try_into().unwrap());
                body.push(char::from(alphabet[usize::try_from(at).unwrap()]));
            }
        }
        let code = country.code;
        let check = 98 - remainder(format!("{code}00{body}").as_bytes());
        format!("{code}{check:02}{body}")
    }

    fn check(input: &str, expected: Result<&str, InvalidIban>) {
        let parsed = Iban::parse(input);
        let text = parsed.as_ref().map(Iban::as_str).map_err(|why| *why);
        assert_eq!(text, expected, "{input}");
    }

    #[test]
    fn the_whole_table_is_readable_and_sorted() {
        let codes: Vec<_> = lines(TABLE).map(|line| &line[..2]).collect();
        assert_eq!(codes.len(), 89);
        assert!(codes.is_sorted());
        for line in lines(TABLE) {
            let country = Country::read(line).expect(line);
            let body: usize = country.structure.iter().map(|(count, _)| count).sum();
            assert_eq!(country.length, body + 4, "{line}");
            assert!(country.length <= MAX_LENGTH);
        }
    }

    #[test]
    fn the_sample_vectors_agree() {
        let vectors = include_str!("../tests/fixtures/validate/iban.csv");
        let mut reader = csv::Reader::from_reader(vectors.as_bytes());
        for row in reader.records() {
            let row = row.unwrap();
            let parsed = Iban::parse(&row[0]);
            assert_eq!(parsed.is_ok(), &row[1] == "1", "{row:?}");
            let Ok(iban) = parsed else { continue };
            assert_eq!(iban.as_str(), &row[2]);
            assert_eq!(iban.country(), &row[3]);
            assert_eq!(iban.bank_code().unwrap_or_default(), &row[4]);
        }
    }

    #[test]
    fn each_refusal_says_why() {
        check(
            "RO49 aaaa 1B31 0075 9384 0000",
            Ok("RO49AAAA1B31007593840000"),
        );
        check("RO56TREZ0462107020101XXX", Ok("RO56TREZ0462107020101XXX"));
        check("", Err(InvalidIban::Beginning));
        check("R", Err(InvalidIban::Beginning));
        check("RO4", Err(InvalidIban::Beginning));
        check("4949AAAA1B31007593840000", Err(InvalidIban::Beginning));
        check("RO49-AAAA", Err(InvalidIban::Characters));
        check("XX49AAAA", Err(InvalidIban::Country));
        let short = InvalidIban::Length {
            expected: 24,
            found: 8,
        };
        check("RO49AAAA", Err(short));
        check("RO491AAA1B31007593840000", Err(InvalidIban::Structure(5)));
        check("RO50AAAA1B31007593840000", Err(InvalidIban::CheckDigits));
        check("RO99AAAA1B31007593840000", Err(InvalidIban::CheckRange));
    }

    #[test]
    fn the_bank_of_a_romanian_account_is_named() {
        let treasury = Iban::parse("RO56TREZ0462107020101XXX").unwrap();
        assert_eq!(treasury.bank_name(), Some("Trezoreria Statului"));
        let unknown = Iban::parse("RO49AAAA1B31007593840000").unwrap();
        assert_eq!(unknown.bank_code(), Some("AAAA"));
        assert_eq!(unknown.bank_name(), None);
    }

    proptest! {
        #[test]
        fn any_account_of_any_country_is_valid_and_one_change_is_caught(
            seed in any::<u64>(), row in 0_usize..89, place in 4_usize..14, other in 1_u8..10,
        ) {
            let line = lines(TABLE).nth(row).unwrap();
            let valid = any_of(&Country::read(line).unwrap(), seed);
            check(&valid, Ok(&valid));
            let mut bytes = valid.into_bytes();
            let byte = &mut bytes[place];
            *byte = if byte.is_ascii_digit() {
                b'0' + (*byte - b'0' + other) % 10
            } else {
                b'A' + (*byte - b'A' + other) % 26
            };
            prop_assert!(Iban::parse(std::str::from_utf8(&bytes).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            if let Ok(iban) = Iban::parse(&text) {
                prop_assert_eq!(Iban::parse(iban.as_str()), Ok(iban));
            }
        }
    }
}
