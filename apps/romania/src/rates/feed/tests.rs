//! Files of the bank, real, odd and broken.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const TODAY: Date = date(2026, 11, 22);

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/bnr/", $name)).as_slice()
    };
}

fn rate(cube: &Cube, currency: &str) -> String {
    cube.rate(Currency::parse(currency).unwrap())
        .unwrap()
        .to_string()
}

#[test]
fn a_fixing_is_read_in_the_old_namespace_and_layout() {
    let cubes = parse(fixture!("nbrfxrates-2023-11-17.xml"), TODAY).unwrap();
    assert_eq!(cubes.len(), 1);
    assert_eq!(cubes[0].date, date(2023, 11, 17));
    assert_eq!(rate(&cubes[0], "EUR"), "4.9711");
    assert_eq!(rate(&cubes[0], "HUF"), "0.013180");
    assert_eq!(rate(&cubes[0], "XAU"), "292.9384");
    assert_eq!(rate(&cubes[0], "RON"), "1");
}

#[test]
fn a_fixing_is_read_in_the_new_namespace_and_layout() {
    let cubes = parse(fixture!("nbrfxrates-2026-08-28-newns.xml"), TODAY).unwrap();
    assert_eq!(cubes[0].date, date(2026, 8, 28));
    assert_eq!(rate(&cubes[0], "EUR"), "5.2584");
    assert_eq!(rate(&cubes[0], "JPY"), "0.030623");
}

#[test]
fn many_days_are_read_in_order() {
    let ten = parse(fixture!("nbrfxrates10days-synthetic.xml"), TODAY).unwrap();
    assert_eq!(ten.len(), 10);
    assert!(ten.is_sorted_by_key(|cube| cube.date));
    let year = parse(fixture!("nbrfxrates2023-synthetic-8ccy.xml"), TODAY).unwrap();
    assert!(year.len() > 200);
    assert_eq!(year[0].date, date(2023, 1, 3));
}

#[test]
fn a_year_that_has_just_begun_is_empty() {
    assert_eq!(
        parse(fixture!("nbrfxrates-year-empty-body.xml"), TODAY),
        Ok(Vec::new())
    );
}

#[test]
fn a_missing_value_is_left_out() {
    let cubes = parse(fixture!("odd-dash-value.xml"), TODAY).unwrap();
    assert_eq!(cubes[0].rates.len(), 2);
    assert_eq!(cubes[0].rate(Currency::parse("USD").unwrap()), None);
    assert_eq!(rate(&cubes[0], "HUF"), "0.014000");
}

fn check(bytes: &[u8], expected: &str) {
    let error = parse(bytes, TODAY).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_is_not_a_file_of_the_bank_is_refused() {
    check(fixture!("bad-entity-bomb.xml"), "document type");
    check(fixture!("bad-html-redirect-page.xml"), "document type");
    check(fixture!("bad-truncated.xml"), "broken");
    check(b"<html></html>", "`html`");
    check(b"", "`nothing`");
    check(b"{}", "broken");
    check(b"\xff\xfe", "UTF-8");
    check(&vec![b' '; MAX_BYTES + 1], "larger");
    check(b"<?evil x?><DataSet/>", "processing instruction");
    check(b"<DataSet/><DataSet/>", "DataSet");
    check(
        "<a>".repeat(100).replacen("a", "DataSet", 1).as_bytes(),
        "nested",
    );
}

fn cube(inside: &str) -> String {
    format!("<DataSet><Body><Cube date=\"2023-11-17\">{inside}</Cube></Body></DataSet>")
}

#[test]
fn each_bad_value_is_named() {
    check(
        cube("<Rate currency=\"EUR\">4,97</Rate>").as_bytes(),
        "bad rate `4,97`",
    );
    check(
        cube("<Rate currency=\"EUR\">0</Rate>").as_bytes(),
        "bad rate `0`",
    );
    check(
        cube("<Rate currency=\"EUR\">-1</Rate>").as_bytes(),
        "bad rate",
    );
    check(
        cube("<Rate currency=\"EUR\">&lt;</Rate>").as_bytes(),
        "entity",
    );
    check(
        cube("<Rate currency=\"EURO\">4</Rate>").as_bytes(),
        "bad currency `EURO`",
    );
    check(cube("<Rate>4</Rate>").as_bytes(), "bad currency");
    check(
        cube("<Rate currency=\"HUF\" multiplier=\"x\">4</Rate>").as_bytes(),
        "multiplier",
    );
    check(
        cube("<Rate currency=\"HUF\" multiplier=\"3\">4</Rate>").as_bytes(),
        "bad rate",
    );
    check(cube("<Cube date=\"2023-11-16\"/>").as_bytes(), "place of");
    check(
        b"<DataSet><Rate currency=\"EUR\">4</Rate></DataSet>",
        "place of",
    );
    let twice = "<Rate currency=\"EUR\">4</Rate><Rate currency=\"eur\">5</Rate>";
    check(cube(twice).as_bytes(), "`EUR` is there twice");
    check(
        b"<DataSet><OrigCurrency>EUR</OrigCurrency></DataSet>",
        "origin",
    );
    check(b"<DataSet><Cube date=\"2026-11-23\"/></DataSet>", "future");
    check(
        b"<DataSet><Cube date=\"2023-02-30\"/></DataSet>",
        "bad date",
    );
    check(b"<DataSet><Cube/></DataSet>", "bad date");
    let days = "<Cube date=\"2023-02-01\"/><Cube date=\"2023-02-01\"/>";
    check(format!("<DataSet>{days}</DataSet>").as_bytes(), "twice");
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_is_refused(at in 0_usize..1700) {
        let whole = fixture!("nbrfxrates-2023-11-17.xml");
        let end = whole.trim_ascii_end().len();
        prop_assume!(at < end);
        prop_assert!(parse(&whole[..at], TODAY).is_err());
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes, TODAY).is_err());
    }
}
