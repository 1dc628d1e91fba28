//! Makes open data of the trade register: as many firms as wanted, the same for the same seed, with
//! the shares of states, forms, counties and faulty rows that the published files have.

use std::fs::File;
use std::io::{BufWriter, Result, Write as _};
use std::path::Path;

use taraf_base::Rng;
use taraf_romania::cui::Cui;

pub(crate) const HEADER: &str = "DENUMIRE^CUI^COD_INMATRICULARE^DATA_INMATRICULARE^EUID^FORMA_JURIDICA^ADR_TARA^ADR_JUDET^\
     ADR_LOCALITATE^ADR_DEN_STRADA^ADR_NR_STRADA^ADR_BLOC^ADR_SCARA^ADR_ETAJ^ADR_APARTAMENT^\
     ADR_COD_POSTAL^ADR_SECTOR^ADR_COMPLETARE^WEB^TARA_FIRMA_MAMA";

/// County, its number in the register, and how many of a hundred firms have their seat there.
const COUNTIES: [(&str, u8, u64); 12] = [
    ("Bucureşti", 40, 24),
    ("Cluj", 12, 9),
    ("Iaşi", 22, 7),
    ("Timiş", 35, 8),
    ("Constanţa", 13, 8),
    ("Ilfov", 23, 8),
    ("Braşov", 8, 8),
    ("Sibiu", 32, 6),
    ("Bihor", 5, 7),
    ("Prahova", 29, 7),
    ("Mureş", 26, 5),
    ("Vaslui", 37, 3),
];
const TRADES: [&str; 30] = [
    "CONSTRUCT",
    "TRANS",
    "AGRO",
    "COM",
    "IMPEX",
    "PROD",
    "SERVICE",
    "CONSULTING",
    "AUTO",
    "MED",
    "DENT",
    "FARM",
    "SOFT",
    "MEDIA",
    "DESIGN",
    "TOUR",
    "LEMN",
    "METAL",
    "ELECTRO",
    "INSTAL",
    "PANIFICAŢIE",
    "ÎNTREŢINERE",
    "CONTABILITATE",
    "ÎNVĂŢĂMÂNT",
    "GRUP",
    "INVEST",
    "ENERGY",
    "LOGISTIC",
    "PROIECT",
    "STUDIO",
];
const SYLLABLES: [&str; 40] = [
    "A", "AL", "AN", "AR", "BE", "BI", "BO", "CA", "CO", "CRI", "DA", "DE", "DO", "E", "FLO", "GA",
    "GE", "GRI", "I", "IO", "LA", "LI", "LU", "MA", "MI", "MO", "NA", "NI", "O", "PA", "PE", "RA",
    "RO", "SA", "SI", "ŞTE", "TA", "TO", "VI", "ZO",
];
const FORMS: [(&str, u64); 5] = [("SRL", 92), ("SA", 2), ("SRL-D", 3), ("SNC", 2), ("SC", 1)];

/// Writes the files of `rows` firms into a folder.
pub(crate) fn write(folder: &Path, seed: u64, rows: u64) -> Result<()> {
    let create = |name: &str, header: &str| {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(folder.join(name))?);
        write!(file, "\u{feff}{header}\r\n")?;
        Result::Ok(file)
    };
    let mut firms = create("od_firme.csv", HEADER)?;
    let mut states = create("od_stare_firma.csv", "COD_INMATRICULARE^COD")?;
    let line = "COD_INMATRICULARE^COD_CAEN_AUTORIZAT^VER_CAEN_AUTORIZAT";
    let mut activities = create("od_caen_autorizat.csv", line)?;
    let mut names = create("n_stare_firma.csv", "COD^DENUMIRE")?;
    for (code, name) in [
        (1048, "funcţiune"),
        (1084, "radiată"),
        (1139, "insolvenţă"),
        (1052, "lichidare"),
    ] {
        write!(names, "{code}^{name}\r\n")?;
    }
    names.flush()?;
    let mut rng = Rng::new(seed);
    let mut code = 100_000_u64;
    for row in 0..rows {
        let (county, number, _) = pick(&mut rng, &COUNTIES.map(|county| (county, county.2)));
        // One number in a thousand is there twice.
        let serial = if rng.below(1_000) == 0 {
            row.saturating_sub(1)
        } else {
            row
        };
        let is_person = rng.below(10) == 0;
        let registered = registered(if is_person { 'F' } else { 'J' }, number, serial);
        code = next_code(code + rng.below(8));
        write_firm(&mut firms, &mut rng, &registered, code, (county, is_person))?;
        for state in match rng.below(100) {
            0..30 => &[1084][..],
            30..34 => &[1048, 1139],
            34..36 => &[1052],
            _ => &[1048],
        } {
            write!(states, "{registered}^{state}\r\n")?;
        }
        for _ in 0..rng.below(4) {
            write!(
                activities,
                "{registered}^{:04}^2\r\n",
                111 + rng.below(9_500)
            )?;
        }
    }
    firms.flush()?;
    states.flush()?;
    activities.flush()
}

