//! Validation and holidays.

use serde_json::{Value, json};

use crate::bench::Bench;

#[tokio::test]
async fn valid_values_are_answered_in_the_public_shape() {
    let bench = Bench::start().await;
    let published = include_str!("../fixtures/openapi-ro/validate-cnp-synthetic.json");
    let published: Value = serde_json::from_str(published).unwrap();
    let answer = bench
        .get("validate.service/validate/cnp/5000229320019")
        .await;
    assert_eq!((answer.status, &answer.json), (200, &published));
    let body = json!({"cnp": "5000229320019"});
    let answer = bench.post("validate.service/validate/cnp", &body).await;
    assert_eq!((answer.status, &answer.json), (200, &published));
    for (path, expected) in [
        (
            "cif/14399840",
            json!({"valid": true, "cif": "14399840", "normalized": "14399840"}),
        ),
        (
            "cif/ro%2014399840",
            json!({"valid": true, "cif": "ro 14399840", "normalized": "14399840"}),
        ),
        (
            "bic/RNCBROBU",
            json!({"valid": true, "bic": "RNCBROBU", "country": "RO"}),
        ),
        (
            "iban/ro56TREZ0462107020101XXX",
            json!({"valid": true, "iban": "RO56TREZ0462107020101XXX", "country": "RO",
                "bank": {"code": "TREZ", "name": "Trezoreria Statului"}}),
        ),
        (
            "onrc/J32%2F1%2F2010",
            json!({"valid": true, "onrc": "J32/1/2010",
                "parsed": {"form": "old", "kind": "company", "year": 2010, "county": "Sibiu"}}),
        ),
        (
            "onrc/J32/1/2010",
            json!({"valid": true, "onrc": "J32/1/2010",
                "parsed": {"form": "old", "kind": "company", "year": 2010, "county": "Sibiu"}}),
        ),
    ] {
        let answer = bench
            .get(&format!("validate.service/validate/{path}"))
            .await;
        assert_eq!((answer.status, &answer.json), (200, &expected), "{path}");
    }
}

#[tokio::test]
async fn a_value_that_is_not_valid_is_an_answer_with_its_reason() {
    let bench = Bench::start().await;
    for (path, reason) in [
        ("cif/14399841", "bad_check_digit"),
        ("cif/5000229320019", "looks_like_cnp"),
        ("cnp/5000230320010", "bad_birth_date"),
        ("cnp/x", "bad_character"),
        ("iban/RO49AAAA", "bad_length"),
        ("iban/XX00", "unknown_country"),
        ("bic/RNCB", "bad_length"),
        ("onrc/X1", "bad_letter"),
        ("cif/%00", "bad_character"),
        ("iban/%E2%82%AC", "bad_character"),
    ] {
        let answer = bench
            .get(&format!("validate.service/validate/{path}"))
            .await;
        assert_eq!(
            (answer.status, &answer.json["valid"]),
            (200, &json!(false)),
            "{path}"
        );
        assert_eq!(answer.json["reason"]["code"], reason, "{path}");
        assert!(
            !answer.json["reason"]["message"]
                .as_str()
                .unwrap()
                .is_empty()
        );
    }
    let cnp = bench
        .get("validate.service/validate/cnp/5000230320010")
        .await;
    assert_eq!(cnp.json["parsed"], Value::Null);
}

#[tokio::test]
async fn holidays_are_listed_by_year() {
    let bench = Bench::start().await;
    let answer = bench.get("validate.service/holidays/2026").await;
    assert_eq!(answer.json["data"].as_array().unwrap().len(), 16);
    assert_eq!(
        answer.json["data"][10],
        json!({"date": "2026-06-01", "name": "Rusaliile; Ziua Copilului"})
    );
    assert_eq!(
        bench.get("validate.service/holidays/2011").await.json["code"],
        "year_not_supported"
    );
    assert_eq!(
        bench.get("validate.service/holidays/next").await.json["code"],
        "bad_value"
    );
}
