//! Answers of the tax office, real, odd and broken.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const AT: &str = "2023-11-17T13:05:00.000000";

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/anaf/", $name)).as_slice()
    };
}

fn codes(numbers: &[u64]) -> Vec<Cui> {
    numbers
        .iter()
        .map(|number| Cui::from_number(*number).unwrap())
        .collect()
}

fn mixed() -> Lookup {
    let asked = codes(&[
        38_744_563,
        990_000_013,
        990_000_021,
        990_000_030,
        990_000_048,
    ]);
    read_lookup(fixture!("v9-response-5-mixed-synthetic.json"), &asked, AT).unwrap()
}

#[test]
fn a_request_has_codes_and_the_day() {
    let bytes = request(&codes(&[38_744_563]), date(2023, 11, 17));
    assert_eq!(bytes, fixture!("v9-request-1.json").trim_ascii_end());
}

#[test]
fn a_company_is_read_into_the_public_shape() {
    let (cui, company) = &mixed().found[0];
    assert_eq!(cui.number(), 38_744_563);
    assert_eq!(company.denumire, "ANDALI SOLUTIONS PRO S.R.L.");
    assert!(company.adresa.starts_with("JUD. ARGEȘ, SAT LEREȘTI"));
    assert_eq!(company.judet.as_deref(), Some("Argeș"));
    assert_eq!(company.telefon, None);
    assert_eq!(company.tva.as_deref(), Some("2023-01-25"));
    assert_eq!(company.stare, "INREGISTRAT din data 25.01.2018");
    assert!(!company.radiata && company.tva_la_incasare.is_empty());
}

#[test]
fn vat_periods_collection_and_end_are_understood() {
    let lookup = mixed();
    let (_, alfa) = &lookup.found[1];
    assert_eq!(alfa.tva.as_deref(), Some("2015-01-01"));
    assert_eq!(alfa.tva_la_incasare[0].tip, "I");
    assert_eq!(
        alfa.tva_la_incasare[0].publicare.as_deref(),
        Some("2015-01-03")
    );
    let (_, beta) = &lookup.found[2];
    assert!(beta.radiata && beta.meta.inactive);
    assert_eq!(beta.tva, None);
    let (_, gamma) = &lookup.found[3];
    assert_eq!(gamma.judet.as_deref(), Some("Municipiul București"));
    assert_eq!(lookup.not_found, codes(&[990_000_048]));
}

#[test]
fn the_envelope_of_the_older_version_is_accepted() {
    let asked = codes(&[38_744_563]);
    let lookup = read_lookup(fixture!("v8-response-1-with-envelope.json"), &asked, AT).unwrap();
    assert_eq!(lookup.found.len(), 1);
    let failed = br#"{"cod":500,"message":"x","found":[],"notFound":[]}"#;
    assert_eq!(read_lookup(failed, &asked, AT), Err(AnafError::Code(500)));
}

#[test]
fn one_period_may_be_an_object() {
    let one = br#"{"found":[{"date_generale":{"cui":10004,"denumire":"X"},
        "inregistrare_scop_Tva":{"scpTVA":true,"perioade_TVA":
        {"data_inceput_ScpTVA":"2020-01-01","data_sfarsit_ScpTVA":" "}}}]}"#;
    let lookup = read_lookup(one, &codes(&[10_004]), AT).unwrap();
    assert_eq!(lookup.found[0].1.tva.as_deref(), Some("2020-01-01"));
}

#[test]
fn an_item_of_empty_texts_is_an_unknown_code() {
    let empty = br#"{"found":[{"date_generale":{"cui":10004,"denumire":" "}}],"notFound":[]}"#;
    let lookup = read_lookup(empty, &codes(&[10_004]), AT).unwrap();
    assert_eq!(lookup.not_found, codes(&[10_004]));
}

#[test]
fn what_is_not_an_answer_is_refused() {
    let asked = codes(&[990_000_048]);
    let page = fixture!("v9-error-not-json-synthetic.html");
    assert_eq!(read_lookup(page, &asked, AT), Err(AnafError::WebPage));
    let other = codes(&[10_004]);
    let none = fixture!("v9-response-none-found.json");
    assert_eq!(read_lookup(none, &other, AT), Err(AnafError::NotAsked));
    let half = br#"{"found":[],"notFound":[]}"#;
    assert_eq!(read_lookup(half, &asked, AT), Err(AnafError::Missing));
    for bytes in [&b""[..], b"{}", b"[]", b"{\"found\":1}", b"\xff"] {
        assert!(matches!(
            read_lookup(bytes, &asked, AT),
            Err(AnafError::Shape(_))
        ));
    }
}

#[test]
fn a_balance_has_our_names_and_every_digit() {
    let cui = codes(&[38_744_563])[0];
    let balance = read_balance(fixture!("bilant-38744563-2019.json"), cui, 2019, AT).unwrap();
    let mut answer = serde_json::to_value(balance.unwrap()).unwrap();
    let published = include_str!("../../../tests/fixtures/openapi-ro/balance-38744563-2019.json");
    let mut expected: Value = serde_json::from_str(published).unwrap();
    expected["meta"] = Value::Null;
    answer["meta"] = Value::Null;
    assert_eq!(answer.to_string(), expected.to_string());
    let cui = codes(&[990_000_013])[0];
    let loss = read_balance(fixture!("bilant-synthetic-loss-2022.json"), cui, 2022, AT).unwrap();
    assert_eq!(
        loss.unwrap().data["cifra_de_afaceri_neta"],
        5_123_456_789_i64
    );
}

#[test]
fn a_year_without_balance_is_none_and_another_answer_is_refused() {
    let cui = codes(&[990_000_013])[0];
    let none = fixture!("bilant-synthetic-missing-year.json");
    assert_eq!(read_balance(none, cui, 2030, AT), Ok(None));
    let other = fixture!("bilant-38744563-2019.json");
    assert_eq!(read_balance(other, cui, 2019, AT), Err(AnafError::NotAsked));
    assert_eq!(
        read_balance(b"<html>", cui, 2019, AT),
        Err(AnafError::WebPage)
    );
}

#[test]
fn a_balance_of_another_kind_says_so() {
    let insurer = br#"{"an":2020,"cui":10004,"caen":"6512","i":[
        {"indicator":"I1","val_indicator":5,"val_den_indicator":"Active necorporale"}]}"#;
    let balance = read_balance(insurer, codes(&[10_004])[0], 2020, AT)
        .unwrap()
        .unwrap();
    assert_eq!(
        (balance.balance_type.as_str(), balance.caen_code.as_str()),
        ("ALT", "6512")
    );
    assert_eq!(balance.data["cifra_de_afaceri_neta"], Value::Null);
}

proptest! {
    #[test]
    fn an_answer_cut_anywhere_is_refused(at in 0_usize..1_750) {
        let whole = fixture!("v9-response-1.json");
        prop_assert!(read_lookup(&whole[..at], &codes(&[38_744_563]), AT).is_err());
    }
}