fn write_firm(
    file: &mut BufWriter<File>,
    rng: &mut Rng,
    registered: &str,
    code: u64,
    (county, is_person): (&str, bool),
) -> Result<()> {
    match rng.below(20_000) {
        0 => return write!(file, "CUT OFF {}^{code}^\r\n", word(rng)),
        1 => {
            file.write_all(b"LATIN \xfe\xba")?;
            return file.write_all(b"^\r\n");
        }
        _ => {}
    }
    let (name, form) = if is_person {
        (format!("{} {} PFA", word(rng), word(rng)), "PFA")
    } else {
        name(rng)
    };
    let code = match rng.below(1_000) {
        0..15 => "0".to_owned(),
        15 => "12345678".to_owned(),
        _ => code.to_string(),
    };
    let quote = if rng.below(4_000) == 0 { "\"" } else { "" };
    let date = format!(
        "{:02}/{:02}/{}",
        1 + rng.below(28),
        1 + rng.below(12),
        1_991 + rng.below(33)
    );
    let (town, street, house) = (word(rng), word(rng), 1 + rng.below(300));
    write!(
        file,
        "{quote}{name}^{code}^{registered}^{date}^ROONRC.{registered}^{form}^România^{county}^\
         Sat {town}^STR. {street}^{house}^^^^^{:06}^^^^\r\n",
        rng.below(900_000)
    )
}

fn name(rng: &mut Rng) -> (String, &'static str) {
    let form = pick(rng, &FORMS);
    let dotted = match form {
        "SRL" if rng.below(2) == 0 => "S.R.L.",
        other => other,
    };
    let mut name = word(rng);
    for _ in 0..rng.below(3) {
        let trade = usize::try_from(rng.below(30)).expect("one of thirty");
        name = format!("{name} {}", TRADES[trade]);
    }
    if rng.below(5) == 0 {
        name = format!("{name} {}", rng.below(3_000));
    }
    (format!("{name} {dotted}"), form)
}

/// One of some hundred thousand made-up words, the short ones often.
fn word(rng: &mut Rng) -> String {
    let syllables = 2 + rng.below(3);
    let mut word = String::new();
    for _ in 0..syllables {
        // Squared, so that some are frequent.
        let at = rng.below(40) * rng.below(40) / 40;
        word.push_str(SYLLABLES[usize::try_from(at).expect("one of forty")]);
    }
    word
}

fn pick<T: Copy>(rng: &mut Rng, weighted: &[(T, u64)]) -> T {
    let all = weighted.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.below(all);
    for (value, weight) in weighted {
        if left < *weight {
            return *value;
        }
        left -= weight;
    }
    weighted[0].0
}

/// A registration number: the old form while its five digits last, then the new one.
fn registered(letter: char, county: u8, serial: u64) -> String {
    const OLD_SERIALS: u64 = 99_999;
    let year = 1_991 + serial / OLD_SERIALS;
    if year < 2_024 {
        return format!("{letter}{county:02}/{}/{year}", serial % OLD_SERIALS + 1);
    }
    let body = format!(
        "{letter}2025{:06}00",
        (serial - 33 * OLD_SERIALS) % 1_000_000
    );
    let sum: u32 = body
        .chars()
        .map(|c| c.to_digit(10).unwrap_or_else(|| u32::from(c)))
        .sum();
    format!("{body}{}", sum % 10)
}

/// The next number that is a fiscal code.
fn next_code(after: u64) -> u64 {
    let body = after / 10 + 1;
    let valid = (0..10).find(|digit| Cui::from_number(body * 10 + digit).is_ok());
    body * 10 + valid.expect("every body has a check digit")
}
