//! Companies and balances.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use taraf_romania::cui::Cui;

use crate::bench::{Bench, settings};

const LOOKUP: &str = "/api/PlatitorTvaRest";
const BALANCE: &str = "/bilant";

/// Valid codes that the source does not know.
fn codes(count: usize) -> Vec<String> {
    let valid = (100_000..).filter_map(|number| Cui::from_number(number).ok());
    valid.take(count).map(|cui| cui.to_string()).collect()
}

fn members(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn a_recorded_company_is_answered_in_the_public_shape() {
    let bench = Bench::start().await;
    let answer = bench.get("companies.service/companies/RO38744563").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["denumire"], "ANDALI SOLUTIONS PRO S.R.L.");
    assert_eq!(answer.json["meta"]["recorded"], true);
    assert_eq!(answer.json["meta"].get("sample"), None);
    let published = include_str!("../fixtures/openapi-ro/company-34150371.json");
    let published: Value = serde_json::from_str(published).unwrap();
    assert_eq!(members(&answer.json), members(&published));
}

#[tokio::test]
async fn a_sample_says_that_it_is_one() {
    let bench = Bench::start().await;
    let answer = bench.get("companies.service/companies/13548146").await;
    assert_eq!(
        (answer.status, &answer.json["cif"]),
        (200, &json!("13548146"))
    );
    assert_eq!(answer.json["meta"]["sample"], true);
}

#[tokio::test]
async fn an_unknown_code_is_202_and_a_wrong_one_404() {
    let bench = Bench::start().await;
    let unknown = bench.get("companies.service/companies/990000048").await;
    assert_eq!(
        (unknown.status, &unknown.json["status"]),
        (202, &json!("unknown"))
    );
    for code in ["12345678", "1", "abc", "5000229320019"] {
        let wrong = bench
            .get(&format!("companies.service/companies/{code}"))
            .await;
        assert_eq!(
            (wrong.status, &wrong.json["code"]),
            (404, &json!("invalid_cif"))
        );
        let detail = wrong.json["detail"].as_str().unwrap();
        assert!(code.len() < 13 || !detail.contains(code));
    }
    assert_eq!(bench.source.count(LOOKUP), 1);
}

#[tokio::test]
async fn a_company_is_asked_for_once() {
    let bench = Bench::start().await;
    let ask = || bench.get("companies.service/companies/38744563");
    let (one, two, three, four) = tokio::join!(ask(), ask(), ask(), ask());
    for answer in [one, two, three, four, ask().await] {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(bench.source.count(LOOKUP), 1);
    let _unknown = bench.get("companies.service/companies/990000048").await;
    let _again = bench.get("companies.service/companies/990000048").await;
    assert_eq!(bench.source.count(LOOKUP), 2);
}

#[tokio::test]
async fn names_are_found_whatever_the_diacritics() {
    let bench = Bench::start().await;
    let search = "companies.service/companies/search";
    let found = bench.post(search, &json!({"q": "rompetrol"})).await;
    assert_eq!(found.json["data"][0]["judet"], "Constanța");
    assert_eq!(found.json["data"][0]["url"], "/api/companies/1860712");
    let found = bench
        .get(&format!("{search}?query=Exemplu&judet=sibiu"))
        .await;
    assert_eq!(found.json["meta"]["total"], 1, "{found:?}");
    let all = json!({"q": "exemplu", "judet": "SIBIU", "include_radiata": true});
    assert_eq!(bench.post(search, &all).await.json["meta"]["total"], 2);
    let people = json!({"q": "persoana", "include_radiata": true});
    assert_eq!(bench.post(search, &people).await.json["data"], json!([]));
    for wrong in [json!({}), json!({"q": " "}), json!({"q": 1}), json!([])] {
        assert_eq!(bench.post(search, &wrong).await.status, 400, "{wrong}");
    }
    // What was looked up is found too.
    let _company = bench.get("companies.service/companies/13548146").await;
    let found = bench
        .post(search, &json!({"q": "companie de exemplu"}))
        .await;
    assert_eq!(found.json["data"][0]["cif"], "13548146");
}

#[tokio::test]
async fn balances_are_answered_by_year() {
    let bench = Bench::start().await;
    let one = bench
        .get("companies.service/companies/38744563/balances/2019")
        .await;
    let published = include_str!("../fixtures/openapi-ro/balance-38744563-2019.json");
    let published: Value = serde_json::from_str(published).unwrap();
    assert_eq!(one.json["data"], published["data"]);
    assert_eq!(one.json["meta"]["recorded"], true);
    let all = bench
        .get("companies.service/companies/38744563/balances")
        .await;
    assert_eq!(all.json.as_array().unwrap().len(), 1);
    let newest = bench
        .get("companies.service/companies/38744563/balances/latest")
        .await;
    assert_eq!((newest.status, &newest.json["year"]), (200, &json!(2019)));
    for path in [
        "38744563/balances/2018",
        "38744563/balances/1999",
        "10004/balances/latest",
    ] {
        let none = bench
            .get(&format!("companies.service/companies/{path}"))
            .await;
        assert_eq!(
            (none.status, &none.json["code"]),
            (404, &json!("balance_not_found"))
        );
    }
    let bad = bench
        .get("companies.service/companies/38744563/balances/x")
        .await;
    assert_eq!((bad.status, &bad.json["code"]), (400, &json!("bad_value")));
    // Twelve years of one company and of the other, each asked once.
    let asked: Vec<String> = bench
        .source
        .seen()
        .into_iter()
        .map(|one| one.path)
        .collect();
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert_eq!(asked.len(), distinct.len(), "{asked:?}");
    assert!(bench.source.count(BALANCE) <= 24);
}

#[tokio::test]
async fn two_hundred_and_fifty_codes_are_three_requests_at_most_one_a_second() {
    let bench = Bench::with(settings()).await;
    let ask = json!({"cifs": codes(250)});
    let answer = bench.post("companies.service/companies/lookup", &ask).await;
    assert_eq!(answer.json["unknown"].as_array().unwrap().len(), 250);
    let seen = bench.source.seen();
    let seen: Vec<_> = seen
        .iter()
        .filter(|one| one.path.starts_with(LOOKUP))
        .collect();
    assert_eq!(
        seen.iter().map(|one| one.codes).collect::<Vec<_>>(),
        [100, 100, 50]
    );
    for pair in seen.windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn each_code_of_a_lookup_is_in_one_list() {
    let bench = Bench::start().await;
    let ask = json!({"cifs": ["38744563", "RO38744563", "990000048", "1", "13548146"]});
    let answer = bench.post("companies.service/companies/lookup", &ask).await;
    assert_eq!(answer.json["data"].as_array().unwrap().len(), 2);
    assert_eq!(answer.json["data"][1]["meta"]["sample"], true);
    assert_eq!(answer.json["data"][0]["meta"].get("sample"), None);
    assert_eq!(answer.json["unknown"], json!(["990000048"]));
    assert_eq!(answer.json["invalid"][0]["code"], "bad_length");
    assert_eq!(answer.json["failed"], json!([]));
    let many = bench
        .post(
            "companies.service/companies/lookup",
            &json!({"cifs": codes(501)}),
        )
        .await;
    assert_eq!(many.status, 400);
}
