//! [pure] Counties: their names, and the numbers that personal numbers and the trade register use.

use std::sync::LazyLock;

use crate::text::fold;

/// Names of the counties 01 to 39, in the order of their numbers.
const NAMES: [&str; 39] = [
    "Alba",
    "Arad",
    "Argeș",
    "Bacău",
    "Bihor",
    "Bistrița-Năsăud",
    "Botoșani",
    "Brașov",
    "Brăila",
    "Buzău",
    "Caraș-Severin",
    "Cluj",
    "Constanța",
    "Covasna",
    "Dâmbovița",
    "Dolj",
    "Galați",
    "Gorj",
    "Harghita",
    "Hunedoara",
    "Ialomița",
    "Iași",
    "Ilfov",
    "Maramureș",
    "Mehedinți",
    "Mureș",
    "Neamț",
    "Olt",
    "Prahova",
    "Satu Mare",
    "Sălaj",
    "Sibiu",
    "Suceava",
    "Teleorman",
    "Timiș",
    "Tulcea",
    "Vaslui",
    "Vâlcea",
    "Vrancea",
];

pub(crate) const BUCHAREST: &str = "Municipiul București";
const CALARASI: &str = "Călărași";
const GIURGIU: &str = "Giurgiu";

/// The county with that number in the trade register: 01 to 40, 51 and 52.
pub(crate) fn of_register(number: u8) -> Option<&'static str> {
    match number {
        1..=39 => NAMES.get(usize::from(number) - 1).copied(),
        40 => Some(BUCHAREST),
        51 => Some(CALARASI),
        52 => Some(GIURGIU),
        _ => None,
    }
}

/// The place behind the county number of a personal number: `None` for a number that is never
/// issued, `Some(None)` for one that names no place (70, and 80 to 83 for abroad or unknown).
#[expect(
    clippy::option_option,
    reason = "never issued and nowhere are two answers"
)]
pub(crate) fn of_cnp(number: u8) -> Option<Option<&'static str>> {
    let sector = match number {
        41 => "Municipiul București, sectorul 1",
        42 => "Municipiul București, sectorul 2",
        43 => "Municipiul București, sectorul 3",
        44 => "Municipiul București, sectorul 4",
        45 => "Municipiul București, sectorul 5",
        46 => "Municipiul București, sectorul 6",
        47 => "Municipiul București, sectorul 7 (desființat)",
        48 => "Municipiul București, sectorul 8 (desființat)",
        70 | 80..=83 => return Some(None),
        _ => return of_register(number).map(Some),
    };
    Some(Some(sector))
}

/// The folded names of all counties with their numbers in the trade register. Folding is what
/// costs in a comparison, and an import makes millions of them.
static FOLDED: LazyLock<Vec<(String, u8)>> = LazyLock::new(|| {
    let numbered = (1..=52).filter_map(|number| Some((of_register(number)?, number)));
    let mut all: Vec<_> = numbered
        .map(|(name, number)| (fold(name), number))
        .collect();
    all.push(("bucuresti".to_owned(), 40));
    all
});

/// The number in the trade register of a county that a source writes in capitals, with cedillas or
/// without diacritics.
pub(crate) fn number(text: &str) -> Option<u8> {
    let wanted = fold(text);
    let wanted = wanted.strip_prefix("judetul ").unwrap_or(&wanted);
    let found = FOLDED.iter().find(|(name, _)| name == wanted);
    found.map(|(_, number)| *number)
}

/// The proper spelling of such a county.
pub(crate) fn named(text: &str) -> Option<&'static str> {
    of_register(number(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_county_is_found_in_every_spelling() {
        assert_eq!(named("ARGEŞ"), Some("Argeș"));
        assert_eq!(named("Bistrita-Nasaud"), Some("Bistrița-Năsăud"));
        assert_eq!(named("MUNICIPIUL BUCUREŞTI"), Some(BUCHAREST));
        assert_eq!(named("Bucureşti"), Some(BUCHAREST));
        assert_eq!(named("judeţul Sibiu"), Some("Sibiu"));
        assert_eq!(named("Transilvania"), None);
        for code in 0..=99 {
            assert_eq!(
                of_register(code).and_then(number),
                of_register(code).map(|_| code)
            );
        }
    }

    #[test]
    fn numbers_name_their_places() {
        assert_eq!(of_register(1), Some("Alba"));
        assert_eq!(of_register(39), Some("Vrancea"));
        assert_eq!(of_register(41), None);
        assert_eq!(of_cnp(51), Some(Some("Călărași")));
        assert_eq!(of_cnp(70), Some(None));
        assert_eq!(of_cnp(49), None);
        assert_eq!(of_cnp(0), None);
    }
}
