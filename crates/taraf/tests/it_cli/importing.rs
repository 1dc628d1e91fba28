//! `taraf service companies import`: its words, its exit codes, and a register that a service answers.

use crate::program::Place;

const HEADER: &str = "DENUMIRE^CUI^COD_INMATRICULARE^DATA_INMATRICULARE^EUID^FORMA_JURIDICA^ADR_TARA^\
    ADR_JUDET^ADR_LOCALITATE^ADR_DEN_STRADA^ADR_NR_STRADA^ADR_BLOC^ADR_SCARA^ADR_ETAJ^\
    ADR_APARTAMENT^ADR_COD_POSTAL^ADR_SECTOR^ADR_COMPLETARE^WEB^TARA_FIRMA_MAMA";

fn row(name: &str, code: &str, number: &str) -> String {
    format!("\r\n{name}^{code}^{number}^^^SRL^^Sibiu{}", "^".repeat(12))
}

const IMPORT: [&str; 5] = ["service", "companies", "import", "--from", "open"];

#[test]
fn an_import_says_what_became_of_the_rows() {
    let place = Place::new();
    let rows = [
        row("EXEMPLU ALFA SRL", "990000013", "J32/1/2010"),
        row("EXEMPLU BETA SRL", "990000021", "J32/2/2010"),
        row("POPESCU ION PFA", "", "F32/3/2010"),
        "\r\nfew^columns".to_owned(),
    ];
    place.write(
        "open/od_firme.csv",
        &format!("\u{feff}{HEADER}{}", rows.concat()),
    );
    place.write(
        "open/od_stare_firma.csv",
        "COD_INMATRICULARE^COD\r\nJ32/2/2010^1084\r\n",
    );
    let told = place.run(&IMPORT).expect(0);
    assert_eq!(
        told.out,
        "2 firms of 4 rows are in .taraf/romania/companies.register\n\
         left out: 1 natural persons, 0 without a usable fiscal code, 1 broken, 0 repeated, 0 superseded\n"
    );
    let lines: Vec<_> = told.err.lines().collect();
    assert!(
        lines.contains(&"3/6 firms      100 %, 5 rows"),
        "{}",
        told.err
    );
    assert!(
        lines.contains(&"od_firme.csv:5: another number of columns than the header"),
        "{}",
        told.err
    );
    assert!(!told.err.contains('\r') && !told.err.contains("POPESCU"));
    let quiet = [&IMPORT[..], &["-q", "-o", "json"]].concat();
    let again = place.run(&quiet).expect(0);
    assert_eq!(again.err, "");
    assert_eq!(again.json()["tally"]["kept"], 2);
    // Half of it is gone: that is not taken without asking.
    place.write("open/od_firme.csv", &format!("{HEADER}{}", rows[0]));
    let fewer = place.run(&IMPORT).expect(5);
    assert!(
        fewer
            .err
            .contains("the new register has 1 firms, the present one 2"),
        "{}",
        fewer.err
    );
    let accepted = [&IMPORT[..], &["--accept-fewer"]].concat();
    assert!(
        place
            .run(&accepted)
            .expect(0)
            .out
            .starts_with("1 firms of 1 rows")
    );
}

#[test]
fn what_cannot_be_imported_says_why() {
    let place = Place::new();
    let usage = place.run(&IMPORT).expect(2);
    assert!(usage.err.contains("open is not a folder"), "{}", usage.err);
    let other = place
        .run(&["service", "rates", "import", "--from", "."])
        .expect(2);
    assert!(
        other.err.contains("`rates` has nothing to import"),
        "{}",
        other.err
    );
    place.write("open/readme.txt", "");
    let missing = place.run(&IMPORT).expect(3);
    assert!(
        missing.err.contains("there is no od_firme.csv in open"),
        "{}",
        missing.err
    );
    place.write("open/od_firme.csv", "a^b\n");
    place.write("open/od_stare_firma.csv", "COD_INMATRICULARE^COD\n");
    let wrong = place.run(&IMPORT).expect(1);
    assert!(
        wrong.err.contains("there is no column `DENUMIRE`"),
        "{}",
        wrong.err
    );
}

#[test]
fn the_guide_prints_what_an_import_says() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let from = format!("{root}/apps/romania/tests/fixtures/onrc");
    let place = Place::new();
    let told = place
        .run(&["service", "companies", "import", "--from", &from])
        .expect(0);
    let guide = std::fs::read_to_string(format!("{root}/docs/guides/trade-register.md")).unwrap();
    assert!(guide.contains(&told.out), "{}", told.out);
}
