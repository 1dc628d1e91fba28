//! Imports of small published files, stopped anywhere, and searches beside a plain comparison.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use taraf_base::Timestamp;
use tempfile::TempDir;

use super::import::{FILE, import_at};
use super::sort::BUDGET;
use super::*;
use crate::cui::Cui;
use crate::text::words;

const HEADER: &str = "DENUMIRE^CUI^COD_INMATRICULARE^DATA_INMATRICULARE^EUID^FORMA_JURIDICA^ADR_TARA^\
    ADR_JUDET^ADR_LOCALITATE^ADR_DEN_STRADA^ADR_NR_STRADA^ADR_BLOC^ADR_SCARA^ADR_ETAJ^\
    ADR_APARTAMENT^ADR_COD_POSTAL^ADR_SECTOR^ADR_COMPLETARE^WEB^TARA_FIRMA_MAMA";
const THEN: Timestamp = Timestamp::from_millis(1_795_341_600_000);

/// Bytes for a sorter, so few that each run has some ten records.
const SMALL: usize = 1_000;

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A folder with published files, and one for the service.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(place.root.path().join("from")).unwrap();
        place
    }

    /// The files of a folder of this project.
    fn with_files(folder: &str) -> Self {
        let place = Self::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_open_data = path.extension().is_some_and(|end| end == "csv");
            if is_open_data && !path.ends_with("od_firme_bad_rows.csv") {
                let to = place
                    .root
                    .path()
                    .join("from")
                    .join(path.file_name().unwrap());
                fs::copy(path, to).unwrap();
            }
        }
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.path().join("from").join(name), text).unwrap();
    }

    fn what(&self) -> Import {
        Import {
            from: self.root.path().join("from"),
            folder: self.folder(),
            accept_fewer: false,
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn import(&self) -> Result<Imported, ImportError> {
        import_at(&self.what(), THEN, BUDGET, &mut go_on)
    }

    fn open(&self) -> Register {
        Register::open(&self.folder().join(FILE)).unwrap()
    }
}

fn filter(text: &str) -> Filter {
    Filter {
        words: words(text),
        code: Cui::parse(text).ok(),
        include_struck_off: true,
        ..Filter::default()
    }
}

fn names(register: &Register, filter: &Filter) -> Vec<String> {
    let found = register.search(filter).unwrap();
    let firms = (0..3).flat_map(|rank| found.firms(rank, 0, 1_000).unwrap());
    firms.map(|firm| firm.name).collect()
}

#[test]
fn the_published_files_become_a_register() {
    let place = Place::with_files("tests/fixtures/onrc");
    let imported = place.import().unwrap();
    let tally = &imported.tally;
    assert_eq!((tally.rows, tally.kept, tally.persons), (12, 10, 1));
    assert_eq!(
        (tally.without_code, tally.broken, tally.repeated),
        (1, 0, 0)
    );
    assert!(!imported.resumed && tally.faults.is_empty());
    let register = place.open();
    assert_eq!(register.len(), 10);
    let firm = |code| register.by_code(Cui::from_number(code).unwrap()).unwrap();
    let andali = firm(38_744_563).unwrap();
    assert_eq!(andali.name, "ANDALI SOLUTIONS PRO SRL");
    assert_eq!(
        andali.address.as_deref(),
        Some("Șotcan, nr. 940, et. PARTER")
    );
    assert_eq!(
        (andali.county_name(), andali.is_active()),
        (Some("Argeș"), true)
    );
    assert_eq!(andali.activities, [(6201, 2)]);
    let software = register.activity(6201, 2).unwrap();
    assert!(
        software.starts_with("Activități de realizare a soft-ului"),
        "{software}"
    );
    assert_eq!(register.state(1084), Some("radiată"));
    assert_eq!(
        firm(990_000_021).map(|firm| firm.is_struck_off()),
        Some(true)
    );
    assert_eq!(firm(10_004), None);
    assert_eq!(names(&register, &filter("persoana")), [""; 0]);
    assert_eq!(
        names(&register, &filter("cardioforce")),
        ["\" CARDIOFORCE SRL"]
    );
    // Nothing is left of the work.
    let left: Vec<_> = fs::read_dir(place.folder()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_is_wrong_is_counted_with_its_line_and_never_what_it_says() {
    let place = Place::with_files("tests/fixtures/onrc");
    let bad =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onrc/od_firme_bad_rows.csv");
    let mut bytes = fs::read(bad).unwrap();
    bytes.extend(b"POPESCU\xff\n");
    bytes.extend("X".repeat(20_000).bytes());
    fs::write(place.root.path().join("from/od_firme.csv"), bytes).unwrap();
    place.write(
        "od_stare_firma.csv",
        "COD_INMATRICULARE^COD\r\nJ32/1/2010^active\r\n",
    );
    let tally = place.import().unwrap().tally;
    assert_eq!(
        (tally.rows, tally.kept, tally.broken, tally.broken_elsewhere),
        (6, 2, 4, 1)
    );
    let faults: Vec<_> = tally
        .faults
        .iter()
        .map(|fault| (fault.file.as_str(), fault.line, fault.reason.as_str()))
        .collect();
    assert_eq!(
        faults,
        [
            (
                "od_stare_firma.csv",
                2,
                "not a registration number and a code"
            ),
            (
                "od_firme.csv",
                2,
                "another number of columns than the header"
            ),
            (
                "od_firme.csv",
                3,
                "another number of columns than the header"
            ),
            ("od_firme.csv", 6, "not UTF-8"),
            ("od_firme.csv", 7, "the line is too long"),
        ]
    );
}

/// Published files of `count` firms; every fifth number repeats, every seventh code too.
fn many(place: &Place, count: u64) {
    let mut firms = HEADER.to_owned();
    let mut states = "COD_INMATRICULARE^COD".to_owned();
    let mut codes = (1_000..).filter_map(|number| Cui::from_number(number).ok());
    let mut code = codes.next().unwrap();
    for number in 0..count {
        if number % 7 != 3 {
            code = codes.next().unwrap();
        }
        let row = if number % 5 == 4 { number - 1 } else { number };
        let county = if number % 2 == 0 { "Cluj" } else { "Iaşi" };
        let name = ["ALFA", "BETA PROD", "ALFA BETA", "ÎNSTĂRIRE", "GAMA ALFA"];
        let name = name[usize::try_from(number % 5).unwrap()];
        let rest = "^".repeat(12);
        let row = row.to_string();
        let place = ["J12/", &row, "/2001"].concat();
        let end = (number % 11).to_string();
        firms.extend([
            "\n",
            name,
            " ",
            &end,
            " SRL^",
            &code.to_string(),
            "^",
            &place,
            "^^^SRL^^",
        ]);
        firms.extend([county, rest.as_str()]);
        let state = if number % 3 == 0 { "^1084" } else { "^1048" };
        states.extend(["\n", &place, state]);
    }
    place.write("OD_FIRME.CSV", &firms);
    place.write("od_stare_firma.csv", &states);
}

#[test]
fn an_import_stopped_anywhere_goes_on_and_ends_with_the_same_bytes() {
    let reference = Place::new();
    many(&reference, 300);
    reference.import().unwrap();
    let expected = fs::read(reference.folder().join(FILE)).unwrap();
    // With hardly any memory there is a run, a place to go on from and a report for every few rows,
    // and each attempt is stopped at its second report.
    let place = Place::new();
    many(&place, 300);
    let mut attempts = 0;
    let imported = loop {
        let mut reports = 0;
        let mut stop = |_: &Progress| {
            reports += 1;
            if reports < 2 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        match import_at(&place.what(), THEN, SMALL, &mut stop) {
            Ok(imported) => break imported,
            Err(ImportError::Stopped) => attempts += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert!(attempts < 1_000 && !place.folder().join(FILE).exists());
    };
    assert!(attempts >= 10 && imported.resumed, "{attempts}");
    assert_eq!(fs::read(place.folder().join(FILE)).unwrap(), expected);
}

#[test]
fn other_files_begin_the_import_anew_and_two_imports_exclude_each_other() {
    let place = Place::new();
    many(&place, 50);
    let mut stop = |_: &Progress| ControlFlow::Break(());
    let stopped = import_at(&place.what(), THEN, BUDGET, &mut stop);
    assert!(matches!(stopped, Err(ImportError::Stopped)));
    many(&place, 60);
    let mut inner = None;
    let mut nested = |_: &Progress| {
        inner.get_or_insert_with(|| place.import());
        ControlFlow::Continue(())
    };
    let imported = import_at(&place.what(), THEN, BUDGET, &mut nested).unwrap();
    assert!(!imported.resumed && imported.tally.rows == 60);
    assert!(matches!(inner, Some(Err(ImportError::Busy(_)))));
}

#[test]
fn a_register_that_shrinks_is_not_taken_unasked() {
    let place = Place::new();
    many(&place, 100);
    let before = place.import().unwrap().tally.kept;
    many(&place, 50);
    let refused = place.import().unwrap_err();
    assert!(matches!(refused, ImportError::Fewer { before: told, .. } if told == before));
    assert_eq!(place.open().tally().kept, before);
    let accepted = Import {
        accept_fewer: true,
        ..place.what()
    };
    let imported = import_at(&accepted, THEN, BUDGET, &mut go_on).unwrap();
    assert!(imported.resumed && imported.tally.rows == 50);
    assert_eq!(place.open().tally().rows, 50);
}

#[test]
fn what_is_not_the_open_data_is_refused() {
    let place = Place::new();
    let error = place.import().unwrap_err().to_string();
    assert!(error.starts_with("there is no od_firme.csv in "), "{error}");
    place.write("od_firme.csv", "a^b\n");
    assert!(matches!(
        place.import(),
        Err(ImportError::Missing {
            name: "od_stare_firma.csv",
            ..
        })
    ));
    place.write("od_stare_firma.csv", "COD_INMATRICULARE^COD\n");
    let error = place.import().unwrap_err();
    assert!(matches!(
        &error,
        ImportError::Header {
            source: HeaderError::NoColumn("DENUMIRE"),
            ..
        }
    ));
    place.write("od_firme.csv", &format!("{HEADER}\nnothing\n"));
    assert!(matches!(place.import(), Err(ImportError::Empty(_))));
    assert!(!place.folder().join(FILE).exists());
}

#[test]
fn searches_agree_with_a_plain_comparison() {
    let place = Place::new();
    many(&place, 400);
    place.import().unwrap();
    let register = place.open();
    let all = names(&register, &filter("s"));
    assert_eq!(all.len(), register.len());
    for text in [
        "alfa",
        "alfa beta",
        "beta alfa",
        "a",
        "alfa 1",
        "alfa 1 srl",
        "1 alfa",
        "inst",
        "x",
    ] {
        let wanted = words(text);
        let rank = |name: &String| {
            let name = words(name);
            let begins = wanted
                .iter()
                .zip(&name)
                .all(|(part, word)| word.starts_with(part));
            let any = wanted
                .iter()
                .all(|part| name.iter().any(|word| word.starts_with(part)));
            any.then_some(if wanted == name {
                0
            } else {
                2 - usize::from(begins)
            })
        };
        let mut expected: Vec<_> = all
            .iter()
            .filter_map(|name| Some((rank(name)?, name)))
            .collect();
        expected.sort_by_key(|(rank, name)| (*rank, words(name).join(" ")));
        let expected: Vec<_> = expected.into_iter().map(|(_, name)| name.clone()).collect();
        assert_eq!(names(&register, &filter(text)), expected, "{text}");
        let found = register.search(&filter(text)).unwrap();
        assert_eq!(found.counts().iter().sum::<usize>(), expected.len());
        let second = found.firms(2, 3, 2).unwrap();
        let rest = expected
            .iter()
            .skip(found.counts()[0] + found.counts()[1] + 3)
            .take(2);
        assert!(second.iter().map(|firm| &firm.name).eq(rest), "{text}");
    }
}

#[test]
fn county_state_and_code_narrow_a_search() {
    let place = Place::new();
    many(&place, 400);
    place.import().unwrap();
    let register = place.open();
    let county = |county, include_struck_off| {
        let filter = Filter {
            county: Some(county),
            include_struck_off,
            ..filter("alfa")
        };
        let found = register.search(&filter).unwrap();
        let firms = (0..3).flat_map(|rank| found.firms(rank, 0, 1_000).unwrap());
        firms.collect::<Vec<_>>()
    };
    let (cluj, going) = (county(12, true), county(12, false));
    assert!(!cluj.is_empty() && cluj.iter().all(|firm| firm.county == 12));
    let kept = cluj.into_iter().filter(|firm| !firm.is_struck_off());
    assert_eq!(kept.collect::<Vec<_>>(), going);
    assert!(county(1, true).is_empty());
    // One entry of each code is found, and the same by name and by code.
    let found = register.search(&filter("srl")).unwrap();
    let all: Vec<Firm> = (0..3)
        .flat_map(|rank| found.firms(rank, 0, 1_000).unwrap())
        .collect();
    let mut codes: Vec<_> = all.iter().map(|firm| firm.cui).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all.len());
    for firm in all {
        assert_eq!(
            register.by_code(firm.cui().unwrap()).unwrap(),
            Some(firm.clone())
        );
        let by_code = register.search(&filter(&firm.cui.to_string())).unwrap();
        assert_eq!(by_code.firms(0, 0, 1).unwrap(), [firm]);
    }
}

#[test]
fn golden_sample_register_is_an_import_of_the_recorded_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/onrc/sample.register");
    let place = Place::with_files("recorded/onrc");
    place.import().unwrap();
    let made = fs::read(place.folder().join(FILE)).unwrap();
    if std::env::var_os("TARAF_GOLDEN_UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert_eq!(
        fs::read(&path).unwrap(),
        made,
        "TARAF_GOLDEN_UPDATE=1 writes it anew"
    );
}

/// Never written anew: what was written once is read for ever.
#[test]
fn golden_register_of_format_1_is_read() {
    let register = include_bytes!("../../tests/golden/format-1.register");
    let register = Register::from_bytes(register.as_slice()).unwrap();
    assert_eq!(register.len(), 10);
    let sibiu = Filter {
        county: Some(32),
        ..filter("exemplu")
    };
    assert_eq!(
        names(&register, &sibiu),
        ["EXEMPLU ALFA S.R.L.", "EXEMPLU BETA S.A."]
    );
    let firm = register
        .by_code(Cui::from_number(38_744_563).unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(
        (firm.number.as_str(), firm.states.as_slice()),
        ("J03/176/2018", &[1048][..])
    );
}

#[test]
fn a_newer_format_and_other_files_are_refused() {
    let bytes = include_bytes!("../../recorded/onrc/sample.register");
    let changed = |place: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        let place = bytes.len() - place;
        bytes[place] = byte;
        Register::from_bytes(bytes)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(changed(12, 2).contains("format 2 is newer"));
    assert!(changed(1, b'X').contains("no register file"));
    assert!(changed(40, 0xff).contains("table of contents"));
    assert!(Register::from_bytes(&b""[..]).is_err());
    assert!(Register::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_damaged_register_is_an_error_and_nothing_worse(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = include_bytes!("../../recorded/onrc/sample.register").to_vec();
        let length = bytes.len();
        // The table of contents is checked as a whole: the damage goes where it is not.
        for (place, byte) in places {
            bytes[place.index(length / 2)] = byte;
        }
        if let Ok(register) = Register::from_bytes(bytes) {
            for text in ["exemplu", "s", "38744563", "alfa exemplu"] {
                if let Ok(found) = register.search(&filter(text)) {
                    for rank in 0..3 {
                        drop(found.firms(rank, 0, 10));
                    }
                }
            }
        }
    }
}
