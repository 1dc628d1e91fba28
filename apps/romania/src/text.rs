//! [pure] Romanian text: the right commas below, and a form without diacritics to search by.

use unicode_normalization::UnicodeNormalization;

/// Replaces the letters with cedilla that old systems write by those with a comma below, and runs
/// of blanks by one.
#[must_use]
pub fn with_commas(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.extend(word.nfc().map(|letter| match letter {
            'ş' => 'ș',
            'Ş' => 'Ș',
            'ţ' => 'ț',
            'Ţ' => 'Ț',
            other => other,
        }));
    }
    clean
}

/// The same, or nothing for a text of blanks only: how the sources write a missing value.
#[must_use]
pub fn present(text: &str) -> Option<String> {
    let clean = with_commas(text);
    (!clean.is_empty()).then_some(clean)
}

/// Lower case without diacritics, with single blanks: what names are compared by.
#[must_use]
pub fn fold(text: &str) -> String {
    // Most names are plain capitals, and an import folds millions of them.
    if text.is_ascii() {
        let words: Vec<&str> = text.split_whitespace().collect();
        return words.join(" ").to_ascii_lowercase();
    }
    with_commas(text)
        .nfd()
        .filter(|letter| !unicode_normalization::char::is_combining_mark(*letter))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The words of a folded text; what is neither letter nor digit separates them, except that dots
/// vanish (`S.R.L.` is `srl`).
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    fold(text)
        .replace('.', "")
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cedillas_become_commas_below() {
        assert_eq!(with_commas(" ARGEŞ,  SAT LEREŞTI "), "ARGEȘ, SAT LEREȘTI");
        assert_eq!(with_commas("Bucureşti Constanţa"), "București Constanța");
        assert_eq!(with_commas("s\u{327}i t\u{326}"), "și ț");
    }

    #[test]
    fn blanks_are_a_missing_value() {
        assert_eq!(present(" "), None);
        assert_eq!(present(""), None);
        assert_eq!(present(" x "), Some("x".to_owned()));
    }

    #[test]
    fn all_spellings_fold_to_one() {
        for spelling in ["ȘTEFĂNEȘTI", "ŞTEFĂNEŞTI", "Stefanesti", "ștefănești"] {
            assert_eq!(fold(spelling), "stefanesti");
        }
        assert_eq!(words("\"LEMNLIND\" S.R.L."), ["lemnlind", "srl"]);
    }
}
